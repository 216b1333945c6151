"""The configuration in force, and the way to another one: everywhere, or nowhere.

Invariant: whatever happens on the way, afterwards addresses, workers, monitors and accounts agree on
`snapshot`, and `snapshot` is the one that was given only if every one of them has taken it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container
from typing import Protocol

import msgspec

from fairlead.cluster import board as cells
from fairlead.cluster.board import WORKERS_MAX, Board
from fairlead.cluster.defs import ListenerDef, Snapshot
from fairlead.workers.addresses import ListenerAddresses
from fairlead.workers.loglines import LogSettings, settings_of
from fairlead.workers.processes import ProcessTable
from fairlead.workers.worker import threads_of

logger = logging.getLogger(__name__)

# In errors by listener: the name that stands for the worker itself.
WORKER = "*"


class NotApplied(Exception):
    """A configuration could not be applied; the one before is in force again. `errors` says why."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


class Participant(Protocol):
    """A part of the supervisor that acts on the configuration: the monitors, the account managers."""

    async def apply(self, snapshot: Snapshot) -> None:
        """Act on this configuration from now on; what it raises refuses the configuration."""


class InForce:
    """Takes everything from one configuration to the next.

    A listener that could not be started with the product (`failures`) stays part of the configuration, but
    the workers are not told of it; every change tries it again, and does not fail because of it.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        board: Board,
        addresses: ListenerAddresses,
        table: ProcessTable,
        participants: list[Participant],
        log_settings_changed: Callable[[LogSettings], None],
    ) -> None:
        self.snapshot = snapshot
        # Why listeners do not run, by name.
        self.failures: dict[str, str] = {}
        self._board = board
        self._addresses = addresses
        self._table = table
        self._participants = participants
        self._log_settings_changed = log_settings_changed

    # -- the start

    async def begin(self) -> Snapshot:
        """Take the addresses; returns the first configuration of the workers."""
        prepare_slots(self._board, None, self.snapshot)
        self._failed(await self._addresses.take(self.snapshot.listeners))
        self._addresses.keep(self.snapshot.listeners)
        return without_listeners(self.snapshot, self.failures)

    async def settle(self, errors: dict[str, str]) -> None:
        """The workers have answered their first configuration: go on without what they cannot run."""
        if errors:
            self._failed(errors)
            told = await self._tell_workers(self.snapshot, dict(self.failures))
            await self._table.commit(told, settings_of(self.snapshot.globals))

    @property
    def has_no_listener(self) -> bool:
        """Whether there should be listeners and none of them runs."""
        return bool(self.snapshot.listeners) and len(self.failures) >= len(self.snapshot.listeners)

    def _failed(self, errors: dict[str, str]) -> None:
        for name, text in errors.items():
            logger.error("%s", describe(name, text))
        self.failures.update({name: text for name, text in errors.items() if name != WORKER})

    # -- changes

    async def change_to(self, snapshot: Snapshot) -> None:
        """Put another configuration into force; raises NotApplied. Never called twice at the same time."""
        self._check_threads(snapshot)
        failures = await self._addresses.take(snapshot.listeners)
        news = [text for name, text in failures.items() if not self._has_failed_before(snapshot, name)]
        if news:
            self._addresses.give_up()
            raise NotApplied(news)
        prepare_slots(self._board, self.snapshot, snapshot)
        try:
            told = await self._tell_workers(snapshot, failures)
            for participant in self._participants:
                await participant.apply(snapshot)
        except BaseException as error:
            await self._roll_back()
            if isinstance(error, NotApplied) or not isinstance(error, Exception):
                raise
            if not isinstance(error, ValueError):
                logger.exception("Configuration %d cannot be applied", snapshot.version)
            raise NotApplied([str(error) or repr(error)]) from error
        before = self.snapshot
        self.snapshot = snapshot
        self.failures = failures
        self._addresses.keep(snapshot.listeners)
        settings = settings_of(snapshot.globals)
        self._log_settings_changed(settings)
        await self._table.commit(told, settings)
        if threads_of(snapshot) != threads_of(before):
            self._board.workers = max(self._board.workers, threads_of(snapshot))
            self._table.resize(threads_of(snapshot))

    async def _tell_workers(self, snapshot: Snapshot, failures: dict[str, str]) -> Snapshot:
        """Let the workers take over what can run; adds to `failures` what has failed again."""
        while True:
            told = without_listeners(snapshot, failures)
            errors = await self._table.apply(told)
            if not errors:
                return told
            if not all(self._has_failed_before(snapshot, name) for name in errors):
                raise NotApplied([describe(name, text) for name, text in errors.items()])
            assert not errors.keys() & failures.keys()
            failures.update(errors)

    def _has_failed_before(self, snapshot: Snapshot, name: str) -> bool:
        """Whether this listener does not run at present and is not different in the new configuration."""
        if name not in self.failures:
            return False
        old, new = listener_of(self.snapshot, name), listener_of(snapshot, name)
        return old is not None and old == new

    def _check_threads(self, snapshot: Snapshot) -> None:
        threads = threads_of(snapshot)
        if threads == threads_of(self.snapshot):
            return
        if not 1 <= threads <= WORKERS_MAX:
            raise NotApplied([f"Invalid value for 'threads': {threads}; allowed are 1 to {WORKERS_MAX}"])
        if self._table.is_resizing:
            raise NotApplied(["The number of threads cannot be changed while threads are still terminating"])

    async def _roll_back(self) -> None:
        self._addresses.give_up()
        await self._table.roll_back()
        for participant in self._participants:
            try:
                await participant.apply(self.snapshot)
            except Exception:
                logger.exception("The earlier configuration could not be restored completely")


def describe(listener: str, text: str) -> str:
    """An error of a worker in words."""
    return text if listener == WORKER else f"Listener '{listener}': {text}"


def listener_of(snapshot: Snapshot, name: str) -> ListenerDef | None:
    """A listener by its name."""
    return next((listener for listener in snapshot.listeners if listener.name == name), None)


def without_listeners(snapshot: Snapshot, names: Container[str]) -> Snapshot:
    """The configuration without these listeners; always a new object."""
    listeners = tuple(listener for listener in snapshot.listeners if listener.name not in names)
    return msgspec.structs.replace(snapshot, listeners=listeners)


def prepare_slots(board: Board, old: Snapshot | None, new: Snapshot) -> None:
    """Clear the places on the status board that this configuration gives to other objects than before."""
    servers = {server.slot: server.name for server in old.servers} if old else {}
    for server in new.servers:
        if servers.get(server.slot) != server.name:
            board.reset_server(server.slot)
            for service in range(cells.SERVICES_MAX):
                for worker in range(board.workers):
                    for cell in range(cells.P_CELLS):
                        board.set(cells.worker_pair_index(worker, service, server.slot, cell), 0)
    services = {service.slot: service.name for service in old.services} if old else {}
    for one in new.services:
        if services.get(one.slot) != one.name:
            for worker in range(board.workers):
                for cell in range(cells.V_CELLS):
                    board.set(cells.worker_service_index(worker, one.slot, cell), 0)
