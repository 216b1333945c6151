"""The simulation: a fixed range of seeds passes, and the checkers notice a product broken on purpose."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from fairlead.cluster.board import S_CONNECTIONS
from fairlead.protocol.constants import COM_QUERY
from fairlead.routers.readwritesplit.router import RwsSession
from fairlead.session.backend import K_CLIENT
from fairlead.session.history import History
from fairlead.session.session import Session
from fairlead.session.statement import Statement

from .run import report
from .world import World

COMPILED = os.environ.get("FAIRLEAD_PURE") != "1"
# A thousand compiled; pure Python is there for the difference, not for the depth.
SEEDS = 1000 if COMPILED else 100
# Seeds of one test, so that a failure does not hide many others.
BATCH = 100
# Seeds within which a broken product has to be found out.
BITES_WITHIN = 300


@pytest.mark.parametrize("first", range(1, SEEDS + 1, BATCH))
def test_seeds(first: int) -> None:
    failures = []
    for seed in range(first, first + BATCH):
        findings = World(seed).run()
        if findings:
            failures.append(report(seed, findings))
    assert not failures, "\n".join(failures)


def test_a_seed_decides_everything() -> None:
    first = World(7)
    first.run()
    second = World(7)
    second.run()
    assert first.transcript == second.transcript
    assert len(first.transcript) > 20


def found_out(breaks: Callable[[World], None], *words: str) -> bool:
    """Whether a product broken by `breaks` makes the checkers say something with one of these words."""
    for seed in range(1, BITES_WITHIN):
        world = World(seed)
        breaks(world)
        if any(word in finding for finding in world.run() for word in words):
            return True
    return False


def with_router(world: World, broken: type[RwsSession]) -> None:
    """Make the sessions of a world use this router."""
    world.service.factory = broken


class RepeatsWrites(RwsSession):
    """Sends a write again when its server is lost."""

    def __init__(self, session: Session, service: Any) -> None:
        super().__init__(session, service)
        self.written: bytearray | None = None

    def backend_done(self, backend: Any, kind: int, entry_id: int) -> None:
        self.written = None
        super().backend_done(backend, kind, entry_id)

    def route(self, statement: Any) -> int:
        packet = bytearray(statement.packet())
        self.written = packet if packet[5:11] == b"INSERT" else None
        return super().route(statement)

    def backend_lost(self, backend: Any, kind: int, command: int, reason: str, permanent: bool) -> None:
        session = self.session
        if kind == K_CLIENT and self.written is not None and not session.closed:
            if session.open_backend(backend):
                session.send(backend, Statement.of(bytearray(self.written), COM_QUERY), 0, False)
                return
        super().backend_lost(backend, kind, command, reason, permanent)


def test_a_repeated_write_is_noticed() -> None:
    def breaks(world: World) -> None:
        with_router(world, RepeatsWrites)
        commit = world.commit

        def commit_and_cut(writes: list[tuple[str, int]]) -> None:
            commit(writes)
            if len(world.ledger) == 1:
                # The reply to the first write gets lost.
                world.disturbed = True
                for wire in [wire for wire in world.network.wires if "server" in wire.name]:
                    wire.reset()

        world.commit = commit_and_cut  # type: ignore[method-assign]

    assert found_out(breaks, "applied 2 times")


def test_a_forgotten_history_is_noticed() -> None:
    """A connection that is opened later has not the state of the session."""

    class Forgets(History):
        def add(self, entry_id: int, command: int, packet: bytes, is_prepare: bool) -> Any:
            return None

    def breaks(world: World) -> None:
        params = world.service.params

        class Forgetful(RwsSession):
            def __init__(self, session: Session, service: Any) -> None:
                session.history = Forgets(50, True, False)
                super().__init__(session, service)

        params["lazy_connect"] = True
        with_router(world, Forgetful)

    assert found_out(breaks, "but its connection to", " says ")


def test_a_gauge_that_is_not_lowered_is_noticed() -> None:
    def breaks(world: World) -> None:
        add = world.board.add

        # One in ten decrements of the number of connections gets lost.
        lost = [0]
        original = world.backend_closed

        def backend_closed(backend: Any) -> None:
            lost[0] += 1
            if lost[0] % 10 == 0:
                add(backend.counters + S_CONNECTIONS, 1)
            original(backend)

        world.backend_closed = backend_closed  # type: ignore[method-assign]

    assert found_out(breaks, "connections' is")


def test_writes_on_replicas_are_noticed() -> None:
    class Careless(RwsSession):
        def route(self, statement: Any) -> int:
            statement.type_mask = 1 << 1 if statement.command == 3 else statement.type_mask
            return super().route(statement)

    assert found_out(lambda world: with_router(world, Careless), "which is not the primary")


def test_a_reply_kept_back_is_noticed() -> None:
    """A session that swallows a reply leaves its client hanging."""

    def breaks(world: World) -> None:
        class Swallows(RwsSession):
            def error_reply(self, backend: Any, code: int, sqlstate: str, message: str) -> bool:
                return False

        with_router(world, Swallows)

    assert found_out(breaks, "hangs in state")
