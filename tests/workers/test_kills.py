"""Rounds of KILL: every round is answered once, also when workers end."""

from __future__ import annotations

import asyncio
from typing import Any

from fairlead.workers.kills import KillRounds
from fairlead.workers.messages import ForwardKill, Kill, KillDone, Reply


def kill(number: int) -> ForwardKill:
    return ForwardKill(Kill(number, -1, "connection", "", 7, "", 1, {}))


class Bus:
    def __init__(self, workers: list[int], timeout_s: float = 1.0) -> None:
        self.workers = workers
        self.sent: list[tuple[int, Any]] = []
        self.rounds = KillRounds(lambda: self.workers, lambda i, m: self.sent.append((i, m)), timeout_s)

    def kills(self) -> list[tuple[int, int]]:
        return [(index, message.id) for index, message in self.sent if isinstance(message, Kill)]

    def replies(self) -> list[tuple[int, int]]:
        return [(index, message.id) for index, message in self.sent if isinstance(message, Reply)]


def test_rounds_of_equal_ids_do_not_mix() -> None:
    async def scenario() -> None:
        bus = Bus([0, 1])
        bus.rounds.start(0, kill(5))
        bus.rounds.start(1, kill(5))
        first, second = bus.kills()[0][1], bus.kills()[2][1]
        assert first != second
        for index in (0, 1):
            bus.rounds.done(index, KillDone(second, 1))
        assert bus.replies() == [(1, 5)]
        bus.rounds.done(0, KillDone(first, 0))
        bus.rounds.done(0, KillDone(first, 0))
        assert bus.replies() == [(1, 5)]
        bus.rounds.done(1, KillDone(first, 0))
        assert bus.replies() == [(1, 5), (0, 5)]
        assert not bus.rounds

    asyncio.run(scenario())


def test_worker_that_ends_is_not_waited_for() -> None:
    async def scenario() -> None:
        bus = Bus([0, 1])
        bus.rounds.start(0, kill(5))
        bus.rounds.done(0, KillDone(bus.kills()[0][1], 0))
        bus.rounds.worker_gone(1)
        assert bus.replies() == [(0, 5)]
        bus.rounds.worker_gone(0)
        assert len(bus.replies()) == 1

    asyncio.run(scenario())


def test_time_ends_a_round_and_late_answers_are_nothing() -> None:
    async def scenario() -> None:
        bus = Bus([0, 1], timeout_s=0.01)
        bus.rounds.start(1, kill(9))
        await asyncio.sleep(0.03)
        assert bus.replies() == [(1, 9)]
        bus.rounds.done(0, KillDone(bus.kills()[0][1], 1))
        assert bus.replies() == [(1, 9)]

    asyncio.run(scenario())


def test_without_workers_the_answer_comes_at_once() -> None:
    async def scenario() -> None:
        bus = Bus([])
        bus.rounds.start(0, kill(1))
        assert bus.replies() == [(0, 1)]

    asyncio.run(scenario())
