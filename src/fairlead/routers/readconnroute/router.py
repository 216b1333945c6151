"""readconnroute: one server per session, chosen when the session begins; its loss ends the session.

Source: spec routers_monitors.md B.1. Invariant: at most one backend of the session is ever in use.
"""

from __future__ import annotations

from typing import Any

from fairlead.cluster.board import (
    LAG,
    P_READ,
    P_TOTAL,
    RANK,
    S_CONNECTIONS,
    STATUS,
    V_QUERIES,
    Board,
    worker_pair_index,
    worker_service_index,
)
from fairlead.cluster.status import (
    JOINED,
    MAINT,
    MASTER,
    OVERDUE,
    RELAY,
    RUNNING,
    SLAVE,
    is_connectable,
    is_usable,
)
from fairlead.protocol.constants import COM_CHANGE_USER
from fairlead.session.backend import Backend
from fairlead.session.router import FAILED, ROUTED, WAIT, RouterSession
from fairlead.session.session import Session
from fairlead.session.statement import Statement
from fairlead.sql.info import QueryInfo

_WANTED = {"master": MASTER, "slave": SLAVE, "synced": JOINED, "running": RUNNING}


class ReadConnConfig:
    """The parameters of the service in the form the router needs."""

    def __init__(self, params: dict[str, Any]) -> None:
        options = tuple(params["router_options"]) or ("running",)
        self.wanted = 0
        for option in options:
            self.wanted |= _WANTED[option]
        self.only_master = options == ("master",)
        self.master_accept_reads = bool(params["master_accept_reads"])
        self.max_replication_lag = int(params["max_replication_lag"]) // 1000


def root_master(board: Board, slots: list[int]) -> int:
    """Position of the primary of best rank (first listed on a tie) that may be connected to; -1: none."""
    best, best_rank = -1, 0
    for position, slot in enumerate(slots):
        status = board.server(slot, STATUS)
        if status & MASTER and is_connectable(status):
            rank = board.server(slot, RANK)
            if best < 0 or rank < best_rank:
                best, best_rank = position, rank
    return best


def choose(board: Board, slots: list[int], config: ReadConnConfig) -> tuple[int, str]:
    """(position of the server for a new session or -1, the reason)."""
    root = root_master(board, slots)
    if config.only_master:
        return (root, "the primary") if root >= 0 else (-1, "no primary to connect to")
    skip_root = (config.wanted & SLAVE and not config.wanted & MASTER) or (
        not config.wanted & MASTER and not config.master_accept_reads
    )
    best, best_key = -1, (0, 0)
    for position, slot in enumerate(slots):
        status = board.server(slot, STATUS)
        wanted = config.wanted | (RELAY if config.wanted & SLAVE else 0)
        if not is_connectable(status) or not status & wanted or (skip_root and position == root):
            continue
        if config.max_replication_lag and board.server(slot, LAG) >= config.max_replication_lag:
            continue
        key = (board.server(slot, RANK), board.sum_server(slot, S_CONNECTIONS))
        if best < 0 or key < best_key:
            best, best_key = position, key
    if best >= 0:
        return best, "best rank, then fewest connections"
    if root >= 0:
        return root, "no server qualifies, so the primary"
    return -1, "no server qualifies and there is no primary"


