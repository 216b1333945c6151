"""The login of a client, and its repetition in a session by COM_CHANGE_USER.

Steps: greeting -> (PROXY header) -> (TLS) -> handshake response -> (authentication switch) -> (wait for the
accounts to be read again) -> verdict. A client that is refused gets the error the server itself would give.
The account's existence is not revealed: an unknown user goes through the whole exchange. Source: spec
core.md c1, c3, c5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairlead.accounts.authenticators import Accepted, NeedMore, Refused, SwitchTo, access_denied
from fairlead.net import proxyproto
from fairlead.protocol.constants import (
    CLIENT_CONNECT_WITH_DB,
    CLIENT_SESSION_TRACK,
)
from fairlead.protocol.errors import ProtocolError
from fairlead.protocol.handshake import (
    HandshakeResponse,
    build_auth_switch,
    is_ssl_request,
    parse_change_user,
    parse_handshake_response,
)
from fairlead.protocol.packets import err_payload, framed, login_ok, session_variables

if TYPE_CHECKING:
    from fairlead.session.client import ClientConnection
    from fairlead.session.session import Session

# A login packet larger than this is refused, in bytes: connection attributes may take 64 KiB and more.
LOGIN_PACKET_BYTES_MAX = 1024 * 1024
# Time for the whole login, in milliseconds.
LOGIN_TIMEOUT_MS = 10_000

_PLUGIN = "mysql_native_password"
# Typed twins.
_LOGIN_PACKET_BYTES_MAX = LOGIN_PACKET_BYTES_MAX
_CONNECT_WITH_DB = CLIENT_CONNECT_WITH_DB
_SESSION_TRACK = CLIENT_SESSION_TRACK
_TEXT_HEAD = proxyproto.TEXT_HEAD
_BINARY_HEAD = proxyproto.BINARY_HEAD


class Exchange:
    """What the login and the change of user have in common: from a user's claim to a verdict."""

    def __init__(self, connection: ClientConnection, session: Session) -> None:
        self.connection = connection
        self.session = session
        self.listener = self.connection.listener
        self.service = self.listener.service
        self.host = self.connection.host
        self.sequence = 0
        self.scramble: bytes = b""
        self.user = ""
        self.database = ""
        self.plugin = ""
        self.token = b""
        self.account: Any = None
        self._exchange: Any = None
        self._reloaded = False
        self._waiting = False
        # The channel was switched to TLS by the packet just read.
        self.switched = False
        self._prepare()

    def _prepare(self) -> None:
        """What this kind of exchange begins with."""

    # -- packets

    def feed(self, buf: bytearray, start: int, end: int) -> int:
        """Data of the client; returns what was consumed."""
        if self._waiting:
            return start
        if end - start < 4:
            return start
        p = buf
        length = p[start] | (p[start + 1] << 8) | (p[start + 2] << 16)
        channel = self.connection.channel
        assert channel is not None
        if length > _LOGIN_PACKET_BYTES_MAX:
            self.broken(1043, "08S01", "Bad handshake")
            return end
        if end - start < 4 + length:
            channel.want = 4 + length
            return start
        sequence = p[start + 3]
        if sequence != self.sequence & 0xFF:
            self.broken(1156, "08S01", "Got packets out of order")
            return end
        self.sequence = sequence + 1
        try:
            self.packet(b"" + p[start + 4 : start + 4 + length])
        except ProtocolError as error:
            self.broken(error.errno, error.sqlstate, error.message)
            return end
        return start + 4 + length

    def packet(self, payload: bytes) -> None:
        """One whole packet of the exchange."""
        self._step(payload)

    def send(self, payload: bytes) -> None:
        """Send a packet with the next sequence number."""
        self._send_packet(framed(self.sequence, payload))

    def _send_packet(self, packet: bytearray) -> None:
        self.sequence += 1
        channel = self.connection.channel
        assert channel is not None
        channel.send(packet, 0, len(packet))

    def refuse(self, code: int, sqlstate: str, message: str) -> None:
        """Tell the client and end."""
        raise NotImplementedError

    def broken(self, code: int, sqlstate: str, message: str) -> None:
        """The client broke the protocol: nothing more of what it sends can be understood."""
        self.refuse(code, sqlstate, message)

    def accepted(self, sha1: bytes) -> None:
        """The password was right."""
        raise NotImplementedError

    # -- the account

    def identify(self) -> None:
        """Find the account of the claimed user, by name if its hosts are names."""
        session = self.session
        directory = self.listener.directory
        if (
            session.local_socket
            or not directory.needs_name(self.user, session.remote)
            or not self.host.resolves_names()
        ):
            self._identified(None)
            return
        self._wait()
        self.host.resolve_name(session.remote, self._identified)

    def _wait(self) -> None:
        self._waiting = True
        if self.connection.channel is not None:
            self.connection.channel.pause()

    def _go_on(self) -> None:
        if self._waiting:
            self._waiting = False
            if self.connection.channel is not None:
                self.connection.channel.resume()

    def _identified(self, host_name: str | None) -> None:
        if self.session.closed:
            return
        self._go_on()
        directory = self.listener.directory
        self.account = directory.find(self.user, self.session.remote, host_name)
        if self.account is None and not self._reloaded:
            self._reload()
            return
        self._judge_account()

    def _reload(self) -> None:
        """An unknown account: the accounts are read again before the client hears of it."""
        self._reloaded = True
        self._wait()
        self.host.reload_accounts(self.service, self._accounts_read)

    def _accounts_read(self) -> None:
        if self.session.closed or self.connection.closed:
            return
        self._go_on()
        self.identify()

    def _judge_account(self) -> None:
        authenticators = self.listener.authenticators
        chosen = authenticators.choose(self.account)
        if type(chosen) is Refused:
            self.refuse(chosen.errno, chosen.sqlstate, chosen.message)
            return
        authenticator = chosen
        exchange = authenticator.start(self.account, self.user, self.session.remote, self.scramble)
        self._exchange = exchange
        self._outcome(exchange.begin(self.plugin, self.token))

    def _step(self, payload: bytes) -> None:
        if self._exchange is None:
            self.refuse(1043, "08S01", "Bad handshake")
            return
        self._outcome(self._exchange.step(payload))

    def _outcome(self, outcome: Any) -> None:
        if type(outcome) is Accepted:
            self.accepted(outcome.sha1_password)
        elif isinstance(outcome, SwitchTo):
            self.send(build_auth_switch(outcome.plugin, outcome.data))
        elif isinstance(outcome, NeedMore):
            self.send(b"\x01" + outcome.data)
        elif isinstance(outcome, Refused):
            self._denied(outcome)

    def _denied(self, refused: Refused) -> None:
        self.host.login_failed(self.service, self.session, self.user, known=self.account is not None)
        if refused.detail:
            self.host.log(30, refused.detail, self.session)
        self.refuse(refused.errno, refused.sqlstate, refused.message)

    def check_database(self) -> bool:
        """Whether the default database may be used; the client is refused if not."""
        if not self.database:
            return True
        directory = self.listener.directory
        code = directory.check_database(self.account, self.database) if self.account is not None else 0
        if not code:
            return True
        if not self._reloaded:
            self._reloaded = True
            self._wait()
            self.host.reload_accounts(self.service, self._database_read)
            return False
        error = self.session.database_error(code, self.database)
        self.refuse(*error)
        return False

    def _database_read(self) -> None:
        if self.session.closed or self.connection.closed:
            return
        self._go_on()
        self.after_password()

    def after_password(self) -> None:
        """The password was right; what is left is the database and the session."""
        raise NotImplementedError

    def backend_credentials(self, sha1: bytes) -> tuple[str, bytes]:
        """User and SHA1(password) for the servers: the client's own, or those it is mapped to."""
        mapping = self.listener.mapping
        mapped = mapping.map_user(self.user) if mapping is not None else None
        return (self.user, sha1) if mapped is None else (mapped.user, mapped.sha1)


