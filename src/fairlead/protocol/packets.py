"""Packets of the command phase as values: framing, length-encoded integers, OK, ERR, and small result sets.

Functions that parse raise `ProtocolError`; functions ending in `_payload` give a payload, `build_*` whole
packets.
"""

from __future__ import annotations

from msgspec import Struct

from fairlead.protocol.constants import (
    CLIENT_DEPRECATE_EOF,
    CLIENT_SESSION_TRACK,
    MAX_PACKET,
    SERVER_SESSION_STATE_CHANGED,
    SERVER_STATUS_AUTOCOMMIT,
    SESSION_TRACK_GTIDS,
    SESSION_TRACK_SCHEMA,
    SESSION_TRACK_SYSTEM_VARIABLES,
)
from fairlead.protocol.errors import ProtocolError, malformed

_MAX = MAX_PACKET
# To be filled in. A sum makes a buffer at a third of the cost of a constructor.
_HEAD = bytearray(4)
_SYSTEM_VARIABLE = bytes((SESSION_TRACK_SYSTEM_VARIABLES,))
# Each length that is one byte, as that byte.
_ONE_BYTE = tuple(bytes((value,)) for value in range(0xFB))
_STATE_CHANGED = SERVER_SESSION_STATE_CHANGED


def framed(sequence: int, payload: bytes) -> bytearray:
    """A payload as one packet, or several if it does not fit one, in a buffer of its own."""
    size = len(payload)
    if size >= _MAX:
        return _split(sequence, payload)
    packet = _HEAD + payload
    packet[0] = size & 0xFF
    packet[1] = size >> 8 & 0xFF
    packet[2] = size >> 16
    packet[3] = sequence & 0xFF
    return packet


def _split(sequence: int, payload: bytes) -> bytearray:
    packets = bytearray()
    position = 0
    while True:
        piece = payload[position : position + MAX_PACKET]
        packets += len(piece).to_bytes(3, "little") + bytes((sequence & 0xFF,)) + piece
        sequence += 1
        position += len(piece)
        if len(piece) < MAX_PACKET:
            return packets


def frame(sequence: int, payload: bytes) -> bytes:
    """A payload as one packet, or several if it does not fit one."""
    return bytes(framed(sequence, payload))


def lenenc(value: int) -> bytes:
    """A length-encoded integer."""
    if value < 0xFB:
        return _ONE_BYTE[value]
    if value < 1 << 16:
        return b"\xfc" + value.to_bytes(2, "little")
    if value < 1 << 24:
        return b"\xfd" + value.to_bytes(3, "little")
    return b"\xfe" + value.to_bytes(8, "little")


def lenenc_string(value: bytes) -> bytes:
    """A length-encoded string."""
    return lenenc(len(value)) + value


class Reader:
    """Reads fields off a payload; every read checks that the bytes are there."""

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position

    def left(self) -> int:
        """Bytes not read yet."""
        return len(self.data) - self.position

    def take(self, count: int) -> bytes:
        """So many bytes."""
        end = self.position + count
        if count < 0 or end > len(self.data):
            raise malformed("it ends too early")
        p = self.data
        at = self.position
        self.position = end
        return p[at:end]

    def integer(self, size: int) -> int:
        """A little-endian integer of `size` bytes, 8 at most."""
        at = self.position
        if at + size > len(self.data):
            raise malformed("it ends too early")
        p = self.data
        self.position = at + size
        value = 0
        while size > 0:
            size -= 1
            value = value << 8 | p[at + size]
        return value

    def lenenc(self) -> int | None:
        """A length-encoded integer; None for NULL."""
        first = self.integer(1)
        if first < 0xFB:
            return first
        if first == 0xFB:
            return None
        if first == 0xFC:
            return self.integer(2)
        if first == 0xFD:
            return self.integer(3)
        if first == 0xFE:
            return self.integer(8)
        raise malformed("a length that does not exist")

    def number(self) -> int:
        """A length-encoded integer that must not be NULL."""
        value = self.lenenc()
        if value is None:
            raise malformed("NULL where a number has to be")
        return value

    def string(self) -> bytes:
        """A length-encoded string."""
        return self._sized(self.number())

    def _sized(self, size: int) -> bytes:
        """So many bytes, if there may be so many at all."""
        if size > self.left():
            raise malformed("it ends too early")
        return self.take(size)

    def nullable(self) -> bytes | None:
        """A length-encoded string or NULL."""
        size = self.lenenc()
        return None if size is None else self._sized(size)

    def until_null(self) -> bytes:
        """Bytes up to a NUL, which is skipped."""
        at = end = self.position
        size = len(self.data)
        p = self.data
        while end < size and p[end] != 0:
            end += 1
        if end >= size:
            raise malformed("a string without its end")
        self.position = end + 1
        return p[at:end]

    def until_null_or_end(self) -> bytes:
        """Bytes up to a NUL, which is skipped, or all that is left if there is none."""
        at = end = self.position
        size = len(self.data)
        p = self.data
        while end < size and p[end] != 0:
            end += 1
        self.position = end + 1 if end < size else end
        return p[at:end]

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.take(self.left())


