"""Which server: the primary of a session, and the replica for a read, chosen from what the status board
says.

No state of its own: every choice is a function of the board, the connections of the session and the
parameters. Source: spec routers_monitors.md A.6.
"""

from __future__ import annotations

from fairlead.cluster.board import LAG, PING_US, RANK, S_ACTIVE, S_AVERAGE_US, S_CONNECTIONS, STATUS, Board
from fairlead.cluster.status import (
    FOR_CONNECTING,
    FOR_NEW_WORK,
    MASTER,
    RUNNING,
    SLAVE,
)
from fairlead.routers.readwritesplit.config import (
    ADAPTIVE,
    LEAST_BEHIND,
    LEAST_CONNECTIONS,
    LEAST_CURRENT_OPERATIONS,
    RwsConfig,
)
from fairlead.session.backend import B_FAILED, Backend

_RANK = RANK
_STATUS = STATUS
_LAG = LAG
_PING_US = PING_US
_S_ACTIVE = S_ACTIVE
_S_AVERAGE_US = S_AVERAGE_US
_S_CONNECTIONS = S_CONNECTIONS
_B_FAILED = B_FAILED
_LEAST_CURRENT_OPERATIONS = LEAST_CURRENT_OPERATIONS
_LEAST_CONNECTIONS = LEAST_CONNECTIONS
_LEAST_BEHIND = LEAST_BEHIND
_ADAPTIVE = ADAPTIVE
_USABLE = FOR_NEW_WORK
_RUNNING = RUNNING
_CONNECT_MASK = FOR_CONNECTING
_MASTER = MASTER
_SLAVE = SLAVE

# A connected replica is left only when its lag exceeds twice the limit, but not below so many seconds.
STALE_LAG_SECONDS_MIN = 300


class Candidates:
    """The backends of one session as candidates."""

    def __init__(self, board: Board, backends: list[Backend], config: RwsConfig) -> None:
        self.board = board
        self.backends = backends
        self.config = config
        self._limit = self.config.max_replication_lag
        self._criteria = self.config.criteria
        self._accept_reads = self.config.master_accept_reads
        self._slaves_max = self.config.max_slave_connections

    def current_rank(self, master: Backend | None) -> int:
        """Only servers of this rank are read from: that of the primary in use, else the best there is."""
        if master is not None and master.in_use():
            return self.board.server(master.slot, _RANK)
        best = 1
        found = False
        for backend in self.backends:
            if backend.in_use():
                rank = self.board.server(backend.slot, _RANK)
                if not found or rank < best:
                    best, found = rank, True
        if found:
            return best
        for backend in self.backends:
            status = self.board.server(backend.slot, _STATUS)
            if status & _CONNECT_MASK == _RUNNING and backend.state != _B_FAILED:
                rank = self.board.server(backend.slot, _RANK)
                if not found or rank < best:
                    best, found = rank, True
        return best

    def best_master(self, may_connect: bool, tried: set[int]) -> Backend | None:
        """The primary to connect to: best rank, then fewest connections, then first listed."""
        best = None
        best_rank = 0
        best_count = 0
        for backend in self.backends:
            status = self.board.server(backend.slot, _STATUS)
            if not status & _MASTER or backend.index in tried:
                continue
            if not backend.in_use():
                if not may_connect or status & _CONNECT_MASK != _RUNNING or backend.state == _B_FAILED:
                    continue
            elif status & _USABLE != _RUNNING:
                continue
            rank = self.board.server(backend.slot, _RANK)
            count = self.board.sum_server(backend.slot, _S_CONNECTIONS)
            if best is None or rank < best_rank or (rank == best_rank and count < best_count):
                best, best_rank, best_count = backend, rank, count
        return best

    def connected_slaves(self, master: Backend | None) -> int:
        """Connections of the session to servers other than its primary that may still be used."""
        count = 0
        for backend in self.backends:
            if backend.in_use() and backend is not master:
                if self.board.server(backend.slot, _STATUS) & _USABLE == _RUNNING:
                    count += 1
        return count

    def best_slave(
        self, master: Backend | None, may_connect: bool, lag_limit: int, tried: set[int]
    ) -> Backend | None:
        """The server for a read. `lag_limit`: seconds, 0 for none, -1 for the configured one."""
        if lag_limit < 0:
            lag_limit = self._limit
        rank = self.current_rank(master)
        connected = self.connected_slaves(master)
        best = None
        best_klass = 0
        best_score = 0
        for backend in self.backends:
            status = self.board.server(backend.slot, _STATUS)
            if status & _USABLE != _RUNNING or not status & (_MASTER | _SLAVE) or backend.index in tried:
                continue
            if self.board.server(backend.slot, _RANK) != rank:
                continue
            used = backend.in_use()
            if not used:
                if not may_connect or status & _CONNECT_MASK != _RUNNING or backend.state == _B_FAILED:
                    continue
                if connected >= self._slaves_max and not status & _MASTER:
                    continue
            lag = self.board.server(backend.slot, _LAG)
            if lag_limit and not status & _MASTER and not 0 <= lag < lag_limit:
                continue
            if status & _MASTER and not self._accept_reads:
                klass = 2
            elif backend.pending or backend.backlog:
                klass = 1
            else:
                klass = 0
            if best is not None and klass > best_klass:
                continue
            score = self.score(backend, lag)
            if (
                best is None
                or klass < best_klass
                or score < best_score
                or (score == best_score and backend.used_turn < best.used_turn)
            ):
                best, best_klass, best_score = backend, klass, score
        return best

    def score(self, backend: Backend, lag: int) -> int:
        """What the criterion minimises."""
        if self._criteria == _LEAST_CURRENT_OPERATIONS:
            return self.board.sum_server(backend.slot, _S_ACTIVE)
        if self._criteria == _LEAST_CONNECTIONS:
            return self.board.sum_server(backend.slot, _S_CONNECTIONS)
        if self._criteria == _LEAST_BEHIND:
            return lag
        if self._criteria == _ADAPTIVE:
            average = self.board.get(backend.counters + _S_AVERAGE_US)
            if average == 0:
                average = self.board.server(backend.slot, _PING_US)
            return (self.board.sum_server(backend.slot, _S_ACTIVE) + 1) * (average + 1)
        return 0


def initial_slaves(
    board: Board, backends: list[Backend], master: Backend | None, rank: int, lag_limit: int, count: int
) -> list[Backend]:
    """The replicas to connect to at the start of a session: fewest connections first, whatever the
    criterion.
    """
    chosen: list[Backend] = []
    counts: list[int] = []
    for backend in backends:
        status = board.server(backend.slot, _STATUS)
        if backend is master or not status & _SLAVE or status & _CONNECT_MASK != _RUNNING:
            continue
        if board.server(backend.slot, _RANK) != rank:
            continue
        if lag_limit and not 0 <= board.server(backend.slot, _LAG) < lag_limit:
            continue
        connections = board.sum_server(backend.slot, _S_CONNECTIONS)
        place = len(chosen)
        while place > 0 and connections < counts[place - 1]:
            place -= 1
        chosen.insert(place, backend)
        counts.insert(place, connections)
    return chosen[:count]
