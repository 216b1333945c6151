"""The supervisor: it starts everything, watches it, and ends it in order.

Invariant: client sessions end before what they depend on (monitors, accounts) does, and the supervisor does
not end before its last worker has.
"""

from __future__ import annotations

import asyncio
import enum
import gc
import logging
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from msgspec import Struct

from fairlead import __version__
from fairlead.cluster.board import STATUS, Board
from fairlead.cluster.loglevels import ALERT, NOTICE
from fairlead.cluster.status import MAINT
from fairlead.config.store import ConfigErrors, ConfigStore
from fairlead.monitors.runner import Monitors
from fairlead.workers.addresses import ListenerAddresses
from fairlead.workers.host import SupervisorHost
from fairlead.workers.inforce import InForce, NotApplied
from fairlead.workers.kills import KillRounds
from fairlead.workers.logfile import LogFile
from fairlead.workers.loglines import settings_of
from fairlead.workers.messages import (
    Facts,
    ForwardKill,
    KillDone,
    MaintainServer,
    ReloadAccounts,
    ToSupervisor,
    ToWorker,
)
from fairlead.workers.ports import ProductError
from fairlead.workers.processes import ProcessTable, WorkersCannotStart
from fairlead.workers.product import SupervisedProduct
from fairlead.workers.service_accounts import ServiceAccounts
from fairlead.workers.signals import Signals
from fairlead.workers.systemd import Notifier
from fairlead.workers.worker import threads_of

logger = logging.getLogger(__name__)

# How long sessions may finish what they are doing when the product stops.
DRAIN_MS = 3000
# What each part of the supervisor may take to stop; then the next one is stopped.
PART_STOP_TIMEOUT_S = 1.0


# Starts the REST API for a product; the result has an awaitable `stop()`.
StartRest = Callable[["SupervisedProduct"], Awaitable[Any]]


class Exit(enum.IntEnum):
    """Exit codes of the process (spec core.md b8)."""

    OK = 0
    BAD_CONFIG = 1
    NO_SERVICES = 3
    ALREADY_RUNNING = 4
    BAD_ARGUMENT = 5
    INTERNAL = 6
    RESTART_ME = 75


class Options(Struct, frozen=True):
    """What the command line decides besides the configuration."""

    log_to_stdout: bool = False
    drain_ms: int = DRAIN_MS
    plane: str = "fairlead.workers.plane:Plane"


class CannotStart(Exception):
    """The product cannot start; `code` is its exit code."""

    def __init__(self, code: Exit, text: str) -> None:
        super().__init__(text)
        self.code = code