class Ok(Struct, frozen=True):
    """An OK packet. `variables`, `schema`, `gtids`: what session tracking reported; `gtids` is a set of
    MySQL's GTIDs, MariaDB reports the variable `last_gtid`.
    """

    affected: int = 0
    insert_id: int = 0
    status: int = 0
    warnings: int = 0
    info: str = ""
    variables: dict[str, str] = {}
    schema: str | None = None
    gtids: str = ""


class Err(Struct, frozen=True):
    """An ERR packet."""

    errno: int
    sqlstate: str
    message: str


def parse_ok(payload: bytes, capabilities: int) -> Ok:
    """An OK packet (first byte 0x00, or 0xFE where EOF is deprecated)."""
    reader = Reader(payload, 1)
    affected = reader.number()
    insert_id = reader.number()
    status = reader.integer(2)
    warnings = reader.integer(2)
    info = b""
    variables: dict[str, str] = {}
    schema = None
    gtids = ""
    if reader.left():
        # Servers write the length also without session tracking, whatever the documentation says.
        info = reader.string()
        if capabilities & CLIENT_SESSION_TRACK and status & SERVER_SESSION_STATE_CHANGED and reader.left():
            variables, schema, gtids = _parse_tracking(Reader(reader.string()))
    text = info.decode("utf-8", "replace")
    return Ok(affected, insert_id, status, warnings, text, variables, schema, gtids)


def without_state(payload: bytes) -> bytes:
    """The same OK for a client that did not ask for session state."""
    reader = Reader(payload, 1)
    reader.number()
    reader.number()
    at = reader.position
    status = reader.integer(2) & ~SERVER_SESSION_STATE_CHANGED
    info = reader.string() if reader.take(2) and reader.left() else b""
    plain = payload[:at] + status.to_bytes(2, "little") + payload[at + 2 : at + 4]
    return plain + lenenc_string(info) if info else plain


def _parse_tracking(reader: Reader) -> tuple[dict[str, str], str | None, str]:
    variables: dict[str, str] = {}
    schema = None
    gtids = ""
    while reader.left():
        kind = reader.integer(1)
        data = Reader(reader.string())
        if kind == SESSION_TRACK_SYSTEM_VARIABLES:
            while data.left():
                name = data.string().decode("utf-8", "replace")
                variables[name] = (data.nullable() or b"").decode("utf-8", "replace")
        elif kind == SESSION_TRACK_SCHEMA:
            schema = data.string().decode("utf-8", "replace")
        elif kind == SESSION_TRACK_GTIDS:
            data.number()  # how they are encoded; text is all there is
            gtids = data.string().decode("ascii", "replace")
    return variables, schema, gtids


def parse_err(payload: bytes) -> Err:
    """An ERR packet; one that is cut short gives what there is."""
    if len(payload) < 3 or payload[0] != 0xFF:
        return Err(2027, "HY000", "malformed error packet")
    errno = int.from_bytes(payload[1:3], "little")
    if payload[3:4] == b"#" and len(payload) >= 9:
        return Err(errno, payload[4:9].decode("ascii", "replace"), payload[9:].decode("utf-8", "replace"))
    return Err(errno, "HY000", payload[3:].decode("utf-8", "replace"))


