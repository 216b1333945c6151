"""The login of a session on a server: greeting, TLS if the server is configured so, password, verdict.

The connection gets the client's capabilities as far as the server has them, the client's character set and
attributes, and the session's present default database. Source: spec core.md c1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairlead.protocol import auth, packets
from fairlead.protocol.constants import (
    CLIENT_CONNECT_ATTRS,
    CLIENT_CONNECT_WITH_DB,
    CLIENT_MYSQL,
    CLIENT_PLUGIN_AUTH,
    CLIENT_PLUGIN_AUTH_LENENC,
    CLIENT_PROTOCOL_41,
    CLIENT_SECURE_CONNECTION,
    CLIENT_SSL,
)
from fairlead.protocol.errors import ProtocolError
from fairlead.protocol.handshake import (
    Greeting,
    HandshakeResponse,
    build_handshake_response,
    build_ssl_request,
    parse_auth_switch,
    parse_greeting,
)

if TYPE_CHECKING:
    from fairlead.session.backend import Backend
    from fairlead.session.servers import ServerSide
    from fairlead.session.user_change import UserChange

# A packet of a server's login larger than this is nonsense, in bytes: an error message is the longest one.
SERVER_PACKET_BYTES_MAX = 16 * 1024

_PLUGIN = "mysql_native_password"
_REQUIRED = CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION | CLIENT_PLUGIN_AUTH


class ReusedLogin:
    """A connection that another session had becomes this session's: the server is told of the new user."""

    def __init__(self, session: ServerSide, backend: Backend, change: UserChange) -> None:
        self.session = session
        self.backend = backend
        self._change = change
        self._send(change.request())

    def feed(self, buf: bytearray, start: int, end: int) -> int:
        """Data of the server; returns what was consumed."""
        try:
            consumed, answer = self._change.feed(buf, start, end)
        except ProtocolError as error:
            self.session.backend_login_failed(self.backend, error.errno, error.message)
            return end
        if answer:
            self._send(answer)
        elif self._change.done:
            self.session.backend_logged_in(self.backend)
        return consumed

    def _send(self, data: bytes) -> None:
        if self.backend.channel is not None:
            self.backend.channel.send(bytearray(data), 0, len(data))


class BackendLogin:
    """One login; it ends with `session.backend_logged_in` or `session.backend_login_failed`."""

    def __init__(self, session: ServerSide, backend: Backend) -> None:
        self.session = session
        self.backend = backend
        self.greeting: Greeting | None = None
        self._sequence = 1
        self._capabilities = 0
        # The channel is on its way to TLS.
        self._encrypting = False

    def feed(self, buf: bytearray, start: int, end: int) -> int:
        """Data of the server; returns what was consumed."""
        pos = start
        p = buf
        # What follows the request for TLS counts only once it is decrypted.
        while end - pos >= 4 and not self._encrypting:
            length = p[pos] | (p[pos + 1] << 8) | (p[pos + 2] << 16)
            if length > SERVER_PACKET_BYTES_MAX:
                self.session.backend_login_failed(
                    self.backend, 2027, f"the server announced a login packet of {length} bytes"
                )
                return end
            if end - pos < 4 + length:
                return pos
            self._sequence = p[pos + 3] + 1
            payload = bytes(buf[pos + 4 : pos + 4 + length])
            pos += 4 + length
            if pos < end and payload[:1] == b"\x00":
                # It would be taken for the reply to the first command.
                self.session.backend_gone(self.backend, "the server sent data that nobody asked for")
                return end
            try:
                self._packet(payload)
            except ProtocolError as error:
                self.session.backend_login_failed(self.backend, error.errno, error.message)
            if self.backend.login is not self:
                return pos
        return pos

    def _packet(self, payload: bytes) -> None:
        if self.greeting is None:
            self._greeted(parse_greeting(payload))
            return
        first = payload[0] if payload else 0xFF
        if first == 0x00:
            self.session.backend_logged_in(self.backend)
        elif first == 0xFE:
            switch = parse_auth_switch(payload)
            if switch.plugin != _PLUGIN:
                raise ProtocolError(
                    1524,
                    "HY000",
                    f"Server '{self.backend.server.name}' asks for '{switch.plugin}', which is not loaded",
                )
            self._send(auth.native_token(self.session.backend_password, switch.data))
        elif first == 0xFF:
            error = packets.parse_err(payload)
            raise ProtocolError(error.errno, error.sqlstate, error.message)
        else:
            raise ProtocolError(
                2027, "HY000", "the server sent a packet that makes no sense during the login"
            )

    def _greeted(self, greeting: Greeting) -> None:
        self.greeting = greeting
        self.backend.thread_id = greeting.thread_id
        if self.backend.server.pools:
            self.backend.scramble = greeting.scramble
        session = self.session
        capabilities = session.capabilities | session.extra_capabilities | _REQUIRED
        capabilities &= greeting.capabilities | CLIENT_MYSQL
        capabilities &= ~(CLIENT_CONNECT_WITH_DB | CLIENT_CONNECT_ATTRS | CLIENT_SSL)
        if self._database():
            capabilities |= CLIENT_CONNECT_WITH_DB
        if session.attributes and greeting.capabilities & CLIENT_CONNECT_ATTRS:
            capabilities |= CLIENT_CONNECT_ATTRS
        if greeting.capabilities & CLIENT_PLUGIN_AUTH_LENENC:
            capabilities |= CLIENT_PLUGIN_AUTH_LENENC
        self._capabilities = capabilities
        if self.backend.server.tls is None:
            self._respond()
            return
        if not greeting.capabilities & CLIENT_SSL:
            raise ProtocolError(2026, "HY000", f"Server '{self.backend.server.name}' does not offer TLS")
        self._capabilities |= CLIENT_SSL
        self._send(build_ssl_request(self._capabilities, session.charset))
        self._encrypting = True
        session.host.start_tls(session, self.backend)

    def tls_ready(self) -> None:
        """The channel is encrypted."""
        self._encrypting = False
        self._sequence = 2
        self.backend.tls = True
        self._respond()

    def _respond(self) -> None:
        greeting, session = self.greeting, self.session
        assert greeting is not None
        self.backend.capabilities = self._capabilities
        response = HandshakeResponse(
            capabilities=self._capabilities,
            charset=session.charset,
            user=session.backend_user,
            auth=auth.native_token(session.backend_password, greeting.scramble),
            database=self._database(),
            plugin=_PLUGIN,
            attributes_raw=session.attributes,
        )
        self._send(build_handshake_response(response))

    def _database(self) -> str:
        given = self.backend.login_database
        return self.session.database if given is None else str(given)

    def _send(self, payload: bytes) -> None:
        data = packets.framed(self._sequence, payload)
        if self.backend.channel is not None:
            self.backend.channel.send(data, 0, len(data))
