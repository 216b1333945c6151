"""The connection phase: greeting, login packet, TLS request, authentication switch, change of user.

Source: MariaDB documentation, "Connecting"; spec core.md c1. Every parser raises `ProtocolError` and
nothing else.
"""

from __future__ import annotations

from msgspec import Struct

from fairlead.protocol.constants import (
    CLIENT_CONNECT_ATTRS,
    CLIENT_CONNECT_WITH_DB,
    CLIENT_MYSQL,
    CLIENT_PLUGIN_AUTH,
    CLIENT_PLUGIN_AUTH_LENENC,
    CLIENT_PROTOCOL_41,
    CLIENT_SECURE_CONNECTION,
    CLIENT_SSL,
    COM_CHANGE_USER,
)
from fairlead.protocol.errors import ProtocolError, bad_handshake
from fairlead.protocol.packets import Reader, framed, lenenc_string, parse_err

_PACKET_HEAD_BYTES = 4
_SCRAMBLE_BYTES = 20
# Bytes of the fixed part of a login packet, which alone is the request for TLS.
HEAD_BYTES = 32
_HEAD_BYTES = HEAD_BYTES
_MYSQL = CLIENT_MYSQL
_SSL = CLIENT_SSL
_PROTOCOL_41 = CLIENT_PROTOCOL_41
_AUTH_LENENC = CLIENT_PLUGIN_AUTH_LENENC
_SECURE_CONNECTION = CLIENT_SECURE_CONNECTION
_PLUGIN_AUTH = CLIENT_PLUGIN_AUTH
_CONNECT_WITH_DB = CLIENT_CONNECT_WITH_DB
_CONNECT_ATTRS = CLIENT_CONNECT_ATTRS
_MAX_PACKET_SIZE = 16 * 1024 * 1024


class Greeting(Struct, frozen=True):
    """The server's first packet. `scramble` has 20 bytes."""

    version: str
    thread_id: int
    scramble: bytes
    capabilities: int
    charset: int = 8
    status: int = 2
    plugin: str = "mysql_native_password"

    def build(self) -> bytes:
        """The payload."""
        low = self.capabilities & 0xFFFFFFFF
        extended = 0 if low & CLIENT_MYSQL else self.capabilities >> 32
        return b"".join(
            (
                b"\x0a",
                self.version.encode(),
                b"\0",
                self.thread_id.to_bytes(4, "little"),
                self.scramble[:8],
                b"\0",
                (low & 0xFFFF).to_bytes(2, "little"),
                bytes((self.charset & 0xFF,)),
                self.status.to_bytes(2, "little"),
                (low >> 16).to_bytes(2, "little"),
                bytes((len(self.scramble) + 1,)),
                bytes(6),
                extended.to_bytes(4, "little"),
                self.scramble[8:],
                b"\0",
                self.plugin.encode(),
                b"\0",
            )
        )


class GreetingTemplate:
    """A greeting to be sent to many clients: only the thread id and the scramble (20 bytes) differ."""

    def __init__(self, greeting: Greeting) -> None:
        assert len(greeting.scramble) == _SCRAMBLE_BYTES
        self.capabilities = greeting.capabilities
        self._packet = framed(0, greeting.build())
        # Positions in the packet.
        self._thread_id = _PACKET_HEAD_BYTES + 1 + len(greeting.version.encode()) + 1
        self._scramble_end = self._thread_id + 4 + 8 + 19

    def packet(self, thread_id: int, scramble: bytes) -> bytearray:
        """The packet, the first one of its connection, in a buffer of its own."""
        if len(scramble) != _SCRAMBLE_BYTES:
            raise ValueError("a scramble has 20 bytes")
        packet = self._packet + b""
        at = self._thread_id
        packet[at] = thread_id & 0xFF
        packet[at + 1] = thread_id >> 8 & 0xFF
        packet[at + 2] = thread_id >> 16 & 0xFF
        packet[at + 3] = thread_id >> 24
        p = scramble
        for i in range(8):
            packet[at + 4 + i] = p[i]
        at = self._scramble_end
        for i in range(8, _SCRAMBLE_BYTES):
            packet[at + i - 8] = p[i]
        return packet


