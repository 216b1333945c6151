"""One client's session from its login to its end: its state, its server connections, and the order of
replies.

The client connection hands in whole commands; the session knows what they are, answers the few that are its
own (KILL, refused databases, unknown statement ids) and gives the rest to the router. A command that cannot
be taken now is left where it is and the client's channel is paused, so nothing is queued and order is kept.

Invariant: `expecting` is the number of replies the client still has to get from servers; a reply of the
session's own is sent only when it is 0.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any

from fairlead.cluster.board import (
    V_ENDED_SESSIONS,
    V_PACKETS,
    V_SESCMD_LEN_MAX,
    V_SESCMD_LEN_TOTAL,
    V_SESSION_MS_MAX,
    V_SESSION_MS_TOTAL,
    V_SESSIONS,
    V_TOTAL_SESSIONS,
    V_WAITING,
    Board,
    worker_service_index,
)
from fairlead.net.channel import Channel
from fairlead.protocol import packets, statements
from fairlead.protocol.charsets import charset_of
from fairlead.protocol.constants import (
    CLIENT_SESSION_TRACK,
    COM_BINLOG_DUMP,
    COM_CHANGE_USER,
    COM_INIT_DB,
    COM_PING,
    COM_PROCESS_KILL,
    COM_QUERY,
    COM_QUIT,
    COM_RESET_CONNECTION,
    COM_STMT_BULK_EXECUTE,
    COM_STMT_CLOSE,
    COM_STMT_EXECUTE,
    COM_STMT_FETCH,
    COM_STMT_PREPARE,
    COM_STMT_RESET,
    COM_STMT_SEND_LONG_DATA,
    MAX_PACKET,
)
from fairlead.protocol.errors import ProtocolError
from fairlead.protocol.statements import same_types
from fairlead.protocol.tracker import R_ERR, R_OK, R_RESULT, expects_reply
from fairlead.session.backend import (
    B_FAILED,
    B_PLANNED,
    B_READY,
    B_REPLAY,
    K_CLIENT,
    K_NONE,
    K_OWN,
    K_PING,
    K_PROBE,
    K_REPLAY,
    K_SYNC,
    K_VERIFY,
    Backend,
    BackendOwner,
)
from fairlead.session.backend_login import BackendLogin
from fairlead.session.history import Entry, History, steps
from fairlead.session.kill import kill_message
from fairlead.session.own_answers import explain_route, prepare_again, prepared_first
from fairlead.session.prepared import Prepared
from fairlead.session.records import retain, tell
from fairlead.session.router import FAILED, ROUTED, WAIT, RouterSession
from fairlead.session.statement import Statement
from fairlead.session.tap import ReplyTap
from fairlead.session.trace import Trace
from fairlead.session.trx import TrxTracker
from fairlead.sql.hints import HintStack, parse_hints
from fairlead.sql.types import (
    MODE_MULTIBYTE,
    MODE_NO_BACKSLASH_ESCAPES,
    MODE_ORACLE,
    OP_CHANGE_DB,
    OP_EXECUTE,
    OP_EXPLAIN,
    OP_KILL,
    OP_SET,
    TYPE_DEALLOC_PREPARE,
    TYPE_DISABLE_AUTOCOMMIT,
    TYPE_ENABLE_AUTOCOMMIT,
    TYPE_GSYSVAR_READ,
    TYPE_PREPARE_NAMED_STMT,
    TYPE_PREPARE_STMT,
    TYPE_READ,
    TYPE_SESSION_WRITE,
    TYPE_SYSVAR_READ,
    TYPE_USERVAR_WRITE,
    TYPE_WRITE,
    UNSAFE_CHARSETS,
)

if TYPE_CHECKING:
    from fairlead.session.ports import Host
    from fairlead.session.service import ServiceRuntime
    from fairlead.sql.info import QueryInfo

_V_PACKETS = V_PACKETS
_COM_STMT_CLOSE = COM_STMT_CLOSE
_COM_STMT_SEND_LONG_DATA = COM_STMT_SEND_LONG_DATA
_K_VERIFY = K_VERIFY
_K_REPLAY = K_REPLAY
_COM_QUERY = COM_QUERY
_COM_QUIT = COM_QUIT
_COM_STMT_PREPARE = COM_STMT_PREPARE
_COM_STMT_EXECUTE = COM_STMT_EXECUTE
_MAX_PACKET = MAX_PACKET
_ROUTED = ROUTED
_WAIT = WAIT
_FAILED = FAILED
_K_CLIENT = K_CLIENT
_R_ERR = R_ERR
_R_OK = R_OK
_R_RESULT = R_RESULT
# Server status: backslashes are ordinary characters in strings.
_NO_BACKSLASH_STATUS = 0x0200
_NO_BACKSLASH = MODE_NO_BACKSLASH_ESCAPES
_B_READY = B_READY

_NAMES_ITS_STATEMENT = frozenset(
    (
        COM_STMT_EXECUTE,
        COM_STMT_BULK_EXECUTE,
        COM_STMT_FETCH,
        COM_STMT_RESET,
        _COM_STMT_CLOSE,
        _COM_STMT_SEND_LONG_DATA,
    )
)
_COMMAND_NAMES = {
    COM_STMT_EXECUTE: "COM_STMT_EXECUTE",
    COM_STMT_BULK_EXECUTE: "COM_STMT_BULK_EXECUTE",
    COM_STMT_FETCH: "COM_STMT_FETCH",
    COM_STMT_RESET: "COM_STMT_RESET",
}
# They change nothing on a connection that has only just been opened.
_NOTHING_ON_A_NEW_ONE = frozenset((COM_PING, COM_STMT_RESET, COM_RESET_CONNECTION))
_LAST_PREPARED = 0xFFFFFFFF
_QUIT = b"\x01\x00\x00\x00\x01"
_FIXED_BYTES = statements.FIXED_BYTES
# Operations that mean something to the session itself, as bits.
_EXPLAIN_ROUTE = re.compile(rb"\s*explain\s+route\s+(.*)", re.IGNORECASE | re.DOTALL)
_SPECIAL = 1 << OP_KILL | 1 << OP_EXPLAIN | 1 << OP_CHANGE_DB | 1 << OP_EXECUTE | 1 << OP_SET
# Locks, open handlers, distributed transactions, and procedures, which may do anything.
_TIES = re.compile(rb"\s*(lock|xa|handler|flush|backup|call)\b", re.IGNORECASE)
# What a statement that changes the default database contains.
_USES = re.compile(rb"\buse\b", re.IGNORECASE)
_CHANGES_SESSION = (
    TYPE_SESSION_WRITE
    | TYPE_USERVAR_WRITE
    | TYPE_ENABLE_AUTOCOMMIT
    | TYPE_DISABLE_AUTOCOMMIT
    | TYPE_PREPARE_NAMED_STMT
    | TYPE_DEALLOC_PREPARE
)
_READS = TYPE_READ | TYPE_SYSVAR_READ | TYPE_GSYSVAR_READ
_NAMED = TYPE_PREPARE_NAMED_STMT | TYPE_DEALLOC_PREPARE
# Of sessions that reuse none; never written to.
_NONE_KNOWN: dict[bytes, tuple[int, bytes]] = {}


def _ties(info: QueryInfo) -> bool:
    """Whether a statement may leave something that cannot be made again on another connection."""
    if info.temp_table is not None or info.unsafe_to_reconnect or info.multi:
        return True
    return _TIES.match(info.canonical) is not None


def _is_session_command(statement: Statement) -> bool:
    """Whether every further connection of the session has to execute it as well."""
    if statement.command == COM_INIT_DB:
        return True
    mask = statement.type_mask
    return statement.command == COM_QUERY and not mask & TYPE_WRITE and mask & _CHANGES_SESSION != 0


class Session(BackendOwner):
    """`connection` is the client connection that owns `client`, its channel."""

    def __init__(
        self, host: Host, service: ServiceRuntime, session_id: int, connection: Any, client: Channel
    ) -> None:
        super().__init__()
        self.host = host
        self.service = service
        self.id = session_id
        self.connection = connection
        self.client = client
        self.user = ""
        self.password = b""
        self.backend_user = ""
        self.backend_password = b""
        self.database = ""
        self.role = ""
        self.charset = 8
        self.capabilities = 0
        self.account: Any = None
        self.attributes = b""
        self.remote = ""
        self.remote_port = 0
        self.local_socket = False
        # The client's session is one on another service, which has this one for a target.
        self.is_below = False
        self.listener: Any = None
        self.board: Board = host.board
        self.counters = worker_service_index(host.worker, service.slot, 0)
        self.backends: list[Backend] = []
        self.router: RouterSession = RouterSession()
        self.statement = Statement()
        self.trx = TrxTracker()
        self.history = History(service.history_limit, service.history_prunes, service.history_disabled)
        self.classifier = host.classifier
        # How the text of statements is read: MODE_* bits of fairlead.sql.types.
        self.sql_mode = int(self.classifier.sql_mode)
        # Statements of PREPARE by their names, and the default database when they were prepared.
        self.named: dict[str, Any] = {}
        self.named_databases: dict[str, str] = {}
        self.functions = service.functions
        # Whether `database` is for certain the default database, and whether `pending_database` will be.
        self.database_known = True
        self.pending_known = True
        self.last_prepared = 0
        # Equal texts are prepared once: (id, reply) by text; the reply under way, if it is to be kept.
        self.reuses_prepares = service.reuses_prepares
        self.known_prepares: dict[bytes, tuple[int, bytes]] = {} if service.reuses_prepares else _NONE_KNOWN
        self.captured: bytearray | None = None
        self.prepare_hints: tuple[Any, ...] = ()
        self.expecting = 0
        # The server that asked for the data of LOAD DATA, and how often it did: once for each statement.
        self.load_backend: Backend | None = None
        self.loads = 0
        self.stream_targets: list[Backend] = []
        self.closed = False
        self.waiting = False
        # A reply of the session's own is owed: no other may overtake it.
        self.own_reply = False
        # The service is paused, and that holds back a command of this session.
        self.pausing = False
        self.held_back = False
        self.ready = False
        # Sees the replies before the client, if there is one.
        self.tap: ReplyTap | None = None
        # What server connections need beyond what the client asked for.
        self.extra_capabilities = 0
        # Connections are planned, and the host will say when to open them.
        self.planning = False
        self.close_reason = ""
        self.kill_message = ""
        # Why the session must not continue on another primary connection, e.g. GET_LOCK().
        self.unsafe = ""
        # Default database at the login.
        self.first_database = ""
        # Others may use its server connections while it is idle, unless something ties it to them.
        self.shares = service.shares
        self.pinned = False
        # Type bits of everything the client did.
        self.did = 0
        self.created_us = self.client.poller.now_us
        self.active_us = self.created_us
        self.created_at = host.wall_clock()
        self.turn = 0
        self.pending_verify: dict[int, list[tuple[Backend, bool]]] = {}
        self.last_reason = ""
        self.pending_database: str | None = None
        self.looked_again_for: str | None = None
        # The stack of routing hints; None unless the service has a hintfilter.
        self.hints = HintStack() if service.has_hints else None
        # The story of the session; None unless session_trace is on.
        self.trace: Trace | None = None
        if service.trace_lines:
            self.trace = Trace(service.trace_lines, service.trace_match)
        retained = service.retain_last_statements(host.globals)
        self.queries: deque[dict[str, Any]] | None = deque(maxlen=retained) if retained else None

    # -- start

    def start(self) -> str:
        """Let the router begin; a reason if the session has to be refused, else empty."""
        board = self.board
        count = max(1, board.workers)
        for index, server in enumerate(self.service.targets):
            backend = Backend(self, server, index, board, self.host.worker)
            # Among equals the one used longest ago is chosen: let new sessions begin with different ones.
            backend.used_turn = -((index + self.id // count) % len(self.service.targets))
            self.backends.append(backend)
        self.first_database = self.database
        self.pausing = self.service.standing.paused
        self.router = self.service.new_router(self)
        board.add(self.counters + V_SESSIONS, 1)
        board.add(self.counters + V_TOTAL_SESSIONS, 1)
        self.ready = True
        self.set_text_mode()
        return self.router.start()

    def come_from(self, upper: Session) -> None:
        """Be the session, on a service below, of a client that has logged in to another service."""
        self.is_below = True
        self.listener = upper.listener
        self.user, self.password = upper.user, upper.password
        self.backend_user, self.backend_password = upper.backend_user, upper.backend_password
        self.database, self.role = upper.database, upper.role
        self.database_known = upper.database_known
        self.charset, self.attributes, self.account = upper.charset, upper.attributes, upper.account
        self.capabilities = upper.capabilities | upper.extra_capabilities
        self.remote, self.remote_port = upper.remote, upper.remote_port
        self.local_socket = upper.local_socket

    def set_text_mode(self) -> None:
        """Read statements as the listener and the client's character set say."""
        mode = int(self.classifier.sql_mode)
        if self.listener is not None and self.listener.params.get("sql_mode") == "oracle":
            mode |= MODE_ORACLE
        if charset_of(self.charset) in UNSAFE_CHARSETS:
            mode |= MODE_MULTIBYTE
        self.sql_mode = mode

    def open_backend(self, backend: Backend) -> bool:
        """Begin to connect; False if that fails at once."""
        try:
            self.host.connect(self, backend)
        except OSError as error:
            backend.failure = str(error)
            return False
        return True

    def plan_backend(self, backend: Backend) -> None:
        """Count on a connection without opening it yet; a session on a service below begins at once."""
        if backend.server.service and self.open_backend(backend):
            return
        if not self.planning:
            self.planning = True
            self.host.open_later(self)
        backend.plan()

    def open_planned(self) -> None:
        """The client stays: open what was planned."""
        self.planning = False
        for backend in self.backends:
            if self.closed:
                return
            if backend.state == B_PLANNED:
                self.backend_needed(backend)

    def backend_needed(self, backend: Backend) -> None:
        if not self.open_backend(backend):
            # The statement that needs it is still being routed: let that end first.
            self.host.call_later(0, lambda: self._cannot_open(backend))

    def _cannot_open(self, backend: Backend) -> None:
        if not self.closed and backend.state == B_PLANNED:
            self.backend_gone(backend, backend.failure)

    # -- commands of the client

    def command(self, buf: bytearray, start: int, end: int) -> int:
        """A whole command packet: ROUTED, WAIT (present it again later) or FAILED (the session has ended)."""
        statement = self.statement
        p = buf
        command = p[start + 4]
        statement.buf = buf
        statement.start = start
        statement.end = end
        statement.command = command
        statement.info = None
        statement.type_mask = 0
        statement.ps_id = 0
        statement.prepared = None
        statement.hints = ()
        statement.replies = True
        statement.continues = end - start - 4 == _MAX_PACKET
        self.active_us = self.client.poller.now_us
        if self.own_reply:
            return _WAIT
        if self.pausing and self._held_back(command):
            return _WAIT
        if command == _COM_QUERY:
            result = self._query(statement)
        elif command == _COM_QUIT:
            if self.expecting:
                # What was sent before the goodbye is carried out.
                return _WAIT
            self.connection.leaving = True
            self.close("client left")
            return _FAILED
        else:
            result = self._other(statement)
        if result == _ROUTED:
            self.board.add(self.counters + _V_PACKETS, 1)
            if self.queries is not None:
                retain(self, statement)
            if self.trace is not None:
                tell(self, statement)
            if self.closed:
                return _FAILED
        return result

    def _held_back(self, command: int) -> bool:
        """Whether the pause of the service holds this command back: what is under way is finished first."""
        if command == _COM_QUIT or self.trx.active:
            return False
        if not self.held_back:
            self.held_back = True
            self.board.add(self.counters + V_WAITING, 1)
        return True

    def end_pause(self) -> None:
        """The service is not paused any more."""
        self.pausing = False
        if self.held_back:
            self.held_back = False
            self.board.add(self.counters + V_WAITING, -1)
            self.resume_client()

    def _query(self, statement: Statement) -> int:
        info = self.classifier.classify(
            statement.buf, statement.start + 5, statement.end, False, self.sql_mode
        )
        if info.reading is not None:
            info = self.judged(info, self.known_database())
        if info.hides_use:
            self._may_have_used(info)
        statement.info = info
        statement.type_mask = info.type_mask
        self.did |= info.type_mask
        if self.hints is not None:
            statement.hints = self.hints.apply(parse_hints(statement.buf, statement.start + 5, statement.end))
        if self.shares and not self.pinned and _ties(info):
            self.pinned = True
        if _SPECIAL >> info.operation & 1 or statement.type_mask & _NAMED:
            result = self._special(statement, info)
            if result:
                return result
        return self.router.route(statement)

    def _special(self, statement: Statement, info: Any) -> int:
        """What concerns the session itself; 0 if it is to be routed like any other."""
        if info.operation == OP_EXPLAIN:
            match = _EXPLAIN_ROUTE.match(statement.buf, statement.start + 5, statement.end)
            return 0 if match is None else explain_route(self, statement, match)
        if info.operation == OP_KILL:
            if info.kill is None:
                return 0
            if self.expecting:
                return WAIT
            return self._kill(kill_message(info.kill, self))
        if info.operation == OP_CHANGE_DB:
            return self._change_database(info.use_database, not info.hides_use)
        if info.operation == OP_EXECUTE:
            name = info.prepare_name.lower()
            inner = self.named.get(name)
            if inner is not None and inner.reading is not None:
                inner = self.judged(inner, self.named_databases[name])
            statement.type_mask = TYPE_WRITE if inner is None else inner.type_mask
        elif statement.type_mask & TYPE_PREPARE_NAMED_STMT:
            if self.expecting:
                return WAIT
            name = info.prepare_name.lower()
            if info.prepared is None:
                self.named.pop(name, None)
            else:
                self.named[name] = info.prepared
                self.named_databases[name] = self.known_database()
        elif statement.type_mask & TYPE_DEALLOC_PREPARE:
            if self.expecting:
                return WAIT
            self.named.pop(info.prepare_name.lower(), None)
        elif info.changes_charset and not info.sql_mode_flags >= 0:
            if self.expecting:
                return WAIT
            if info.charset.lower() in UNSAFE_CHARSETS or not info.charset:
                self.sql_mode |= MODE_MULTIBYTE
            else:
                self.sql_mode &= ~MODE_MULTIBYTE
        elif info.sql_mode_flags >= 0:
            if self.expecting:
                return WAIT
            self.sql_mode = info.sql_mode_flags | (self.sql_mode & MODE_MULTIBYTE)
        return 0

    def judged(self, info: QueryInfo, database: str) -> QueryInfo:
        """What a statement is, given what the service knows of the functions that it calls."""
        if info.reading is not None and self.functions.cover(info.called, database):
            return info.reading
        return info

    def known_database(self) -> str:
        """The default database, empty if that is not known for certain."""
        if not self.database_known or self.pending_database is not None:
            return ""
        listener = self.listener
        if listener is not None and any(_USES.search(sql) for sql in listener.init_statements):
            return ""
        return self.database

    def _may_have_used(self, info: QueryInfo) -> None:
        """A statement that may change the default database without telling which it is then."""
        if info.operation == OP_EXECUTE and not info.multi:
            inner = self.named.get(info.prepare_name.lower())
            if inner is not None and not inner.hides_use and not inner.use_database:
                return
        self.database_known = self.pending_known = False

    def _other(self, statement: Statement) -> int:
        command = statement.command
        buf, start, end = statement.buf, statement.start, statement.end
        self.did |= TYPE_WRITE
        if command == COM_STMT_PREPARE and statement.continues:
            # It could not be prepared again on another connection: only the first packet would be kept.
            return self.answer_error(1153, "08S01", "Got a packet bigger than 'max_allowed_packet' bytes")
        if command == COM_STMT_PREPARE:
            info = self.classifier.classify(buf, start + 5, end, True, self.sql_mode)
            statement.info = info
            statement.type_mask = info.type_mask | TYPE_PREPARE_STMT
            if self.hints is not None:
                self.prepare_hints = parse_hints(buf, start + 5, end)
            if self.reuses_prepares:
                result = prepare_again(self, statement)
                if result:
                    return result
            return self.router.route(statement)
        if command in _NAMES_ITS_STATEMENT:
            return self._execute(statement)
        if command == COM_INIT_DB:
            refused = self._change_database(buf[start + 5 : end].decode("utf-8", "surrogateescape"))
            return refused or self.router.route(statement)
        if command == COM_CHANGE_USER:
            if self.expecting:
                return WAIT
            return int(self.connection.change_user(buf, start, end))
        if command == COM_PROCESS_KILL:
            if self.expecting:
                return WAIT
            if end - start < 9:
                return self.answer_error(1835, "HY000", "Malformed communication packet")
            target = int.from_bytes(buf[start + 5 : start + 9], "little")
            return self._kill(kill_message(None, self, target))
        if command == COM_BINLOG_DUMP and not self.listener.params.get(
            "mariadbprotocol.allow_replication", True
        ):
            return self.answer_error(1289, "HY000", "Replication protocol is disabled")
        statement.replies = expects_reply(command)
        return self.router.route(statement)

    def _execute(self, statement: Statement) -> int:
        """A command that names a prepared statement: replace the client's id by what it stands for."""
        command = statement.command
        start = statement.start
        end = statement.end
        statement.replies = command != _COM_STMT_CLOSE and command != _COM_STMT_SEND_LONG_DATA
        if end - start < 9:
            return self.answer_error(1835, "HY000", "Malformed communication packet")
        p = statement.buf
        given = p[start + 8]
        given = (given << 24) | (p[start + 7] << 16) | (p[start + 6] << 8) | p[start + 5]
        if given == _LAST_PREPARED and self.expecting:
            return WAIT
        statement.ps_id = self.last_prepared if given == _LAST_PREPARED else given
        prepared = self.statements.get(statement.ps_id)
        if prepared is None:
            if not statement.replies:
                return ROUTED
            return self.answer_error(
                1243,
                "HY000",
                f"Unknown prepared statement handler ({given}) for {_COMMAND_NAMES[command]} given",
            )
        if command == COM_STMT_SEND_LONG_DATA and any(backend.backlog for backend in self.backends):
            # There is no reply to wait for: what is sent ahead would pile up.
            return WAIT
        if prepared.uses > 1 and command == _COM_STMT_CLOSE:
            prepared.uses -= 1
            return ROUTED
        statement.prepared = prepared
        statement.hints = prepared.hints
        info = prepared.info
        if info.reading is not None:
            info = self.judged(info, prepared.database)
        if info.hides_use or info.use_database:
            self.database_known = self.pending_known = False
        statement.info = info
        statement.type_mask = info.type_mask
        statement.has_types = False
        if self.shares and (command == _COM_STMT_SEND_LONG_DATA or (end - start > 9 and p[start + 9])):
            # Pieces of long data, and cursors, are where they are.
            self.pinned = True
        if command == _COM_STMT_EXECUTE:
            parameters = prepared.parameters
            bound = start + _FIXED_BYTES + (parameters + 7) // 8
            if parameters and bound < end and p[bound] == 1:
                if same_types(statement.buf, start, end, prepared.types):
                    statement.has_types = True
                else:
                    self._typed(statement, prepared)
        result = self.router.route(statement)
        if result == ROUTED and command == _COM_STMT_CLOSE:
            self.history.forget(statement.ps_id)
            del self.statements[statement.ps_id]
            self.known_prepares.pop(prepared.text, None)
        return result

    def _typed(self, statement: Statement, prepared: Prepared) -> None:
        """The execution carries parameter types: they also hold for later ones that do not."""
        types = statements.types_of(statement.buf, statement.start, statement.end, prepared.parameters)
        if types:
            statement.has_types = True
            if types != prepared.types:
                prepared.types = types
                prepared.version += 1

    def has_types(self, statement: Statement) -> bool:
        """Whether this EXECUTE packet carries parameter types."""
        prepared = statement.prepared
        return prepared is not None and statements.has_types(statement.packet(), prepared.parameters)

    def _change_database(self, database: str, known: bool = True) -> int:
        """Check the access; 0 if the command may be routed."""
        if self.expecting:
            return WAIT
        # The servers know it best, unless the client is another user there.
        refused = 0
        if self.backend_user != self.user:
            refused = self.check_database(self.account, database, self.role)
        if refused:
            if self.looked_again_for != database:
                # It may have been created or granted a moment ago: look again before refusing.
                self.looked_again_for = database
                self.host.reload_accounts(self.service, self._looked_again)
                return WAIT
            self.looked_again_for = None
            return self.answer_error(*self.database_error(refused, database))
        self.looked_again_for = None
        self.pending_database = database
        self.pending_known = known
        return 0

    def _looked_again(self) -> None:
        """The accounts have been read again, or may not be: judge the waiting command now."""
        if not self.closed:
            self.resume_client()

    def check_database(self, account: Any, database: str, role: str) -> int:
        """0, 1044 or 1049 for a default database."""
        if account is None:
            return 0
        return int(self.listener.directory.check_database(account, database, role or None))

    def database_error(self, code: int, database: str) -> tuple[int, str, str]:
        """The error packet for a database that is refused with this code."""
        if code == 1049:
            return 1049, "42000", f"Unknown database '{database}'"
        return 1044, "42000", f"Access denied for user '{self.user}'@'{self.remote}' to database '{database}'"

    def _kill(self, message: Any) -> int:
        if message is None:
            self.client_error(1, 1927, "70100", "Connection was killed")
            self.close("killed by its own request")
            return FAILED
        self.expecting += 1
        self.own_reply = True
        self.host.forward_kill(message, self)
        return ROUTED

    def user_changed(self) -> str:
        """The client has become another user: nothing of the former one is left on any server."""
        for backend in self.backends:
            backend.close()
        self.history.clear()
        self.statements.clear()
        self.known_prepares.clear()
        self.named.clear()
        self.trx.reset()
        self.unsafe = ""
        self.set_text_mode()
        self.pinned = False
        self.first_database = self.database
        self.role = ""
        self.pending_verify.clear()
        self.pending_database = None
        self.database_known = True
        return self.router.user_changed()

    def kill_done(self) -> None:
        """The KILL of this session has been carried out everywhere."""
        if not self.closed:
            self.expecting -= 1
            self.own_reply = False
            self.send_bytes(packets.build_ok(1, status=self._status()))
            self.resume_client()

    def _status(self) -> int:
        return (2 if self.trx.autocommit else 0) | (1 if self.trx.active else 0)

    # -- answers of the session itself

    def answer_error(self, code: int, sqlstate: str, message: str) -> int:
        """Answer the present command with an error."""
        if self.expecting:
            return WAIT
        self.client_error(1, code, sqlstate, message)
        return ROUTED

    def client_error(self, sequence: int, code: int, sqlstate: str, message: str) -> None:
        """Send an error packet to the client."""
        self.send_bytes(packets.build_err(sequence, code, sqlstate, message))

    def send_bytes(self, data: bytes) -> None:
        """Send packets of the session's own to the client."""
        self.client.send(bytearray(data), 0, len(data))

    # -- what routers use

    def send(self, backend: Backend, statement: Statement, entry_id: int, is_read: bool) -> None:
        """Send the command to the server whose reply the client gets."""
        self.turn += 1
        backend.used_turn = self.turn
        if statement.replies:
            self.expecting += 1
        if statement.continues:
            self.stream_targets = [backend]
        backend.write(statement, K_CLIENT, entry_id, is_read)

    def route_single(self, backend: Backend, statement: Statement) -> None:
        """Send any command to the one server of the session."""
        if statement.command in (COM_STMT_PREPARE, COM_RESET_CONNECTION):
            record = self.shares and statement.command == COM_STMT_PREPARE
            self.send_all(statement, backend, [], record=record)
        elif self.shares and _is_session_command(statement):
            self.send_all(statement, backend, [], record=True)
        else:
            self.send(backend, statement, 0, True)

    def send_all(self, statement: Statement, replier: Backend, others: list[Backend], record: bool) -> int:
        """Send a session command everywhere; the client gets the reply of `replier`. Returns its history
        id.
        """
        entry_id = 0
        kept = None
        is_prepare = statement.command == COM_STMT_PREPARE
        if record or is_prepare:
            entry_id = self.history.next_id()
            if record:
                if self.history.is_full():
                    self._keep_for_late_ones()
                packet = bytes(statement.packet()[4:])
                kept = self.history.add(entry_id, statement.command, packet, is_prepare)
                if kept is not None:
                    self._place(kept, statement)
        if is_prepare:
            assert statement.info is not None
            self.statements[entry_id] = Prepared(entry_id, statement.info, self.known_database())
            self.statements[entry_id].hints = self.prepare_hints
            self.prepare_hints = ()
            self.last_prepared = entry_id
        may_spare = kept is not None or statement.command in _NOTHING_ON_A_NEW_ONE
        for backend in others:
            if not (may_spare and backend.will_repeat()):
                backend.write(statement, _K_VERIFY, entry_id, True)
        self.send(replier, statement, entry_id, True)
        if statement.continues:
            self.stream_targets = [replier, *others]
        if statement.command == COM_RESET_CONNECTION:
            self._reset()
        return entry_id

    def _place(self, entry: Entry, statement: Statement) -> None:
        """Note the database in which a session command is executed. Names that depend on character sets are
        not noted: they cannot be given to a server in another way than the client's own.
        """
        info = statement.info
        if statement.command == COM_INIT_DB or (info is not None and info.operation == OP_CHANGE_DB):
            entry.moves_to = self.pending_database or ""
        else:
            database = self.known_database()
            entry.database = database if database.isascii() else ""

    def _keep_for_late_ones(self) -> None:
        """Connections that are on their way will still need what the history is about to drop."""
        for backend in self.backends:
            if backend.in_use() and backend.state not in (B_READY, B_REPLAY) and backend.to_replay is None:
                backend.to_replay = list(self.history.entries.values())

    def _reset(self) -> None:
        """The connection is as after a login, apart from its database."""
        self.history.clear()
        self.statements.clear()
        self.known_prepares.clear()
        self.named.clear()
        self.trx.reset()
        self.unsafe = ""
        self.set_text_mode()
        self.pending_verify.clear()
        for backend in self.backends:
            backend.forget_statements()
        self.router.connection_reset()

    # -- replies

    def client_bytes(self, backend: Backend, buf: bytearray, start: int, end: int) -> None:
        if backend.tracker.wants_local_infile:
            # From here to an empty packet the client sends data, even if the server changes its mind.
            self.load_backend = backend
            self.loads += 1
            self.resume_client()
            if self.tap is not None:
                self.tap.asks_for_data()
        if self.tap is not None:
            start = self.tap.passing(buf, start, end)
            if start >= end:
                return
        if self.captured is not None and backend.head_command == _COM_STMT_PREPARE:
            self.captured += buf[start:end]
        if self.watches_state and backend.tracker.ok_start:
            self._with_state(backend, buf, start, end)
        else:
            self.client.send(buf, start, end)

    def _with_state(self, backend: Backend, buf: bytearray, start: int, end: int) -> None:
        """The last packet reports session state: the router wants it, the client perhaps not."""
        at = backend.tracker.ok_start
        payload = bytes(buf[at : backend.tracker.ok_end])
        try:
            plain = packets.without_state(payload)
            if not (self.tap is not None and self.tap.hidden):
                self.router.session_state(backend, payload)
        except ProtocolError:
            self.backend_gone(backend, "the server sent session state that makes no sense")
            return
        if self.capabilities & CLIENT_SESSION_TRACK or backend.tracker.ok_end != end:
            self.client.send(buf, start, end)
            return
        if at - 4 > start:
            self.client.send(buf, start, at - 4)
        self.send_bytes(packets.frame(buf[at - 1], plain))

    def first_packet(self, backend: Backend, buf: bytearray, start: int, end: int) -> bool:
        if backend.tracker.kind != R_ERR:
            if backend.head_command != _COM_STMT_PREPARE:
                return self.router.reply_begins(backend)
            client_id = backend.head_id
            buf[start + 5 : start + 9] = client_id.to_bytes(4, "little")
            return True
        if buf[start + 4] != 0xFF:
            # Results came in front of the error: the client gets them, and it.
            return True
        error = packets.parse_err(bytes(buf[start + 4 : end]))
        backend.last_error = f"{error.errno}: {error.message}"
        return self.router.error_reply(backend, error.errno, error.sqlstate, error.message)

    def reply_done(self, backend: Backend, kind: int, command: int, entry_id: int) -> None:
        ok = backend.tracker.kind != _R_ERR
        if kind == _K_CLIENT:
            self.expecting -= 1
            if self.tap is not None and self.tap.hidden:
                self.router.backend_done(backend, kind, entry_id)
                return
            if entry_id:
                self._delivered(backend, command, entry_id, ok)
            if self.pending_database is not None:
                if ok:
                    self.database = self.pending_database
                    self.database_known = self.pending_known
                self.pending_database = None
            # An error has no status, but results in front of it may have begun or ended a transaction.
            status = backend.tracker.status
            if backend.tracker.kind == _R_OK or backend.tracker.kind == _R_RESULT or (not ok and status):
                self.trx.on_reply(status)
                if (status & _NO_BACKSLASH_STATUS != 0) != (self.sql_mode & _NO_BACKSLASH != 0):
                    self.sql_mode ^= _NO_BACKSLASH
            self.router.backend_done(backend, kind, entry_id)
            if self.waiting:
                self.resume_client()
            if self.shares and not self.expecting and not self.closed:
                self.host.session_idle(self)
        elif kind == _K_VERIFY:
            if entry_id:
                self._verify(backend, entry_id, ok)
            if backend.state == B_READY:
                self.router.backend_done(backend, kind, entry_id)
            if self.waiting:
                self.resume_client()
        elif kind == _K_REPLAY:
            self._replayed(backend, entry_id, ok)
        elif kind == K_OWN and not ok:
            self.drop_backend(backend, "a statement that every connection begins with failed there")
        elif backend.state == B_REPLAY:
            if not backend.pending:
                self._backend_ready(backend)
        elif kind in (K_OWN, K_SYNC, K_PROBE):
            self.router.own_done(backend, kind, ok)
            if self.waiting and not self.closed:
                self.resume_client()

    def _delivered(self, backend: Backend, command: int, entry_id: int, ok: bool) -> None:
        self.history.delivered(entry_id, ok)
        if command == COM_STMT_PREPARE:
            prepared = self.statements.get(entry_id)
            if prepared is not None:
                if ok:
                    prepared.parameters = backend.tracker.parameters
                    prepared.columns = backend.tracker.columns
                    entry = self.history.entries.get(entry_id)
                    if self.captured is not None and entry is not None:
                        prepared_first(self, prepared, entry.packet)
                else:
                    del self.statements[entry_id]
        for other, other_ok in self.pending_verify.pop(entry_id, ()):
            if other_ok != ok and other.state == B_READY:
                self._differs(other, entry_id)

    def _verify(self, backend: Backend, entry_id: int, ok: bool) -> None:
        expected = self.history.expected(entry_id)
        if expected is None:
            self.pending_verify.setdefault(entry_id, []).append((backend, ok))
        elif expected != ok:
            self._differs(backend, entry_id)

    def _differs(self, backend: Backend, entry_id: int) -> None:
        """A server did not do what the one did whose reply the client has: it is not used any more."""
        self.log_warning(
            f"Response from server '{backend.server.name}' to session command {entry_id} differs from the "
            "one that "
            f"the client got: closing this connection for the rest of the session. {backend.last_error}"
        )
        self.drop_backend(backend, "inconsistent session state", permanent=True)

    def _replayed(self, backend: Backend, entry_id: int, ok: bool) -> None:
        entry = self.history.entries.get(entry_id)
        expected = entry.ok if entry is not None else self.history.expected(entry_id)
        if expected is not None and expected != ok:
            backend.replay_failed = True
        if backend.owes(_K_REPLAY):
            return
        if backend.replay_failed:
            self._differs(backend, entry_id)
            return
        if not backend.pending:
            self._backend_ready(backend)

    def resume_client(self) -> None:
        """Take the command that had to wait, unless a server does not take what it got already."""
        for backend in self.backends:
            if backend.channel is not None and backend.channel.blocked:
                return
        self.waiting = False
        self.client.resume()

    # -- server connections: login

    def backend_connected(self, backend: Backend) -> None:
        backend.login = BackendLogin(self, backend)

    def backend_login_data(self, backend: Backend, buf: bytearray, start: int, end: int) -> int:
        return int(backend.login.feed(buf, start, end))

    def backend_logged_in(self, backend: Backend) -> None:
        """The server accepted the login: bring the connection to the state of the session."""
        backend.login = None
        backend.tracker.stops_at_state = self.watches_state
        waiting_ids = {item[3] for item in backend.backlog if item[3]}
        kept = self.history.entries.values() if backend.to_replay is None else backend.to_replay
        entries = [entry for entry in kept if entry.id not in waiting_ids]
        login_database = self.database if backend.login_database is None else backend.login_database
        backend.to_replay = None
        backend.login_database = None
        # A service below does it on its own connections.
        first = () if self.listener is None or backend.server.service else self.listener.init_statements
        if not entries and not first:
            self._backend_ready(backend)
            return
        backend.state = B_REPLAY
        for sql in first:
            self._send_own(backend, COM_QUERY, sql)
        for database, entry in steps(entries, login_database):
            if database:
                self._send_own(backend, COM_INIT_DB, database.encode())
            if entry is None:
                continue
            packet = packets.frame(0, entry.packet)
            if entry.is_prepare:
                backend.preparing.add(entry.id)
            assert backend.channel is not None
            backend.channel.send(bytearray(packet), 0, len(packet))
            backend.expect(entry.command, _K_REPLAY, entry.id)

    def _send_own(self, backend: Backend, command: int, rest: bytes) -> None:
        packet = packets.frame(0, bytes((command,)) + rest)
        assert backend.channel is not None
        backend.channel.send(bytearray(packet), 0, len(packet))
        backend.expect(command, K_OWN, 0)

    def _backend_ready(self, backend: Backend) -> None:
        backend.state = B_READY
        self.router.backend_ready(backend)
        backend.flush_backlog()
        if self.waiting:
            self.resume_client()

    def backend_closed(self, backend: Backend) -> None:
        self.host.backend_closed(backend)

    def keep_alive(self, idle_ms: int, now_us: int) -> None:
        """Ping the servers that have not heard of us for so long."""
        for backend in self.backends:
            if backend.state == B_READY and backend.pending == 0 and backend.channel is not None:
                if (now_us - backend.written_us) // 1000 >= idle_ms:
                    backend.channel.send(bytearray(b"\x01\x00\x00\x00\x0e"), 0, 5)
                    backend.expect(COM_PING, K_PING, 0)
                    backend.written_us = now_us

    def backend_login_failed(self, backend: Backend, code: int, message: str) -> None:
        """The server refused the login. A refused account is final for the session; other errors are not."""
        backend.last_error = f"{code}: {message}"
        permanent = code in (1044, 1045, 1049, 1130, 1698)
        self.host.backend_refused(backend)
        if code == 1045:
            self.host.accounts_doubtful(self.service)
        if code == 1129:
            self.host.server_blocks_us(backend.server, message)
        self.backend_gone(backend, f"{message} ({code})", permanent)

    # -- server connections: end

    def backend_gone(self, backend: Backend, reason: str, permanent: bool = False) -> None:
        """The connection was lost or is given up; the router decides what follows."""
        kind, command = K_NONE, 0
        backend.lost_unsent = not backend.pending
        backend.unsent = backend.unsent_command()
        if backend.owes(K_CLIENT):
            kind, command = K_CLIENT, backend.head_command
        partial = backend.sent_to_client and backend.pending > 0 and backend.head_kind == K_CLIENT
        backend.lost_partial = partial
        clients = self._client_replies(backend)
        idle = (self.client.poller.now_us - backend.written_us) // 1000000
        thread_id = backend.thread_id
        backend.failure = (
            f"Lost connection to server '{backend.server.name}': {reason} (session={self.id}, "
            f"conn_id={thread_id}, "
            f"idle={idle}s)" + (f"; last error: {backend.last_error}" if backend.last_error else "")
        )
        backend.close(B_FAILED if permanent else 0)
        self.expecting -= clients
        if self.closed:
            return
        if self.kill_message:
            self.close("killed", code=1927, message=self.kill_message, sqlstate="70100")
            return
        if partial and not self.router.can_resume(backend):
            self.close(
                f"Server '{backend.server.name}' was lost in the middle of a result", log=backend.failure
            )
            return
        if clients > 1:
            self.close(
                f"Server '{backend.server.name}' was lost with several statements under way",
                log=backend.failure,
            )
            return
        self.router.backend_lost(backend, kind, command, reason, permanent)
        if self.waiting and not self.closed:
            # It may have waited for this connection.
            self.resume_client()

    def _client_replies(self, backend: Backend) -> int:
        count = 1 if backend.pending and backend.head_kind == K_CLIENT else 0
        count += sum(1 for kind, _, _ in backend._more if kind == K_CLIENT)
        return count + sum(1 for item in backend.backlog if item[2] == K_CLIENT)

    def drop_backend(self, backend: Backend, reason: str, permanent: bool = False) -> None:
        """Close a connection on our own account."""
        self.backend_gone(backend, reason, permanent)

    def own_bytes(self, backend: Backend, buf: bytearray, start: int, end: int) -> None:
        self.router.own_bytes(backend, buf, start, end)

    def backend_unasked(self, backend: Backend, buf: bytearray, start: int, end: int) -> None:
        if end - start > 7 and buf[start + 4] == 0xFF:
            error = packets.parse_err(bytes(buf[start + 4 : end]))
            backend.last_error = f"{error.errno}: {error.message}"
            self.backend_gone(backend, error.message)
        else:
            self.backend_gone(backend, "the server sent data that nobody asked for")

    def backend_blocked(self, backend: Backend, blocked: bool) -> None:
        if blocked:
            self.client.pause()
        elif not self.closed:
            self.resume_client()

    def client_blocked(self, blocked: bool) -> None:
        """The client does not take what the servers send, or takes it again."""
        for backend in self.backends:
            if backend.channel is not None:
                if blocked:
                    backend.channel.pause()
                else:
                    backend.channel.resume()

    # -- end

    def close(
        self, reason: str, log: str = "", code: int = 0, message: str = "", sqlstate: str = "08S01"
    ) -> None:
        """End the session. With `code` the client is told why before the connection closes, unless it is
        in the middle of a reply.
        """
        if self.closed:
            return
        self.closed = True
        self.close_reason = reason
        in_reply = self.tap is not None and self.tap.has_part()
        for backend in self.backends:
            if backend.pending and backend.head_kind == _K_CLIENT and backend.sent_to_client:
                in_reply = True
            if backend.state == _B_READY and backend.channel is not None and backend.pending == 0:
                if backend.server.pools and self._may_keep() and self.host.keep(self, backend):
                    continue
                backend.channel.close_with(_QUIT)
            backend.close()
        if log:
            self.log_error(f"{log}. Closing session of {self.user}@{self.remote}: {reason}")
        if self.trace is not None and (log or self.trace.fits()):
            story = "\n".join(self.trace.lines)
            self.host.log(25, f"The story of this session:\n{story}", self)
        if code and not in_reply and not self.client.closed:
            self.client_error(1, code, sqlstate, message)
        if self.ready:
            self._count_end()
        self.connection.session_closed()
        self.host.session_closed(self)

    def only_read(self) -> bool:
        """Whether the client did nothing that could change the state of a server connection."""
        return self.trx.autocommit and not self.did & ~_READS

    def _may_keep(self) -> bool:
        """Whether the connections are good for others: the client said goodbye and left nothing undone."""
        return bool(self.connection.leaving) and not self.trx.active

    def _count_end(self) -> None:
        board, base = self.board, self.counters
        if self.held_back:
            board.add(base + V_WAITING, -1)
        board.add(base + V_SESSIONS, -1)
        board.add(base + V_ENDED_SESSIONS, 1)
        lived = (self.client.poller.now_us - self.created_us) // 1000
        board.add(base + V_SESSION_MS_TOTAL, lived)
        board.set(base + V_SESSION_MS_MAX, max(lived, board.get(base + V_SESSION_MS_MAX)))
        length = len(self.history)
        board.add(base + V_SESCMD_LEN_TOTAL, length)
        board.set(base + V_SESCMD_LEN_MAX, max(length, board.get(base + V_SESCMD_LEN_MAX)))

    def dismantle(self) -> None:
        """Let go of everything that refers back to the session, so that it is freed at once.

        Only when its last event has been dealt with.
        """
        self.backends = []
        self.router.dismantle()
        self.router = RouterSession()
        self.tap = None
        self.stream_targets = []
        self.load_backend = None
        self.connection = None

    # -- diagnostics

    def _log(self, level: int, text: str) -> None:
        if self.trace is not None:
            self.trace.add(self.host.wall_clock(), text)
        self.host.log(level, text, self)

    def log_warning(self, text: str) -> None:
        """A warning that names the session."""
        self._log(30, text)

    def log_error(self, text: str) -> None:
        """An error that names the session."""
        self._log(40, text)

    def log_info(self, text: str) -> None:
        """A detail that names the session."""
        self._log(20, text)
