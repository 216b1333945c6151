"""Where a reply ends: walks the packet headers of a server's answer to one command and never looks at a
row.

`feed` consumes what may be passed on: of a row whatever is there, of the packets that decide something (the
first of a result, OK, EOF, ERR) only whole ones. A reply that makes no sense ends as R_BROKEN. No bytes are
kept, so the same chunks in other sizes give the same facts. Source: MariaDB documentation, "Result Set
Packets" and neighbours.

Behind a request for the data of LOAD DATA LOCAL `feed` stops, whatever follows.

Invariant: `feed` never returns a position beyond the end of the reply.
"""

from __future__ import annotations

from fairlead.protocol.constants import (
    CLIENT_DEPRECATE_EOF,
    COM_BINLOG_DUMP,
    COM_FIELD_LIST,
    COM_QUERY,
    COM_QUIT,
    COM_STATISTICS,
    COM_STMT_CLOSE,
    COM_STMT_EXECUTE,
    COM_STMT_FETCH,
    COM_STMT_PREPARE,
    COM_STMT_SEND_LONG_DATA,
    MARIADB_CLIENT_CACHE_METADATA,
    MAX_PACKET,
    SERVER_MORE_RESULTS_EXIST,
    SERVER_SESSION_STATE_CHANGED,
    SERVER_STATUS_CURSOR_EXISTS,
)

# What kind of reply it is (of several results: the last that has begun).
R_NONE = 0
R_OK = 1
R_ERR = 2
R_RESULT = 3
R_LOCAL_INFILE = 4
R_PREPARE = 5
R_TEXT = 6
R_STREAM = 7
R_BROKEN = 8

_R_NONE = R_NONE
_R_OK = R_OK
_R_ERR = R_ERR
_R_RESULT = R_RESULT
_R_LOCAL_INFILE = R_LOCAL_INFILE
_R_PREPARE = R_PREPARE
_R_TEXT = R_TEXT
_R_STREAM = R_STREAM
_R_BROKEN = R_BROKEN

# What the next packet is.
_FIRST = 0
_COLUMNS = 1
_COLUMNS_END = 2
_ROWS = 3
_PARAMETERS = 4
_PARAMETERS_END = 5
_PREPARED_COLUMNS = 6
_PREPARED_COLUMNS_END = 7
_TEXT = 8
_STREAM = 9

# A packet that decides something, and is therefore kept until it is whole, has at most so many bytes:
# messages, names of files and session state are far below.
DECIDING_BYTES_MAX = 1024 * 1024

_MAX = MAX_PACKET
_DECIDING_MAX = DECIDING_BYTES_MAX
_DEPRECATE_EOF = CLIENT_DEPRECATE_EOF
_CACHE_METADATA = MARIADB_CLIENT_CACHE_METADATA
_MORE_RESULTS = SERVER_MORE_RESULTS_EXIST
_CURSOR_EXISTS = SERVER_STATUS_CURSOR_EXISTS
_STATE_CHANGED = SERVER_SESSION_STATE_CHANGED
_QUERY = COM_QUERY
_EXECUTE = COM_STMT_EXECUTE
_PREPARE = COM_STMT_PREPARE
_FETCH = COM_STMT_FETCH
_FIELD_LIST = COM_FIELD_LIST
_STATISTICS = COM_STATISTICS
_BINLOG_DUMP = COM_BINLOG_DUMP

_NO_REPLY = frozenset((COM_QUIT, COM_STMT_CLOSE, COM_STMT_SEND_LONG_DATA))


def expects_reply(command: int) -> bool:
    """Whether a server answers this command."""
    return command not in _NO_REPLY