class ReadConnSession(RouterSession):
    """The one connection of a session."""

    def __init__(self, session: Session, service: Any) -> None:
        self.session = session
        self.config: ReadConnConfig = service.router_config
        self.board = session.board
        self.wanted = self.config.wanted | (RELAY if self.config.wanted & SLAVE else 0)
        self.backend: Backend | None = None
        self.slots = [backend.slot for backend in session.backends]
        self._queries = worker_service_index(session.host.worker, service.slot, V_QUERIES)
        self._pair = 0
        # Why the session ends as soon as it is in no transaction; empty if it does not.
        self._leaving = ""

    def start(self) -> str:
        session = self.session
        failed: set[int] = set()
        while True:
            slots = [slot for slot in self.slots if slot not in failed]
            position, reason = choose(self.board, slots, self.config)
            if position < 0:
                return f"Couldn't find an eligible server: {reason}"
            backend = next(each for each in session.backends if each.slot == slots[position])
            if session.open_backend(backend):
                break
            failed.add(backend.slot)
        self.backend = backend
        if not self.board.server(backend.slot, STATUS) & self.wanted:
            self.wanted |= MASTER
        session.last_reason = f"{backend.server.name}: {reason}"
        self._pair = worker_pair_index(session.host.worker, session.service.slot, backend.slot, 0)
        return ""

    def _unfit(self, backend: Backend) -> str:
        """Why the server of the session must not be used any more; empty if it may."""
        status = self.board.server(backend.slot, STATUS)
        if not is_usable(status):
            return "is in maintenance" if status & MAINT else "is down"
        if self.config.only_master:
            usable = [slot for slot in self.slots if self.board.server(slot, STATUS) & MASTER]
            best = min(usable, key=lambda slot: self.board.server(slot, RANK), default=-1)
            if best != backend.slot:
                return "is not the primary any more"
        elif not status & self.wanted:
            return "no longer qualifies as a target server"
        return ""

    def route(self, statement: Statement) -> int:
        session, backend = self.session, self.backend
        if backend is None or not backend.in_use():
            session.close("the server connection is closed")
            return FAILED
        unfit = self._unfit(backend)
        if unfit:
            session.close(
                f"Server '{backend.server.name}' {unfit}",
                log=f"Failed to route a statement: Server '{backend.server.name}' {unfit}",
            )
            return FAILED
        if session.expecting and (
            statement.ps_id or statement.command == COM_CHANGE_USER or session.load_backend
        ):
            return WAIT
        if session.expecting >= _PIPELINED_MAX:
            return WAIT
        board = self.board
        board.add(self._queries, 1)
        board.add(self._pair + P_TOTAL, 1)
        board.add(self._pair + P_READ, 1)
        session.route_single(backend, statement)
        return ROUTED

    def backend_lost(self, backend: Any, kind: int, command: int, reason: str, permanent: bool) -> None:
        self.session.close(
            f"Lost connection to server '{backend.server.name}'",
            log=backend.failure,
            code=1927 if backend.last_error else 0,
            message=f"Lost connection to server '{backend.server.name}': {backend.last_error}",
        )

    def story(self) -> str:
        return "" if self.backend is None else self.backend.server.name

    def explain(self, info: QueryInfo) -> list[tuple[str, str, str]]:
        """Every statement goes to the one server of the session."""
        backend = self.backend
        if backend is None:
            return [("target", "none", "the server connection is closed")]
        rows = [("target", backend.server.name, self.session.last_reason)]
        unfit = self._unfit(backend)
        if unfit:
            rows.append((backend.server.name, "not usable", f"it {unfit}: the session would end"))
        return rows

    def hang_up(self, backend: Any, reason: str) -> None:
        self.session.backend_gone(backend, reason)

    def leave(self, backend: Any, reason: str) -> None:
        self._leaving = reason
        self._leave_when_idle()

    def backend_done(self, backend: Any, kind: int, entry_id: int) -> None:
        if self._leaving:
            self._leave_when_idle()

    def _leave_when_idle(self) -> None:
        """The one server of the session has been drained: the session ends between two transactions."""
        session, backend = self.session, self.backend
        if session.closed or session.expecting or session.trx.active or backend is None:
            return
        if self.board.server(backend.slot, STATUS) & OVERDUE:
            session.close(f"Server '{backend.server.name}' has been drained", log=self._leaving)
        else:
            self._leaving = ""

    def user_changed(self) -> str:
        """Connect to the same server again, as another user; a reason if that fails."""
        backend = self.backend
        if backend is None or not self.session.open_backend(backend):
            return "the server of the session cannot be reached"
        return ""


# Statements that may be under way at once.
_PIPELINED_MAX = 64


def make_session(session: Session, service: Any) -> ReadConnSession:
    """The factory that the module table names."""
    return ReadConnSession(session, service)


def make_config(params: dict[str, Any]) -> ReadConnConfig:
    """The parameters of a service for this router."""
    return ReadConnConfig(params)
