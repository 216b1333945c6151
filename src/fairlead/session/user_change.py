"""COM_CHANGE_USER towards a server: a connection that is logged in becomes a new one of any user.

The server ends the transaction, drops temporary tables, user locks, variables and prepared statements, and
sets the default database, also to none. Source: MariaDB documentation, "COM_CHANGE_USER".
"""

from __future__ import annotations

from fairlead.protocol import auth, packets
from fairlead.protocol.constants import CLIENT_CONNECT_ATTRS, CLIENT_PLUGIN_AUTH
from fairlead.protocol.errors import ProtocolError
from fairlead.protocol.handshake import ChangeUserRequest, build_change_user, parse_auth_switch

# An answer of a server longer than this is nonsense, in bytes.
ANSWER_BYTES_MAX = 16 * 1024
_PLUGIN = "mysql_native_password"


class Credentials:
    """Who a connection belongs to and what it begins with; `password`: SHA1 of the password, or empty."""

    def __init__(self, user: str, password: bytes, charset: int, database: str, attributes: bytes) -> None:
        self.user = user
        self.password = password
        self.charset = charset
        self.database = database
        self.attributes = attributes

    def same_as(self, other: Credentials) -> bool:
        """Whether connections of both begin in the same state, apart from what only describes the client."""
        return (
            self.user == other.user
            and self.password == other.password
            and self.charset == other.charset
            and self.database == other.database
        )


class UserChange:
    """One exchange: send `request`, hand in the answers."""

    def __init__(self, credentials: Credentials, scramble: bytes, capabilities: int) -> None:
        self.credentials = credentials
        self.done = False
        self._scramble = scramble
        self._capabilities = capabilities & ~CLIENT_CONNECT_ATTRS
        if credentials.attributes:
            self._capabilities |= capabilities & CLIENT_CONNECT_ATTRS

    def request(self) -> bytes:
        """The packet that begins it."""
        who = self.credentials
        request = ChangeUserRequest(
            user=who.user,
            auth=auth.native_token(who.password, self._scramble),
            database=who.database,
            charset=who.charset,
            plugin=_PLUGIN,
            attributes_raw=who.attributes,
        )
        return packets.frame(0, build_change_user(request, self._capabilities | CLIENT_PLUGIN_AUTH))

    def feed(self, buf: bytearray, start: int, end: int) -> tuple[int, bytes]:
        """Data of the server: up to where it is consumed, and what to send. `done` says when it has agreed.

        ProtocolError if it refuses, or says what it must not.
        """
        if end - start < 4:
            return start, b""
        length = buf[start] | buf[start + 1] << 8 | buf[start + 2] << 16
        if length > ANSWER_BYTES_MAX:
            raise ProtocolError(2027, "HY000", f"the server announced a login packet of {length} bytes")
        after = start + 4 + length
        if end < after:
            return start, b""
        answer = self.answer(bytes(buf[start + 4 : after]), buf[start + 3])
        self.done = not answer
        if self.done and after != end:
            raise ProtocolError(2027, "HY000", "the server sent data that nobody asked for")
        return after, answer

    def answer(self, payload: bytes, sequence: int) -> bytes:
        """What to send to this packet of the server; empty if it has agreed. ProtocolError if it refuses."""
        first = payload[0] if payload else 0xFF
        if first == 0x00:
            return b""
        if first == 0xFF:
            error = packets.parse_err(payload)
            raise ProtocolError(error.errno, error.sqlstate, error.message)
        if first != 0xFE:
            raise ProtocolError(2027, "HY000", "the server's answer to COM_CHANGE_USER makes no sense")
        switch = parse_auth_switch(payload)
        if switch.plugin != _PLUGIN:
            raise ProtocolError(1524, "HY000", f"the server asks for '{switch.plugin}', which is not loaded")
        return packets.frame(sequence + 1, auth.native_token(self.credentials.password, switch.data))
