"""EXPLAIN ROUTE: where a statement of a session would go now, and what is to be said of every server.

Nothing is sent and nothing changes. The words follow the same values as `decide` and `Candidates`, which the
tests hold together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairlead.cluster import gtid
from fairlead.cluster.board import LAG, RANK, STATUS
from fairlead.cluster.status import (
    FOR_NEW_WORK,
    MAINT,
    MASTER,
    OVERDUE,
    RUNNING,
    SLAVE,
    is_connectable,
    is_usable,
)
from fairlead.routers.readwritesplit.config import (
    ADAPTIVE,
    LEAST_BEHIND,
    LEAST_CONNECTIONS,
    LEAST_CURRENT_OPERATIONS,
)
from fairlead.routers.readwritesplit.decide import (
    REASONS,
    TARGET_ALL,
    TARGET_LAST,
    TARGET_MASK,
    TARGET_MASTER,
    TARGET_SLAVE,
    decide,
)
from fairlead.session.backend import B_FAILED, Backend
from fairlead.session.statement import Statement
from fairlead.sql.info import QueryInfo
from fairlead.sql.types import TYPE_BEGIN_TRX, TYPE_READONLY

if TYPE_CHECKING:
    from fairlead.routers.readwritesplit.router import RwsSession

_TARGET_NAMES = {
    TARGET_MASTER: "primary",
    TARGET_SLAVE: "replica",
    TARGET_ALL: "all servers",
    TARGET_LAST: "the previous statement's server",
}
_CRITERIA_NAMES = {
    LEAST_CURRENT_OPERATIONS: "operations",
    LEAST_CONNECTIONS: "connections",
    LEAST_BEHIND: "seconds behind",
    ADAPTIVE: "operations x response time",
}


def explain(router: RwsSession, info: QueryInfo) -> list[tuple[str, str, str]]:
    """(what, value, why): the target, what a causal read has to see, and a row for every server."""
    trx = router.session.trx
    begins = info.type_mask & TYPE_BEGIN_TRX != 0
    active = trx.active and not trx.ending
    read_only = trx.read_only if active else begins and info.trx_mask & TYPE_READONLY != 0
    on_all = router.config.variables_on_all
    decision = decide(info.type_mask, False, router.locked, active or begins, read_only, on_all)
    if decision & TARGET_MASK == TARGET_SLAVE:
        statement = Statement()
        statement.info = info
        decision = router.refine_read(statement, decision)
    kind = decision & TARGET_MASK
    chosen = _would_choose(router, kind)
    rows = [("target", _TARGET_NAMES[kind], REASONS[decision])]
    if router.causal is not None and kind == TARGET_SLAVE:
        wanted = gtid.text_of(router.causal.wanted())
        rows.append(("causal_reads", router.config.causal_reads, f"the read has to see '{wanted}'"))
    rank = router.candidates.current_rank(router.master)
    connected = router.candidates.connected_slaves(router.master)
    for backend in router.session.backends:
        taken = (kind == TARGET_ALL and backend.in_use()) or backend is chosen
        why = obstacle(router, backend, rank, connected) or merits(router, backend)
        rows.append((backend.server.name, "chosen" if taken else "not chosen", why))
    return rows


def _would_choose(router: RwsSession, kind: int) -> Backend | None:
    if router.session.trx.active and router.trx_target is not None and kind != TARGET_ALL:
        return router.trx_target
    if kind == TARGET_SLAVE:
        return router.candidates.best_slave(router.master, router.can_recover(), -1, set())
    if kind == TARGET_LAST and router.last_target is not None and router.last_target.in_use():
        return router.last_target
    if kind == TARGET_ALL:
        return None
    master = router.master
    if master is not None and master.in_use():
        status = router.board.server(master.slot, STATUS)
        if status & MASTER and status & FOR_NEW_WORK == RUNNING:
            return master
    return router.candidates.best_master(router.config.master_reconnection, set())


def obstacle(router: RwsSession, backend: Backend, rank: int, connected: int) -> str:
    """Why a server cannot be chosen for a read now; empty if it can."""
    board, config = router.board, router.config
    status = board.server(backend.slot, STATUS)
    lag, own_rank = board.server(backend.slot, LAG), board.server(backend.slot, RANK)
    is_primary = status & MASTER != 0
    if not is_usable(status):
        return "it is in maintenance" if status & MAINT and status & RUNNING else "it is down"
    if status & OVERDUE:
        return "it has been drained"
    if not status & (MASTER | SLAVE):
        return "it is neither primary nor replica"
    if own_rank != rank:
        return f"its rank is {own_rank} and the present rank is {rank}"
    if not backend.in_use():
        if not is_connectable(status):
            return "it is draining: no new connections"
        if backend.state == B_FAILED:
            return f"it has failed for this session: {backend.failure}"
        if connected >= config.max_slave_connections and not is_primary:
            return f"the session has {connected} replica connections already (max_slave_connections)"
    limit = config.max_replication_lag
    if limit and not is_primary and not 0 <= lag < limit:
        return f"its lag is {lag} s and max_replication_lag is {limit} s"
    return ""


def merits(router: RwsSession, backend: Backend) -> str:
    """What counts when a server is compared with others for a read."""
    status = router.board.server(backend.slot, STATUS)
    if status & MASTER and not router.config.master_accept_reads:
        klass = "only if there is no replica (master_accept_reads is off)"
    elif backend.pending or backend.backlog:
        klass = "after those that owe no replies"
    else:
        klass = "first choice"
    score = router.candidates.score(backend, router.board.server(backend.slot, LAG))
    open_now = "connected" if backend.in_use() else "not connected yet"
    return f"{klass}; {_CRITERIA_NAMES[router.config.criteria]} {score}; {open_now}"