def parse_greeting(payload: bytes) -> Greeting:
    """A greeting; an error packet in its place is raised as ProtocolError with the server's code."""
    if payload[:1] == b"\xff":
        error = parse_err(payload)
        raise ProtocolError(error.errno, error.sqlstate, error.message)
    reader = Reader(payload)
    if reader.integer(1) != 10:
        raise bad_handshake()
    version = reader.until_null().decode("utf-8", "replace")
    thread_id = reader.integer(4)
    scramble = reader.take(8)
    reader.take(1)
    capabilities = reader.integer(2)
    charset = reader.integer(1)
    status = reader.integer(2)
    capabilities |= reader.integer(2) << 16
    size = reader.integer(1)
    reader.take(6)
    extended = reader.integer(4)
    if not capabilities & _MYSQL:
        capabilities |= extended << 32
    scramble += reader.take(max(12, size - 9))
    plugin = ""
    if reader.left():
        reader.take(1)
        plugin = reader.rest().split(b"\0", 1)[0].decode("ascii", "replace")
    if capabilities & CLIENT_PROTOCOL_41 == 0 or len(scramble) < 20:
        raise bad_handshake()
    return Greeting(version, thread_id, scramble[:20], capabilities, charset, status, plugin)


def client_version(version: str) -> str:
    """The version without the `5.5.5-` that MariaDB 10 puts in front."""
    return version.removeprefix("5.5.5-")


class HandshakeResponse:
    """The login packet of a client. `attributes_raw`: its connection attributes as they came."""

    def __init__(
        self,
        capabilities: int,
        charset: int,
        user: str,
        auth: bytes,
        database: str = "",
        plugin: str = "",
        attributes_raw: bytes = b"",
        max_packet: int = _MAX_PACKET_SIZE,
    ) -> None:
        self.capabilities = capabilities
        self.charset = charset
        self.user = user
        self.auth = auth
        self.database = database
        self.plugin = plugin
        self.attributes_raw = attributes_raw
        self.max_packet = max_packet

    def _fields(self) -> tuple[int, int, str, bytes, str, str, bytes, int]:
        return (
            self.capabilities,
            self.charset,
            self.user,
            self.auth,
            self.database,
            self.plugin,
            self.attributes_raw,
            self.max_packet,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HandshakeResponse):
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self._fields())

    def __repr__(self) -> str:
        return f"HandshakeResponse{self._fields()!r}"


def is_ssl_request(payload: bytes) -> bool:
    """Whether this is the short login packet that asks for TLS."""
    if len(payload) != _HEAD_BYTES:
        return False
    p = payload
    return (p[0] | p[1] << 8) & _SSL != 0


def _head(capabilities: int, charset: int, max_packet: int) -> bytes:
    low = capabilities & 0xFFFFFFFF
    extended = 0 if low & _MYSQL else capabilities >> 32
    return b"".join(
        (
            low.to_bytes(4, "little"),
            max_packet.to_bytes(4, "little"),
            bytes((charset & 0xFF,)),
            bytes(19),
            extended.to_bytes(4, "little"),
        )
    )


def build_ssl_request(capabilities: int, charset: int) -> bytes:
    """The payload that asks for TLS."""
    return _head(capabilities | CLIENT_SSL, charset, _MAX_PACKET_SIZE)


def parse_handshake_response(payload: bytes, offered: int) -> HandshakeResponse:
    """A login packet; clients older than 4.1 are refused. `offered`: the capabilities of our greeting."""
    reader = Reader(payload)
    try:
        capabilities = reader.integer(4)
        if not capabilities & _PROTOCOL_41:
            raise bad_handshake()
        max_packet = reader.integer(4)
        charset = reader.integer(1)
        reader.take(19)
        extended = reader.integer(4)
        if not capabilities & _MYSQL:
            capabilities |= extended << 32
        usable = capabilities & offered
        user = reader.until_null().decode("utf-8", "surrogateescape")
        auth = _auth_response(reader, usable)
        database = plugin = ""
        if capabilities & _CONNECT_WITH_DB and reader.left():
            database = reader.until_null().decode("utf-8", "surrogateescape")
        if capabilities & _PLUGIN_AUTH and reader.left():
            plugin = reader.until_null_or_end().decode("ascii", "replace")
        attributes = b""
        if capabilities & _CONNECT_ATTRS and reader.left():
            attributes = reader.string()
    except ProtocolError:
        raise bad_handshake() from None
    return HandshakeResponse(capabilities, charset, user, auth, database, plugin, attributes, max_packet)


