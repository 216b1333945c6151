"""A worker process: its loop, its end of the control bus, and the data plane that does the work.

Invariant: a worker lives no longer than its supervisor, and only the supervisor's `Stop` ends it in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

import msgspec

from fairlead.cluster.board import W_ALIVE_MS, Board, worker_index
from fairlead.cluster.defs import ServerFacts, Snapshot
from fairlead.workers import kernel, logfile
from fairlead.workers.bus import BusConnection, FrameError
from fairlead.workers.loglines import settings_of
from fairlead.workers.messages import (
    Accounts,
    Configure,
    Configured,
    Facts,
    HangUp,
    Kill,
    Reply,
    Request,
    Stop,
    ToSupervisor,
    ToWorker,
    WorkerStart,
    restore_tuples,
)

logger = logging.getLogger(__name__)

# How often a worker shows on the board that its loop turns.
ALIVE_INTERVAL_S = 0.5
# What the data plane may take longer than its drain time before the worker ends without it.
STOP_GRACE_S = 1.0
# Objects of young generations before the collector looks: long-lived sessions are not garbage.
GC_THRESHOLDS = (10_000, 20, 100)

EXIT_OK = 0
EXIT_SUPERVISOR_GONE = 1
EXIT_STOP_FAILED = 2


class DataPlane(Protocol):
    """What a worker process does for its clients; implemented by `fairlead.workers.plane.Plane`."""

    def apply(self, snapshot: Snapshot) -> dict[str, str]: ...
    def set_accounts(self, message: Accounts) -> None: ...
    def set_facts(self, facts: list[ServerFacts]) -> None: ...
    def hang_up(self, server: str, reason: str, gently: bool) -> None: ...
    def kill(self, message: Kill) -> None: ...
    async def request(self, what: str, args: dict[str, Any]) -> Any: ...
    def reply(self, message: Reply) -> None: ...
    async def stop(self, drain_ms: int) -> None: ...


PlaneClass = Callable[
    [int, Board, Callable[[ToSupervisor], None], asyncio.AbstractEventLoop, dict[str, str]], DataPlane
]


class WorkerProcess:
    """Carries the supervisor's messages to the data plane and its answers back."""

    def __init__(
        self, start: WorkerStart, loop: asyncio.AbstractEventLoop, log_file: logfile.LogFile
    ) -> None:
        self._index = start.index
        self._loop = loop
        self._log_file = log_file
        self._board = Board(start.board_fd, start.workers)
        self._bus: BusConnection[ToWorker] = BusConnection(ToWorker, self._received, self._bus_lost)
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[int] = loop.create_future()
        self._is_configured = False
        self._is_stopping = False
        plane_class = load_plane(start.plane)
        self._plane = plane_class(start.index, self._board, self._send, loop, start.paths)

    async def run(self, bus_fd: int) -> int:
        """Serve until the end; returns the exit status of the process."""
        bus_socket = socket.socket(fileno=bus_fd)
        bus_socket.setblocking(False)
        self._show_life()
        await self._loop.create_unix_connection(lambda: self._bus, sock=bus_socket)
        return await self._ended

    def _show_life(self) -> None:
        self._board.set(worker_index(self._index, W_ALIVE_MS), time.monotonic_ns() // 1_000_000)
        self._loop.call_later(ALIVE_INTERVAL_S, self._show_life)

    # -- the bus

    def _send(self, message: ToSupervisor) -> None:
        self._bus.send(message)

    def _bus_lost(self, reason: str) -> None:
        if not self._ended.done():
            logger.error("The supervisor is gone (%s), worker %d ends", reason, self._index)
            self._ended.set_result(EXIT_SUPERVISOR_GONE)

    def _received(self, message: ToWorker) -> None:
        plane = self._plane
        match message:
            case Configure():
                self._configure(message)
            case Accounts():
                plane.set_accounts(message)
            case Facts():
                plane.set_facts(message.facts)
            case HangUp():
                plane.hang_up(message.server, message.reason, message.gently)
            case Kill():
                plane.kill(message)
            case Reply():
                plane.reply(message)
            case Request():
                self._start(self._answer(message))
            case Stop():
                self._start(self._stop(message.drain_ms))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- messages

    def _configure(self, message: Configure) -> None:
        snapshot = restore_tuples(message.snapshot)
        self._board.workers = max(self._board.workers, threads_of(snapshot))
        self._log_file.apply(settings_of(snapshot.globals))
        try:
            errors = self._plane.apply(snapshot)
        except Exception as error:
            logger.exception("Worker %d could not take over configuration %d", self._index, snapshot.version)
            errors = {"*": f"worker {self._index}: {error!r}"}
        self._bus.send(Configured(message.id, snapshot.version, errors))
        if not self._is_configured:
            self._is_configured = True
            self._loop.call_soon(settle_memory)

    async def _answer(self, message: Request) -> None:
        try:
            reply = Reply(message.id, await self._result_of(message.what, message.args))
        except Exception as error:
            if not isinstance(error, (KeyError, ValueError, LookupError)):
                logger.exception("Request '%s' failed in worker %d", message.what, self._index)
            text = str(error.args[0]) if error.args else type(error).__name__
            reply = Reply(message.id, error=text or type(error).__name__)
        try:
            self._bus.send(reply)
        except (TypeError, FrameError, msgspec.EncodeError) as error:
            self._bus.send(Reply(message.id, error=f"the answer cannot be sent: {error}"))

    async def _result_of(self, what: str, args: dict[str, Any]) -> Any:
        if what == "ping":
            return self._index
        if what == "rotate_logs":
            self._log_file.reopen()
            with contextlib.suppress(KeyError, ValueError, NotImplementedError):
                await self._plane.request(what, args)
            return None
        return await self._plane.request(what, args)

    async def _stop(self, drain_ms: int) -> None:
        if self._is_stopping:
            return
        self._is_stopping = True
        status = EXIT_OK
        try:
            await asyncio.wait_for(self._plane.stop(drain_ms), drain_ms / 1000 + STOP_GRACE_S)
        except TimeoutError:
            logger.warning("Worker %d ends although not all of its sessions have ended", self._index)
        except Exception:
            logger.exception("Worker %d could not stop in order", self._index)
            status = EXIT_STOP_FAILED
        if not self._ended.done():
            self._ended.set_result(status)
        self._bus.close()


def threads_of(snapshot: Snapshot) -> int:
    """How many workers this configuration wants."""
    return int(snapshot.globals.get("threads") or 1)


def load_plane(name: str) -> PlaneClass:
    """The class `module:Class`."""
    module, _, attribute = name.partition(":")
    found: PlaneClass = getattr(importlib.import_module(module), attribute)
    return found


def new_event_loop() -> asyncio.AbstractEventLoop:
    """The product's own loop; without it (not compiled, not there) the one of the standard library."""
    try:
        poller = importlib.import_module("fairlead.net.poller")
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = poller.new_event_loop()
    return loop


def settle_memory() -> None:
    """What exists after the start stays: the collector need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def ignore_signals() -> None:
    """Signals are for the supervisor, also those that a terminal or a tool sends to all processes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


def log_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Handler of exceptions that nobody caught."""
    error = context.get("exception")
    trace = error if isinstance(error, Exception) else None
    logger.error("Unhandled error: %s", context.get("message"), exc_info=trace)


def main(argument: str) -> int:
    """Run a worker; `argument` is a `WorkerStart` as JSON."""
    ignore_signals()
    start = msgspec.json.decode(argument, type=WorkerStart)
    if not kernel.die_with_parent(start.supervisor):
        return EXIT_SUPERVISOR_GONE
    kernel.set_process_name(f"fairlead-w{start.index}")
    log_file = logfile.LogFile(Path(start.log_path) if start.log_path else None, start.log)
    logfile.install(log_file)
    log_file.write_faults()
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_exception_handler(log_loop_error)
    status = EXIT_STOP_FAILED
    try:
        status = loop.run_until_complete(WorkerProcess(start, loop, log_file).run(start.bus_fd))
    except BaseException:
        logger.exception("Worker %d failed", start.index)
    return status


if __name__ == "__main__":
    # Nothing is left to tidy up that the kernel does not do faster.
    exit_status = main(sys.argv[1])
    sys.stdout.flush()
    os._exit(exit_status)