class Login(Exchange):
    """The login at the beginning of a connection."""

    def _prepare(self) -> None:
        # Capabilities of the greeting.
        self._offered = 0
        self._first = True
        self._tls_done = False
        self._response: HandshakeResponse | None = None
        self._sha1 = b""

    def greet(self) -> None:
        """Send the greeting."""
        self.scramble = self.host.scramble()
        greeting = self.host.greeting(self.listener)
        self._offered = greeting.capabilities
        self._send_packet(greeting.packet(self.session.id & 0xFFFFFFFF, self.scramble))

    def feed(self, buf: bytearray, start: int, end: int) -> int:
        """The first bytes may be a PROXY header."""
        if self._first:
            p = buf
            if end - start >= 2:
                head = p[start] | p[start + 1] << 8
                self._first = head == _TEXT_HEAD or head == _BINARY_HEAD
            if self._first:
                return self._header(buf, start, end)
        return Exchange.feed(self, buf, start, end)

    def _header(self, buf: bytearray, start: int, end: int) -> int:
        header = proxyproto.parse_header(buf, start, end)
        if isinstance(header, proxyproto.NeedMore):
            return start
        self._first = False
        if isinstance(header, proxyproto.Malformed):
            self.refuse(1043, "08S01", "Bad handshake")
            return end
        if isinstance(header, proxyproto.Header):
            networks = self.listener.networks
            if networks is None or self.session.remote not in networks:
                self.refuse(1130, "HY000", f"Proxy header is not accepted from {self.session.remote}")
                return end
            if not header.local:
                self.session.remote = header.source
                self.session.remote_port = header.port
                self.session.local_socket = False
            return start + header.consumed
        return Exchange.feed(self, buf, start, end)

    def packet(self, payload: bytes) -> None:
        if self._response is not None:
            Exchange.packet(self, payload)
            return
        if is_ssl_request(payload):
            if self.listener.tls is None or self._tls_done:
                self.refuse(1043, "08S01", "Bad handshake")
                return
            self._tls_done = True
            self.switched = True
            self.host.start_client_tls(self.connection)
            return
        response = parse_handshake_response(payload, self._offered)
        self._response = response
        session = self.session
        capabilities = response.capabilities
        session.capabilities = capabilities & self._offered
        session.charset = response.charset
        session.attributes = response.attributes_raw
        session.listener = self.listener
        session.user = self.user = response.user
        self.database = response.database if capabilities & _CONNECT_WITH_DB else ""
        self.plugin = response.plugin
        self.token = response.auth
        if self.listener.demands_tls and not self._tls_done:
            self._denied(access_denied(self.user, session.remote, bool(self.token)))
            return
        self.identify()

    def refuse(self, code: int, sqlstate: str, message: str) -> None:
        self.send(err_payload(code, sqlstate, message))
        if code == 1045 and self.service.params.get("log_auth_warnings", True):
            self.host.log(30, f"{message} (listener {self.listener.name})", self.session)
        self.session.close("login refused")

    def accepted(self, sha1: bytes) -> None:
        self._sha1 = sha1
        if self.account is not None and self.account.ssl and not self._tls_done:
            self._denied(access_denied(self.user, self.session.remote, True))
            return
        self.after_password()

    def after_password(self) -> None:
        if not self.check_database():
            return
        session = self.session
        session.account = self.account
        session.password = self._sha1
        session.database = self.database
        session.backend_user, session.backend_password = self.backend_credentials(self._sha1)
        refused = self.host.admit(session)
        if refused:
            self.refuse(1040, "08004", refused)
            return
        reason = session.start()
        if session.closed:
            return
        if reason:
            self.host.log(
                40, f"Failed to create a session for {session.user}@{session.remote}: {reason}", session
            )
            self.refuse(1815, "HY000", f"Internal error: Session creation failed: {reason}")
            return
        state = b""
        if session.capabilities & _SESSION_TRACK:
            state = session_variables(self.host.login_variables(self.listener, session))
        self.send(login_ok(state))
        self.connection.login_done()


