"""What a session remembers from its beginning to its end, its answers of its own, and how it ends.

Invariant: `expecting` is the number of replies the client still has to get from servers; a reply of the
session's own is sent only when it is 0.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any

from fairlead.cluster.board import (
    V_ENDED_SESSIONS,
    V_SESCMD_LEN_MAX,
    V_SESCMD_LEN_TOTAL,
    V_SESSION_MS_MAX,
    V_SESSION_MS_TOTAL,
    V_SESSIONS,
    V_WAITING,
    Board,
    worker_service_index,
)
from fairlead.net.channel import Channel, Handler
from fairlead.protocol import packets
from fairlead.protocol.charsets import collations_of
from fairlead.session.backend import B_READY, K_CLIENT, Backend, BackendOwner
from fairlead.session.history import History
from fairlead.session.prepared import Prepared
from fairlead.session.router import ROUTED, WAIT, RouterSession
from fairlead.session.statement import Statement
from fairlead.session.tap import ReplyTap
from fairlead.session.trace import Trace
from fairlead.session.trx import TrxTracker
from fairlead.sql.hints import HintStack
from fairlead.sql.types import (
    MODE_MULTIBYTE,
    MODE_ORACLE,
    TYPE_GSYSVAR_READ,
    TYPE_READ,
    TYPE_SYSVAR_READ,
    UNSAFE_CHARSETS,
)

if TYPE_CHECKING:
    from fairlead.session.ports import Host
    from fairlead.session.service import ServiceRuntime

_K_CLIENT = K_CLIENT
_B_READY = B_READY
_V_ENDED_SESSIONS = V_ENDED_SESSIONS
_V_SESCMD_LEN_MAX = V_SESCMD_LEN_MAX
_V_SESCMD_LEN_TOTAL = V_SESCMD_LEN_TOTAL
_V_SESSIONS = V_SESSIONS
_V_SESSION_MS_MAX = V_SESSION_MS_MAX
_V_SESSION_MS_TOTAL = V_SESSION_MS_TOTAL
_V_WAITING = V_WAITING
_MODE_ORACLE = MODE_ORACLE
_MODE_MULTIBYTE = MODE_MULTIBYTE
_QUIT = b"\x01\x00\x00\x00\x01"
_UNSAFE_COLLATIONS = collations_of(UNSAFE_CHARSETS)
# What a statement that changes the default database contains.
_USES = re.compile(rb"\buse\b", re.IGNORECASE)
_READS = TYPE_READ | TYPE_SYSVAR_READ | TYPE_GSYSVAR_READ
# What most sessions never have, so that they share it; never written to.
_NONE_KNOWN: dict[bytes, tuple[int, bytes]] = {}
NONE_NAMED: dict[str, Any] = {}
NONE_PREPARED: dict[int, Prepared] = {}
NOTHING_TO_VERIFY: dict[int, list[tuple[Backend, bool]]] = {}
_NOWHERE: list[Backend] = []
_NO_ROUTER = RouterSession()
_NOBODY = Handler()


class SessionState(BackendOwner):
    """`connection` is the client connection that owns `client`, its channel."""

    def __init__(
        self, host: Host, service: ServiceRuntime, session_id: int, connection: Any, client: Channel
    ) -> None:
        # What the owner of backends has, without the detour of a call to its constructor.
        self.statements = NONE_PREPARED
        self.watches_state = False
        # A Host: what it gets of us is the whole session, which this class does not know.
        self.host: Any = host
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
        self.worker = host.worker
        self.counters = worker_service_index(self.worker, service.slot, 0)
        self.backends: list[Backend] = []
        self.router: RouterSession = _NO_ROUTER
        self.statement = Statement()
        self.trx = TrxTracker()
        self.history = History(service.history_limit, service.history_prunes, service.history_disabled)
        self.classifier = host.classifier
        # How the text of statements is read: MODE_* bits of fairlead.sql.types.
        self.sql_mode = self.classifier.sql_mode
        # Statements of PREPARE by their names, and the default database when they were prepared.
        self.named: dict[str, Any] = NONE_NAMED
        self.named_databases: dict[str, str] = NONE_NAMED
        self.functions = service.functions
        # Whether `database` is for certain the default database, and whether `pending_database` will be.
        self.database_known = True
        self.pending_known = True
        self.last_prepared = 0
        # Equal texts are prepared once: (id, reply) by text; the reply under way, if it is to be kept.
        self.reuses_prepares = service.reuses_prepares
        self.known_prepares: dict[bytes, tuple[int, bytes]] = {} if self.reuses_prepares else _NONE_KNOWN
        self.captured: bytearray | None = None
        self.prepare_hints: tuple[Any, ...] = ()
        self.expecting = 0
        # The server that asked for the data of LOAD DATA, and how often it did: once for each statement.
        self.load_backend: Backend | None = None
        self.loads = 0
        self.stream_targets: list[Backend] = _NOWHERE
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
        self.pending_verify: dict[int, list[tuple[Backend, bool]]] = NOTHING_TO_VERIFY
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

    def set_text_mode(self) -> None:
        """Read statements as the listener and the client's character set say."""
        mode = self.classifier.sql_mode
        listener = self.listener
        if listener is not None and listener.params.get("sql_mode") == "oracle":
            mode |= _MODE_ORACLE
        if self.charset in _UNSAFE_COLLATIONS:
            mode |= _MODE_MULTIBYTE
        self.sql_mode = mode

    def known_database(self) -> str:
        """The default database, empty if that is not known for certain."""
        if not self.database_known or self.pending_database is not None:
            return ""
        listener = self.listener
        if listener is not None and any(_USES.search(sql) for sql in listener.init_statements):
            return ""
        return self.database

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

    # -- end

    def close(
        self, reason: str, log: str = "", code: int = 0, message: str = "", sqlstate: str = "08S01"
    ) -> None:
        """End the session. With `code` the client is told why before the connection closes, unless it is
        in the middle of a reply.
        """
        if not self.closed:
            self._end(reason, log, code, message, sqlstate)

    def _end(self, reason: str, log: str, code: int, message: str, sqlstate: str) -> None:
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
            board.add(base + _V_WAITING, -1)
        board.add(base + _V_SESSIONS, -1)
        board.add(base + _V_ENDED_SESSIONS, 1)
        lived = (self.client.poller.now_us - self.created_us) // 1000
        board.add(base + _V_SESSION_MS_TOTAL, lived)
        if lived > board.get(base + _V_SESSION_MS_MAX):
            board.set(base + _V_SESSION_MS_MAX, lived)
        length = len(self.history)
        board.add(base + _V_SESCMD_LEN_TOTAL, length)
        if length > board.get(base + _V_SESCMD_LEN_MAX):
            board.set(base + _V_SESCMD_LEN_MAX, length)

    def dismantle(self) -> None:
        """Let go of everything that refers back to the session, so that it is freed at once.

        Only when its last event has been dealt with.
        """
        self.backends = []
        self.router.dismantle()
        self.router = _NO_ROUTER
        self.tap = None
        self.stream_targets = _NOWHERE
        self.load_backend = None
        self.connection = None
        # It is closed, but refers to the connection, which refers to the session.
        self.client.handler = _NOBODY

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
