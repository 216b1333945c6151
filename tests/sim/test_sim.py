"""The simulation: a fixed range of seeds passes, and the checkers notice a product broken on purpose."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from fairlead.cluster.board import S_CONNECTIONS
from fairlead.protocol.constants import COM_QUERY
from fairlead.routers.readwritesplit.router import RwsSession
from fairlead.routers.readwritesplit.select import Candidates
from fairlead.session.backend import K_CLIENT
from fairlead.session.history import History
from fairlead.session.session import Session
from fairlead.session.statement import Statement
from fairlead.workers.pauses import Pauses
from fairlead.workers.pool import Pool

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
    for seed in range(1, 21):
        first = World(seed)
        first.run()
        second = World(seed)
        second.run()
        assert first.transcript == second.transcript
        assert len(first.transcript) > 10


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
    for host in world.hosts:
        host.service.factory = broken


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
        def add(self, *given: Any, **more: Any) -> Any:
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
        host = world.hosts[0]
        original = host.backend_closed

        def backend_closed(backend: Any) -> None:
            lost[0] += 1
            if lost[0] % 10 == 0:
                add(backend.counters + S_CONNECTIONS, 1)
            original(backend)

        host.backend_closed = backend_closed  # type: ignore[method-assign]

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


def with_pool(world: World, broken: type[Pool]) -> None:
    """Make the workers of a world use this pool."""
    for host in world.hosts:
        host.pool = broken(host)


def test_a_pool_that_does_not_reset_is_noticed() -> None:
    class NeverResets(Pool):
        def keep(self, session: Any, backend: Any, *, lent: bool = False) -> bool:
            session.did = 0
            return super().keep(session, backend, lent=lent)

        def starts_plain(self, session: Any) -> bool:
            return True

    words = "not as after the login", " says ", "but its connection to"
    assert found_out(lambda world: with_pool(world, NeverResets), *words)


def test_state_that_is_not_brought_along_is_noticed() -> None:
    """A session whose connections were lent begins anew on others, and forgets what it was."""

    class Lends(Pool):
        def keep(self, session: Any, backend: Any, *, lent: bool = False) -> bool:
            kept = super().keep(session, backend, lent=lent)
            if kept and lent:
                session.history.entries.clear()
            return kept

    assert found_out(lambda world: with_pool(world, Lends), "but its connection to", " says ")


def test_a_limit_that_is_not_kept_is_noticed() -> None:
    class Generous(Pool):
        def is_full(self, server: Any) -> bool:
            return False

    assert found_out(lambda world: with_pool(world, Generous), "and its limit is")


def test_one_who_waits_for_a_connection_in_vain_is_noticed() -> None:
    class Forgets(Pool):
        def wait(self, session: Any, backend: Any, now_us: int) -> None:
            """Nobody waits."""

    assert found_out(lambda world: with_pool(world, Forgets), "hangs in state")


def test_a_pause_that_lets_sessions_through_is_noticed() -> None:
    """Only new sessions are held back."""

    def breaks(world: World) -> None:
        class Leaky(Pauses):
            def pause(self, service: Any, timeout_ms: int, now_ms: int) -> None:
                super().pause(service, timeout_ms, now_ms)
                for session in service.sessions:
                    session.pausing = False

        for host in world.hosts:
            host.pauses = Leaky(host.board, host.worker, host.loop)

    assert found_out(breaks, "although the service is paused")


def test_a_pause_without_end_is_noticed() -> None:
    def breaks(world: World) -> None:
        class Endless(Pauses):
            def resume(self, service: Any) -> None:
                service.standing.paused = False

        for host in world.hosts:
            host.pauses = Endless(host.board, host.worker, host.loop)

    assert found_out(breaks, "hangs in state", "although the pause has ended")


def test_reads_on_servers_of_another_rank_are_noticed() -> None:
    class Anywhere(RwsSession):
        def __init__(self, session: Session, service: Any) -> None:
            super().__init__(session, service)
            self.candidates = EveryRank(session.board, session.backends, service.router_config)

    class EveryRank(Candidates):
        def current_rank(self, master: Any) -> int:
            return 2

    assert found_out(lambda world: with_router(world, Anywhere), "and it got")
