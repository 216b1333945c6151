"""A small asyncio client of MariaDB servers, for monitors, the account manager, KILL and the tests.

One connection, one statement at a time, text protocol, whole results in memory. Every wait has a limit; a
connection that failed once is closed and stays closed. Errors: `SqlError` (the server said so), `SqlLost`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket as sockets
import ssl

from msgspec import Struct

from fairlead.protocol import auth, packets
from fairlead.protocol.constants import (
    CLIENT_CONNECT_ATTRS,
    CLIENT_CONNECT_WITH_DB,
    CLIENT_LONG_FLAG,
    CLIENT_MULTI_RESULTS,
    CLIENT_MULTI_STATEMENTS,
    CLIENT_MYSQL,
    CLIENT_PLUGIN_AUTH,
    CLIENT_PLUGIN_AUTH_LENENC,
    CLIENT_PROTOCOL_41,
    CLIENT_SECURE_CONNECTION,
    CLIENT_SSL,
    CLIENT_TRANSACTIONS,
    COM_PING,
    COM_QUERY,
    COM_QUIT,
    MAX_PACKET,
    SERVER_MORE_RESULTS_EXIST,
)
from fairlead.protocol.errors import ProtocolError
from fairlead.protocol.handshake import (
    Greeting,
    HandshakeResponse,
    build_handshake_response,
    build_ssl_request,
    client_version,
    parse_auth_switch,
    parse_greeting,
)

# An answer larger than this, all its results together, is given up, in bytes.
RESULT_BYTES_MAX = 256 * 1024 * 1024
# Time to say goodbye, in seconds.
CLOSE_TIMEOUT = 0.5

_CAPABILITIES = (
    CLIENT_MYSQL
    | CLIENT_LONG_FLAG
    | CLIENT_PROTOCOL_41
    | CLIENT_TRANSACTIONS
    | CLIENT_SECURE_CONNECTION
    | CLIENT_MULTI_STATEMENTS
    | CLIENT_MULTI_RESULTS
    | CLIENT_PLUGIN_AUTH
    | CLIENT_PLUGIN_AUTH_LENENC
)


class SqlError(Exception):
    """An error packet of the server."""

    def __init__(self, errno: int, sqlstate: str, message: str) -> None:
        super().__init__(f"{message} ({errno})")
        self.errno = errno
        self.sqlstate = sqlstate
        self.message = message


class SqlLost(Exception):
    """The connection could not be made, was lost, or did not answer in time."""


class Result(Struct, frozen=True):
    """One result; without columns it was an OK."""

    columns: tuple[str, ...] = ()
    rows: list[tuple[str | None, ...]] = []
    affected: int = 0
    insert_id: int = 0
    status: int = 0
    warnings: int = 0
    info: str = ""

    def dicts(self) -> list[dict[str, str | None]]:
        """The rows by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class SqlClient:
    """An open connection; made by `connect`."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, read_timeout: float
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._read_timeout = read_timeout
        self._sequence = 0
        # Bytes of the present answer.
        self._taken = 0
        self.closed = False
        self.greeting = Greeting("", 0, b"", 0)
        self.tls_active = False

    # -- facts of the greeting

    @property
    def version(self) -> str:
        """Version of the server, without a leading 5.5.5-."""
        return client_version(self.greeting.version)

    @property
    def capabilities(self) -> int:
        """What the server offered, 64 bits."""
        return self.greeting.capabilities

    @property
    def charset(self) -> int:
        """Collation id of the greeting."""
        return self.greeting.charset

    @property
    def thread_id(self) -> int:
        """Connection id on the server."""
        return self.greeting.thread_id

    # -- connecting

    @classmethod
    async def connect(
        cls,
        *,
        host: str = "",
        port: int = 3306,
        socket: str = "",
        user: str,
        password: str = "",
        password_hash: bytes | None = None,
        database: str = "",
        tls: ssl.SSLContext | None = None,
        tls_hostname: str = "",
        preamble: bytes = b"",
        local_address: str = "",
        connect_timeout: float = 3.0,
        read_timeout: float = 3.0,
        charset: int = 45,
        attributes: dict[str, str] | None = None,
    ) -> SqlClient:
        """Connect and log in. `password_hash`: SHA1(password) instead of the password."""
        where = socket or f"{host}:{port}"
        try:
            async with asyncio.timeout(connect_timeout):
                if socket:
                    reader, writer = await asyncio.open_unix_connection(socket)
                else:
                    local = (local_address, 0) if local_address else None
                    reader, writer = await asyncio.open_connection(host, port, local_addr=local)
        except TimeoutError:
            raise SqlLost(f"no connection to {where} within {connect_timeout:g} s") from None
        except OSError as error:
            raise SqlLost(f"cannot connect to {where}: {error.strerror or error}") from None
        raw = writer.get_extra_info("socket")
        if raw is not None and raw.family != sockets.AF_UNIX:
            raw.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
        client = cls(reader, writer, read_timeout)
        hash1 = auth.password_hash(password) if password_hash is None else password_hash
        try:
            async with asyncio.timeout(read_timeout + connect_timeout):
                await client._login(
                    user, hash1, database, tls, tls_hostname or host, preamble, charset, attributes or {}
                )
        except TimeoutError:
            client.abort()
            raise SqlLost(f"{where} did not answer the login within {read_timeout:g} s") from None
        except BaseException:
            client.abort()
            raise
        return client

    async def _login(
        self,
        user: str,
        hash1: bytes,
        database: str,
        tls: ssl.SSLContext | None,
        tls_hostname: str,
        preamble: bytes,
        charset: int,
        attributes: dict[str, str],
    ) -> None:
        if preamble:
            self._writer.write(preamble)
        try:
            self.greeting = parse_greeting(await self._packet())
        except ProtocolError as error:
            raise SqlError(error.errno, error.sqlstate, error.message) from None
        capabilities = _CAPABILITIES & (self.greeting.capabilities | CLIENT_MYSQL)
        if database:
            capabilities |= CLIENT_CONNECT_WITH_DB
        if attributes:
            capabilities |= CLIENT_CONNECT_ATTRS
        if tls is not None:
            if not self.greeting.capabilities & CLIENT_SSL:
                raise SqlLost("the server does not offer TLS")
            capabilities |= CLIENT_SSL
            self._send(build_ssl_request(capabilities, charset))
            await self._start_tls(tls, tls_hostname)
        raw = b"".join(
            packets.lenenc_string(key.encode()) + packets.lenenc_string(value.encode())
            for key, value in attributes.items()
        )
        token = auth.native_token(hash1, self.greeting.scramble)
        response = HandshakeResponse(
            capabilities, charset, user, token, database, "mysql_native_password", raw
        )
        self._send(build_handshake_response(response))
        payload = await self._packet()
        if payload[:1] == b"\xfe":
            try:
                switch = parse_auth_switch(payload)
            except ProtocolError as error:
                raise SqlError(error.errno, error.sqlstate, error.message) from None
            if switch.plugin != "mysql_native_password":
                raise SqlError(1524, "HY000", f"the server asks for authentication with '{switch.plugin}'")
            self._send(auth.native_token(hash1, switch.data))
            payload = await self._packet()
        if payload[:1] == b"\xff":
            raise _error(payload)
        if payload[:1] != b"\x00":
            raise SqlLost("the server sent a packet that makes no sense during the login")

    async def _start_tls(self, context: ssl.SSLContext, hostname: str) -> None:
        try:
            async with asyncio.timeout(self._read_timeout):
                await self._writer.start_tls(context, server_hostname=hostname or None)
        except (OSError, ssl.SSLError, TimeoutError, ssl.CertificateError) as error:
            raise SqlLost(f"TLS failed: {error or 'no answer in time'}") from None
        self.tls_active = True

    # -- packets

    def _send(self, payload: bytes) -> None:
        self._writer.write(packets.frame(self._sequence, payload))
        self._sequence = (self._sequence + 1) & 0xFF

    async def _packet(self) -> bytes:
        """One payload, joined where it came in several packets."""
        payload = b""
        try:
            while True:
                header = await self._reader.readexactly(4)
                size = int.from_bytes(header[:3], "little")
                self._sequence = (header[3] + 1) & 0xFF
                piece = await self._reader.readexactly(size) if size else b""
                payload = piece if not payload else payload + piece
                self._taken += 4 + size
                if self._taken > RESULT_BYTES_MAX:
                    self.abort()
                    raise SqlLost("the server sent more than is accepted")
                if size < MAX_PACKET:
                    return payload
        except (asyncio.IncompleteReadError, OSError, ssl.SSLError) as error:
            self.abort()
            raise SqlLost(f"the connection was lost: {_cause(error)}") from None

    async def _within(self, timeout: float | None) -> list[Result]:
        limit = self._read_timeout if timeout is None else timeout
        self._taken = 0
        try:
            async with asyncio.timeout(limit):
                return await self._results()
        except TimeoutError:
            self.abort()
            raise SqlLost(f"no answer within {limit:g} s") from None
        except asyncio.CancelledError:
            # The rest of the answer would be taken for the next one.
            self.abort()
            raise

    # -- statements

    async def query(self, sql: str, timeout: float | None = None) -> Result:
        """Run one statement."""
        return (await self.queries(sql, timeout))[0]

    async def queries(self, sql: str, timeout: float | None = None) -> list[Result]:
        """Run one or several statements; a result for each."""
        if self.closed:
            raise SqlLost("the connection is closed")
        self._sequence = 0
        self._send(bytes((COM_QUERY,)) + sql.encode("utf-8", "surrogateescape"))
        return await self._within(timeout)

    async def ping(self, timeout: float | None = None) -> None:
        """Ask for a sign of life."""
        if self.closed:
            raise SqlLost("the connection is closed")
        self._sequence = 0
        self._send(bytes((COM_PING,)))
        await self._within(timeout)

    async def _results(self) -> list[Result]:
        results = []
        while True:
            try:
                result = await self._result()
            except ProtocolError as error:
                self.abort()
                raise SqlLost(f"the answer of the server makes no sense: {error.message}") from None
            results.append(result)
            if not result.status & SERVER_MORE_RESULTS_EXIST:
                return results

    async def _result(self) -> Result:
        payload = await self._packet()
        first = payload[:1]
        if first == b"\xff":
            raise _error(payload)
        if first == b"\x00":
            ok = packets.parse_ok(payload, 0)
            return Result((), [], ok.affected, ok.insert_id, ok.status, ok.warnings, ok.info)
        if first == b"\xfe" and len(payload) < 9:
            return Result(status=int.from_bytes(payload[3:5], "little"))
        count = packets.Reader(payload).number()
        names = []
        for _ in range(count):
            reader = packets.Reader(await self._packet())
            for _ in range(4):
                reader.string()
            names.append(reader.string().decode("utf-8", "replace"))
        await self._packet()
        rows: list[tuple[str | None, ...]] = []
        while True:
            payload = await self._packet()
            if payload[:1] == b"\xff":
                raise _error(payload)
            if payload[:1] == b"\xfe" and len(payload) < 9:
                status = int.from_bytes(payload[3:5], "little")
                return Result(
                    tuple(names), rows, status=status, warnings=int.from_bytes(payload[1:3], "little")
                )
            reader = packets.Reader(payload)
            row = tuple(_text(reader.nullable()) for _ in range(count))
            rows.append(row)

    # -- ending

    async def close(self) -> None:
        """Say goodbye and close."""
        if self.closed:
            return
        self._sequence = 0
        with contextlib.suppress(OSError, TimeoutError, ssl.SSLError):
            self._send(bytes((COM_QUIT,)))
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._writer.drain()
        self.abort()

    def abort(self) -> None:
        """Close at once."""
        if not self.closed:
            self.closed = True
            self._writer.transport.abort()


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "surrogateescape")


def _error(payload: bytes) -> SqlError:
    error = packets.parse_err(payload)
    return SqlError(error.errno, error.sqlstate, error.message)


def _cause(error: BaseException) -> str:
    if isinstance(error, asyncio.IncompleteReadError):
        return "closed by the server"
    return str(error)
