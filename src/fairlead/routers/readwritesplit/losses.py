"""What follows when a server is lost, or when none can be found for a statement.

The functions are the rows of spec routers_monitors.md A.9, in their order: a transaction is repeated or ends
its session, a read is repeated elsewhere, a write is never sent twice, what has not been sent may wait
(`delayed_retry`), and where nothing helps the session ends with a log line that says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairlead.cluster.board import V_LAGGING_READS
from fairlead.routers.readwritesplit.config import ERROR_ON_WRITE, FAIL_INSTANTLY
from fairlead.routers.readwritesplit.decide import D_CAUSAL
from fairlead.session.backend import B_FAILED, K_CLIENT, Backend
from fairlead.session.router import FAILED, ROUTED
from fairlead.session.statement import Statement

if TYPE_CHECKING:
    from fairlead.routers.readwritesplit.router import RwsSession

# A statement that found no server is tried again after so many milliseconds, and so on up to the second.
RETRY_FIRST_MS = 100
RETRY_MAX_MS = 1000

# The server refuses to go on: the session looks for another one instead of passing the error on.
SERVER_IS_LEAVING = frozenset((1053, 1077, 1079, 1927))
_READ_ONLY = 1290
_WSREP_NOT_READY = "WSREP has not yet prepared node for application use"

READ_ONLY_TEXT = (
    "The MariaDB server is running with the --read-only option so it cannot execute this statement"
)
_LOST_WRITE_TEXT = (
    "The primary was lost while this statement was under way: it may have been executed. "
    "Until there is a primary again the service is read-only (--read-only)"
)


# -- a connection was lost


def backend_lost(router: RwsSession, lost: Backend, kind: int, permanent: bool) -> None:
    """The connection is closed already. `kind`: the reply that was expected from it next."""
    session = router.session
    trx = session.trx
    if trx.active and lost is router.trx_target and (kind == K_CLIENT or not trx.starting):
        _transaction_lost(router, lost, kind)
        return
    if kind == K_CLIENT and trx.starting:
        session.close("Transaction is open", log=f"{lost.failure}. A transaction was about to begin")
        return
    if lost is router.master and not may_lose_master(router, lost):
        return
    if kind == K_CLIENT:
        router.give_up_on(lost)
        if router.command_packet is not None:
            _repeat_command(router, lost)
        elif router.retriable:
            repeat_read(router, lost, lost.failure)
        elif lost is router.master:
            _lost_write(router, lost)
        else:
            session.close("a statement under way was lost", log=lost.failure)
        return
    if permanent and all(backend.state == B_FAILED for backend in session.backends):
        session.close(
            "All servers have become unusable for this session",
            log=lost.failure,
            code=1927,
            message=f"Lost connection to server '{lost.server.name}': {lost.last_error}",
        )


def _transaction_lost(router: RwsSession, lost: Backend, kind: int) -> None:
    session, replay = router.session, router.replay
    reason, code = "Transaction is open", 0
    if session.trx.starting and lost.unsent is not None and may_hold(router, lost.unsent):
        router.trx_target = None
        hold(router, _known(router, lost.unsent))
        return
    if replay is not None:
        sent = kind == K_CLIENT and not lost.lost_unsent
        reason = replay.lost(lost.failure, sent)
        if not reason:
            return
        code = 0 if replay.sent or lost.lost_partial else 1927
    session.close(
        reason,
        log=f"{lost.failure}. Transaction is open, closing session",
        code=code,
        message=f"{lost.failure}. Transaction is open, closing session: {reason}",
    )


def may_lose_master(router: RwsSession, lost: Backend) -> bool:
    """Whether the session can live without this connection to the primary."""
    if router.config.master_failure_mode == FAIL_INSTANTLY:
        reason = "master_failure_mode is fail_instantly"
    else:
        reason = router.bound_by()
    if reason:
        router.session.close(reason, log=_master_lost_text(router, lost))
        return False
    router.temp_tables.clear()
    return True


def _master_lost_text(router: RwsSession, lost: Backend) -> str:
    session = router.session
    idle = (session.client.poller.now_us - lost.written_us) // 1000000
    return (
        f"Lost connection to the primary server '{lost.server.name}'. Connection from "
        f"{session.user}@{session.remote} has been idle for {idle} seconds. "
        f"Error caused by: {lost.failure}"
    )


def _lost_write(router: RwsSession, lost: Backend) -> None:
    session = router.session
    if lost.unsent is not None and not session.trx.active and may_hold(router, lost.unsent):
        # Nothing of it was sent: it may wait for another primary.
        hold(router, _known(router, lost.unsent))
        return
    if router.config.master_failure_mode == ERROR_ON_WRITE:
        text = READ_ONLY_TEXT if lost.lost_unsent else _LOST_WRITE_TEXT
        session.client_error(1, 1290, "HY000", text)
        session.resume_client()
        return
    session.close(
        "Lost connection to the primary server",
        log=_master_lost_text(router, lost),
        code=1927 if lost.last_error else 0,
        message=lost.failure,
    )


def _known(router: RwsSession, statement: Statement) -> Statement:
    """A repeated statement with what the session knows of its prepared statement."""
    statement.prepared = router.session.statements.get(statement.ps_id)
    if statement.prepared is not None:
        statement.has_types = router.session.has_types(statement)
    return statement


def kept_read(router: RwsSession) -> Statement:
    """The read that is kept for repeating it elsewhere."""
    packet = bytearray(router.retry_packet)
    return _known(router, Statement.of(packet, router.retry_command, router.retry_ps))


def repeat_read(router: RwsSession, lost: Backend, why: str) -> None:
    """A server did not answer a read: ask another."""
    session = router.session
    if router.causal is not None and router.causal.binds():
        # Only the primary has for sure what the read must see.
        router.decision = D_CAUSAL
        router.to_master(kept_read(router))
        return
    backend = router.open_slave()
    if backend is None:
        statement = kept_read(router)
        if may_hold(router, statement):
            hold(router, statement)
            return
        session.close("no other server can take the read", log=lost.failure)
        return
    session.log_info(f"Read on '{lost.server.name}' is repeated on '{backend.server.name}': {why}")
    router.write(backend, kept_read(router), True)


def overtaken(router: RwsSession, backend: Backend, lag: int) -> bool:
    """The answer to a read begins, and its replica has fallen behind meanwhile: does the client get it?"""
    session, config = router.session, router.config
    session.board.add(session.counters + V_LAGGING_READS, 1)
    text = f"'{backend.server.name}' fell {lag} s behind during a read (limit {config.max_replication_lag} s)"
    if config.retry_lagging_reads and router.retriable:
        others = router.tried | {backend.index}
        if router.candidates.best_slave(router.master, router.can_recover(), -1, others) is not None:
            session.backend_gone(backend, text)
            return False
        text += "; no other server can answer it"
    session.log_info(text)
    return True


def _repeat_command(router: RwsSession, lost: Backend) -> None:
    """The server whose reply to a session command was awaited is lost: take the reply of another."""
    session = router.session
    assert router.command_packet is not None
    packet, command, entry_id = router.command_packet
    for backend in session.backends:
        if backend.in_use() and backend.promote(entry_id):
            session.expecting += 1
            return
    replier = router.replier()
    if replier is None:
        session.close(
            "no server is left for a session command",
            log=f"No valid candidates for a session command. {lost.failure}",
            code=1927 if lost.last_error else 0,
            message=lost.failure,
        )
        return
    if entry_id and replier.ps_ids.get(entry_id):
        replier.forget_statement(entry_id)
    session.send(replier, Statement.of(bytearray(packet), command), entry_id, True)


# -- an error that is not for the client


def error_reply(router: RwsSession, backend: Backend, code: int, sqlstate: str, message: str) -> bool:
    """Whether the client gets an error that begins the reply to its statement."""
    session, replay = router.session, router.replay
    if code in SERVER_IS_LEAVING:
        if session.kill_message:
            return True
        session.backend_gone(backend, f"the server reported: {message}")
        return False
    not_ready = code == 1047 and sqlstate == "08S01" and message == _WSREP_NOT_READY
    if session.trx.active and backend is router.trx_target:
        moved = code == _READ_ONLY and backend is router.master and not session.trx.read_only
        undone = sqlstate[:2] == "40"
        if replay is not None and (
            not_ready or (moved and not replay.hidden) or (undone and router.config.replay_retry_on_deadlock)
        ):
            replay.commits = False
            if not replay.obstacle(False):
                session.backend_gone(backend, f"the server reported: {message}")
                return False
        if replay is not None and undone:
            replay.unfit = "the server has rolled it back"
        return True
    if not_ready and router.retriable:
        session.backend_gone(backend, f"the server reported: {message}")
        return False
    return True


# -- no server for a statement


def hold(router: RwsSession, statement: Statement) -> int:
    """Keep the statement until there is a server for it, or time is up."""
    session = router.session
    now = session.client.poller.now_us
    if not router.held_until:
        router.held_until = now + router.config.retry_timeout_ms * 1000
        router.held_ms = RETRY_FIRST_MS
        session.log_info("No server for a statement: it waits")
    held = router.held = statement.kept()
    session.expecting += 1
    router.plain = False
    session.host.call_later(router.held_ms, lambda: _try_held(router, held))
    router.held_ms = min(RETRY_MAX_MS, router.held_ms * 2)
    return ROUTED


def _try_held(router: RwsSession, held: Statement) -> None:
    session = router.session
    if session.closed or router.held is not held:
        return
    router.held = None
    session.expecting -= 1
    router.tried.clear()
    result = router.to_target(held)
    if router.held is not None or session.closed:
        return
    # Until there is a reply the time goes on: a server may take connections and refuse to work.
    if result == ROUTED:
        router.after_master(held, held.type_mask)
    if session.waiting:
        session.resume_client()


def may_hold(router: RwsSession, statement: Statement) -> bool:
    """Whether the statement may wait for a server."""
    trx = router.session.trx
    if not router.config.delayed_retry or statement.continues:
        return False
    if trx.active and (not trx.starting or (not trx.autocommit and router.replay is None)):
        return False
    until = int(router.held_until)
    return not until or router.session.client.poller.now_us < until


def _may_come_back(router: RwsSession) -> bool:
    """Whether the session can ever have a primary again."""
    master = router.master
    if master is None or master.in_use():
        return True
    reconnects = router.config.master_reconnection and router.can_recover()
    return bool(reconnects and not router.bound_by())


def no_master(router: RwsSession, statement: Statement) -> int:
    """There is no primary for this statement."""
    session, replay = router.session, router.replay
    trx = session.trx
    router.tried.clear()
    if trx.active and not trx.starting and replay is not None and router.trx_target is not None:
        old = router.trx_target
        if old.in_use():
            # Its transaction must not stay open there while it is repeated elsewhere.
            router.discard(old, "the primary has changed")
        if replay.move(statement):
            return ROUTED
    elif may_hold(router, statement) and _may_come_back(router):
        return hold(router, statement)
    if router.config.master_failure_mode == ERROR_ON_WRITE and (not trx.active or trx.starting):
        router.held_until = 0
        if trx.active:
            trx.abandon()
        return session.answer_error(1290, "HY000", READ_ONLY_TEXT)
    session.close(
        "there is no primary",
        log=f"Write query received from {session.user}@{session.remote}. {_why_no_master(router)}",
    )
    return FAILED


def _why_no_master(router: RwsSession) -> str:
    master = router.master
    if router.held_until:
        return "The time for which it may wait (delayed_retry_timeout) is used up"
    if router.replay is not None and router.session.trx.active and router.replay.obstacle(False):
        return f"Its transaction has lost its server: {router.replay.obstacle(False)}"
    if master is not None and not master.in_use() and router.bound_by():
        return str(router.bound_by())
    if master is None:
        return "The session has no connection to a primary and none can be opened"
    if not master.in_use():
        return f"The connection to the primary '{master.server.name}' is closed: {master.failure}"
    return f"'{master.server.name}' is not the primary any more"


def no_slave(router: RwsSession, statement: Statement) -> int:
    """No server can take this read."""
    session = router.session
    router.tried.clear()
    if may_hold(router, statement):
        return hold(router, statement)
    session.close(
        "no server can take a read",
        log=f"Could not find a valid server for a read of {session.user}@{session.remote}",
    )
    return FAILED


def no_replier(router: RwsSession, statement: Statement) -> int:
    """No server can take this session command."""
    session = router.session
    if may_hold(router, statement):
        return hold(router, statement)
    session.close(
        "no server can take a session command",
        log=f"No valid candidates for session command {statement.command} "
        f"of {session.user}@{session.remote}",
    )
    return FAILED


def diagnostics(router: RwsSession) -> dict[str, Any]:
    """What waits or is being repeated, for the REST view of the session."""
    return {
        "waiting_for_server": router.held is not None,
        "transaction_replay": None if router.replay is None else router.replay.diagnostics(),
    }
