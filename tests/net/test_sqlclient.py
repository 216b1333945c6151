"""The small client against servers that misbehave: an error in time, never a wrong answer, never a hang."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fairlead.net import sqlclient
from fairlead.net.sqlclient import SqlClient, SqlError, SqlLost
from fairlead.protocol import packets
from fairlead.protocol.constants import BASE_CAPABILITIES
from fairlead.protocol.handshake import Greeting

GREETING = Greeting("11.4.2-MariaDB", 7, bytes(range(40, 60)), BASE_CAPABILITIES, 45).build()
OK = b"\x00\x00\x00\x02\x00\x00\x00"
EOF = b"\xfe\x00\x00\x02\x00"
TIMEOUT = 0.1

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def frames(payloads: list[bytes], sequence: int = 1) -> bytes:
    return b"".join(packets.frame(sequence + number, payload) for number, payload in enumerate(payloads))


def rows(*values: bytes) -> list[bytes]:
    return [
        b"\x01",
        packets.column_payload("a"),
        EOF,
        *(packets.lenenc_string(value) for value in values),
        EOF,
    ]


async def packet(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(4)
    return await reader.readexactly(int.from_bytes(head[:3], "little"))


async def log_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(packets.frame(0, GREETING))
    await packet(reader)
    writer.write(packets.frame(2, OK))


def with_server(script: Script, work: Callable[[int], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await script(reader, writer)
            except (asyncio.IncompleteReadError, OSError):
                return
            finally:
                writer.close()

        server = await asyncio.start_server(accepted, "127.0.0.1", 0)
        try:
            return await asyncio.wait_for(work(server.sockets[0].getsockname()[1]), 8)
        finally:
            server.close()

    return asyncio.run(main())


async def connect(port: int) -> SqlClient:
    return await SqlClient.connect(
        host="127.0.0.1", port=port, user="u", connect_timeout=TIMEOUT, read_timeout=TIMEOUT
    )


def test_a_cancelled_statement_ends_the_connection() -> None:
    """The late answer to it must not be taken for the answer to the next one."""
    go_on = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await log_in(reader, writer)
        await packet(reader)
        await go_on.wait()
        writer.write(frames(rows(b"late")))
        await packet(reader)
        writer.write(frames(rows(b"next")))
        await reader.read()

    async def work(port: int) -> None:
        client = await connect(port)
        task = asyncio.ensure_future(client.query("SELECT 'late'", 5))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        assert client.closed
        with pytest.raises(SqlLost):
            await client.query("SELECT 'next'")

    with_server(script, work)


def test_an_error_leaves_the_connection_usable() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await log_in(reader, writer)
        await packet(reader)
        writer.write(frames([packets.err_payload(1146, "42S02", "no such table")]))
        await packet(reader)
        writer.write(frames(rows(b"x")))
        await reader.read()

    async def work(port: int) -> None:
        client = await connect(port)
        with pytest.raises(SqlError):
            await client.query("SELECT a FROM nothing")
        assert (await client.query("SELECT 'x'")).rows == [("x",)]
        await client.close()

    with_server(script, work)


def test_an_endless_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlclient, "RESULT_BYTES_MAX", 200_000)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await log_in(reader, writer)
        await packet(reader)
        writer.write(frames(rows()[:3]))
        while True:
            writer.write(frames([packets.lenenc_string(bytes(1000))] * 100))
            await writer.drain()

    async def work(port: int) -> None:
        client = await connect(port)
        with pytest.raises(SqlLost, match="more than is accepted"):
            await client.query("SELECT 1", 5)
        assert client.closed

    with_server(script, work)


@pytest.mark.parametrize("seed", range(60))
def test_spoiled_conversations(seed: int) -> None:
    """Bytes changed, missing, or the end, anywhere: a result or one of the two errors, in time."""
    generator = random.Random(seed)
    said = [
        packets.frame(0, GREETING),
        packets.frame(2, OK),
        frames(rows(b"1", b"2", b"3")),
        frames([b"\x00\x00\x00\x0a\x00\x00\x00", *rows(b"4")]),
    ]
    number = generator.randrange(len(said))
    piece = bytearray(said[number])
    ends = False
    for _ in range(generator.choice((1, 1, 2, 5))):
        at = generator.randrange(len(piece))
        kind = generator.randrange(4)
        if kind == 0:
            piece[at] = generator.randrange(256)
        elif kind == 1:
            piece[at:at] = generator.randbytes(5)
        elif kind == 2 and len(piece) > 5:
            del piece[at : at + 3]
        else:
            ends = True
            piece = piece[: at + 1]
    said[number] = bytes(piece)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for each, data in enumerate(said):
            if each:
                await packet(reader)
            writer.write(data)
            if ends and each == number:
                return
        await reader.read()

    async def work(port: int) -> None:
        client = None
        try:
            client = await connect(port)
            await client.query("SELECT 1")
            await client.queries("SELECT 1; SELECT 2")
        except (SqlError, SqlLost):
            pass
        finally:
            if client is not None:
                await client.close()

    with_server(script, work)
