"""The worker processes, with the fake data plane: start, loss, replacement, configuration, stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import pytest

from fairlead.cluster.board import W_SESSIONS, Board, worker_index
from fairlead.cluster.defs import ListenerDef, ServerFacts, Snapshot
from fairlead.workers import processes
from fairlead.workers.bus import RequestFailed
from fairlead.workers.kills import KillRounds
from fairlead.workers.loglines import LogSettings
from fairlead.workers.messages import Facts, ForwardKill, HangUp, KillDone, ToSupervisor, ToWorker
from fairlead.workers.processes import ProcessTable, State, WorkersCannotStart, restart_pause_s

PLANE = "fake_plane:FakePlane"


class Owner:
    def __init__(self) -> None:
        self.messages: list[tuple[int, ToSupervisor]] = []
        self.ended: list[int] = []
        self.rounds: KillRounds | None = None

    def message(self, index: int, message: ToSupervisor) -> None:
        self.messages.append((index, message))
        if self.rounds is not None:
            if isinstance(message, ForwardKill):
                self.rounds.start(index, message)
            elif isinstance(message, KillDone):
                self.rounds.done(index, message)

    def welcome(self, index: int) -> Iterable[ToWorker]:
        return [Facts([ServerFacts("server1")])]

    def gone(self, index: int) -> None:
        self.ended.append(index)
        if self.rounds is not None:
            self.rounds.worker_gone(index)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def snapshot(version: int = 1, ports: Iterable[int] = (), **parameters: Any) -> Snapshot:
    listeners = tuple(ListenerDef(f"L{port}", "S", {"address": "127.0.0.1", "port": port}) for port in ports)
    return Snapshot(version, {"threads": 2, **parameters}, listeners=listeners)


@contextlib.asynccontextmanager
async def running(
    tmp_path: Path, first: Snapshot | None = None, count: int = 2
) -> AsyncIterator[tuple[ProcessTable, Owner, Board]]:
    board = Board.create(count)
    owner = Owner()
    table = ProcessTable(board, owner, paths={}, log_path=tmp_path / "maxscale.log", plane=PLANE)
    table.start(count, first or snapshot(), LogSettings())
    try:
        await table.configured()
        yield table, owner, board
    finally:
        await table.stop(0)
        assert table.workers == []


async def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "timeout"
        await asyncio.sleep(0.01)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_workers_start_answer_and_stop(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, snapshot(7, [free_port()])) as (table, owner, _board):
            assert table.indexes() == [0, 1]
            assert await table.request_all("ping") == {0: 0, 1: 1}
            state = await table.request(1, "state")
            assert state["version"] == 7
            assert state["facts"] == ["server1"]
            assert len(state["listening"]) == 1
            assert state["modules"] == []
            assert table.all_answer
        assert owner.ended == [0, 1] or owner.ended == [1, 0]

    run(scenario())


def test_killed_worker_is_replaced_at_once_with_the_configuration_in_force(tmp_path: Path) -> None:
    async def scenario() -> None:
        first, second = snapshot(1), snapshot(2, [free_port()])
        async with running(tmp_path, first) as (table, owner, board):
            assert await table.apply(second) == {}
            await table.commit(second, LogSettings())
            victim = table.workers[1]
            assert board.get(worker_index(1, W_SESSIONS)) == 5
            started = time.monotonic()
            victim.signal(signal.SIGKILL)
            await until(lambda: owner.ended == [1])
            assert victim.state is State.ENDED
            await until(lambda: len(table.workers) == 2 and table.workers[1].state is State.RUNNING)
            assert time.monotonic() - started < 1.0
            state = await table.request(1, "state")
            assert state["version"] == 2
            assert state["pid"] != victim.process.pid
            assert state["facts"] == ["server1"]

    run(scenario())


def test_no_descriptor_and_no_zombie_is_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        before = len(os.listdir("/proc/self/fd"))
        async with running(tmp_path) as (table, owner, board):
            first = (await table.request(0, "state"))["fds"]
            with_workers = len(os.listdir("/proc/self/fd"))
            for turn in range(3):
                table.workers[0].signal(signal.SIGKILL)
                await until(lambda n=turn: len(owner.ended) == n + 1)
                await until(lambda: len(table.workers) == 2 and table.workers[0].state is State.RUNNING)
            assert len(os.listdir("/proc/self/fd")) == with_workers
            assert len((await table.request(0, "state"))["fds"]) == len(first)
        os.close(board.fd)
        assert len(os.listdir("/proc/self/fd")) <= before + 1
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

    run(scenario())


def test_a_worker_sees_no_descriptor_but_its_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as (table, _owner, _board):
            for worker in table.workers:
                targets = [
                    os.readlink(f"/proc/{worker.process.pid}/fd/{fd}")
                    for fd in os.listdir(f"/proc/{worker.process.pid}/fd")
                ]
                # The one inherited and the one that its mapping keeps.
                assert sum("fairlead-board" in target for target in targets) == 2
                # The bus, and the pair by which the loop wakes itself up.
                assert sum(target.startswith("socket:") for target in targets) == 3

    run(scenario())


def test_listener_errors_are_reported_and_the_old_configuration_returns(tmp_path: Path) -> None:
    async def scenario() -> None:
        good, taken = free_port(), socket.socket()
        with taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            first = snapshot(1, [good])
            async with running(tmp_path, first) as (table, _owner, _board):
                bad = snapshot(2, [good, taken.getsockname()[1]])
                errors = await table.apply(bad)
                assert list(errors) == [f"L{taken.getsockname()[1]}"]
                await table.roll_back()
                assert (await table.request(0, "state"))["version"] == 1

    run(scenario())


def test_error_of_one_worker_rolls_back_the_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, snapshot(1)) as (table, _owner, _board):
            errors = await table.apply(snapshot(2, fail_in_worker=1))
            assert "as told" in errors["*"]
            assert (await table.request(0, "state"))["version"] == 2
            await table.roll_back()
            states = await table.request_all("state")
            assert [states[index]["version"] for index in (0, 1)] == [1, 1]

    run(scenario())


def test_worker_that_ends_during_a_change_is_no_error(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, snapshot(1)) as (table, _owner, _board):
            second = snapshot(2, hang_in_worker=1)
            asyncio.get_running_loop().call_later(0.2, table.workers[1].signal, signal.SIGKILL)
            assert await table.apply(second) == {}
            third = snapshot(3)
            await table.commit(third, LogSettings())
            await until(lambda: len(table.workers) == 2 and table.workers[1].state is State.RUNNING)
            await until(lambda: all(worker.snapshot is third for worker in table.workers))

    run(scenario())


def test_requests_fail_with_reasons(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as (table, _owner, _board):
            with pytest.raises(RequestFailed, match="no request 'nonsense'"):
                await table.request(0, "nonsense")
            with pytest.raises(RequestFailed, match="cannot be sent"):
                await table.request(0, "object")
            with pytest.raises(TimeoutError):
                await table.request(0, "slow", timeout_s=0.1)
            with pytest.raises(KeyError):
                await table.request(5, "ping")
            assert await table.request(0, "ping") == 0

    run(scenario())


def test_broadcast_reaches_all(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as (table, _owner, _board):
            table.broadcast(HangUp("server1", "it is down"))
            states = await table.request_all("state")
            assert [state["log"] for state in states.values()] == [["hang_up server1: it is down"]] * 2

    run(scenario())


def test_kill_reaches_all_workers_and_is_answered_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as (table, owner, _board):
            owner.rounds = KillRounds(table.indexes, table.send, timeout_s=0.3)
            await table.request(1, "forward_kill", {"id": 44, "session": 3})
            await until(lambda: len(owner.messages) == 3 and not owner.rounds)
            states = await table.request_all("state")
            assert [state["log"] for state in states.values()] == [["kill 3 of 1"]] * 2
            assert [state["replies"] for state in states.values()] == [[], [44]]
            # Nobody answers this one: time ends it.
            await table.request(0, "forward_kill", {"id": 45, "session": 666})
            await asyncio.sleep(0.5)
            assert (await table.request(0, "state"))["replies"] == [45]

    run(scenario())


def test_hung_worker_is_ended_and_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "CHECK_INTERVAL_S", 0.6)
    monkeypatch.setattr(processes, "SILENT_CHECKS_MAX", 2)
    monkeypatch.setattr(processes, "SILENT_CHECKS_KILL", 3)

    async def scenario() -> None:
        async with running(tmp_path) as (table, owner, _board):
            hanging = asyncio.ensure_future(table.request(0, "hang", timeout_s=20))
            await until(lambda: owner.ended == [0], 10)
            await asyncio.gather(hanging, return_exceptions=True)
            await until(lambda: len(table.workers) == 2 and table.workers[0].state is State.RUNNING)
            assert "in request" in (tmp_path / "maxscale.log").read_text()

    run(scenario())


def test_start_fails_if_a_worker_dies_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_PLANE_DIES", "1")

    async def scenario() -> None:
        table = ProcessTable(
            Board.create(2), Owner(), paths={}, log_path=tmp_path / "maxscale.log", plane=PLANE
        )
        table.start(2, snapshot(), LogSettings())
        with pytest.raises(WorkersCannotStart, match="worker 1 ended with status 9"):
            await table.configured()
        await table.stop(0)

    run(scenario())


def test_pauses_before_restarts() -> None:
    assert [restart_pause_s(n) for n in (1, 2, 3, 4)] == [0, 0.1, 0.2, 0.4]
    assert restart_pause_s(10_000) == processes.RESTART_PAUSE_S_MAX


def test_stop_kills_a_worker_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_PLANE_IGNORES_STOP", "1")
    monkeypatch.setattr(processes, "STOP_GRACE_S", 0.5)

    async def scenario() -> None:
        async with running(tmp_path) as (table, _owner, _board):
            started = time.monotonic()
            await table.stop(100)
            assert time.monotonic() - started < 2

    run(scenario())


def test_stop_waits_for_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_PLANE_DRAINS", "0.5")

    async def scenario() -> None:
        async with running(tmp_path) as (table, _owner, _board):
            started = time.monotonic()
            await table.stop(5000)
            assert 0.5 <= time.monotonic() - started < 2

    run(scenario())


def test_number_of_workers_can_change(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, count=1) as (table, owner, _board):
            table.resize(3)
            await until(lambda: [w.state for w in table.workers] == [State.RUNNING] * 3)
            table.resize(2)
            with pytest.raises(ValueError, match="still terminating"):
                table.resize(1)
            await until(lambda: owner.ended == [2])
            await asyncio.sleep(0.3)
            assert table.indexes() == [0, 1]

    run(scenario())


def test_workers_ignore_signals_of_a_terminal(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as (table, owner, _board):
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
                table.workers[0].signal(number)
            assert await table.request(0, "ping") == 0
            assert owner.ended == []

    run(scenario())
