"""A session towards its servers: connections, what routers send on them, the replies, and what becomes of the
session when one is lost.

Replies reach the client as they arrive. A new connection is brought to the state of the session before it is
used, and what a server answered to a session command is compared with what the client got.
"""

from __future__ import annotations

from fairlead.protocol import packets
from fairlead.protocol.constants import (
    CLIENT_SESSION_TRACK,
    COM_INIT_DB,
    COM_PING,
    COM_QUERY,
    COM_RESET_CONNECTION,
    COM_STMT_PREPARE,
    COM_STMT_RESET,
)
from fairlead.protocol.errors import ProtocolError
from fairlead.protocol.tracker import R_ERR, R_OK, R_RESULT
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
)
from fairlead.session.backend_login import BackendLogin
from fairlead.session.history import Entry, steps
from fairlead.session.own_answers import prepared_first
from fairlead.session.prepared import Prepared
from fairlead.session.state import NONE_PREPARED, NOTHING_TO_VERIFY, SessionState
from fairlead.session.statement import Statement
from fairlead.sql.types import (
    MODE_NO_BACKSLASH_ESCAPES,
    OP_CHANGE_DB,
    TYPE_DEALLOC_PREPARE,
    TYPE_DISABLE_AUTOCOMMIT,
    TYPE_ENABLE_AUTOCOMMIT,
    TYPE_GSYSVAR_READ,
    TYPE_MASTER_READ,
    TYPE_PREPARE_NAMED_STMT,
    TYPE_READ,
    TYPE_SESSION_WRITE,
    TYPE_SYSVAR_READ,
    TYPE_USERVAR_READ,
    TYPE_USERVAR_WRITE,
    TYPE_WRITE,
)

_B_PLANNED = B_PLANNED
_B_READY = B_READY
_K_VERIFY = K_VERIFY
_K_REPLAY = K_REPLAY
_COM_STMT_PREPARE = COM_STMT_PREPARE
_K_CLIENT = K_CLIENT
_R_ERR = R_ERR
_R_OK = R_OK
_R_RESULT = R_RESULT
# Server status: backslashes are ordinary characters in strings.
_NO_BACKSLASH_STATUS = 0x0200
_NO_BACKSLASH = MODE_NO_BACKSLASH_ESCAPES
# They change nothing on a connection that has only just been opened.
_NOTHING_ON_A_NEW_ONE = frozenset((COM_PING, COM_STMT_RESET, COM_RESET_CONNECTION))
_CHANGES_SESSION = (
    TYPE_SESSION_WRITE
    | TYPE_USERVAR_WRITE
    | TYPE_ENABLE_AUTOCOMMIT
    | TYPE_DISABLE_AUTOCOMMIT
    | TYPE_PREPARE_NAMED_STMT
    | TYPE_DEALLOC_PREPARE
)
# What a session command does may depend on the state of the session.
_READS_STATE = TYPE_READ | TYPE_MASTER_READ | TYPE_USERVAR_READ | TYPE_SYSVAR_READ | TYPE_GSYSVAR_READ


def _is_session_command(statement: Statement) -> bool:
    """Whether every further connection of the session has to execute it as well."""
    if statement.command == COM_INIT_DB:
        return True
    mask = statement.type_mask
    return statement.command == COM_QUERY and not mask & TYPE_WRITE and mask & _CHANGES_SESSION != 0


class ServerSide(SessionState):
    """Adds the servers to the state of a session."""

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
            if backend.state == _B_PLANNED:
                self.backend_needed(backend)

    def backend_needed(self, backend: Backend) -> None:
        if not self.open_backend(backend):
            self._give_up_soon(backend)

    def _give_up_soon(self, backend: Backend) -> None:
        # The statement that needs it is still being routed: let that end first.
        self.host.call_later(0, lambda: self._cannot_open(backend))

    def _cannot_open(self, backend: Backend) -> None:
        if not self.closed and backend.state == B_PLANNED:
            self.backend_gone(backend, backend.failure)

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
                info = statement.info
                reads = not is_prepare and statement.type_mask & _READS_STATE != 0
                rereads = info is not None and (info.set_sql_mode != 0 or info.changes_charset)
                kept = self.history.add(entry_id, statement.command, packet, is_prepare, reads, rereads)
                if kept is not None:
                    self._place(kept, statement)
        if is_prepare:
            assert statement.info is not None
            if self.statements is NONE_PREPARED:
                self.statements = {}
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
        if not self.pending_verify:
            return
        for other, other_ok in self.pending_verify.pop(entry_id, ()):
            if other_ok != ok and other.state == B_READY:
                self._differs(other, entry_id)

    def _verify(self, backend: Backend, entry_id: int, ok: bool) -> None:
        expected = self.history.expected(entry_id)
        if expected is None:
            if self.pending_verify is NOTHING_TO_VERIFY:
                self.pending_verify = {}
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
        entries = self._to_repeat(backend)
        login_database = self.database if backend.login_database is None else backend.login_database
        backend.to_replay = None
        backend.login_database = None
        # A service below does it on its own connections.
        listener = self.listener
        first = () if listener is None or backend.server.service else listener.init_statements
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

    def _to_repeat(self, backend: Backend) -> list[Entry]:
        """The session commands that a new connection has not executed and that do not wait for it anyway."""
        kept = backend.to_replay
        if kept is None:
            kept = list(self.history.entries.values()) if self.history.entries else []
        if not kept or not backend.backlog:
            return kept
        waiting_ids = {item[3] for item in backend.backlog if item[3]}
        return [entry for entry in kept if entry.id not in waiting_ids]

    def _send_own(self, backend: Backend, command: int, rest: bytes) -> None:
        packet = packets.frame(0, bytes((command,)) + rest)
        assert backend.channel is not None
        backend.channel.send(bytearray(packet), 0, len(packet))
        backend.expect(command, K_OWN, 0)

    def _backend_ready(self, backend: Backend) -> None:
        backend.state = _B_READY
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
