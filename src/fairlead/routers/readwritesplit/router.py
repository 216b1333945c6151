"""readwritesplit: one session's statements go to the primary, to a replica, or to every server.

`decide` says which kind of server a statement is for and `Candidates` which one it is; here the two meet
the state of the session: the transaction's server, temporary tables, the lock to the primary, and what
follows when a server is lost. Source: spec routers_monitors.md part A.

Invariant: inside a transaction all its statements go to `trx_target`, or the session ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairlead.cluster.board import (
    GENERATION,
    LAG,
    P_ACTIVE_MS,
    P_CELLS,
    P_READ,
    P_SELECTS,
    P_SESSION_MS,
    P_SESSIONS,
    P_TOTAL,
    P_WRITE,
    RANK,
    STATUS,
    V_QUERIES,
    V_RO_TRX,
    V_ROUTE_ALL,
    V_ROUTE_MASTER,
    V_ROUTE_SLAVE,
    V_RW_TRX,
    Board,
    worker_pair_index,
    worker_service_index,
)
from fairlead.cluster.status import MAINT, MASTER, RUNNING
from fairlead.net.syscalls import copy_bytes
from fairlead.protocol.constants import (
    COM_DEBUG,
    COM_FIELD_LIST,
    COM_INIT_DB,
    COM_PING,
    COM_QUERY,
    COM_REFRESH,
    COM_RESET_CONNECTION,
    COM_SET_OPTION,
    COM_STMT_CLOSE,
    COM_STMT_EXECUTE,
    COM_STMT_FETCH,
    COM_STMT_PREPARE,
    COM_STMT_RESET,
    COM_STMT_SEND_LONG_DATA,
)
from fairlead.routers.readwritesplit.config import ERROR_ON_WRITE, FAIL_INSTANTLY, RwsConfig
from fairlead.routers.readwritesplit.decide import (
    D_HINT_LAST,
    D_HINT_MASTER,
    D_HINT_SLAVE,
    D_LONG_DATA,
    D_NEXT_TRX,
    D_NO_SLAVES,
    D_PREVIOUS,
    D_READ,
    D_TEMP_TABLE,
    REASONS,
    TARGET_ALL,
    TARGET_LAST,
    TARGET_MASK,
    TARGET_MASTER,
    TARGET_SLAVE,
    decide,
)
from fairlead.routers.readwritesplit.select import STALE_LAG_SECONDS_MIN, Candidates, initial_slaves
from fairlead.session.backend import B_FAILED, K_CLIENT, K_NONE, Backend
from fairlead.session.router import FAILED, ROUTED, WAIT, RouterSession
from fairlead.session.session import Session
from fairlead.session.statement import Statement
from fairlead.sql.hints import TO_LAST, TO_MASTER, TO_SERVER, TO_SLAVE
from fairlead.sql.types import (
    OP_CALL,
    TRX_BITS,
    TYPE_CREATE_TMP_TABLE,
    TYPE_GSYSVAR_WRITE,
    TYPE_MASTER_READ,
    TYPE_NEXT_TRX,
    TYPE_READ,
    TYPE_SESSION_WRITE,
)

if TYPE_CHECKING:
    from fairlead.session.service import ServiceRuntime

_P_READ = P_READ
_P_CELLS = P_CELLS
_P_SELECTS = P_SELECTS
_P_TOTAL = P_TOTAL
_P_WRITE = P_WRITE
_V_QUERIES = V_QUERIES
_V_ROUTE_ALL = V_ROUTE_ALL
_V_ROUTE_MASTER = V_ROUTE_MASTER
_V_ROUTE_SLAVE = V_ROUTE_SLAVE
_GENERATION = GENERATION
_STATUS = STATUS
_MAINT = MAINT
_COM_STMT_PREPARE = COM_STMT_PREPARE
_COM_STMT_EXECUTE = COM_STMT_EXECUTE
_COM_STMT_FETCH = COM_STMT_FETCH
_COM_LONG_DATA = COM_STMT_SEND_LONG_DATA
_COM_FIELD_LIST = COM_FIELD_LIST
# Plain statements that may be under way at once on the primary.
PIPELINED_MAX = 64
_PIPELINED_MAX = PIPELINED_MAX
_TRX_BITS = TRX_BITS
_REMEMBERED = TYPE_CREATE_TMP_TABLE | TYPE_NEXT_TRX
_OP_CALL = OP_CALL
_MASTER_READ = TYPE_MASTER_READ
_READ = TYPE_READ
_SESSION_WRITE = TYPE_SESSION_WRITE
_MASTER = MASTER
_USABLE = RUNNING | _MAINT
_RUNNING = RUNNING
_K_CLIENT = K_CLIENT
_ROUTED = ROUTED
_WAIT = WAIT
_FAILED = FAILED
_TARGET_MASK = TARGET_MASK
_T_MASTER = TARGET_MASTER
_T_SLAVE = TARGET_SLAVE
_T_ALL = TARGET_ALL
_T_LAST = TARGET_LAST
_COM_QUERY = COM_QUERY

# Commands that go to every server, as bits.
_ALL_BY_COMMAND = (
    1 << COM_INIT_DB
    | 1 << COM_SET_OPTION
    | 1 << COM_RESET_CONNECTION
    | 1 << COM_PING
    | 1 << COM_DEBUG
    | 1 << COM_REFRESH
    | 1 << COM_STMT_RESET
    | 1 << COM_STMT_CLOSE
)
_NEVER_RECORDED = frozenset(
    (COM_PING, COM_STMT_RESET, COM_STMT_CLOSE, COM_RESET_CONNECTION, COM_DEBUG, COM_REFRESH)
)

# A read is kept for repeating on another server only up to this size, in bytes.
RETRY_BYTES_MAX = 16 * 1024 * 1024
_RETRY_BYTES_MAX = RETRY_BYTES_MAX
# The server refuses to go on: the session looks for another one instead of passing the error on.
_SERVER_IS_LEAVING = frozenset((1053, 1077, 1079, 1927))
_READ_ONLY_TEXT = (
    "The MariaDB server is running with the --read-only option so it cannot execute this statement"
)

_LOST_WRITE_TEXT = (
    "The primary was lost while this statement was under way: it may have been executed. "
    "Until there is a primary again the service is read-only (--read-only)"
)


class RwsSession(RouterSession):
    """`master`: the primary of the session; `trx_target`: the server of the open transaction."""

    def __init__(self, session: Session, service: ServiceRuntime) -> None:
        self.session = session
        self.config: RwsConfig = service.router_config
        self.board: Board = session.board
        self.candidates = Candidates(self.board, session.backends, self.config)
        self.master: Backend | None = None
        self.trx_target: Backend | None = None
        self.last_target: Backend | None = None
        self.last_kind = 0
        self.locked = False
        # What is under way are plain statements on the primary, so another one may follow at once.
        self.plain = False
        self.temp_tables: set[tuple[str, str]] = set()
        # Text of a pending SET TRANSACTION, and whether its transaction has begun.
        self.next_trx: bytearray | None = None
        self.next_trx_used = False
        self._retry = bytearray()
        self._retry_command = 0
        self._retry_ps = 0
        self._retriable = False
        self._tried: set[int] = set()
        self._command_packet: tuple[bytearray, int, int] | None = None
        self._decision = 0
        # The server that a hint names for the present statement.
        self._hinted_server: Backend | None = None
        self._generation = self.board.get(_GENERATION)
        self._service = worker_service_index(session.host.worker, service.slot, 0)
        self._pairs = worker_pair_index(session.host.worker, service.slot, 0, 0)
        self._variables_on_all = self.config.variables_on_all
        self._retry_reads = self.config.retry_failed_reads
        self._no_slaves = self.config.max_slave_connections == 0

    # -- start

    def start(self) -> str:
        session, config = self.session, self.config
        if not session.backends:
            return "Service has no servers"
        if config.lazy_connect:
            return ""
        self.master = master = self.candidates.best_master(True, self._tried)
        if master is not None:
            session.plan_backend(master)
        if master is None and config.master_failure_mode == FAIL_INSTANTLY:
            return f"Couldn't find a suitable primary among {len(session.backends)} servers"
        rank = self.candidates.current_rank(master)
        for backend in initial_slaves(
            self.board, session.backends, master, rank, config.max_replication_lag, config.slave_connections
        ):
            session.plan_backend(backend)
        if not any(backend.in_use() for backend in session.backends):
            return "No server can be connected to"
        return ""

    # -- routing

    def route(self, statement: Statement) -> int:
        session = self.session
        trx = session.trx
        mask = statement.type_mask
        if session.expecting and not (self.plain and self._may_follow(statement)):
            return _WAIT
        if self._tried:
            self._tried.clear()
        if statement.prepared is not None and (
            statement.command == _COM_STMT_EXECUTE
            or statement.command == _COM_STMT_FETCH
            or statement.command == _COM_LONG_DATA
        ):
            result = self._continue(statement)
            if result:
                return result
        if statement.info is not None and statement.command != _COM_STMT_PREPARE:
            trx.on_statement(
                statement.info.trx_mask | (mask & _SESSION_WRITE),
                mask & _READ != 0 and not mask & _MASTER_READ,
                statement.info.chain,
            )
            if trx.starting:
                self.trx_target = None
        if statement.continues and mask & _SESSION_WRITE:
            # Its rest is streamed and kept nowhere: from here on only the primary has the session's state.
            self.locked = True
        all_by_command = statement.command < 63 and _ALL_BY_COMMAND >> statement.command & 1 != 0
        decision = decide(
            mask,
            all_by_command,
            self.locked,
            trx.active,
            trx.read_only,
            self._variables_on_all,
        )
        kind = decision & _TARGET_MASK
        if kind == _T_SLAVE:
            decision = self._refine_read(statement, decision)
            kind = decision & _TARGET_MASK
        elif statement.command == _COM_FIELD_LIST and not trx.active and not self.locked:
            decision, kind = D_READ, _T_SLAVE
        if statement.hints:
            decision = self._hinted(statement, decision)
            kind = decision & _TARGET_MASK
        self._decision = decision
        self.board.add(self._service + _V_QUERIES, 1)
        self.plain = False
        if self._hinted_server is not None:
            return self._to_hinted_server(statement)
        if kind == _T_SLAVE:
            self.board.add(self._service + _V_ROUTE_SLAVE, 1)
            return self._to_slave(statement)
        if kind == _T_ALL:
            self.board.add(self._service + _V_ROUTE_ALL, 1)
            return self._to_all(statement)
        if kind == _T_LAST:
            return self._to_last(statement)
        self.board.add(self._service + _V_ROUTE_MASTER, 1)
        result = self._to_master(statement)
        if result == _ROUTED:
            self._after_master(statement, mask)
        return result

    def _may_follow(self, statement: Statement) -> bool:
        """Whether a statement may be sent to the primary while another one's reply is still owed."""
        trx = self.session.trx
        if statement.command != _COM_QUERY or statement.type_mask & _TRX_BITS or trx.ending or trx.starting:
            return False
        if self.session.load_backend is not None or self.session.expecting >= _PIPELINED_MAX:
            return False
        decision = decide(
            statement.type_mask, False, self.locked, trx.active, trx.read_only, self._variables_on_all
        )
        master = self.master
        return (
            decision & _TARGET_MASK == _T_MASTER
            and self.last_target is master
            and self.usable_master() is master
        )

    def _refine_read(self, statement: Statement, decision: int) -> int:
        """A read that a replica must not answer after all."""
        if self.next_trx is not None:
            # Only the primary knows what the next transaction is to be like.
            return D_NEXT_TRX
        info = statement.info
        if info is None:
            return decision
        if self.temp_tables and self._names_temp_table(info.tables):
            return D_TEMP_TABLE
        if info.relates_to_previous and self.last_target is not None:
            return D_PREVIOUS
        if self._no_slaves:
            return D_NO_SLAVES
        return decision

    def _names_temp_table(self, tables: tuple[tuple[str, str], ...]) -> bool:
        return any(self._qualified(table) in self.temp_tables for table in tables)

    def _hinted(self, statement: Statement, decision: int) -> int:
        """What the hints of the statement make of the decision; may set `_hinted_server` (spec A.4)."""
        if self.session.trx.active or self.locked:
            return decision
        for hint in statement.hints:
            if hint.kind == TO_MASTER:
                return D_HINT_MASTER
            if hint.kind == TO_SLAVE:
                decision = D_HINT_SLAVE
            elif hint.kind == TO_LAST:
                decision = D_HINT_LAST
            elif hint.kind == TO_SERVER and decision & TARGET_MASK != TARGET_ALL:
                self._hinted_server = self._named(hint.server)
        return decision

    def _named(self, name: str) -> Backend | None:
        """The backend of a server by name, if it can be used."""
        for backend in self.session.backends:
            if backend.server.name.lower() == name.lower():
                status = self.board.server(backend.slot, _STATUS)
                if status & (RUNNING | _MAINT) == RUNNING and backend.state != B_FAILED:
                    return backend
        return None

    def _to_hinted_server(self, statement: Statement) -> int:
        backend = self._hinted_server
        self._hinted_server = None
        if backend is None or not self._ensure_open(backend):
            kind = self._decision & TARGET_MASK
            return self._to_slave(statement) if kind == TARGET_SLAVE else self._to_master(statement)
        self._retriable = False
        self._write(backend, statement, True)
        return ROUTED

    def _qualified(self, table: tuple[str, str]) -> tuple[str, str]:
        return (table[0] or self.session.database, table[1])

    def _continue(self, statement: Statement) -> int:
        """FETCH, EXECUTE after long data, and long data stay with the server that has the statement's
        state; 0: no.
        """
        prepared = statement.prepared
        if prepared is None:
            return 0
        command = statement.command
        backends = self.session.backends
        if command == _COM_STMT_FETCH:
            index = prepared.cursor_on
        else:
            index = prepared.long_data_on
        target = backends[index] if index >= 0 and backends[index].in_use() else None
        if command == _COM_LONG_DATA and target is None:
            self._decision = D_LONG_DATA
            master = self.usable_master()
            if master is None:
                master = self.candidates.best_slave(self.master, True, -1, self._tried)
            if master is None or not self._ensure_open(master):
                return self._no_master()
            target = master
            prepared.long_data_on = target.index
        if target is None:
            return 0
        if command == _COM_STMT_EXECUTE:
            prepared.long_data_on = -1
            if statement.info is not None:
                trx = self.session.trx
                trx.on_statement(statement.type_mask, False, False)
        self._retriable = False
        self.plain = False
        self._write(target, statement, False)
        return ROUTED

    # -- targets

    def usable_master(self) -> Backend | None:
        """The primary for the present statement, connected or to be connected; None if there is none."""
        master = self.master
        trx = self.session.trx
        if master is not None and master.in_use():
            status = self.board.server(master.slot, _STATUS)
            if status & _MASTER and status & _RUNNING:
                if not status & _MAINT or (trx.active and not trx.starting):
                    return master
        if master is not None and self._bound_by():
            return None
        if trx.active and not trx.starting and self.trx_target is not None and not trx.read_only:
            return None
        may_connect = (self.config.master_reconnection or self.config.lazy_connect) and self._can_recover()
        other = self.candidates.best_master(may_connect, self._tried)
        if other is None:
            return None
        if master is not None and master is not other:
            if not self.config.master_reconnection:
                return None
            if master.in_use() and master.pending == 0:
                self._discard(master, "the primary has changed")
        self.temp_tables.clear()
        self.master = other
        return other

    def _bound_by(self) -> str:
        """What would be lost with the present connection to the primary; empty if nothing would."""
        if self.temp_tables and self.config.strict_tmp_tables:
            return "Temporary tables were lost when the connection was lost"
        if self.session.unsafe:
            return f"Unsafe to reconnect: {self.session.unsafe}"
        if self.next_trx is not None:
            return "SET TRANSACTION was waiting for its transaction on the primary"
        if self.locked:
            return "the session is locked to the primary"
        return ""

    def _can_recover(self) -> bool:
        return self.session.history.can_recover()

    def _ensure_open(self, backend: Backend) -> bool:
        return backend.in_use() or self.session.open_backend(backend)

    def _to_master(self, statement: Statement) -> int:
        while True:
            backend = self.usable_master()
            if backend is None:
                return self._no_master()
            if self._ensure_open(backend):
                break
            self._tried.add(backend.index)
        self._retriable = False
        if self.session.trx.active:
            self.trx_target = backend
        self._write(backend, statement, False)
        return ROUTED

    def _to_slave(self, statement: Statement) -> int:
        trx = self.session.trx
        if trx.active:
            backend = self.trx_target
            if backend is not None and backend.in_use():
                self._retriable = False
                self._write(backend, statement, True)
                return ROUTED
            if backend is not None and not trx.starting:
                self.session.close(
                    "the server of the open transaction is gone",
                    log="A transaction is open and its server is gone",
                )
                return FAILED
        self._tried.clear()
        backend = self._open_slave()
        if backend is None:
            return self._no_slave()
        if trx.active:
            self.trx_target = backend
            self._retriable = False
        else:
            self._remember(statement)
        self._write(backend, statement, True)
        return ROUTED

    def _open_slave(self) -> Backend | None:
        """The best server for a read, connected or connecting."""
        while True:
            backend = self.candidates.best_slave(self.master, self._can_recover(), -1, self._tried)
            if backend is None or self._ensure_open(backend):
                return backend
            self._tried.add(backend.index)

    def _to_last(self, statement: Statement) -> int:
        backend = self.last_target
        if backend is None or not backend.in_use():
            return self._to_master(statement)
        self._retriable = False
        self._write(backend, statement, True)
        return ROUTED

    def _to_all(self, statement: Statement) -> int:
        session = self.session
        trx = session.trx
        if statement.command == COM_STMT_CLOSE:
            for backend in session.backends:
                if backend.in_use():
                    backend.write(statement, K_NONE, 0, True)
            return ROUTED
        replier = self._replier()
        if replier is None:
            return self._no_replier(statement)
        others = [backend for backend in session.backends if backend.in_use() and backend is not replier]
        limit = max(self.config.history_limit, _BEHIND_MIN)
        for backend in list(others):
            if backend.owed() > limit:
                session.log_info(f"'{backend.server.name}' is too far behind with session commands: closing")
                self._discard(backend, "too many unanswered session commands")
                others.remove(backend)
        self._retriable = False
        mask = statement.type_mask
        record = statement.command not in _NEVER_RECORDED and not (
            mask & TYPE_GSYSVAR_WRITE and not mask & TYPE_SESSION_WRITE and not mask & TRX_BITS
        )
        self._count(replier, TARGET_ALL)
        for backend in others:
            self._count(backend, TARGET_ALL)
        packet = statement.packet()
        entry_id = session.send_all(statement, replier, others, record)
        self._command_packet = (packet, statement.command, entry_id)
        self.last_target = replier
        self.last_kind = TARGET_ALL
        if trx.active and self.trx_target is None:
            self.trx_target = replier
        return ROUTED

    def _replier(self) -> Backend | None:
        """Whose reply to a session command the client gets; a connection is opened if there is none."""
        session = self.session
        trx = session.trx
        if trx.active and not trx.starting and self.trx_target is not None:
            return self.trx_target if self.trx_target.in_use() else None
        master = self.master
        if (
            master is not None
            and master.in_use()
            and self.board.server(master.slot, _STATUS) & _USABLE == _RUNNING
        ):
            return master
        for backend in session.backends:
            if backend.in_use() and self.board.server(backend.slot, _STATUS) & _USABLE == _RUNNING:
                return backend
        self._tried.clear()
        if not self._can_recover():
            return None
        if self.config.master_accept_reads and self.config.master_reconnection:
            found = self.usable_master()
            if found is not None and self._ensure_open(found):
                return found
        found = self._open_slave()
        if found is not None:
            if self.board.server(found.slot, _STATUS) & _MASTER:
                self.master = found
            return found
        found = self.usable_master()
        return found if found is not None and self._ensure_open(found) else None

    def _write(self, backend: Backend, statement: Statement, is_read: bool) -> None:
        kind = self._decision & _TARGET_MASK
        self.last_target = backend
        self.last_kind = kind
        self.plain = (
            kind == _T_MASTER and not statement.type_mask & _TRX_BITS and statement.command == _COM_QUERY
        )
        self._count(backend, kind)
        if statement.prepared is not None and statement.command == _COM_STMT_EXECUTE:
            statement.prepared.cursor_on = backend.index
        self.session.send(backend, statement, 0, is_read)

    def _count(self, backend: Backend, kind: int) -> None:
        pair = self._pairs + backend.slot * _P_CELLS
        self.board.add(pair + _P_TOTAL, 1)
        if kind == _T_MASTER:
            self.board.add(pair + _P_WRITE, 1)
        else:
            self.board.add(pair + _P_READ, 1)
            self.board.add(pair + _P_SELECTS, 1)

    def _remember(self, statement: Statement) -> None:
        """Keep a read so that it can be repeated on another server."""
        size = statement.end - statement.start
        if not self._retry_reads or size > _RETRY_BYTES_MAX or statement.continues:
            self._retriable = False
            return
        copy_bytes(self._retry, statement.buf, statement.start, statement.end)
        self._retry_command = statement.command
        self._retry_ps = statement.ps_id
        self._retriable = True

    # -- what a statement leaves behind

    def _after_master(self, statement: Statement, mask: int) -> None:
        info = statement.info
        if info is None or (not mask & _REMEMBERED and not info.multi and info.operation != _OP_CALL):
            if info is not None and info.dropped_tables and self.temp_tables:
                for table in info.dropped_tables:
                    self.temp_tables.discard(self._qualified(table))
            if info is not None and info.unsafe_to_reconnect:
                self.session.unsafe = info.unsafe_to_reconnect
            return
        if info.temp_table is not None:
            self.temp_tables.add(self._qualified(info.temp_table))
        if mask & TYPE_NEXT_TRX:
            self.next_trx = statement.packet()
            self.next_trx_used = False
        if (info.multi and self.config.strict) or (info.operation == OP_CALL and self.config.strict):
            self.locked = True

    # -- replies

    def backend_done(self, backend: Any, kind: int, entry_id: int) -> None:
        session = self.session
        trx = session.trx
        if kind == _K_CLIENT:
            self._retriable = False
            self._command_packet = None
            if not trx.active and self.trx_target is not None:
                self._trx_ended()
            if self.next_trx is not None:
                self._next_trx_done()
        if self._generation != self.board.get(_GENERATION) and session.expecting == 0:
            self._discard_stale()

    def _trx_ended(self) -> None:
        self.trx_target = None
        trx = self.session.trx
        self.board.add(self._service + (V_RO_TRX if trx.ended_only_reads else V_RW_TRX), 1)

    def _next_trx_done(self) -> None:
        """SET TRANSACTION counts for one transaction: forget it when that has ended."""
        trx = self.session.trx
        if trx.active:
            self.next_trx_used = True
        elif self.next_trx_used:
            self.next_trx = None
            self.next_trx_used = False

    def _discard_stale(self) -> None:
        """Close connections whose server should not be used any more, between two statements."""
        session = self.session
        if session.trx.active:
            return
        self._generation = self.board.get(_GENERATION)
        rank = self.candidates.current_rank(self.master)
        limit = self.config.max_replication_lag
        for backend in session.backends:
            if not backend.in_use():
                continue
            status = self.board.server(backend.slot, _STATUS)
            own_rank = self.board.server(backend.slot, RANK)
            reason = ""
            if status & _USABLE != _RUNNING:
                reason = "its server is in maintenance" if status & _MAINT else "its server is down"
            elif own_rank != rank:
                reason = f"its server has rank {own_rank} and the current rank is {rank}"
            elif limit and self.board.server(backend.slot, LAG) > max(2 * limit, STALE_LAG_SECONDS_MIN):
                reason = "its server lags too far behind"
            if not reason:
                continue
            if backend.pending or backend.backlog:
                self._generation -= 1
            else:
                self._discard(backend, reason)

    def _discard(self, backend: Backend, reason: str) -> None:
        """Close a connection that owes nothing to the client."""
        self.session.log_info(f"Discarding connection to '{backend.server.name}': {reason}")
        self._account_for(backend)
        backend.close()

    def _account_for(self, backend: Backend) -> None:
        """Count a connection that ends in the statistics of its server."""
        pair = self._pairs + backend.slot * _P_CELLS
        self.board.add(pair + P_SESSIONS, 1)
        self.board.add(pair + P_SESSION_MS, (self.session.client.poller.now_us - backend.opened_us) // 1000)
        self.board.add(pair + P_ACTIVE_MS, backend.active_us // 1000)
        backend.active_us = 0

    # -- failures

    def error_reply(self, backend: Any, code: int, message: str) -> bool:
        if code in _SERVER_IS_LEAVING and not self.session.kill_message:
            self.session.backend_gone(backend, f"the server reported: {message}")
            return False
        return True

    def hang_up(self, backend: Any, reason: str) -> None:
        self.session.backend_gone(backend, reason)

    def connection_reset(self) -> None:
        self.temp_tables.clear()
        self.next_trx = None
        self.locked = False
        self.trx_target = None

    def user_changed(self) -> str:
        """All connections are closed and the session is another user's: begin again."""
        self.connection_reset()
        self.master = None
        self.last_target = None
        self._tried.clear()
        return self.start()

    def backend_lost(self, backend: Any, kind: int, command: int, reason: str, permanent: bool) -> None:
        session = self.session
        self._account_for(backend)
        trx = session.trx
        lost: Backend = backend
        if trx.active and lost is self.trx_target and not trx.starting:
            session.close("Transaction is open", log=f"{lost.failure}. Transaction is open, closing session")
            return
        if kind == K_CLIENT and trx.starting:
            session.close("Transaction is open", log=f"{backend.failure}. A transaction was about to begin")
            return
        if lost is self.master and not self._may_lose_master(lost):
            return
        if kind == K_CLIENT:
            self._tried.add(backend.index)
            if self._command_packet is not None:
                self._repeat_command()
            elif self._retriable:
                self._repeat_read(backend)
            elif lost is self.master:
                self._lost_write(lost)
            else:
                session.close("a statement under way was lost", log=backend.failure)
            return
        if permanent and self._all_failed():
            session.close(
                "All servers have become unusable for this session",
                log=backend.failure,
                code=1927,
                message=f"Lost connection to server '{backend.server.name}': {backend.last_error}",
            )

    def _all_failed(self) -> bool:
        return all(backend.state == B_FAILED for backend in self.session.backends)

    def _may_lose_master(self, backend: Backend) -> bool:
        """Whether the session can live without this connection to the primary."""
        session, config = self.session, self.config
        reason = ""
        if config.master_failure_mode == FAIL_INSTANTLY:
            reason = "master_failure_mode is fail_instantly"
        else:
            reason = self._bound_by()
        if reason:
            session.close(reason, log=self._master_lost_text(backend))
            return False
        self.temp_tables.clear()
        return True

    def _master_lost_text(self, backend: Backend) -> str:
        idle = (self.session.client.poller.now_us - backend.written_us) // 1000000
        session = self.session
        return (
            f"Lost connection to the primary server '{backend.server.name}'. Connection from "
            f"{session.user}@{session.remote} has been idle for {idle} seconds. "
            f"Error caused by: {backend.failure}"
        )

    def _lost_write(self, backend: Backend) -> None:
        session = self.session
        if self.config.master_failure_mode == ERROR_ON_WRITE:
            text = _READ_ONLY_TEXT if backend.lost_unsent else _LOST_WRITE_TEXT
            session.client_error(1, 1290, "HY000", text)
            session.resume_client()
            return
        session.close(
            "Lost connection to the primary server",
            log=self._master_lost_text(backend),
            code=1927 if backend.last_error else 0,
            message=backend.failure,
        )

    def _no_master(self) -> int:
        """There is no primary for this statement."""
        session = self.session
        self._tried.clear()
        if self.config.master_failure_mode == ERROR_ON_WRITE and not session.trx.active:
            return session.answer_error(1290, "HY000", _READ_ONLY_TEXT)
        if self.config.master_failure_mode == ERROR_ON_WRITE and session.trx.starting:
            session.trx.abandon()
            return session.answer_error(1290, "HY000", _READ_ONLY_TEXT)
        session.close(
            "there is no primary",
            log=f"Write query received from {session.user}@{session.remote}. {self._why_no_master()}",
        )
        return FAILED

    def _why_no_master(self) -> str:
        master = self.master
        if master is not None and not master.in_use() and self._bound_by():
            return self._bound_by()
        if master is None:
            return "The session has no connection to a primary and none can be opened"
        if not master.in_use():
            return f"The connection to the primary '{master.server.name}' is closed: {master.failure}"
        return f"'{master.server.name}' is not the primary any more"

    def _no_slave(self) -> int:
        session = self.session
        self._tried.clear()
        session.close(
            "no server can take a read",
            log=f"Could not find a valid server for a read of {session.user}@{session.remote}",
        )
        return FAILED

    def _no_replier(self, statement: Statement) -> int:
        session = self.session
        session.close(
            "no server can take a session command",
            log=f"No valid candidates for session command {statement.command} "
            f"of {session.user}@{session.remote}",
        )
        return FAILED

    def _repeat_read(self, lost: Backend) -> None:
        """The server of a read was lost before it answered: ask another."""
        session = self.session
        backend = self._open_slave()
        if backend is None:
            session.close("no other server can take the read", log=lost.failure)
            return
        session.log_info(
            f"Read on '{lost.server.name}' is repeated on '{backend.server.name}': {lost.failure}"
        )
        statement = self._revive(self._retry, self._retry_command)
        statement.ps_id = self._retry_ps
        statement.prepared = session.statements.get(self._retry_ps)
        if statement.prepared is not None:
            statement.has_types = session.has_types(statement)
        self._write(backend, statement, True)

    def _revive(self, packet: bytearray, command: int) -> Statement:
        statement = Statement()
        statement.buf = bytearray(packet)
        statement.end = len(packet)
        statement.command = command
        return statement

    def _repeat_command(self) -> None:
        """The server whose reply to a session command was awaited is lost: take the reply of another."""
        session = self.session
        assert self._command_packet is not None
        packet, command, entry_id = self._command_packet
        for backend in session.backends:
            if backend.in_use() and backend.promote(entry_id):
                session.expecting += 1
                return
        replier = self._replier()
        if replier is None:
            session.close(
                "no server is left for a session command", log="No valid candidates for a session command"
            )
            return
        if entry_id and replier.ps_ids.get(entry_id):
            replier.forget_statement(entry_id)
        session.send(replier, self._revive(packet, command), entry_id, True)

    def diagnostics(self) -> dict[str, Any]:
        """For the REST view of the session."""
        return {
            "last_reason": REASONS.get(self._decision, ""),
            "primary": self.master.server.name if self.master is not None else None,
            "temporary_tables": len(self.temp_tables),
            "locked": self.locked,
        }


# A server may always owe so many session commands.
_BEHIND_MIN = 5


def make_session(session: Session, service: ServiceRuntime) -> RwsSession:
    """The factory that the module table names."""
    return RwsSession(session, service)


def make_config(params: dict[str, Any]) -> RwsConfig:
    """The parameters of a service for this router."""
    return RwsConfig(params)
