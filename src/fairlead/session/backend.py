"""One connection of a session to one server: from connecting to ready, and every reply that is still owed.

States: closed -> planned -> connecting -> login -> replay (of the session history) -> ready. A planned
connection counts as in use, but is opened only when something has to be sent on it, or when the host's
patience ends: a client that comes for one query then costs one server connection. Failed means that this
session must not try the server again. Replies come in the order of the commands, so what is owed is a queue
of (kind, command, history id), its head in plain fields.

Invariant: `pending` counts exactly the replies owed; a gauge that was raised for this connection is lowered
once.
"""

from __future__ import annotations

from typing import Any

from fairlead.cluster.board import (
    HISTOGRAM_BUCKETS,
    S_ACTIVE,
    S_AVERAGE_US,
    S_CONNECTIONS,
    S_HISTOGRAM_READ,
    S_HISTOGRAM_WRITE,
    S_MAX_CONNECTIONS,
    S_PACKETS,
    S_READS,
    S_TOTAL_CONNECTIONS,
    S_WRITES,
    Board,
    worker_server_index,
)
from fairlead.net.channel import Channel, Handler
from fairlead.protocol import statements
from fairlead.protocol.constants import (
    COM_QUERY,
    COM_STMT_CLOSE,
    COM_STMT_EXECUTE,
    COM_STMT_PREPARE,
)
from fairlead.protocol.packets import framed
from fairlead.protocol.tracker import R_BROKEN, R_ERR, ReplyTracker
from fairlead.session.prepared import Prepared
from fairlead.session.statement import Statement

# Kinds of replies owed.
K_NONE = 0
K_CLIENT = 1  # relayed to the client
K_VERIFY = 2  # a session command that another server answers: compared, not relayed
K_REPLAY = 3  # a command of the history on a new connection: compared, not relayed
K_PING = 4  # keepalive: thrown away
K_OWN = 5  # the router's own: it has to succeed, or the connection is of no use
K_SYNC = 6  # waits for the replica to catch up: an error means that it did not in time
K_PROBE = 7  # a question of the router's, whose answer it reads
K_LATE = 8  # nobody wants the answer any more: thrown away

B_CLOSED = 0
B_CONNECTING = 1
B_LOGIN = 2
B_REPLAY = 3
B_READY = 4
B_FAILED = 5
B_PLANNED = 6

STATE_NAMES = ("closed", "connecting", "login", "replay", "ready", "failed", "planned")

# Commands that wait for a connection that is not ready yet, at most.
BACKLOG_MAX = 1000
# Samples over which the time of reads is averaged.
AVERAGE_SAMPLES = 16

_S_ACTIVE = S_ACTIVE
_S_AVERAGE_US = S_AVERAGE_US
_AVERAGE_SAMPLES = AVERAGE_SAMPLES
_S_CONNECTIONS = S_CONNECTIONS
_S_HISTOGRAM_READ = S_HISTOGRAM_READ
_S_HISTOGRAM_WRITE = S_HISTOGRAM_WRITE
_S_MAX_CONNECTIONS = S_MAX_CONNECTIONS
_S_PACKETS = S_PACKETS
_S_READS = S_READS
_S_TOTAL_CONNECTIONS = S_TOTAL_CONNECTIONS
_S_WRITES = S_WRITES
_HISTOGRAM_BUCKETS = HISTOGRAM_BUCKETS
_COM_STMT_CLOSE = COM_STMT_CLOSE
_COM_STMT_EXECUTE = COM_STMT_EXECUTE
_K_NONE = K_NONE
_K_CLIENT = K_CLIENT
_K_VERIFY = K_VERIFY
_K_PROBE = K_PROBE
_K_REPLAY = K_REPLAY
_B_READY = B_READY
_B_CLOSED = B_CLOSED
_B_FAILED = B_FAILED
_B_CONNECTING = B_CONNECTING
_B_LOGIN = B_LOGIN
_B_REPLAY = B_REPLAY
_B_PLANNED = B_PLANNED
_R_ERR = R_ERR
_R_BROKEN = R_BROKEN
_COM_PREPARE = COM_STMT_PREPARE
# What a connection has that was not opened yet, so that many share it; never written to.
_NO_REPLY = ReplyTracker()
_NONE_OWED: list[tuple[int, int, int]] = []
_NO_BACKLOG: list[tuple[bytearray, int, int, int, int]] = []
_NO_IDS: dict[int, int] = {}
_NONE_PREPARING: set[int] = set()