def _auth_response(reader: Reader, capabilities: int) -> bytes:
    if not reader.left():
        return b""
    if capabilities & _AUTH_LENENC:
        return reader.string()
    if capabilities & _SECURE_CONNECTION:
        return reader.take(reader.integer(1))
    return reader.until_null()


def build_handshake_response(response: HandshakeResponse) -> bytes:
    """The payload of a login packet."""
    caps = response.capabilities
    payload = _head(caps, response.charset, response.max_packet)
    payload += response.user.encode("utf-8", "surrogateescape") + b"\0"
    if caps & CLIENT_PLUGIN_AUTH_LENENC:
        payload += lenenc_string(response.auth)
    else:
        payload += bytes((len(response.auth),)) + response.auth
    if caps & _CONNECT_WITH_DB:
        payload += response.database.encode("utf-8", "surrogateescape") + b"\0"
    if caps & _PLUGIN_AUTH:
        payload += response.plugin.encode() + b"\0"
    if caps & _CONNECT_ATTRS:
        payload += lenenc_string(response.attributes_raw)
    return payload


def parse_attributes(raw: bytes) -> dict[str, str]:
    """Connection attributes as text; a malformed rest is left out."""
    attributes: dict[str, str] = {}
    reader = Reader(raw)
    try:
        while reader.left():
            name = reader.string().decode("utf-8", "replace")
            attributes[name] = reader.string().decode("utf-8", "replace")
    except ProtocolError:
        return attributes
    return attributes


class AuthSwitch(Struct, frozen=True):
    """The server asks for another authentication method."""

    plugin: str
    data: bytes


def build_auth_switch(plugin: str, data: bytes) -> bytes:
    """The payload that asks a client for another method."""
    return b"\xfe" + plugin.encode() + b"\0" + data


def parse_auth_switch(payload: bytes) -> AuthSwitch:
    """The payload of such a request."""
    if len(payload) == 1:
        raise ProtocolError(1251, "08004", "The server asks for the authentication of versions before 4.1")
    reader = Reader(payload, 1)
    plugin = reader.until_null_or_end().decode("ascii", "replace")
    return AuthSwitch(
        plugin, reader.rest().rstrip(b"\0")[:20] if plugin == "mysql_native_password" else reader.rest()
    )


class ChangeUserRequest(Struct, frozen=True):
    """COM_CHANGE_USER. `charset` 0: not given."""

    user: str
    auth: bytes
    database: str = ""
    charset: int = 0
    plugin: str = ""
    attributes_raw: bytes = b""


def parse_change_user(payload: bytes, capabilities: int) -> ChangeUserRequest:
    """The payload of COM_CHANGE_USER behind the command byte."""
    reader = Reader(payload)
    user = reader.until_null().decode("utf-8", "surrogateescape")
    auth = reader.take(reader.integer(1)) if capabilities & CLIENT_SECURE_CONNECTION else reader.until_null()
    database = reader.until_null().decode("utf-8", "surrogateescape")
    charset = 0
    plugin = ""
    attributes = b""
    if reader.left() >= 2:
        charset = reader.integer(2)
    if capabilities & _PLUGIN_AUTH and reader.left():
        plugin = reader.until_null_or_end().decode("ascii", "replace")
    if capabilities & _CONNECT_ATTRS and reader.left():
        attributes = reader.string()
    return ChangeUserRequest(user, auth, database, charset, plugin, attributes)


def build_change_user(request: ChangeUserRequest, capabilities: int) -> bytes:
    """The payload of COM_CHANGE_USER, command byte included."""
    payload = bytes((COM_CHANGE_USER,)) + request.user.encode("utf-8", "surrogateescape") + b"\0"
    payload += bytes((len(request.auth),)) + request.auth
    payload += request.database.encode("utf-8", "surrogateescape") + b"\0"
    payload += request.charset.to_bytes(2, "little")
    if capabilities & _PLUGIN_AUTH:
        payload += request.plugin.encode() + b"\0"
    if capabilities & _CONNECT_ATTRS:
        payload += lenenc_string(request.attributes_raw)
    return payload
