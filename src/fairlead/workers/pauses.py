"""Pauses of services: for a planned switchover the statements of a service wait instead of failing.

While a service is paused its sessions finish the statement and the transaction they are in; the next command
of each waits with its client. The pause ends by RESUME, or by itself at its deadline: nobody is held longer.

Invariant: `V_WAITING` on the board is the number of sessions that a pause holds back at this moment.
"""

from __future__ import annotations

import asyncio
import logging

from fairlead.cluster.board import V_PAUSED_UNTIL_MS, Board, worker_service_index
from fairlead.session.service import ServiceRuntime, Standing

# No pause is longer, in milliseconds.
PAUSE_MAX_MS = 3_600_000

_log = logging.getLogger("fairlead.session")


class Pauses:
    """The pauses in one worker."""

    def __init__(self, board: Board, worker: int, loop: asyncio.AbstractEventLoop) -> None:
        self._board = board
        self._worker = worker
        self._loop = loop
        self._timers: dict[Standing, asyncio.TimerHandle] = {}

    def pause(self, service: ServiceRuntime, timeout_ms: int, now_ms: int) -> None:
        """Hold the service back for so long at most; a pause that is on gets the new deadline."""
        self._cancel(service)
        service.standing.paused = True
        for session in service.sessions:
            session.pausing = True
        self._board.set(self._cell(service, V_PAUSED_UNTIL_MS), now_ms + timeout_ms)
        self._timers[service.standing] = self._loop.call_later(timeout_ms / 1000, self._overdue, service)

    def _overdue(self, service: ServiceRuntime) -> None:
        _log.warning("The pause of service '%s' has reached its deadline: it ends", service.name)
        self.resume(service)

    def resume(self, service: ServiceRuntime) -> None:
        """End the pause; what waited is taken now."""
        self._cancel(service)
        service.standing.paused = False
        self._board.set(self._cell(service, V_PAUSED_UNTIL_MS), 0)
        for session in list(service.sessions):
            if session.pausing and not session.closed:
                session.end_pause()

    def _cell(self, service: ServiceRuntime, cell: int) -> int:
        return worker_service_index(self._worker, service.slot, cell)

    def _cancel(self, service: ServiceRuntime) -> None:
        timer = self._timers.pop(service.standing, None)
        if timer is not None:
            timer.cancel()


def open_transactions(service: ServiceRuntime) -> int:
    """Sessions of the service that are in a transaction, or in the middle of a statement."""
    return sum(session.trx.active or session.expecting > 0 for session in service.sessions)