class BackendOwner:
    """The session as its backends see it. `statements` are the client's prepared statements by id."""

    def __init__(self) -> None:
        self.statements: dict[int, Prepared] = {}
        self.watches_state = False

    def client_bytes(self, backend: Backend, buf: bytearray, start: int, end: int) -> None:
        """Bytes of the reply that the client waits for."""

    def first_packet(self, backend: Backend, buf: bytearray, start: int, end: int) -> bool:
        """The first packet of such a reply is an error, answers a PREPARE, or is one of a server that
        `inspected` is set for; False keeps the reply from the client.
        """
        return True

    def reply_done(self, backend: Backend, kind: int, command: int, entry_id: int) -> None:
        """A reply is complete."""

    def own_bytes(self, backend: Backend, buf: bytearray, start: int, end: int) -> None:
        """Bytes of the reply to a question of the router's."""

    def session_state(self, backend: Backend, payload: bytes) -> None:
        """An OK of the client's reply reports session state; only if `watches_state`."""

    def backend_login_data(self, backend: Backend, buf: bytearray, start: int, end: int) -> int:
        """Data of a server that is not logged in to yet; returns what was consumed."""
        return end

    def backend_needed(self, backend: Backend) -> None:
        """Something has to be sent on a planned connection: open it."""

    def backend_connected(self, backend: Backend) -> None:
        """The connection is established; the server will greet."""

    def backend_gone(self, backend: Backend, reason: str) -> None:
        """The connection was lost."""

    def backend_closed(self, backend: Backend) -> None:
        """A connection's descriptor was given back."""

    def backend_unasked(self, backend: Backend, buf: bytearray, start: int, end: int) -> None:
        """The server said something although nothing was asked: an error before it hangs up."""

    def backend_blocked(self, backend: Backend, blocked: bool) -> None:
        """The server takes no more data for now, or takes data again."""


