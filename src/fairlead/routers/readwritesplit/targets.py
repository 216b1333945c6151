"""The servers of one session of readwritesplit: which one a statement of each kind goes to, and how it gets
there.

Connections are opened when they are needed, kept for the next statement, and given up between two statements
when their server should not be used any more. Source: spec routers_monitors.md A.5, A.6.

Invariant: inside a transaction all its statements go to `trx_target`, or the session ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

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
    Board,
    worker_pair_index,
)
from fairlead.cluster.status import FOR_NEW_WORK, MAINT, MASTER, OVERDUE, RUNNING
from fairlead.net.syscalls import copy_bytes
from fairlead.protocol.constants import (
    COM_DEBUG,
    COM_PING,
    COM_QUERY,
    COM_REFRESH,
    COM_RESET_CONNECTION,
    COM_STMT_CLOSE,
    COM_STMT_EXECUTE,
    COM_STMT_RESET,
)
from fairlead.routers.readwritesplit import losses
from fairlead.routers.readwritesplit.causal import Causal
from fairlead.routers.readwritesplit.config import FAIL_INSTANTLY, RwsConfig
from fairlead.routers.readwritesplit.decide import (
    TARGET_ALL,
    TARGET_MASK,
    TARGET_MASTER,
)
from fairlead.routers.readwritesplit.replay import Replay
from fairlead.routers.readwritesplit.select import STALE_LAG_SECONDS_MIN, Candidates, initial_slaves
from fairlead.session.backend import K_NONE, K_OWN, Backend
from fairlead.session.router import FAILED, ROUTED, RouterSession
from fairlead.session.session import Session
from fairlead.session.statement import Statement
from fairlead.sql.types import (
    TRX_BITS,
    TYPE_GSYSVAR_WRITE,
    TYPE_SESSION_WRITE,
)

if TYPE_CHECKING:
    from fairlead.routers.readwritesplit.router import RwsSession
    from fairlead.session.service import ServiceRuntime

_P_READ = P_READ
_P_CELLS = P_CELLS
_P_SELECTS = P_SELECTS
_P_TOTAL = P_TOTAL
_P_WRITE = P_WRITE
_GENERATION = GENERATION
_STATUS = STATUS
_MAINT = MAINT
# The open transaction may go on there, nothing else.
_ENDS = MAINT | OVERDUE
_COM_STMT_EXECUTE = COM_STMT_EXECUTE
_TRX_BITS = TRX_BITS
_MASTER = MASTER
_USABLE = FOR_NEW_WORK
_RUNNING = RUNNING
_TARGET_MASK = TARGET_MASK
_T_MASTER = TARGET_MASTER
_COM_QUERY = COM_QUERY
_NEVER_RECORDED = frozenset(
    (COM_PING, COM_STMT_RESET, COM_STMT_CLOSE, COM_RESET_CONNECTION, COM_DEBUG, COM_REFRESH)
)
# Of sessions without any; never written to.
NONE_TRIED: set[int] = set()
NO_TABLES: set[tuple[str, str]] = set()
# A read is kept for repeating on another server only up to this size, in bytes.
RETRY_BYTES_MAX = 16 * 1024 * 1024
_RETRY_BYTES_MAX = RETRY_BYTES_MAX
# A server may always owe so many session commands.
_BEHIND_MIN = 5


class Targets(RouterSession):
    """`master`: the primary of the session; `trx_target`: the server of the open transaction."""

    def set_up(self, session: Session, service: ServiceRuntime) -> None:
        """What a constructor does; as a method it is called directly by that of the whole."""
        self.session = session
        config: RwsConfig = service.router_config
        self.config = config
        self.board: Board = session.board
        self.candidates = Candidates(self.board, session.backends, config)
        self.master: Backend | None = None
        self.trx_target: Backend | None = None
        self.last_target: Backend | None = None
        self.last_kind = 0
        self.locked = False
        # What is under way are plain statements on the primary, so another one may follow at once.
        self.plain = False
        self.temp_tables: set[tuple[str, str]] = NO_TABLES
        # Text of a pending SET TRANSACTION, and whether its transaction has begun.
        self.next_trx: bytearray | None = None
        self.next_trx_used = False
        self.retry_packet = bytearray()
        self.retry_command = 0
        self.retry_ps = 0
        self.retriable = False
        self.tried: set[int] = NONE_TRIED
        self.command_packet: tuple[bytearray, int, int] | None = None
        # A statement for which there is no server yet, until when it may wait (microseconds; 0: none waits)
        # and how long to the next look.
        self.held: Statement | None = None
        self.held_until = 0
        self.held_ms = 0
        self.replay: Replay | None = None
        self.causal: Causal | None = None
        # The open transaction may write, but has only read so far: it runs on a replica.
        self.on_replica = False
        self.decision = 0
        self._generation = self.board.get(_GENERATION)
        self._service = session.counters
        self._pairs = worker_pair_index(session.worker, service.slot, 0, 0)
        self._retry_reads = config.retry_failed_reads

    @property
    def whole(self) -> RwsSession:
        """Itself, as what follows a loss knows it."""
        return cast("RwsSession", self)

    def start(self) -> str:
        session, config = self.session, self.config
        if not session.backends:
            return "Service has no servers"
        if config.max_replication_lag:
            for backend in session.backends:
                backend.inspected = True
        if config.lazy_connect:
            return ""
        self.master = master = self.candidates.best_master(True, self.tried)
        if master is not None:
            session.plan_backend(master)
        if master is None and config.master_failure_mode == FAIL_INSTANTLY:
            return f"Couldn't find a suitable primary among {len(session.backends)} servers"
        rank = self.candidates.current_rank(master)
        for backend in initial_slaves(
            self.board, session.backends, master, rank, config.max_replication_lag, config.slave_connections
        ):
            session.plan_backend(backend)
        for backend in session.backends:
            if backend.in_use():
                return ""
        return "No server can be connected to"

    def usable_master(self) -> Backend | None:
        """The primary for the present statement, connected or to be connected; None if there is none."""
        master = self.master
        trx = self.session.trx
        if master is not None and master.in_use():
            status = self.board.server(master.slot, _STATUS)
            if status & _MASTER and status & _RUNNING:
                if not status & _ENDS or (trx.active and not trx.starting):
                    return master
        if master is not None and self.bound_by():
            return None
        if trx.active and not trx.starting and self.trx_target is not None and not trx.read_only:
            return None
        may_connect = (self.config.master_reconnection or self.config.lazy_connect) and self.can_recover()
        other = self.candidates.best_master(may_connect, self.tried)
        if other is None:
            return None
        if master is not None and master is not other:
            if not self.config.master_reconnection:
                return None
            if master.in_use() and master.pending == 0:
                self.discard(master, "the primary has changed")
        self.temp_tables.clear()
        self.master = other
        if self.next_trx is not None and other.in_use():
            other.send_own(bytes(self.next_trx[5:]), K_OWN)
        return other

    def bound_by(self) -> str:
        """What would be lost with the present connection to the primary; empty if nothing would."""
        if self.temp_tables and self.config.strict_tmp_tables:
            return "Temporary tables were lost when the connection was lost"
        if self.session.unsafe:
            return f"Unsafe to reconnect: {self.session.unsafe}"
        if self.locked:
            return "the session is locked to the primary"
        return ""

    def can_recover(self) -> bool:
        return self.session.history.can_recover()

    def ensure_open(self, backend: Backend) -> bool:
        return backend.in_use() or self.session.open_backend(backend)

    def to_master(self, statement: Statement) -> int:
        while True:
            backend = self.usable_master()
            if backend is None:
                return losses.no_master(self.whole, statement)
            if self.ensure_open(backend):
                break
            self.give_up_on(backend)
        self.retriable = False
        if self.session.trx.active:
            self.trx_target = backend
        self.write(backend, statement, False)
        return ROUTED

    def to_slave(self, statement: Statement) -> int:
        trx = self.session.trx
        if trx.active:
            backend = self.trx_target
            if backend is not None and backend.in_use():
                self.retriable = False
                self.write(backend, statement, True)
                return ROUTED
            if backend is not None and not trx.starting:
                self.session.close(
                    "the server of the open transaction is gone",
                    log="A transaction is open and its server is gone",
                )
                return FAILED
        backend = self.open_slave()
        if backend is None:
            return losses.no_slave(self.whole, statement)
        if trx.active:
            self.trx_target = backend
            self.retriable = False
        else:
            self.remember(statement)
        self.write(backend, statement, True)
        return ROUTED

    def open_slave(self) -> Backend | None:
        """The best server for a read, connected or connecting."""
        while True:
            backend = self.candidates.best_slave(self.master, self.can_recover(), -1, self.tried)
            if backend is None:
                # None of the rank that counts will do: the primary does, whatever its rank.
                backend = self.candidates.best_master(self.can_recover(), self.tried)
            if backend is None or self.ensure_open(backend):
                return backend
            self.give_up_on(backend)

    def give_up_on(self, backend: Backend) -> None:
        """The present statement does not go there."""
        if self.tried is NONE_TRIED:
            self.tried = set()
        self.tried.add(backend.index)

    def _to_last(self, statement: Statement) -> int:
        backend = self.last_target
        if backend is None or not backend.in_use():
            return self.to_master(statement)
        self.retriable = False
        self.write(backend, statement, True)
        return ROUTED

    def to_all(self, statement: Statement) -> int:
        session = self.session
        trx = session.trx
        replay = self.replay if trx.active else None
        if replay is not None:
            replay.history_changes()
        if statement.command == COM_STMT_CLOSE:
            if replay is not None:
                replay.take(statement, 0)
            for backend in session.backends:
                # A connection that is not open has no statements.
                if backend.in_use() and not backend.will_repeat():
                    backend.write(statement, K_NONE, 0, True)
            return ROUTED
        replier = self.replier()
        if replier is None:
            return losses.no_replier(self.whole, statement)
        others = [backend for backend in session.backends if backend.in_use() and backend is not replier]
        limit = max(self.config.history_limit, _BEHIND_MIN)
        for backend in list(others):
            if backend.owed() > limit:
                session.log_info(f"'{backend.server.name}' is too far behind with session commands: closing")
                self.discard(backend, "too many unanswered session commands")
                others.remove(backend)
        self.retriable = False
        mask = statement.type_mask
        record = statement.command not in _NEVER_RECORDED and not (
            mask & TYPE_GSYSVAR_WRITE and not mask & TYPE_SESSION_WRITE and not mask & TRX_BITS
        )
        self._count(replier, TARGET_ALL)
        for backend in others:
            self._count(backend, TARGET_ALL)
        packet = statement.packet()
        entry_id = session.send_all(statement, replier, others, record)
        self.command_packet = (packet, statement.command, entry_id)
        self.last_target = replier
        self.last_kind = TARGET_ALL
        if trx.active and self.trx_target is None:
            self.trx_target = replier
        if replay is not None:
            replay.take(statement, entry_id)
        return ROUTED

    def replier(self) -> Backend | None:
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
        if not self.can_recover():
            return None
        if self.config.master_accept_reads and self.config.master_reconnection:
            found = self.usable_master()
            if found is not None and self.ensure_open(found):
                return found
        found = self.open_slave()
        if found is not None:
            if self.board.server(found.slot, _STATUS) & _MASTER:
                self.master = found
            return found
        found = self.usable_master()
        return found if found is not None and self.ensure_open(found) else None

    def write(self, backend: Backend, statement: Statement, is_read: bool) -> None:
        kind = self.decision & _TARGET_MASK
        self.last_target = backend
        self.last_kind = kind
        self.plain = (
            kind == _T_MASTER and not statement.type_mask & _TRX_BITS and statement.command == _COM_QUERY
        )
        self._count(backend, kind)
        if self.replay is not None and self.session.trx.active:
            self.replay.take(statement, 0)
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

    def remember(self, statement: Statement) -> bool:
        """Keep a read so that it can be repeated on another server; False if it cannot be kept."""
        size = statement.end - statement.start
        if not self._retry_reads or size > _RETRY_BYTES_MAX or statement.continues:
            self.retriable = False
            return False
        copy_bytes(self.retry_packet, statement.buf, statement.start, statement.end)
        self.retry_command = statement.command
        self.retry_ps = statement.ps_id
        self.retriable = True
        return True

    def _discard_stale(self) -> None:
        """Close connections whose server should not be used any more, between two statements."""
        session = self.session
        if session.trx.active:
            return
        self._generation = self.board.get(_GENERATION)
        rank = self.candidates.current_rank(self.master)
        for backend in session.backends:
            if not backend.in_use():
                continue
            status = self.board.server(backend.slot, _STATUS)
            own_rank = self.board.server(backend.slot, RANK)
            reason = ""
            if status & _USABLE != _RUNNING:
                reason = "its server is down"
                if status & _ENDS:
                    reason = f"its server is {'in maintenance' if status & _MAINT else 'drained'}"
            elif own_rank != rank:
                reason = f"its server has rank {own_rank} and the current rank is {rank}"
            elif self._lags(backend, status):
                reason = "its server lags too far behind"
            if not reason:
                continue
            if backend.pending or backend.backlog:
                self._generation -= 1
            elif backend is self.master and self.bound_by():
                session.close(self.bound_by(), log=f"'{backend.server.name}' cannot be used: {reason}")
                return
            else:
                self.discard(backend, reason)

    def _lags(self, backend: Backend, status: int) -> bool:
        """Whether a replica is so far behind that its connection is given up."""
        limit = self.config.max_replication_lag
        if not limit or status & _MASTER:
            return False
        return self.board.server(backend.slot, LAG) > max(2 * limit, STALE_LAG_SECONDS_MIN)

    def discard(self, backend: Backend, reason: str) -> None:
        """Close a connection that owes nothing to the client."""
        self.session.log_info(f"Discarding connection to '{backend.server.name}': {reason}")
        self.account_for(backend)
        backend.close()

    def account_for(self, backend: Backend) -> None:
        """Count a connection that ends in the statistics of its server."""
        pair = self._pairs + backend.slot * _P_CELLS
        self.board.add(pair + P_SESSIONS, 1)
        self.board.add(pair + P_SESSION_MS, (self.session.client.poller.now_us - backend.opened_us) // 1000)
        self.board.add(pair + P_ACTIVE_MS, backend.active_us // 1000)
        backend.active_us = 0

    def leave(self, backend: Any, reason: str) -> None:
        if self.session.expecting == 0:
            self._discard_stale()

    def replay_target(self, history: list[Any] | None, database: str) -> Backend | None:
        """The server on which the transaction is to be repeated, connected or connecting.

        With a history its connection is a new one that has executed just that.
        """
        trx = self.session.trx
        self.trx_target = None
        self.on_replica = False
        self.tried.clear()
        if trx.read_only and self.next_trx is None:
            target = self.candidates.best_slave(self.master, self.can_recover(), -1, self.tried)
        else:
            target = self.usable_master()
        if target is None:
            return None
        if history is not None:
            if target.in_use():
                self.discard(target, "the transaction is repeated on a new connection")
            target.to_replay = history
            target.login_database = database
        if not self.ensure_open(target):
            return None
        self.trx_target = target
        return target
