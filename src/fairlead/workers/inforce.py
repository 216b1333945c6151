"""The configuration in force, and the way to another one: everywhere, or nowhere.

Invariant: whatever happens on the way, afterwards addresses, workers, monitors and accounts agree on
`snapshot`, and `snapshot` is the one that was given only if every one of them has taken it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from fairlead.cluster import board as cells
from fairlead.cluster.board import WORKERS_MAX, Board
from fairlead.cluster.defs import Snapshot
from fairlead.workers.addresses import ListenerAddresses
from fairlead.workers.loglines import LogSettings, settings_of
from fairlead.workers.processes import ProcessTable
from fairlead.workers.worker import threads_of

logger = logging.getLogger(__name__)


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
    """Takes everything from one configuration to the next."""

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
        self._board = board
        self._addresses = addresses
        self._table = table
        self._participants = participants
        self._log_settings_changed = log_settings_changed

    async def change_to(self, snapshot: Snapshot) -> None:
        """Put another configuration into force; raises NotApplied. Never called twice at the same time."""
        self._check_threads(snapshot)
        refused = await self._addresses.take(snapshot.listeners)
        if refused:
            self._addresses.give_up()
            raise NotApplied(list(refused.values()))
        prepare_slots(self._board, self.snapshot, snapshot)
        try:
            errors = await self._table.apply(snapshot)
            if errors:
                raise NotApplied([describe(name, text) for name, text in errors.items()])
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
        self._addresses.keep(snapshot.listeners)
        settings = settings_of(snapshot.globals)
        self._log_settings_changed(settings)
        await self._table.commit(snapshot, settings)
        if threads_of(snapshot) != threads_of(before):
            self._board.workers = max(self._board.workers, threads_of(snapshot))
            self._table.resize(threads_of(snapshot))

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
    """An error of a worker in words; `*` is the worker itself."""
    return text if listener == "*" else f"Listener '{listener}': {text}"


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
