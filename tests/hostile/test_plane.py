"""Clients that never finish and servers that never begin, against a worker's data plane on real sockets."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import ssl
import struct
from typing import Any

import pytest
from rig import GREETING, Rig, read_packet, rig, serve
from talk import frame, login, query

from fairlead.protocol import packets
from fairlead.session.client import ClientConnection
from fairlead.session.history import History
from fairlead.session.login import Login
from fairlead.session.router import RouterSession
from fairlead.session.session import Session
from fairlead.workers import plane as plane_module
from fairlead.workers.deadlines import Deadlines

ROUTERS = ("readwritesplit", "readconnroute")


async def log_in(made: Rig) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await made.connect()
    await read_packet(reader)
    writer.write(login())
    _, verdict = await read_packet(reader)
    assert verdict[:1] == b"\x00", verdict
    return reader, writer


async def everything(reader: asyncio.StreamReader) -> bytes:
    """What is sent until the connection ends, in whatever way."""
    data = b""
    try:
        while piece := await reader.read(65536):
            data += piece
    except OSError:
        return data
    return data


async def reply(reader: asyncio.StreamReader) -> list[bytes] | None:
    """The payloads of a reply to a text query; None if the connection ended."""
    found = []
    ends = 0
    try:
        while True:
            _, payload = await read_packet(reader)
            found.append(payload)
            if (payload[:1] in (b"\x00", b"\xff") and len(found) == 1) or payload[:1] == b"\xff":
                return found
            if payload[:1] == b"\xfe" and len(payload) < 9:
                ends += 1
                if ends == 2:
                    return found
    except (asyncio.IncompleteReadError, OSError):
        return None


# -- clients that never finish


HALF = [
    b"",
    b"\x20",
    login()[:3],
    login()[:-1],
    b"PROXY TCP4 1.2.3.4",
    b"\r\n\r\n\x00\r\nQUIT\n\x21",
    b"\x00\x00\x0f\x01" + b"x" * 100_000,
]


@pytest.mark.parametrize("said", HALF, ids=range(len(HALF)))
def test_a_client_that_never_finishes_its_login(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    with rig(monkeypatch) as made:

        async def work() -> None:
            reader, writer = await made.connect()
            await read_packet(reader)
            writer.write(said)
            await everything(reader)
            writer.close()

        made.run(work())


def test_a_client_that_drips_its_login(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then does not buy time."""
    with rig(monkeypatch) as made:

        async def work() -> None:
            reader, writer = await made.connect()
            await read_packet(reader)
            reading = asyncio.ensure_future(everything(reader))
            for byte in login():
                if reading.done():
                    break
                writer.write(bytes((byte,)))
                await asyncio.sleep(0.02)
            await reading
            writer.close()

        made.run(work())


def test_a_client_that_does_not_answer_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    with rig(monkeypatch) as made:

        async def work() -> None:
            reader, writer = await made.connect()
            await read_packet(reader)
            writer.write(login(plugin="client_ed25519"))
            assert (await read_packet(reader))[1][:1] == b"\xfe"
            await everything(reader)
            writer.close()

        made.run(work())


def test_a_client_that_neither_reads_nor_closes_after_its_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    with rig(monkeypatch) as made:

        async def work() -> None:
            _, writer = await made.connect()
            writer.write(login(password="wrong"))
            await made.until(lambda: made.plane.connections)
            await made.until(lambda: not made.plane.connections)
            writer.close()

        made.run(work())


@pytest.mark.parametrize("hello", [0, 1, 60, -1])
def test_a_client_that_stalls_in_the_tls_handshake(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, hello: int
) -> None:
    pem = _certificate(tmp_path)
    with rig(monkeypatch, listener={"ssl": True, "ssl_cert": pem, "ssl_key": pem}) as made:

        async def work() -> None:
            reader, writer = await made.connect()
            await read_packet(reader)
            writer.write(frame(login()[4:36][:1] + b"\x8a" + login()[6:36], 1))
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            peer = context.wrap_bio(incoming, outgoing)
            with pytest.raises(ssl.SSLWantReadError):
                peer.do_handshake()
            writer.write(outgoing.read()[: hello if hello >= 0 else 10_000])
            await everything(reader)
            writer.close()

        made.run(work())


def _certificate(directory: Any) -> str:
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - datetime.timedelta(hours=1))
    certificate = builder.not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    path = directory / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    return str(path)


