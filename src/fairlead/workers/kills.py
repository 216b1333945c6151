"""KILL goes to every worker: a round ends when all of them have answered, or have ended, or time is up.

Invariant: each round is answered exactly once, to the worker that asked; nobody waits for one that is gone.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable

import msgspec
from msgspec import Struct

from fairlead.workers.messages import ForwardKill, Kill, KillDone, Reply

ROUND_TIMEOUT_S = 5.0


class _Round(Struct):
    asked_by: int
    asked_id: int
    waiting_for: set[int]
    timer: asyncio.TimerHandle


class KillRounds:
    """The rounds under way. `workers`: the indexes of those that run; `send`: to one of them."""

    def __init__(
        self,
        workers: Callable[[], Iterable[int]],
        send: Callable[[int, Kill | Reply], object],
        timeout_s: float = ROUND_TIMEOUT_S,
    ) -> None:
        self._workers = workers
        self._send = send
        self._timeout_s = timeout_s
        self._ids = itertools.count(1)
        self._rounds: dict[int, _Round] = {}

    def __len__(self) -> int:
        return len(self._rounds)

    def start(self, origin: int, message: ForwardKill) -> None:
        """A worker asks for a round."""
        round_id = next(self._ids)
        waiting_for = set(self._workers())
        timer = asyncio.get_running_loop().call_later(self._timeout_s, self._end, round_id)
        self._rounds[round_id] = _Round(origin, message.kill.id, waiting_for, timer)
        kill = msgspec.structs.replace(message.kill, id=round_id, origin=origin)
        for index in sorted(waiting_for):
            self._send(index, kill)
        if not waiting_for:
            self._end(round_id)

    def done(self, index: int, message: KillDone) -> None:
        """A worker has finished its part."""
        current = self._rounds.get(message.id)
        if current is not None:
            current.waiting_for.discard(index)
            if not current.waiting_for:
                self._end(message.id)

    def worker_gone(self, index: int) -> None:
        """A worker has ended, and its sessions with it."""
        for round_id, current in list(self._rounds.items()):
            current.waiting_for.discard(index)
            if not current.waiting_for:
                self._end(round_id)

    def _end(self, round_id: int) -> None:
        current = self._rounds.pop(round_id)
        current.timer.cancel()
        self._send(current.asked_by, Reply(current.asked_id))
