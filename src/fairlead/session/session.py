"""One client's session: the commands of the client, and which of them are the session's own.

The client connection hands in whole commands; the session knows what they are, answers the few that are its
own (KILL, refused databases, unknown statement ids) and gives the rest to the router. A command that cannot
be taken now is left where it is and the client's channel is paused, so nothing is queued and order is kept.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fairlead.cluster.board import (
    V_PACKETS,
    V_SESSIONS,
    V_TOTAL_SESSIONS,
    V_WAITING,
)
from fairlead.protocol import packets, statements
from fairlead.protocol.constants import (
    COM_BINLOG_DUMP,
    COM_CHANGE_USER,
    COM_INIT_DB,
    COM_PROCESS_KILL,
    COM_QUERY,
    COM_QUIT,
    COM_STMT_BULK_EXECUTE,
    COM_STMT_CLOSE,
    COM_STMT_EXECUTE,
    COM_STMT_FETCH,
    COM_STMT_PREPARE,
    COM_STMT_RESET,
    COM_STMT_SEND_LONG_DATA,
    MAX_PACKET,
)
from fairlead.protocol.statements import same_types
from fairlead.protocol.tracker import expects_reply
from fairlead.session.backend import Backend
from fairlead.session.kill import kill_message
from fairlead.session.own_answers import explain_route, prepare_again
from fairlead.session.prepared import Prepared
from fairlead.session.records import retain, tell
from fairlead.session.router import FAILED, ROUTED, WAIT
from fairlead.session.servers import ServerSide
from fairlead.session.state import NONE_NAMED
from fairlead.session.statement import Statement
from fairlead.sql.hints import parse_hints
from fairlead.sql.types import (
    MODE_MULTIBYTE,
    OP_CHANGE_DB,
    OP_EXECUTE,
    OP_EXPLAIN,
    OP_KILL,
    OP_SET,
    TYPE_DEALLOC_PREPARE,
    TYPE_PREPARE_NAMED_STMT,
    TYPE_PREPARE_STMT,
    TYPE_WRITE,
    UNSAFE_CHARSETS,
)

if TYPE_CHECKING:
    from fairlead.sql.info import QueryInfo

_V_PACKETS = V_PACKETS
_V_SESSIONS = V_SESSIONS
_V_TOTAL_SESSIONS = V_TOTAL_SESSIONS
_COM_STMT_CLOSE = COM_STMT_CLOSE
_COM_STMT_SEND_LONG_DATA = COM_STMT_SEND_LONG_DATA
_COM_QUERY = COM_QUERY
_COM_QUIT = COM_QUIT
_COM_STMT_EXECUTE = COM_STMT_EXECUTE
_MAX_PACKET = MAX_PACKET
_ROUTED = ROUTED
_WAIT = WAIT
_FAILED = FAILED
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
_LAST_PREPARED = 0xFFFFFFFF
_FIXED_BYTES = statements.FIXED_BYTES
# Operations that mean something to the session itself, as bits.
_EXPLAIN_ROUTE = re.compile(rb"\s*explain\s+route\s+(.*)", re.IGNORECASE | re.DOTALL)
_SPECIAL = 1 << OP_KILL | 1 << OP_EXPLAIN | 1 << OP_CHANGE_DB | 1 << OP_EXECUTE | 1 << OP_SET
# Locks, open handlers, distributed transactions, and procedures, which may do anything.
_TIES = re.compile(rb"\s*(lock|xa|handler|flush|backup|call)\b", re.IGNORECASE)
_NAMED = TYPE_PREPARE_NAMED_STMT | TYPE_DEALLOC_PREPARE


def _ties(info: QueryInfo) -> bool:
    """Whether a statement may leave something that cannot be made again on another connection."""
    if info.temp_table is not None or info.unsafe_to_reconnect or info.multi:
        return True
    return _TIES.match(info.canonical) is not None


class Session(ServerSide):
    """What client connections, routers and hosts see of a session."""

    # -- start

    def start(self) -> str:
        """Let the router begin; a reason if the session has to be refused, else empty."""
        board = self.board
        service = self.service
        worker = self.worker
        targets = service.targets
        count = len(targets)
        # Among equals the one used longest ago is chosen: let new sessions begin with different ones.
        first = self.id // max(1, board.workers)
        for index in range(count):
            backend = Backend(self, targets[index], index, board, worker)
            backend.used_turn = -((index + first) % count)
            self.backends.append(backend)
        self.first_database = self.database
        self.pausing = service.standing.paused
        self.router = service.new_router(self)
        board.add(self.counters + _V_SESSIONS, 1)
        board.add(self.counters + _V_TOTAL_SESSIONS, 1)
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
                if self.named is NONE_NAMED:
                    self.named, self.named_databases = {}, {}
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
        return info if info.reading is None else self.functions.judge(info, database)

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
