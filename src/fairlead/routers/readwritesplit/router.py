"""readwritesplit: one session's statements go to the primary, to a replica, or to every server.

`decide` says which kind of server a statement is for and `targets` which one it is; here the two meet the
state of the session: the transaction, temporary tables, the lock to the primary, hints, replay and causal
reads. What follows when a server is lost is in `losses`. Source: spec routers_monitors.md part A.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairlead.cluster.board import (
    GENERATION,
    LAG,
    STATUS,
    V_QUERIES,
    V_RO_TRX,
    V_ROUTE_ALL,
    V_ROUTE_MASTER,
    V_ROUTE_SLAVE,
    V_RW_TRX,
)
from fairlead.cluster.status import FOR_NEW_WORK, MASTER, RUNNING
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
from fairlead.protocol.tracker import R_ERR
from fairlead.routers.readwritesplit import losses
from fairlead.routers.readwritesplit.causal import MODES, Causal
from fairlead.routers.readwritesplit.config import RwsConfig
from fairlead.routers.readwritesplit.decide import (
    D_HINT_LAST,
    D_HINT_MASTER,
    D_HINT_SLAVE,
    D_LONG_DATA,
    D_NEXT_TRX,
    D_NO_SLAVES,
    D_OPTIMISTIC,
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
from fairlead.routers.readwritesplit.explain import explain
from fairlead.routers.readwritesplit.replay import Replay
from fairlead.routers.readwritesplit.targets import NO_TABLES, Targets
from fairlead.session.backend import B_FAILED, K_CLIENT, K_OWN, Backend
from fairlead.session.router import FAILED, ROUTED, WAIT
from fairlead.session.session import Session
from fairlead.session.statement import Statement
from fairlead.sql.hints import TO_LAST, TO_MASTER, TO_SERVER, TO_SLAVE
from fairlead.sql.types import (
    OP_CALL,
    OP_EXECUTE,
    TRX_BITS,
    TYPE_BEGIN_TRX,
    TYPE_CREATE_TMP_TABLE,
    TYPE_MASTER_READ,
    TYPE_NEXT_TRX,
    TYPE_READ,
    TYPE_SESSION_WRITE,
    TYPE_WRITE,
)

if TYPE_CHECKING:
    from fairlead.session.service import ServiceRuntime
    from fairlead.sql.info import QueryInfo

_V_QUERIES = V_QUERIES
_V_ROUTE_ALL = V_ROUTE_ALL
_V_ROUTE_MASTER = V_ROUTE_MASTER
_V_ROUTE_SLAVE = V_ROUTE_SLAVE
_GENERATION = GENERATION
_STATUS = STATUS
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
_NOT_ONLY_READ = TYPE_MASTER_READ | TYPE_WRITE
_READ = TYPE_READ
_SESSION_WRITE = TYPE_SESSION_WRITE
_MASTER = MASTER
_USABLE = FOR_NEW_WORK
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


class RwsSession(Targets):
    """The router's part of one session."""

    def __init__(self, session: Session, service: ServiceRuntime) -> None:
        self.set_up(session, service)
        config = self.config
        if config.transaction_replay:
            session.tap = self.replay = Replay(self)
        if config.is_causal:
            self.causal = Causal(self, MODES[config.causal_reads], config.causal_timeout_s)
        self._optimistic = config.optimistic_trx
        # The server that a hint names for the present statement.
        self._hinted_server: Backend | None = None
        # The server has not answered SET TRANSACTION yet.
        self._next_trx_asked = False
        self._variables_on_all = config.variables_on_all
        self._no_slaves = config.max_slave_connections == 0

    # -- routing

    def route(self, statement: Statement) -> int:
        session = self.session
        trx = session.trx
        mask = statement.type_mask
        if session.expecting and not (self.plain and self._may_follow(statement)):
            return _WAIT
        if self.tried:
            self.tried.clear()
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
                mask & _READ != 0 and not mask & _NOT_ONLY_READ,
                statement.info.chain,
            )
            if trx.starting:
                self._trx_begins()
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
            decision = self.refine_read(statement, decision)
            kind = decision & _TARGET_MASK
        elif statement.command == _COM_FIELD_LIST and not trx.active and not self.locked:
            decision, kind = D_READ, _T_SLAVE
        if statement.hints:
            decision = self._hinted(statement, decision)
            kind = decision & _TARGET_MASK
        self.decision = decision
        self.board.add(self._service + _V_QUERIES, 1)
        self.plain = False
        if trx.again:
            self._trx_replaced(kind)
        if self._optimistic and trx.active and kind == _T_MASTER:
            result = self._optimist(statement)
            if result:
                return result
        if self._hinted_server is not None:
            return self._to_hinted_server(statement)
        if kind == _T_SLAVE:
            self.board.add(self._service + _V_ROUTE_SLAVE, 1)
            if self.causal is not None and self.causal.concerns(mask & _TRX_BITS != 0):
                return self.causal.read(statement)
            return self.to_slave(statement)
        if kind == _T_ALL:
            self.board.add(self._service + _V_ROUTE_ALL, 1)
            return self.to_all(statement)
        if kind == _T_LAST:
            return self._to_last(statement)
        self.board.add(self._service + _V_ROUTE_MASTER, 1)
        result = self.to_master(statement)
        if result == _ROUTED and self.held is None:
            self.after_master(statement, mask)
        return result

    def to_target(self, statement: Statement) -> int:
        """Send a statement that had to wait, by the decision that was made for it."""
        kind = self.decision & _TARGET_MASK
        if kind == _T_ALL:
            return self.to_all(statement)
        if kind == _T_SLAVE:
            if self.causal is not None and self.causal.concerns(statement.type_mask & _TRX_BITS != 0):
                return self.causal.read(statement)
            return self.to_slave(statement)
        return self.to_master(statement)

    def _trx_begins(self) -> None:
        self.trx_target = None
        self.on_replica = False
        if self.replay is not None:
            self.replay.begin()

    def _trx_replaced(self, kind: int) -> None:
        """BEGIN inside of a transaction commits it and begins another one, on the same server if it can."""
        target = self.trx_target
        if target is None or kind == _T_SLAVE or self.on_replica or target is self.master:
            return
        if target.in_use() and target.pending == 0:
            # A transaction that only read stays behind on its replica: end it there.
            self.discard(target, "its transaction has ended")
        self.trx_target = None

    def _optimist(self, statement: Statement) -> int:
        """A transaction that may write is executed on a replica as long as it only reads; 0: it is not."""
        session = self.session
        trx = session.trx
        mask = statement.type_mask
        reads = decide(mask, False, False, False, False, self._variables_on_all) & _TARGET_MASK == _T_SLAVE
        if trx.starting:
            bound = self.locked or self.next_trx is not None or self.temp_tables
            if bound or not (reads or mask & TYPE_BEGIN_TRX):
                return 0
            backend = self.open_slave()
            if backend is None or self.board.server(backend.slot, _STATUS) & _MASTER:
                return 0
            if self.causal is not None and not self.causal.surely_has(backend):
                return 0
            self.trx_target = backend
            self.on_replica = True
        if not self.on_replica or self.trx_target is None:
            return 0
        backend = self.trx_target
        if not backend.in_use():
            return 0
        if reads or trx.starting or trx.ending:
            self.decision = D_OPTIMISTIC
            self.retriable = False
            self.write(backend, statement, True)
            return _ROUTED
        # The first statement that may write: what was read has to be the same on the primary.
        self.on_replica = False
        backend.send_own(b"ROLLBACK", K_OWN)
        assert self.replay is not None
        if not self.replay.move(statement):
            session.close(
                "the transaction cannot be repeated on the primary",
                log=f"Transaction of {session.user}@{session.remote}: {self.replay.obstacle(False)}",
                code=1927,
                message=self.replay.obstacle(False),
            )
            return _FAILED
        self.after_master(statement, mask)
        return _ROUTED

    def _may_follow(self, statement: Statement) -> bool:
        """Whether a statement may be sent to the primary while another one's reply is still owed."""
        trx = self.session.trx
        if statement.command != _COM_QUERY or statement.type_mask & _TRX_BITS or trx.ending or trx.starting:
            return False
        if self.replay is not None and trx.active:
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

    def refine_read(self, statement: Statement, decision: int) -> int:
        """A read that a replica must not answer after all."""
        if self.next_trx is not None:
            # Only the primary knows what the next transaction is to be like.
            return D_NEXT_TRX
        info = statement.info
        if info is None:
            return decision
        if self.temp_tables and self._may_read_temp_table(info):
            return D_TEMP_TABLE
        if info.relates_to_previous and self.last_target is not None:
            return D_PREVIOUS
        if self._no_slaves:
            return D_NO_SLAVES
        return decision

    def _may_read_temp_table(self, info: QueryInfo) -> bool:
        if info.operation == OP_EXECUTE:
            info = self.session.named.get(info.prepare_name.lower()) or info
        # A stored function reads what it likes.
        return bool(info.called) or self._names_temp_table(info.tables)

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
                if status & _USABLE == RUNNING and backend.state != B_FAILED:
                    return backend
        return None

    def _to_hinted_server(self, statement: Statement) -> int:
        backend = self._hinted_server
        self._hinted_server = None
        if backend is None or not self.ensure_open(backend):
            kind = self.decision & TARGET_MASK
            return self.to_slave(statement) if kind == TARGET_SLAVE else self.to_master(statement)
        self.retriable = False
        self.write(backend, statement, True)
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
            self.decision = D_LONG_DATA
            master = self.usable_master()
            if master is None:
                master = self.candidates.best_slave(self.master, True, -1, self.tried)
            if master is None or not self.ensure_open(master):
                return losses.no_master(self, statement)
            target = master
            prepared.long_data_on = target.index
        if target is None:
            return 0
        if command == _COM_STMT_EXECUTE:
            prepared.long_data_on = -1
            if statement.info is not None:
                trx = self.session.trx
                trx.on_statement(statement.type_mask, False, False)
        self.retriable = False
        self.plain = False
        self.write(target, statement, False)
        return ROUTED

    # -- what a statement leaves behind

    def after_master(self, statement: Statement, mask: int) -> None:
        info = statement.info
        if info is None or (not mask & _REMEMBERED and not info.multi and info.operation != _OP_CALL):
            if info is not None and info.dropped_tables and self.temp_tables:
                for table in info.dropped_tables:
                    self.temp_tables.discard(self._qualified(table))
            if info is not None and info.unsafe_to_reconnect:
                self.session.unsafe = info.unsafe_to_reconnect
            return
        if info.temp_table is not None:
            if self.temp_tables is NO_TABLES:
                self.temp_tables = set()
            self.temp_tables.add(self._qualified(info.temp_table))
        if mask & TYPE_NEXT_TRX:
            self.next_trx = statement.packet()
            self.next_trx_used = False
            self._next_trx_asked = True
        if (info.multi and self.config.strict) or (info.operation == OP_CALL and self.config.strict):
            self.locked = True

    # -- replies

    def backend_done(self, backend: Any, kind: int, entry_id: int) -> None:
        session = self.session
        trx = session.trx
        if kind == _K_CLIENT:
            self.retriable = False
            self.command_packet = None
            self.held_until = 0
            if self.replay is not None and (trx.active or self.trx_target is not None):
                self.replay.done(backend)
                if self.replay.hidden or session.closed:
                    return
            if not trx.active and self.trx_target is not None:
                self._trx_ended()
            if self.next_trx is not None:
                self._next_trx_done(backend)
        if self._generation != self.board.get(_GENERATION) and session.expecting == 0:
            self._discard_stale()

    def backend_ready(self, backend: Any) -> None:
        ready: Backend = backend
        if self.causal is not None:
            self.causal.connection_ready(ready)
        if self.next_trx is not None and not self._next_trx_asked and ready is self.master:
            # The first statement there: it concerns the transaction that comes.
            ready.put_first(self.next_trx, K_OWN)

    def _trx_ended(self) -> None:
        self.trx_target = None
        self.on_replica = False
        if self.replay is not None:
            self.replay.forget()
        trx = self.session.trx
        self.board.add(self._service + (V_RO_TRX if trx.ended_only_reads else V_RW_TRX), 1)

    def _next_trx_done(self, backend: Backend) -> None:
        """SET TRANSACTION counts for one transaction: forget it when that has ended."""
        trx = self.session.trx
        if self._next_trx_asked:
            self._next_trx_asked = False
            if backend.tracker.kind == R_ERR:
                self.next_trx = None
        elif trx.active:
            self.next_trx_used = True
        elif self.next_trx_used:
            self.next_trx = None
            self.next_trx_used = False

    # -- failures

    def reply_begins(self, backend: Any) -> bool:
        limit = self.config.max_replication_lag
        if self.last_kind != TARGET_SLAVE or self.session.trx.active or not limit:
            return True
        lag = self.board.server(backend.slot, LAG)
        if lag < limit or self.board.server(backend.slot, _STATUS) & _MASTER:
            return True
        return losses.overtaken(self, backend, lag)

    def error_reply(self, backend: Any, code: int, sqlstate: str, message: str) -> bool:
        return losses.error_reply(self, backend, code, sqlstate, message)

    def hang_up(self, backend: Any, reason: str) -> None:
        self.session.backend_gone(backend, reason)

    def connection_reset(self) -> None:
        self.temp_tables.clear()
        self.next_trx = None
        self.locked = False
        self.trx_target = None
        self.on_replica = False
        if self.replay is not None:
            self.replay.forget()
        if self.causal is not None:
            self.causal.reset()

    def own_bytes(self, backend: Any, buf: bytearray, start: int, end: int) -> None:
        if self.causal is not None:
            self.causal.answer_bytes(buf, start, end)

    def own_done(self, backend: Any, kind: int, ok: bool) -> None:
        if self.causal is not None:
            self.causal.done(backend, kind, ok)

    def session_state(self, backend: Any, payload: bytes) -> None:
        if self.causal is not None:
            self.causal.reported(backend, payload)

    def user_changed(self) -> str:
        """All connections are closed and the session is another user's: begin again."""
        self.connection_reset()
        self.master = None
        self.last_target = None
        self.tried.clear()
        return self.start()

    def backend_lost(self, backend: Any, kind: int, command: int, reason: str, permanent: bool) -> None:
        lost: Backend = backend
        self.account_for(lost)
        if self.causal is not None and self.causal.lost(lost):
            if lost is self.master and not self.session.closed:
                losses.may_lose_master(self, lost)
            return
        losses.backend_lost(self, lost, kind, permanent)

    def can_resume(self, backend: Any) -> bool:
        """Whether the client's reply, part of which it has, can be completed by a replay."""
        return self.replay is not None and self.session.trx.active and backend is self.trx_target

    def dismantle(self) -> None:
        self.replay = None
        self.causal = None

    def story(self) -> str:
        target = self.last_target
        if self.held is not None:
            return f"waits for a server: {REASONS.get(self.decision, '')}"
        if self.decision & TARGET_MASK == TARGET_ALL:
            return f"all servers: {REASONS.get(self.decision, '')}"
        where = target.server.name if target is not None else "nowhere"
        return f"{where}: {REASONS.get(self.decision, '')}"

    def explain(self, info: QueryInfo) -> list[tuple[str, str, str]]:
        return explain(self, info)

    def diagnostics(self) -> dict[str, Any]:
        """For the REST view of the session."""
        return {
            "last_reason": REASONS.get(self.decision, ""),
            "primary": self.master.server.name if self.master is not None else None,
            "temporary_tables": len(self.temp_tables),
            "locked": self.locked,
            **losses.diagnostics(self),
        }


def make_session(session: Session, service: ServiceRuntime) -> RwsSession:
    """The factory that the module table names."""
    return RwsSession(session, service)


def make_config(params: dict[str, Any]) -> RwsConfig:
    """The parameters of a service for this router."""
    return RwsConfig(params)