def test_a_storm_of_resets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that reset without a word leave nothing, and one that behaves is served meanwhile."""
    with rig(monkeypatch) as made:

        async def storm() -> None:
            for number in range(300):
                sock = socket.create_connection(("127.0.0.1", made.port))
                if number % 3 == 0:
                    sock.send(login()[: number % 100])
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()
                await asyncio.sleep(0)

        async def work() -> None:
            reader, writer = await log_in(made)
            storming = asyncio.ensure_future(storm())
            while not storming.done():
                writer.write(query("SELECT 1"))
                assert await reply(reader) is not None
            await storming
            writer.close()

        made.run(work())


# -- servers that misbehave


async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def says_garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(os.urandom(5000))
    await reader.read()


async def speaks_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


async def greets_and_stalls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(packets.frame(0, GREETING.build()))
    await reader.read()


async def greets_and_says_garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(packets.frame(0, GREETING.build()))
    await read_packet(reader)
    writer.write(packets.frame(2, b"\x17 what is this"))
    await reader.read()


async def announces_too_much(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\xff\xff\xff\x00")
    for _ in range(100):
        writer.write(bytes(100_000))
        await writer.drain()


async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    return


async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(
        packets.frame(0, packets.err_payload(1040, "08004", "Too many connections", with_state=False))
    )


async def asks_for_another_plugin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(packets.frame(0, GREETING.build()))
    await read_packet(reader)
    writer.write(packets.frame(2, b"\xfeclient_ed25519\x00" + bytes(32)))
    await reader.read()


async def answers_garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(packets.frame(0, GREETING.build()))
    await read_packet(reader)
    writer.write(packets.frame(2, b"\x00\x00\x00\x02\x00\x00\x00"))
    await read_packet(reader)
    writer.write(b"\x05\x00\x00\x01\xfb\xfb\xfb\xfb\xfb" + b"\x00\x00\x00\x02")
    await reader.read()


async def says_too_much(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(packets.frame(0, GREETING.build()))
    await read_packet(reader)
    writer.write(packets.frame(2, b"\x00\x00\x00\x02\x00\x00\x00") * 3)
    await reader.read()


BAD = [
    says_nothing,
    says_garbage,
    speaks_http,
    greets_and_stalls,
    greets_and_says_garbage,
    announces_too_much,
    closes,
    refuses,
    asks_for_another_plugin,
    answers_garbage,
    says_too_much,
]


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("sql", ["SELECT 1", "INSERT INTO t VALUES (1)"])
def test_servers_that_misbehave_leave_the_client_with_an_error(
    monkeypatch: pytest.MonkeyPatch, router: str, bad: Any, sql: str
) -> None:
    with rig(monkeypatch, router) as made:
        made.handlers = [bad, bad]

        async def work() -> None:
            reader, writer = await made.connect()
            await read_packet(reader)
            writer.write(login() + query(sql))
            data = await everything(reader)
            assert data
            writer.close()

        made.run(work())
        assert not made.errors


@pytest.mark.parametrize("bad", [bad for bad in BAD if bad not in (answers_garbage, says_too_much)])
def test_a_read_finds_the_server_that_behaves(monkeypatch: pytest.MonkeyPatch, bad: Any) -> None:
    with rig(monkeypatch, "readwritesplit", 2, master_accept_reads=True) as made:
        made.handlers = [serve, bad]

        async def work() -> None:
            reader, writer = await log_in(made)
            for _ in range(3):
                writer.write(query("SELECT 1"))
                assert await reply(reader) is not None
            writer.close()

        made.run(work())
        assert not made.errors


class Dying:
    """A writer that breaks the connection after so many bytes."""

    def __init__(self, writer: asyncio.StreamWriter, left: int, reset: bool) -> None:
        self.writer = writer
        self.left = left
        self.reset = reset
        self.written = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)
        self.writer.write(data[: max(0, self.left)])
        self.left -= len(data)
        if self.left < 0:
            if self.reset:
                sock = self.writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise ConnectionResetError


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("reset", [False, True])
def test_servers_that_die_at_any_byte(monkeypatch: pytest.MonkeyPatch, router: str, reset: bool) -> None:
    """All die at the same byte of the conversation: the client has its answer, an error, or the end."""
    lengths: list[int] = []

    async def measured(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        counting = Dying(writer, 1 << 60, False)
        try:
            await serve(reader, counting)
        finally:
            lengths.append(counting.written)

    with rig(monkeypatch, router) as made:

        async def work() -> None:
            async def talk() -> list[bytes] | None:
                reader, writer = await made.connect()
                await read_packet(reader)
                writer.write(login() + query("SELECT 1"))
                try:
                    await read_packet(reader)
                except (asyncio.IncompleteReadError, OSError):
                    return None
                finally:
                    answered = await reply(reader)
                    writer.close()
                return answered

            made.handlers = [measured, measured]
            whole = await talk()
            assert whole is not None
            await made.until(lambda: lengths)
            longest = max(lengths)
            assert longest > 500
            for place in range(longest):

                async def dying(
                    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: int = place
                ) -> None:
                    await serve(reader, Dying(writer, place, reset))

                made.handlers = [dying, dying]
                answered = await talk()
                assert answered is None or answered == whole or answered[-1][:1] == b"\xff", place

        made.loop.run_until_complete(asyncio.wait_for(work(), 60))
        assert not made.errors


# -- bugs of our own


class GreetsNobody(Login):
    """A login with a bug."""

    def greet(self) -> None:
        raise ZeroDivisionError


class BeginsNothing(Login):
    """A login with a bug that shows even earlier."""

    def __init__(self, connection: Any, session: Any) -> None:
        raise ZeroDivisionError


class CountsNobody(Deadlines):
    """Deadlines with a bug."""

    def login_begins(self, connection: Any) -> None:
        raise ZeroDivisionError


@pytest.mark.parametrize("broken", [GreetsNobody, BeginsNothing, CountsNobody])
def test_an_exception_while_a_client_is_accepted_costs_that_client_only(
    monkeypatch: pytest.MonkeyPatch, broken: Any
) -> None:
    with rig(monkeypatch) as made:
        before = len(os.listdir("/proc/self/fd"))
        spoiled = pytest.MonkeyPatch()
        if broken is CountsNobody:
            spoiled.setattr(made.plane, "deadlines", CountsNobody())
        else:
            spoiled.setattr(plane_module, "Login", broken)

        async def refused() -> None:
            reader, writer = await made.connect()
            await everything(reader)
            writer.close()

        for _ in range(5):
            made.run(refused())
        spoiled.undo()
        assert len(made.errors) == 5
        made.run(made.until(lambda: not made.gauges()))
        assert len(os.listdir("/proc/self/fd")) <= before

        async def served() -> None:
            reader, writer = await log_in(made)
            writer.write(query("SELECT 1"))
            assert await reply(reader) is not None
            writer.close()

        made.run(served())


def test_a_session_that_has_ended_is_freed_without_the_garbage_collector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def alive() -> list[Any]:
        return [one for one in gc.get_objects() if isinstance(one, (ClientConnection, Session))]

    with rig(monkeypatch) as made:

        async def work() -> None:
            for _ in range(3):
                reader, writer = await log_in(made)
                writer.write(b"\x01\x00\x00\x00\x01")
                await everything(reader)
                writer.close()
            await made.until(lambda: not alive())

        gc.collect()
        gc.disable()
        try:
            made.run(work())
        finally:
            gc.enable()


class Raising(RouterSession):
    """A router with a bug."""

    def route(self, statement: Any) -> int:
        raise ValueError("a bug")


class NoLength(History):
    """A history with a bug that shows at the end of the session."""

    def __len__(self) -> int:
        raise ValueError("another bug")


def test_an_exception_in_a_handler_ends_the_session_even_if_its_end_raises(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with rig(monkeypatch) as made:

        async def work() -> None:
            reader, writer = await log_in(made)
            session = next(iter(made.plane.sessions.values()))
            session.history = NoLength(1, True, False)
            session.router = Raising()
            writer.write(query("SET @a = 1"))
            await everything(reader)
            writer.close()

        made.run(work())
        assert made.errors
        made.run(made.until(lambda: not made.plane.connections and not made.plane.sessions))
        made.board.clear_gauges(0)


def test_an_exception_of_one_waiter_for_accounts_does_not_keep_the_others_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with rig(monkeypatch) as made:
        heard: list[int] = []
        service = made.plane.services["service"]

        async def work() -> None:
            made.plane.reload_accounts(service, lambda: 1 // 0)
            made.plane.reload_accounts(service, lambda: heard.append(1))
            await made.until(lambda: heard)

        made.run(work())