class ReplyTracker:
    """The progress of one reply; `begin` starts the next one.

    `status`: flags of the last OK or EOF. `ok_start`, `ok_end`: where in the buffer of the present `feed`
    an OK with session state stands, else 0. `statement_id`, `parameters`, `columns`: of a prepared
    statement.
    """

    def __init__(self) -> None:
        self.done = True
        self.started = False
        self.kind = R_NONE
        self.status = 0
        self.error_code = 0
        self.warnings = 0
        self.rows = 0
        self.results = 0
        self.wants_local_infile = False
        self.statement_id = 0
        self.parameters = 0
        self.columns = 0
        self.cursor_open = False
        self.ok_start = 0
        self.ok_end = 0
        # `feed` returns behind every OK with session state.
        self.stops_at_state = False
        self._state = _FIRST
        self._command = 0
        self._no_eof = False
        self._cached = False
        self._skip = 0
        self._continued = False
        self._left = 0

    def begin(self, command: int, capabilities: int) -> None:
        """The reply to this command follows, on a connection with these capabilities."""
        self.done = False
        self.started = False
        self.kind = _R_NONE
        self.status = 0
        self.error_code = 0
        self.warnings = 0
        self.rows = 0
        self.results = 0
        self.wants_local_infile = False
        self.cursor_open = False
        self.ok_start = 0
        self.ok_end = 0
        self._command = command
        self._no_eof = capabilities & _DEPRECATE_EOF != 0
        self._cached = capabilities & _CACHE_METADATA != 0
        self._skip = 0
        self._continued = False
        self._left = 0
        self._state = _FIRST
        if command == _FETCH or command == _FIELD_LIST:
            self._state = _ROWS
        elif command == _STATISTICS:
            self._state = _TEXT
        elif command == _BINLOG_DUMP:
            self._state = _STREAM

    def feed(self, buf: bytearray, start: int, end: int) -> int:
        """Consume bytes of the reply; returns the position up to which they are consumed."""
        p = buf
        pos = start
        self.ok_start = 0
        while pos < end and not self.done:
            if self.ok_start and self.stops_at_state:
                return pos
            if self._skip:
                n = end - pos
                if n > self._skip:
                    n = self._skip
                self._skip -= n
                pos += n
                continue
            if end - pos < 4:
                return pos
            length = p[pos] | (p[pos + 1] << 8) | (p[pos + 2] << 16)
            body = pos + 4
            if self._continued:
                self._continued = length == _MAX
                self._skip = length
                pos = body
                continue
            state = self._state
            if state == _ROWS or state == _STREAM:
                if length == 0:
                    self._broken()
                    return pos
                if body == end:
                    return pos
                first = p[body]
                if first == 0xFF or (first == 0xFE and length < (_MAX if self._no_eof else 9)):
                    if length > _DECIDING_MAX:
                        self._broken()
                        return pos
                    if end - body < length:
                        return pos
                    if first == 0xFF:
                        self._error(buf, body, length)
                    else:
                        self.started = True
                        if self.kind == _R_NONE:
                            self.kind = _R_RESULT
                        if self._no_eof and length >= 7:
                            self._ok(buf, body, length)
                        else:
                            self._eof(buf, body, length)
                        self._end_of_result()
                    pos = body + length
                    continue
                if not self.started:
                    self.started = True
                    self.kind = _R_RESULT if state == _ROWS else _R_STREAM
                self.rows += 1
                self._continued = length == _MAX
                self._skip = length
                pos = body
                continue
            if state == _COLUMNS or state == _PARAMETERS or state == _PREPARED_COLUMNS:
                if length > _DECIDING_MAX or length == 0:
                    self._broken()
                    return pos
                if body == end:
                    return pos
                first = p[body]
                if first >= 0xFB:
                    # No definition begins so. An error in its place is the end for every client.
                    if first != 0xFF:
                        self._broken()
                        return pos
                    if end - body < length:
                        return pos
                    self._error(buf, body, length)
                    pos = body + length
                    continue
                self._left -= 1
                self._skip = length
                pos = body
                if self._left == 0:
                    self._after_definitions()
                    if self.done and self._skip:
                        if end - pos < self._skip:
                            # The last definition decides the end: it is consumed whole.
                            self.done = False
                            self._left = 1
                            self._skip = 0
                            self._state = state
                            return pos - 4
                        pos += self._skip
                        self._skip = 0
                continue
            if length > _DECIDING_MAX or length == 0:
                self._broken()
                return pos
            if end - body < length:
                return pos
            if state == _FIRST:
                self._first(buf, body, length)
                if self.wants_local_infile:
                    # The caller has to know before anything that follows is looked at.
                    return body + length
            elif state == _TEXT:
                self.started = True
                self.kind = _R_TEXT
                self.done = True
                if p[body] == 0xFF:
                    self._error(buf, body, length)
            elif p[body] == 0xFF:
                self._error(buf, body, length)
            elif p[body] != 0xFE:
                self._broken()
            else:
                self._eof(buf, body, length)
                self._after_end(state)
            pos = body + length
        return pos

    def _after_definitions(self) -> None:
        """The last definition of a list has been seen: what follows."""
        state = self._state
        if state == _COLUMNS:
            self._state = _ROWS if self._no_eof else _COLUMNS_END
        elif state == _PARAMETERS:
            if self._no_eof:
                self._after_end(_PARAMETERS_END)
            else:
                self._state = _PARAMETERS_END
        elif self._no_eof:
            self.done = True
        else:
            self._state = _PREPARED_COLUMNS_END

    def _after_end(self, state: int) -> None:
        """The end of a list of definitions has been seen."""
        if state == _COLUMNS_END:
            if self.status & _CURSOR_EXISTS:
                self.cursor_open = True
                self.done = True
            else:
                self._state = _ROWS
        elif state == _PARAMETERS_END:
            if self.columns:
                self._left = self.columns
                self._state = _PREPARED_COLUMNS
            else:
                self.done = True
        else:
            self.done = True

    def _first(self, buf: bytearray, body: int, length: int) -> None:
        p = buf
        first = p[body]
        self.started = True
        self.wants_local_infile = False
        if first == 0xFF:
            self._error(buf, body, length)
        elif self._command == _PREPARE:
            if first == 0x00:
                self._prepared(buf, body, length)
            else:
                self._broken()
        elif first == 0x00:
            self.kind = _R_OK
            self._ok(buf, body, length)
            self._end_of_result()
        elif first == 0xFE:
            self.kind = _R_OK
            if self._no_eof and length >= 7:
                self._ok(buf, body, length)
            else:
                self._eof(buf, body, length)
            self._end_of_result()
        elif first == 0xFB and (self._command == _QUERY or self._command == _EXECUTE):
            self.kind = _R_LOCAL_INFILE
            self.wants_local_infile = True
        else:
            self._result(buf, body, length)

    def _result(self, buf: bytearray, body: int, length: int) -> None:
        """The number of columns."""
        p = buf
        count = p[body]
        size = 1
        if count == 0xFC and length >= 3:
            count = p[body + 1] | (p[body + 2] << 8)
            size = 3
        elif count == 0xFD and length >= 4:
            count = p[body + 1] | (p[body + 2] << 8) | (p[body + 3] << 16)
            size = 4
        elif count >= 0xFB:
            self._broken()
            return
        self.kind = _R_RESULT
        self.results += 1
        self.columns = count
        self._left = count
        if self._cached and length > size and p[body + size] == 0:
            self._left = 0
        if self._left:
            self._state = _COLUMNS
        else:
            self._state = _ROWS if self._no_eof else _COLUMNS_END

    def _prepared(self, buf: bytearray, body: int, length: int) -> None:
        p = buf
        if length < 9:
            self._broken()
            return
        self.kind = _R_PREPARE
        self.statement_id = p[body + 1] | (p[body + 2] << 8) | (p[body + 3] << 16) | (p[body + 4] << 24)
        self.statement_id &= 0xFFFFFFFF
        self.columns = p[body + 5] | (p[body + 6] << 8)
        self.parameters = p[body + 7] | (p[body + 8] << 8)
        if self.parameters:
            self._left = self.parameters
            self._state = _PARAMETERS
        else:
            self._after_end(_PARAMETERS_END)

    def _ok(self, buf: bytearray, body: int, length: int) -> None:
        """Status and warnings of an OK packet, behind two length-encoded numbers."""
        p = buf
        pos = body + 1
        for _ in range(2):
            if pos >= body + length:
                self._broken()
                return
            if p[pos] < 0xFB:
                pos += 1
            elif p[pos] == 0xFC:
                pos += 3
            elif p[pos] == 0xFD:
                pos += 4
            else:
                pos += 9
        if pos + 4 > body + length:
            self._broken()
            return
        self.status = p[pos] | (p[pos + 1] << 8)
        self.warnings = p[pos + 2] | (p[pos + 3] << 8)
        if self.status & _STATE_CHANGED:
            self.ok_start = body
            self.ok_end = body + length

    def _eof(self, buf: bytearray, body: int, length: int) -> None:
        p = buf
        if length >= 5:
            self.warnings = p[body + 1] | (p[body + 2] << 8)
            self.status = p[body + 3] | (p[body + 4] << 8)

    def _error(self, buf: bytearray, body: int, length: int) -> None:
        p = buf
        self.started = True
        self.kind = _R_ERR
        self.wants_local_infile = False
        if length >= 3:
            self.error_code = p[body + 1] | (p[body + 2] << 8)
        self.done = True

    def _end_of_result(self) -> None:
        """A result is complete: another one follows, or the reply is."""
        if self.kind == _R_BROKEN:
            return
        if self.status & _MORE_RESULTS:
            self._state = _FIRST
        else:
            self.cursor_open = self.status & _CURSOR_EXISTS != 0
            self.done = True

    def _broken(self) -> None:
        self.kind = _R_BROKEN
        self.done = True