class ChangeUser(Exchange):
    """COM_CHANGE_USER: if it fails the session goes on as the former user."""

    def _prepare(self) -> None:
        self._sha1 = b""
        self._request: Any = None

    def begin(self, packet: bytes) -> None:
        """The packet of the command."""
        self.sequence = 1
        self.scramble = self.connection.scramble
        try:
            self._request = parse_change_user(packet[5:], self.session.capabilities)
        except ProtocolError as error:
            self.refuse(error.errno, error.sqlstate, error.message)
            return
        request = self._request
        self.user, self.database = request.user, request.database
        self.plugin, self.token = request.plugin or _PLUGIN, request.auth
        self.identify()

    def refuse(self, code: int, sqlstate: str, message: str) -> None:
        self.send(err_payload(code, sqlstate, message))
        self.connection.login_done()

    def broken(self, code: int, sqlstate: str, message: str) -> None:
        self.send(err_payload(code, sqlstate, message))
        self.session.close(f"change of user: {message}")

    def accepted(self, sha1: bytes) -> None:
        self._sha1 = sha1
        self.after_password()

    def after_password(self) -> None:
        if not self.check_database():
            return
        session = self.session
        session.account = self.account
        session.user = self.user
        session.password = self._sha1
        session.database = self.database
        session.backend_user, session.backend_password = self.backend_credentials(self._sha1)
        if self._request.charset:
            session.charset = self._request.charset
        if self._request.attributes_raw:
            session.attributes = self._request.attributes_raw
        reason = session.user_changed()
        if session.closed:
            return
        if reason:
            session.close("change of user failed", log=f"After a change of user: {reason}")
            return
        self.send(login_ok(b""))
        self.connection.login_done()
