"""A configuration is in force everywhere or nowhere, whatever fails on the way."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

import pytest

from fairlead.cluster import board as cells
from fairlead.cluster.board import LAG, S_TOTAL_CONNECTIONS, Board
from fairlead.cluster.defs import ListenerDef, ServerDef, Snapshot
from fairlead.workers.addresses import ListenerAddresses
from fairlead.workers.inforce import InForce, NotApplied, prepare_slots
from fairlead.workers.loglines import LogSettings


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def listener(name: str, port: int, **params: Any) -> ListenerDef:
    return ListenerDef(name, "S", {"address": "127.0.0.1", "port": port, **params})


def snapshot(version: int, *listeners: ListenerDef, threads: int = 2, **params: Any) -> Snapshot:
    return Snapshot(version, {"threads": threads, **params}, listeners=listeners)


class Table:
    """Stands for the workers: remembers what they were told."""

    def __init__(self) -> None:
        self.committed: Snapshot | None = None
        self.now: Snapshot | None = None
        self.bad_listeners: set[str] = set()
        self.error = ""
        self.sizes: list[int] = []
        self.is_resizing = False

    async def apply(self, told: Snapshot) -> dict[str, str]:
        if self.error:
            return {"*": self.error}
        errors = {each.name: "broken" for each in told.listeners if each.name in self.bad_listeners}
        if not errors:
            self.now = told
        return errors

    async def commit(self, told: Snapshot, _settings: LogSettings) -> None:
        self.committed = self.now = told

    async def roll_back(self) -> None:
        self.now = self.committed

    def resize(self, count: int) -> None:
        self.sizes.append(count)


class Monitors:
    def __init__(self) -> None:
        self.version = 0
        self.refuses: Exception | None = None

    async def apply(self, told: Snapshot) -> None:
        refusal, self.refuses = self.refuses, None
        if refusal is not None:
            raise refusal
        self.version = told.version


class Parts:
    def __init__(self, first: Snapshot) -> None:
        self.table, self.monitors, self.addresses = Table(), Monitors(), ListenerAddresses()
        self.log: list[LogSettings] = []
        self.in_force = InForce(
            first, Board.create(2), self.addresses, cast(Any, self.table), [self.monitors], self.log.append
        )

    async def start(self) -> None:
        told = await self.in_force.begin()
        errors = await self.table.apply(told)
        await self.table.commit(told, LogSettings())
        await self.monitors.apply(self.in_force.snapshot)
        await self.in_force.settle(errors)

    def told(self) -> list[str]:
        assert self.table.now is self.table.committed and self.table.now is not None
        return [each.name for each in self.table.now.listeners]


def test_a_change_reaches_all() -> None:
    async def scenario() -> None:
        first, second = listener("A", free_port()), listener("B", free_port())
        parts = Parts(snapshot(1, first))
        await parts.start()
        await parts.in_force.change_to(snapshot(2, first, second, threads=3, log_info=True))
        assert parts.told() == ["A", "B"]
        assert parts.monitors.version == parts.in_force.snapshot.version == 2
        assert parts.log[-1].info
        assert parts.table.sizes == [3]
        assert len(parts.addresses) == 2
        await parts.in_force.change_to(snapshot(3, second, threads=3))
        assert len(parts.addresses) == 1
        parts.addresses.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("where", ["address", "listener", "worker", "monitor", "bug"])
def test_what_fails_leaves_everything_as_it_was(where: str) -> None:
    async def scenario() -> None:
        first = listener("A", free_port())
        parts = Parts(snapshot(1, first))
        await parts.start()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1] if where == "address" else free_port()
            if where == "listener":
                parts.table.bad_listeners.add("B")
            elif where == "worker":
                parts.table.error = "worker 1 has not answered"
            elif where == "monitor":
                parts.monitors.refuses = ValueError("no")
            elif where == "bug":
                parts.monitors.refuses = RuntimeError("a bug")
            with pytest.raises(NotApplied):
                await parts.in_force.change_to(snapshot(2, first, listener("B", port)))
        assert parts.told() == ["A"]
        assert parts.monitors.version == parts.in_force.snapshot.version == 1
        assert len(parts.addresses) == 1
        parts.addresses.close()

    asyncio.run(scenario())


def test_a_taken_port_at_the_start_stops_only_its_listener() -> None:
    async def scenario() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            first, second = listener("A", free_port()), listener("B", port)
            parts = Parts(snapshot(1, first, second))
            await parts.start()
            assert parts.told() == ["A"]
            assert list(parts.in_force.failures) == ["B"]
            assert not parts.in_force.has_no_listener
            # A change of something else is not refused because of it.
            await parts.in_force.change_to(snapshot(2, first, second, log_info=True))
            assert list(parts.in_force.failures) == ["B"]
            # A change of the listener itself is, if it still cannot run.
            with pytest.raises(NotApplied, match="in use"):
                await parts.in_force.change_to(snapshot(3, first, listener("B", port, ssl=True)))
        # The port is free now: the next change starts it.
        await parts.in_force.change_to(snapshot(4, first, second))
        assert parts.told() == ["A", "B"]
        assert parts.in_force.failures == {}
        parts.addresses.close()

    asyncio.run(scenario())


def test_a_listener_that_workers_cannot_run_at_the_start() -> None:
    async def scenario() -> None:
        first, second = listener("A", free_port()), listener("B", free_port())
        parts = Parts(snapshot(1, first, second))
        parts.table.bad_listeners.add("B")
        await parts.start()
        assert parts.told() == ["A"]
        await parts.in_force.change_to(snapshot(2, first, second, log_info=True))
        assert parts.told() == ["A"]
        assert parts.in_force.failures == {"B": "broken"}
        parts.table.bad_listeners.clear()
        await parts.in_force.change_to(snapshot(3, first, second))
        assert parts.told() == ["A", "B"]
        parts.addresses.close()

    asyncio.run(scenario())


def test_no_listener_at_all() -> None:
    async def scenario() -> None:
        parts = Parts(snapshot(1, listener("A", free_port())))
        parts.table.bad_listeners.add("A")
        await parts.start()
        assert parts.in_force.has_no_listener
        parts.addresses.close()
        without = Parts(snapshot(1))
        await without.start()
        assert not without.in_force.has_no_listener

    asyncio.run(scenario())


@pytest.mark.parametrize(("threads", "resizing"), [(-1, False), (1000, False), (3, True)])
def test_number_of_threads_is_checked_before_anything_happens(threads: int, resizing: bool) -> None:
    async def scenario() -> None:
        parts = Parts(snapshot(1))
        await parts.start()
        parts.table.is_resizing = resizing
        with pytest.raises(NotApplied, match="threads"):
            await parts.in_force.change_to(snapshot(2, threads=threads))
        assert parts.in_force.snapshot.version == 1

    asyncio.run(scenario())


def test_slots_of_new_objects_are_cleared_and_others_are_not() -> None:
    board = Board.create(2)
    old = Snapshot(1, {}, servers=(ServerDef("a", 0, {}), ServerDef("b", 1, {})))
    for slot in (0, 1):
        board.set(cells.worker_server_index(1, slot, S_TOTAL_CONNECTIONS), 7)
    new = Snapshot(2, {}, servers=(ServerDef("a", 0, {}), ServerDef("c", 1, {})))
    prepare_slots(board, old, new)
    assert [board.sum_server(slot, S_TOTAL_CONNECTIONS) for slot in (0, 1)] == [7, 0]
    assert board.server(1, LAG) == -1