class Supervisor:
    """The process that users start. To be made inside a running loop."""

    def __init__(
        self, store: ConfigStore, log_file: LogFile, options: Options, start_rest: StartRest | None = None
    ) -> None:
        self.store = store
        self.log_file = log_file
        self.options = options
        self.started_at = time.time()
        self.stop_wanted = asyncio.Event()
        self._notifier = Notifier()
        self._tasks: set[asyncio.Task[Any]] = set()
        snapshot = store.snapshot()
        self.board = Board.create(threads_of(snapshot))
        self.addresses = ListenerAddresses()
        self.table = ProcessTable(
            self.board, self, paths=paths_of(store), log_path=log_file.path, plane=options.plane
        )
        self.kills = KillRounds(self.table.indexes, self.table.send)
        self.host = SupervisorHost(
            self.board, Path(store.paths.datadir), lambda: self.in_force.snapshot, self.table.broadcast
        )
        self.monitors = Monitors(self.board, self.host)
        self.accounts = ServiceAccounts(self.host)
        self.in_force = InForce(
            snapshot, self.board, self.addresses, self.table, [self.monitors, self.accounts], log_file.apply
        )
        self.product = SupervisedProduct(self)
        self._start_rest_api = start_rest
        self._rest: Any = None
        self._is_running = False

    # -- life

    async def run(self) -> int:
        """Run until asked to end; returns the exit code of the process."""
        Signals(
            stop=self.stop_wanted.set, kill=self.table.kill_all, rotate=self.rotate_logs, reload=self._reload
        ).install(asyncio.get_running_loop())
        code = Exit.OK
        starting = asyncio.ensure_future(self._start())
        stopping = asyncio.ensure_future(self.stop_wanted.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                await stopping
                logger.log(NOTICE, "Fairlead is shutting down")
        except CannotStart as error:
            logger.log(ALERT, "%s", error)
            code = error.code
        except WorkersCannotStart as error:
            logger.log(ALERT, "The workers cannot be started: %s", error)
            code = Exit.INTERNAL
        except Exception:
            logger.exception("Fairlead cannot start")
            code = Exit.INTERNAL
        starting.cancel()
        stopping.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)
        await self._stop()
        return code

    async def _start(self) -> None:
        snapshot = self.store.snapshot()
        log_start(self.store)
        told = await self.in_force.begin()
        self._check_listeners()
        # The workers import their modules while the monitors connect.
        self.table.start(threads_of(snapshot), told, settings_of(snapshot.globals))
        await self.monitors.apply(snapshot)
        await self.accounts.apply(snapshot)
        try:
            await self.in_force.settle(await self.table.configured())
        except NotApplied as error:
            raise CannotStart(Exit.INTERNAL, f"The workers cannot be configured: {error}") from None
        self._check_listeners()
        if snapshot.globals.get("admin_enabled", True):
            await self._start_rest()
        settle_memory()
        logger.log(NOTICE, "Fairlead is running: %s", self._summary())
        self._notifier.ready(self._summary())
        self._is_running = True
        if self._notifier.watchdog_interval_s:
            self._run(self._feed_watchdog())

    def _check_listeners(self) -> None:
        if self.in_force.has_no_listener:
            raise CannotStart(Exit.NO_SERVICES, "No listener could be started")

    def _summary(self) -> str:
        snapshot = self.in_force.snapshot
        return f"{len(snapshot.services)} services, {threads_of(snapshot)} workers"

    async def _start_rest(self) -> None:
        if self._start_rest_api is None:
            return
        try:
            self._rest = await self._start_rest_api(self.product)
        except OSError as error:
            raise CannotStart(Exit.INTERNAL, f"The REST API cannot be started: {error}") from error

    async def _stop(self) -> None:
        self._notifier.stopping()
        if self._rest is not None:
            await self._part("REST API", self._rest.stop())
        await self.table.stop(self.options.drain_ms)
        await self._part("accounts", self.accounts.stop())
        await self._part("monitors", self.monitors.stop())
        self.addresses.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        logger.log(NOTICE, "Fairlead has stopped")

    async def _part(self, name: str, stopping: Awaitable[Any]) -> None:
        try:
            await asyncio.wait_for(stopping, PART_STOP_TIMEOUT_S)
        except TimeoutError:
            logger.warning("The %s did not stop in time", name)
        except Exception:
            logger.exception("The %s did not stop in order", name)

    async def _feed_watchdog(self) -> None:
        while True:
            if self.table.all_answer:
                self._notifier.alive()
            await asyncio.sleep(self._notifier.watchdog_interval_s)

    def _reload(self) -> None:
        if self._is_running and not self.stop_wanted.is_set():
            self._run(self._read_again())

    async def _read_again(self) -> None:
        """Take over the configuration as it is in the files now, or leave everything as it is."""
        self._notifier.reloading()
        logger.log(NOTICE, "SIGHUP: reading the configuration again")
        try:
            warnings = await self.product.read_again()
        except (ConfigErrors, ProductError, OSError) as error:
            for line in str(error).splitlines():
                logger.error("%s", line)
            logger.error("The configuration has not been changed")
        else:
            for warning in warnings:
                logger.warning("%s", warning)
            logger.log(NOTICE, "The configuration has been read again: %s", self._summary())
        self._notifier.ready(self._summary())

    def rotate_logs(self) -> None:
        """Open the log files again, in all processes."""
        self.log_file.reopen()
        self._run(self.table.request_all("rotate_logs"))
        logger.log(NOTICE, "The log has been opened again")

    def _run(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- what workers say

    def message(self, index: int, message: ToSupervisor) -> None:
        """A worker has sent something that is no answer."""
        match message:
            case ReloadAccounts():
                self.accounts.reload_wanted(index, message)
            case ForwardKill():
                self.kills.start(index, message)
            case KillDone():
                self.kills.done(index, message)
            case MaintainServer():
                self._run(self._maintain(message))
            case _:
                logger.error("Worker %d has sent an unexpected %s", index, type(message).__name__)

    def welcome(self, index: int) -> Iterable[ToWorker]:
        """What a new worker must know besides its configuration."""
        return [Facts(list(self.host.server_facts.values())), *self.accounts.messages()]

    def gone(self, index: int) -> None:
        """A worker has ended."""
        self.kills.worker_gone(index)

    async def _maintain(self, message: MaintainServer) -> None:
        """A server refuses this host: it is no use until somebody has looked at it."""
        server = next((one for one in self.in_force.snapshot.servers if one.name == message.server), None)
        if server is None or self.board.server(server.slot, STATUS) & MAINT:
            return
        logger.error("Server '%s' is put into maintenance: %s", message.server, message.reason)
        try:
            await self.monitors.set_state(message.server, "maintenance", False)
        except ValueError as error:
            logger.error("Server '%s' stays as it is: %s", message.server, error)


def paths_of(store: ConfigStore) -> dict[str, str]:
    """The directories as the workers get them."""
    return {name: str(value) for name, value in vars(store.paths).items() if isinstance(value, Path | str)}


def log_start(store: ConfigStore) -> None:
    """The first lines of a run."""
    logger.log(NOTICE, "Fairlead %s is starting, process %d", __version__, os.getpid())
    logger.log(NOTICE, "Configuration: %d services", len(store.snapshot().services))


def settle_memory() -> None:
    """What was made at the start lives on: the collector need not look at it again."""
    gc.collect()
    gc.freeze()