def ok_payload(
    capabilities: int,
    *,
    affected: int = 0,
    insert_id: int = 0,
    status: int = SERVER_STATUS_AUTOCOMMIT,
    warnings: int = 0,
    session_state: bytes = b"",
    header: int = 0,
) -> bytes:
    """The payload of an OK packet; `session_state` is what `session_variables` gives."""
    if session_state and capabilities & CLIENT_SESSION_TRACK:
        status |= SERVER_SESSION_STATE_CHANGED
    return _ok(header, affected, insert_id, status, warnings, session_state)


def _ok(
    header: int, affected: int, insert_id: int, status: int, warnings: int, session_state: bytes
) -> bytes:
    payload = bytearray(1)
    payload[0] = header
    payload += lenenc(affected)
    payload += lenenc(insert_id)
    at = len(payload)
    payload += b"\0\0\0\0"
    payload[at] = status & 0xFF
    payload[at + 1] = status >> 8
    payload[at + 2] = warnings & 0xFF
    payload[at + 3] = warnings >> 8
    if status & _STATE_CHANGED:
        payload += b"\0"
        payload += lenenc_string(session_state)
    return bytes(payload)


def login_ok(session_state: bytes) -> bytes:
    """The payload of the OK packet that ends a login; `session_state` only if the client tracks it."""
    if not session_state:
        return _LOGIN_OK
    return _ok(0, 0, 0, SERVER_STATUS_AUTOCOMMIT | SERVER_SESSION_STATE_CHANGED, 0, session_state)


_LOGIN_OK = ok_payload(0)


def build_ok(sequence: int, *, status: int = SERVER_STATUS_AUTOCOMMIT) -> bytes:
    """A plain OK packet."""
    return frame(sequence, ok_payload(0, status=status))


def session_variables(values: dict[str, str]) -> bytes:
    """Session state information that reports these system variables."""
    state = bytearray()
    for name, value in values.items():
        pair = lenenc_string(name.encode()) + lenenc_string(value.encode())
        state += _SYSTEM_VARIABLE
        state += lenenc_string(pair)
    return bytes(state)


def err_payload(errno: int, sqlstate: str, message: str, *, with_state: bool = True) -> bytes:
    """The payload of an ERR packet. Before the login is read `with_state` has to be False."""
    payload = b"\xff" + errno.to_bytes(2, "little")
    if with_state:
        payload += b"#" + sqlstate.encode("ascii")
    return payload + message.encode("utf-8", "surrogateescape")


def build_err(sequence: int, errno: int, sqlstate: str, message: str, *, with_state: bool = True) -> bytes:
    """An ERR packet."""
    return frame(sequence, err_payload(errno, sqlstate, message, with_state=with_state))


def column_payload(name: str, type_: int = 253, length: int = 1024, charset: int = 45) -> bytes:
    """A column definition of an answer of the proxy itself."""
    encoded = name.encode()
    fixed = charset.to_bytes(2, "little") + length.to_bytes(4, "little") + bytes((type_,)) + b"\0\0\0\0\0"
    return b"".join(
        (
            lenenc_string(b"def"),
            lenenc(0),
            lenenc(0),
            lenenc(0),
            lenenc_string(encoded),
            lenenc(0),
            b"\x0c",
            fixed,
        )
    )


def build_result_set(
    sequence: int, columns: list[str], rows: list[list[str | None]], capabilities: int
) -> bytes:
    """A result set of text columns."""
    packets = [lenenc(len(columns)), *(column_payload(name) for name in columns)]
    eof = b"\xfe\x00\x00" + SERVER_STATUS_AUTOCOMMIT.to_bytes(2, "little")
    if not capabilities & CLIENT_DEPRECATE_EOF:
        packets.append(eof)
    for row in rows:
        packets.append(b"".join(b"\xfb" if value is None else lenenc_string(value.encode()) for value in row))
    packets.append(ok_payload(capabilities, header=0xFE) if capabilities & CLIENT_DEPRECATE_EOF else eof)
    return b"".join(frame(sequence + number, payload) for number, payload in enumerate(packets))


__all__ = [
    "Err",
    "Ok",
    "ProtocolError",
    "Reader",
    "build_err",
    "build_ok",
    "build_result_set",
    "column_payload",
    "err_payload",
    "frame",
    "lenenc",
    "lenenc_string",
    "ok_payload",
    "parse_err",
    "parse_ok",
    "session_variables",
]
