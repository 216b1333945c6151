"""The MariaDB protocol as the models speak it: a decoder and builders of their own, so that a mistake in
Fairlead's is not hidden by sharing it. Source: MariaDB documentation, "Client/Server Protocol".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

CLIENT_MYSQL = 1
CONNECT_WITH_DB = 8
PROTOCOL_41 = 512
TRANSACTIONS = 8192
SECURE_CONNECTION = 32768
MULTI_STATEMENTS = 1 << 16
MULTI_RESULTS = 1 << 17
PLUGIN_AUTH = 1 << 19
DEPRECATE_EOF = 1 << 24
SERVER_CAPABILITIES = (
    2
    | 4
    | CONNECT_WITH_DB
    | PROTOCOL_41
    | TRANSACTIONS
    | SECURE_CONNECTION
    | MULTI_STATEMENTS
    | MULTI_RESULTS
    | PLUGIN_AUTH
    | DEPRECATE_EOF
)
SESSION_TRACK = 1 << 23
STATE_CHANGED = 0x4000
IN_TRANS = 1
AUTOCOMMIT = 2
MORE_RESULTS = 8
IN_TRANS_READONLY = 8192
PLUGIN = "mysql_native_password"


def sha1(data: bytes) -> bytes:
    return hashlib.sha1(data).digest()


def token_for(password: str, scramble: bytes) -> bytes:
    """What proves the knowledge of a password."""
    if not password:
        return b""
    first = sha1(password.encode())
    mask = sha1(scramble + sha1(first))
    return bytes(a ^ b for a, b in zip(first, mask, strict=True))


def packet(sequence: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes((sequence & 255,)) + payload


def number(value: int) -> bytes:
    if value < 251:
        return bytes((value,))
    return b"\xfc" + value.to_bytes(2, "little") if value < 65536 else b"\xfd" + value.to_bytes(3, "little")


def text(value: str | None) -> bytes:
    if value is None:
        return b"\xfb"
    raw = value.encode()
    return number(len(raw)) + raw


def greeting(thread_id: int, scramble: bytes, version: str = "10.11.6-MariaDB") -> bytes:
    low, high = SERVER_CAPABILITIES & 0xFFFF, (SERVER_CAPABILITIES | SESSION_TRACK) >> 16
    return b"".join(
        (
            b"\x0a",
            version.encode(),
            b"\0",
            thread_id.to_bytes(4, "little"),
            scramble[:8],
            b"\0",
            low.to_bytes(2, "little"),
            b"\x08",
            AUTOCOMMIT.to_bytes(2, "little"),
            high.to_bytes(2, "little"),
            bytes((21,)),
            bytes(10),
            scramble[8:],
            b"\0",
            PLUGIN.encode(),
            b"\0",
        )
    )


@dataclass
class LoginRequest:
    capabilities: int
    user: str
    token: bytes
    database: str


def login_request(payload: bytes) -> LoginRequest:
    capabilities = int.from_bytes(payload[:4], "little")
    rest = payload[32:]
    user, rest = rest.split(b"\0", 1)
    size = rest[0]
    token, rest = rest[1 : 1 + size], rest[1 + size :]
    database = b""
    if capabilities & CONNECT_WITH_DB:
        database, rest = rest.split(b"\0", 1)
    return LoginRequest(capabilities, user.decode(), token, database.decode())


def build_login(capabilities: int, user: str, token: bytes, database: str) -> bytes:
    payload = capabilities.to_bytes(4, "little") + (1 << 24).to_bytes(4, "little") + b"\x08" + bytes(23)
    payload += user.encode() + b"\0" + bytes((len(token),)) + token
    if capabilities & CONNECT_WITH_DB:
        payload += database.encode() + b"\0"
    return payload + PLUGIN.encode() + b"\0"


@dataclass
class UserRequest:
    user: str
    token: bytes
    database: str


def change_user_request(payload: bytes) -> UserRequest:
    user, rest = payload[1:].split(b"\0", 1)
    size = rest[0]
    token, rest = rest[1 : 1 + size], rest[1 + size :]
    return UserRequest(user.decode(), token, rest.split(b"\0", 1)[0].decode())


def build_change_user(user: str, token: bytes, database: str) -> bytes:
    payload = b"\x11" + user.encode() + b"\0" + bytes((len(token),)) + token + database.encode() + b"\0"
    return payload + (8).to_bytes(2, "little") + PLUGIN.encode() + b"\0"


def ok(status: int, header: int = 0) -> bytes:
    return bytes((header, 0, 0)) + status.to_bytes(2, "little") + b"\0\0"


def ok_with_gtid(status: int, gtid: str, mysql: bool) -> bytes:
    """An OK that reports a GTID in its session state: the variable `last_gtid`, or MySQL's own type."""
    found = b"\0" + text(gtid) if mysql else text("last_gtid") + text(gtid)
    state = (b"\3" if mysql else b"\0") + number(len(found)) + found
    plain = bytes((0, 0, 0)) + (status | STATE_CHANGED).to_bytes(2, "little") + b"\0\0"
    return plain + text("") + number(len(state)) + state


def error(code: int, message: str, state: str = "HY000") -> bytes:
    return b"\xff" + code.to_bytes(2, "little") + b"#" + state.encode() + message.encode()


def eof(status: int) -> bytes:
    return b"\xfe\0\0" + status.to_bytes(2, "little")