class Backend(Handler):
    """`index` is the place among the backends of the session; `server` the worker's object for the server."""

    def __init__(self, owner: BackendOwner, server: Any, index: int, board: Board, worker: int) -> None:
        self.owner = owner
        self.server = server
        self.slot: int = server.slot
        self.index = index
        self.state = B_CLOSED
        self.channel: Channel | None = None
        # Made when it is opened, as is all that is empty here: most sessions end before all connections are.
        self.tracker = _NO_REPLY
        self.capabilities = 0
        self.pending = 0
        self.head_kind = K_NONE
        self.head_command = 0
        self.head_id = 0
        self._replying = False
        # Bytes of the present reply have reached the client.
        self.sent_to_client = False
        # The rest of the present reply is kept from the client.
        self.swallow = False
        # The owner sees the first packet of every reply.
        self.inspected = False
        self._more: list[tuple[int, int, int]] = _NONE_OWED
        self.backlog: list[tuple[bytearray, int, int, int, int]] = _NO_BACKLOG
        self.ps_ids: dict[int, int] = _NO_IDS
        self.ps_types: dict[int, int] = _NO_IDS
        # The statement used last (0: none), its id on the server and the version of its types there.
        self._hot_id = 0
        self._hot_server_id = 0
        self._hot_version = 0
        self.preparing: set[int] = _NONE_PREPARING
        self.used_turn = 0
        self.written_us = 0
        self.opened_us = 0
        self.active_us = 0
        self.thread_id = 0
        # Of the greeting, if the connection may change its user later.
        self.scramble = b""
        self.login: Any = None
        # Why it failed for good, or the last error the server reported.
        self.failure = ""
        self.last_error = ""
        self.replay_failed = False
        # What it has to repeat once it is logged in, if the history does not keep that any more.
        self.to_replay: list[Any] | None = None
        # The default database to log in with, if that is not the session's present one.
        self.login_database: str | None = None
        # When it was lost nothing had been sent of what was owed: the client's command is this one.
        self.lost_unsent = False
        self.unsent: Statement | None = None
        # When it was lost the client had a part of a reply.
        self.lost_partial = False
        self.current_read = False
        self.tls = False
        self._board = board
        self.counters = worker_server_index(worker, self.slot, 0)

    def __repr__(self) -> str:
        return f"<{self.server.name} {STATE_NAMES[self.state]} pending={self.pending}>"

    def in_use(self) -> bool:
        """Connected, on the way, or planned."""
        return self.state != _B_CLOSED and self.state != _B_FAILED

    # -- life

    def plan(self) -> None:
        """Count on this connection; it is opened when it is needed."""
        self.state = _B_PLANNED

    def opened(self, channel: Channel) -> None:
        """The connection is being opened on this channel."""
        if self.tracker is _NO_REPLY:
            self._equip()
        self.channel = channel
        self.state = _B_CONNECTING
        self.opened_us = self.written_us = channel.poller.now_us
        board, base = self._board, self.counters
        board.add(base + _S_CONNECTIONS, 1)
        board.add(base + _S_TOTAL_CONNECTIONS, 1)
        count = board.sum_server(self.slot, _S_CONNECTIONS)
        if count > board.get(base + _S_MAX_CONNECTIONS):
            board.set(base + _S_MAX_CONNECTIONS, count)

    def _equip(self) -> None:
        """Make what only a connection that is opened needs."""
        self.tracker = ReplyTracker()
        self._more = []
        self.ps_ids = {}
        self.ps_types = {}
        self.preparing = set()

    def close(self, state: int = B_CLOSED) -> None:
        """End the connection and forget what it owes."""
        channel = self.channel
        if not self.in_use():
            self.state = state
            return
        was_planned = self.state == _B_PLANNED
        self.state = state
        self.channel = None
        board, base = self._board, self.counters
        if not was_planned:
            if channel is not None:
                blocked = channel.blocked
                channel.close()
                if blocked:
                    self.owner.backend_blocked(self, False)
            board.add(base + _S_CONNECTIONS, -1)
            self.owner.backend_closed(self)
        if self.head_kind == _K_CLIENT:
            board.add(base + _S_ACTIVE, -1)
        for kind, _, _ in self._more:
            if kind == _K_CLIENT:
                board.add(base + _S_ACTIVE, -1)
        self.pending = 0
        self.head_kind = _K_NONE
        self._replying = False
        self.sent_to_client = False
        self.swallow = False
        self.backlog.clear()
        if self.tracker is not _NO_REPLY:
            self._more.clear()
            self.forget_statements()
            self.preparing.clear()
        self.login = None
        self.thread_id = 0
        self.replay_failed = False
        self.to_replay = None
        self.login_database = None

    def adopt(self, channel: Channel, capabilities: int, thread_id: int, scramble: bytes) -> None:
        """Go on with a connection that another session had; it is in the state of a login."""
        self.opened(channel)
        channel.handler = self
        channel.want = 0
        self.state = _B_LOGIN
        self.capabilities = capabilities
        self.thread_id = thread_id
        self.scramble = scramble

    def release(self, lent: bool) -> None:
        """Give the connection away, which owes nothing; `lent`: another one is counted on."""
        self._board.add(self.counters + _S_CONNECTIONS, -1)
        self.channel = None
        self.state = _B_PLANNED if lent else _B_CLOSED
        self.forget_statements()
        self.thread_id = 0
        self.scramble = b""

    def is_planned(self) -> bool:
        """Counted on, but not open."""
        return self.state == B_PLANNED

    def will_repeat(self) -> bool:
        """Not open, and the whole history is what it begins with: that is no reason to open it now."""
        return self.state == B_PLANNED and not self.backlog and self.to_replay is None

    def is_idle(self) -> bool:
        """Open, and nothing is under way."""
        return self.state == B_READY and not self.pending and not self.backlog and not self.preparing

    def owes(self, kind: int) -> bool:
        """Whether a reply of this kind is owed, or waits in the backlog."""
        if self.pending and self.head_kind == kind:
            return True
        return any(more[0] == kind for more in self._more) or any(item[2] == kind for item in self.backlog)

    def unsent_command(self) -> Statement | None:
        """The client's command that waits here, if nothing of it has been sent."""
        for packet, command, kind, entry_id, ps_id in self.backlog:
            if kind == K_CLIENT and not entry_id:
                return Statement.of(packet, command, ps_id)
        return None

    def owed(self) -> int:
        """Replies owed, counting what waits to be sent."""
        return self.pending + len(self.backlog)

    # -- writing

    def write(self, statement: Statement, kind: int, entry_id: int, is_read: bool) -> None:
        """Send a command; it waits inside while the connection is not ready for it."""
        board = self._board
        board.add(self.counters + _S_PACKETS, 1)
        if kind == _K_CLIENT:
            if is_read:
                board.add(self.counters + _S_READS, 1)
            else:
                board.add(self.counters + _S_WRITES, 1)
            self.current_read = is_read
        if self.state != _B_READY or self.backlog or not self._write_now(statement):
            reply_kind = kind if statement.replies else _K_NONE
            self._put_off(statement.packet(), statement.command, reply_kind, entry_id, statement.ps_id)
            if self.state == _B_PLANNED:
                self.owner.backend_needed(self)
            return
        if statement.replies:
            self.expect(statement.command, kind, entry_id)
        if statement.command == _COM_PREPARE:
            self.preparing.add(entry_id)

    def _put_off(self, packet: bytearray, command: int, kind: int, entry_id: int, ps_id: int) -> None:
        """Keep a command until it can be sent."""
        if self.backlog is _NO_BACKLOG:
            self.backlog = []
        self.backlog.append((packet, command, kind, entry_id, ps_id))

    def put_first(self, packet: bytearray, kind: int) -> None:
        """Have a query of the router's sent before all that waits."""
        if self.backlog is _NO_BACKLOG:
            self.backlog = []
        self.backlog.insert(0, (packet, COM_QUERY, kind, 0, 0))

    def _write_now(self, statement: Statement) -> bool:
        """Send it, with this server's statement id; False if that is not known yet."""
        channel = self.channel
        assert channel is not None
        if statement.ps_id:
            if statement.ps_id != self._hot_id:
                self._look_up(statement.ps_id)
            server_id = self._hot_server_id
            if server_id == 0:
                if statement.ps_id in self.preparing:
                    return False
                if statement.command == _COM_STMT_CLOSE:
                    return True
            prepared = statement.prepared
            if prepared is not None and prepared.parameters and statement.command == _COM_STMT_EXECUTE:
                if self._hot_version != prepared.version:
                    if not statement.has_types:
                        self._write_with_types(statement, server_id)
                        return True
                    self.ps_types[statement.ps_id] = self._hot_version = prepared.version
            p = statement.buf
            size = statement.start + 5
            p[size] = server_id & 0xFF
            p[size + 1] = (server_id >> 8) & 0xFF
            p[size + 2] = (server_id >> 16) & 0xFF
            p[size + 3] = (server_id >> 24) & 0xFF
            if statement.command == _COM_STMT_CLOSE:
                self._drop_statement(statement.ps_id)
        channel.send(statement.buf, statement.start, statement.end)
        self.written_us = channel.poller.now_us
        return True

    def _write_with_types(self, statement: Statement, server_id: int) -> None:
        prepared = statement.prepared
        assert prepared is not None and self.channel is not None
        packet = statements.with_types(statement.packet(), prepared.parameters, prepared.types)
        packet[5:9] = server_id.to_bytes(4, "little")
        self.ps_types[statement.ps_id] = self._hot_version = prepared.version
        self.channel.send(packet, 0, len(packet))
        self.written_us = self.channel.poller.now_us

    def _look_up(self, statement_id: int) -> None:
        """Make this statement the one whose server id is at hand."""
        self._hot_id = statement_id
        self._hot_server_id = self.ps_ids.get(statement_id, 0)
        self._hot_version = self.ps_types.get(statement_id, 0)

    def _drop_statement(self, statement_id: int) -> None:
        self.ps_ids.pop(statement_id, None)
        self.ps_types.pop(statement_id, None)
        self._hot_id = 0

    def forget_statements(self) -> None:
        """The server has none of the statements any more."""
        self.ps_ids.clear()
        self.ps_types.clear()
        self._hot_id = 0

    def send_packet(self, packet: bytearray) -> None:
        """Send bytes as they are: a part of a command that goes on, or data for LOAD DATA."""
        if self.backlog or self.state != B_READY:
            self._put_off(packet, -1, K_NONE, 0, 0)
        elif self.channel is not None:
            self.channel.send(packet, 0, len(packet))

    def send_own(self, sql: bytes, kind: int) -> None:
        """Send a statement of the router's own."""
        packet = framed(0, bytes((COM_QUERY,)) + sql)
        if self.backlog or self.state != B_READY or self.channel is None:
            self._put_off(packet, COM_QUERY, kind, 0, 0)
            if self.state == B_PLANNED:
                self.owner.backend_needed(self)
            return
        self.channel.send(packet, 0, len(packet))
        self.written_us = self.channel.poller.now_us
        self.expect(COM_QUERY, kind, 0)

    def unwanted(self) -> bool:
        """The client does not get the reply it is owed here, which has not begun: read and drop it instead.

        False if there is none, or it has begun.
        """
        if self.pending and self.head_kind == K_CLIENT:
            if self.sent_to_client:
                return False
            self.head_kind = K_LATE
            self._board.add(self.counters + _S_ACTIVE, -1)
            return True
        for position, (kind, command, each_id) in enumerate(self._more):
            if kind == K_CLIENT:
                self._more[position] = (K_LATE, command, each_id)
                self._board.add(self.counters + _S_ACTIVE, -1)
                return True
        for position, (_, _, kind, _, _) in enumerate(self.backlog):
            if kind == K_CLIENT:
                del self.backlog[position]
                return True
        return False

    def expect(self, command: int, kind: int, entry_id: int) -> None:
        """A command has been sent: its reply is owed."""
        if kind == _K_CLIENT:
            self._board.add(self.counters + _S_ACTIVE, 1)
        if self.pending == 0:
            self.head_command = command
            self.head_kind = kind
            self.head_id = entry_id
        else:
            self._more.append((kind, command, entry_id))
        self.pending += 1

    def promote(self, entry_id: int) -> bool:
        """Make the reply to this session command the client's, if nothing of it has been read yet."""
        if entry_id == 0:
            return False
        if self.pending and self.head_kind == K_VERIFY and self.head_id == entry_id:
            if self._replying:
                return False
            self.head_kind = K_CLIENT
            self._board.add(self.counters + _S_ACTIVE, 1)
            return True
        for position, (kind, command, each_id) in enumerate(self._more):
            if kind == K_VERIFY and each_id == entry_id:
                self._more[position] = (K_CLIENT, command, each_id)
                self._board.add(self.counters + _S_ACTIVE, 1)
                return True
        for position, (packet, command, kind, each_id, ps_id) in enumerate(self.backlog):
            if kind == K_VERIFY and each_id == entry_id:
                self.backlog[position] = (packet, command, K_CLIENT, each_id, ps_id)
                return True
        return False

    def forget_types(self, entry_id: int) -> None:
        """The server may have other parameter types for this statement than the newest."""
        self.ps_types.pop(entry_id, None)
        self._hot_id = 0

    def forget_statement(self, entry_id: int) -> None:
        """Close the server's prepared statement behind this id."""
        server_id = self.ps_ids.get(entry_id, 0)
        self._drop_statement(entry_id)
        if server_id and self.channel is not None and self.state == B_READY:
            packet = (
                bytearray(b"\x05\x00\x00\x00") + bytes((_COM_STMT_CLOSE,)) + server_id.to_bytes(4, "little")
            )
            self.channel.send(packet, 0, len(packet))

    def flush_backlog(self) -> None:
        """Send what has waited, as far as the statement ids are known."""
        while self.backlog and self.state == _B_READY and self.channel is not None:
            packet, command, kind, entry_id, ps_id = self.backlog[0]
            if ps_id:
                server_id = self.ps_ids.get(ps_id, 0)
                if server_id == 0 and ps_id in self.preparing:
                    return
                if server_id == 0 and command == _COM_STMT_CLOSE:
                    del self.backlog[0]
                    continue
                packet = self._for_server(packet, command, ps_id, server_id)
            del self.backlog[0]
            self.channel.send(packet, 0, len(packet))
            self.written_us = self.channel.poller.now_us
            if command == _COM_PREPARE:
                self.preparing.add(entry_id)
            if kind != _K_NONE:
                self.expect(command, kind, entry_id)

    def _for_server(self, packet: bytearray, command: int, ps_id: int, server_id: int) -> bytearray:
        prepared = self.owner.statements.get(ps_id)
        if command == _COM_STMT_EXECUTE and prepared is not None and prepared.parameters:
            if statements.has_types(packet, prepared.parameters):
                self.ps_types[ps_id] = prepared.version
            elif self.ps_types.get(ps_id, 0) != prepared.version:
                packet = statements.with_types(packet, prepared.parameters, prepared.types)
                self.ps_types[ps_id] = prepared.version
        packet[5:9] = server_id.to_bytes(4, "little")
        self._hot_id = 0
        if command == _COM_STMT_CLOSE:
            self._drop_statement(ps_id)
        return packet

    # -- reading

    def on_connected(self) -> None:
        """The channel is up."""
        self.state = B_LOGIN
        self.owner.backend_connected(self)

    def on_data(self, buf: bytearray, start: int, end: int) -> int:
        """Data of the server: login, or replies."""
        if self.state == _B_READY or self.state == _B_REPLAY:
            return self._replies(buf, start, end)
        if self.state == _B_LOGIN:
            return self.owner.backend_login_data(self, buf, start, end)
        return end

    def _replies(self, buf: bytearray, start: int, end: int) -> int:
        tracker = self.tracker
        pos = start
        while pos < end:
            if self.pending == 0:
                self.owner.backend_unasked(self, buf, pos, end)
                return end
            begun = self._replying
            if not begun:
                tracker.begin(self.head_command, self.capabilities)
                self._replying = True
                self.sent_to_client = False
                self.swallow = False
            new = tracker.feed(buf, pos, end)
            kind = self.head_kind
            if tracker.kind == _R_BROKEN or (tracker.wants_local_infile and kind != _K_CLIENT):
                self.owner.backend_gone(self, "the server sent a reply that makes no sense")
                return end
            if new > pos and kind == _K_CLIENT:
                forward = not self.swallow
                if forward and not self.sent_to_client:
                    if tracker.kind == _R_ERR or self.inspected or self.head_command == _COM_PREPARE:
                        forward = self.owner.first_packet(self, buf, pos, new)
                        self.swallow = not forward
                        if self.state != _B_READY:
                            return end
                if forward:
                    self.sent_to_client = True
                    self.owner.client_bytes(self, buf, pos, new)
                    if self.state != _B_READY:
                        return end
            elif kind == _K_PROBE:
                self.owner.own_bytes(self, buf, pos, new)
            if tracker.done:
                self._finish_reply()
                if self.state != _B_READY and self.state != _B_REPLAY:
                    return new
            elif new == pos:
                return pos
            pos = new
        return pos

    def _finish_reply(self) -> None:
        kind = self.head_kind
        command = self.head_command
        entry_id = self.head_id
        self._replying = False
        self.sent_to_client = False
        self.pending -= 1
        if kind == _K_CLIENT:
            self._board.add(self.counters + _S_ACTIVE, -1)
            self._measure()
        if self.pending:
            self.head_kind, self.head_command, self.head_id = self._more.pop(0)
        else:
            self.head_kind = _K_NONE
        if command == _COM_PREPARE:
            self.preparing.discard(entry_id)
            if self.tracker.kind != _R_ERR:
                self.ps_ids[entry_id] = self.tracker.statement_id
                self._hot_id = 0
        self.owner.reply_done(self, kind, command, entry_id)
        if self.backlog and self.state == _B_READY:
            self.flush_backlog()

    def _measure(self) -> None:
        """Count the time since the command was sent in the histogram of the server."""
        assert self.channel is not None
        elapsed = self.channel.poller.now_us - self.written_us
        self.active_us += elapsed
        bucket = 0
        bound = 1
        while elapsed > bound and bucket < _HISTOGRAM_BUCKETS - 1:
            bound *= 10
            bucket += 1
        index = self.counters + (_S_HISTOGRAM_READ if self.current_read else _S_HISTOGRAM_WRITE) + 2 * bucket
        self._board.add(index, 1)
        self._board.add(index + 1, elapsed)
        if self.current_read:
            index = self.counters + _S_AVERAGE_US
            average = self._board.get(index)
            self._board.set(index, average + (elapsed - average) // _AVERAGE_SAMPLES if average else elapsed)

    def on_closed(self, reason: str) -> None:
        """The channel is gone."""
        self.owner.backend_gone(self, reason)

    def on_blocked(self) -> None:
        """The server does not take our data."""
        self.owner.backend_blocked(self, True)

    def on_unblocked(self) -> None:
        """The server takes data again."""
        self.owner.backend_blocked(self, False)