def column(name: str) -> bytes:
    head = text("def") + text("") + text("") + text("") + text(name) + text("")
    return head + b"\x0c" + (45).to_bytes(2, "little") + (1024).to_bytes(4, "little") + b"\xfd" + bytes(5)


def result_set(
    rows: list[list[str | None]], status: int, capabilities: int, binary: bool, sequence: int = 1
) -> tuple[bytes, int]:
    """The packets of a result set of text columns, and the next sequence number."""
    width = len(rows[0]) if rows else 1
    payloads = [number(width), *(column(f"c{i}") for i in range(width))]
    if not capabilities & DEPRECATE_EOF:
        payloads.append(eof(status))
    for row in rows:
        if binary:
            nulls = bytearray((width + 9) // 8)
            values = b""
            for place, value in enumerate(row):
                if value is None:
                    nulls[(place + 2) // 8] |= 1 << (place + 2) % 8
                else:
                    values += text(value)
            payloads.append(b"\0" + bytes(nulls) + values)
        else:
            payloads.append(b"".join(text(value) for value in row))
    payloads.append(ok(status, 0xFE) if capabilities & DEPRECATE_EOF else eof(status))
    data = b"".join(packet(sequence + place, payload) for place, payload in enumerate(payloads))
    return data, sequence + len(payloads)


class Packets:
    """Cuts bytes into packets: (sequence, payload)."""

    def __init__(self) -> None:
        self.buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        self.buffer += data
        found = []
        while len(self.buffer) >= 4:
            size = int.from_bytes(self.buffer[:3], "little")
            if len(self.buffer) < 4 + size:
                break
            found.append((self.buffer[3], bytes(self.buffer[4 : 4 + size])))
            del self.buffer[: 4 + size]
        return found


@dataclass
class Reply:
    """What a client understood: `kind` ok, error, rows or prepared."""

    kind: str
    code: int = 0
    message: str = ""
    rows: list[list[str | None]] = field(default_factory=list)
    status: int = 0
    statement_id: int = 0


def _lenenc(data: bytes, at: int) -> tuple[int | None, int]:
    first = data[at]
    if first < 251:
        return first, at + 1
    if first == 251:
        return None, at + 1
    size = {252: 2, 253: 3, 254: 8}[first]
    return int.from_bytes(data[at + 1 : at + 1 + size], "little"), at + 1 + size


def _string(data: bytes, at: int) -> tuple[str | None, int]:
    size, at = _lenenc(data, at)
    return (None, at) if size is None else (data[at : at + size].decode(), at + size)


class ReplyReader:
    """Understands the reply to one command; `feed` takes packets until it returns a reply."""

    def __init__(self, capabilities: int, command: str) -> None:
        self._deprecated = bool(capabilities & DEPRECATE_EOF)
        self._binary = command == "execute"
        self._prepare = command == "prepare"
        self._state = "first"
        self._left = 0
        self._reply = Reply("ok")
        self._sequence = 1

    def feed(self, sequence: int, payload: bytes) -> Reply | None:
        if sequence != self._sequence & 255:
            return Reply("broken", message=f"sequence {sequence} instead of {self._sequence & 255}")
        self._sequence += 1
        return getattr(self, f"_{self._state}")(payload)  # type: ignore[no-any-return]

    def _first(self, payload: bytes) -> Reply | None:
        if payload[0] == 0xFF:
            return Reply("error", int.from_bytes(payload[1:3], "little"), payload[9:].decode())
        if payload[0] == 0:
            if not self._prepare:
                return Reply("ok", status=int.from_bytes(payload[3:5], "little"))
            self._reply = Reply("prepared", statement_id=int.from_bytes(payload[1:5], "little"))
            columns = int.from_bytes(payload[5:7], "little")
            parameters = int.from_bytes(payload[7:9], "little")
            ends = 0 if self._deprecated else (columns > 0) + (parameters > 0)
            self._left = columns + parameters + ends
            self._state = "definitions"
            return None if self._left else self._reply
        self._reply = Reply("rows")
        self._width = payload[0]
        self._left = self._width + (0 if self._deprecated else 1)
        self._state = "columns"
        return None

    def _definitions(self, payload: bytes) -> Reply | None:
        self._left -= 1
        return None if self._left else self._reply

    def _columns(self, payload: bytes) -> Reply | None:
        self._left -= 1
        if not self._left:
            self._state = "rows"
        return None

    def _rows(self, payload: bytes) -> Reply | None:
        if payload[0] == 0xFF:
            return Reply("error", int.from_bytes(payload[1:3], "little"), payload[9:].decode())
        if payload[0] == 0xFE and len(payload) < 9:
            at = 3
            self._reply.status = int.from_bytes(payload[at : at + 2], "little")
            if self._reply.status & MORE_RESULTS:
                self._state = "first"
                return None
            return self._reply
        row: list[str | None] = []
        at = 0
        if self._binary:
            nulls = payload[1 : 1 + (self._width + 9) // 8]
            at = 1 + len(nulls)
            for place in range(self._width):
                if nulls[(place + 2) // 8] & 1 << (place + 2) % 8:
                    row.append(None)
                    continue
                value, at = _string(payload, at)
                row.append(value)
        else:
            while at < len(payload):
                value, at = _string(payload, at)
                row.append(value)
        self._reply.rows.append(row)
        return None
