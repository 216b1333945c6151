"""Clients that break the rules, and rare replies of real servers, through the whole product."""

from __future__ import annotations

import os
import random
import socket
import struct
import time
from pathlib import Path
from typing import Any

import pymysql
import pytest

from cluster import APP_PASSWORD, APP_USER, DATABASE, wait_until
from fairlead.protocol import auth, packets
from fairlead.protocol.constants import (
    BASE_CAPABILITIES,
    CLIENT_CONNECT_WITH_DB,
    CLIENT_DEPRECATE_EOF,
    CLIENT_MYSQL,
    CLIENT_SESSION_TRACK,
    COM_QUERY,
    COM_STMT_EXECUTE,
    COM_STMT_PREPARE,
)
from fairlead.protocol.handshake import HandshakeResponse, build_handshake_response, parse_greeting

pytestmark = pytest.mark.server
# How long anything may take, in seconds.
PATIENCE = 10.0


def connect(product: Any, **more: Any) -> Any:
    return pymysql.connect(
        host="127.0.0.1",
        port=product.split_port,
        user=APP_USER,
        password=APP_PASSWORD,
        database=DATABASE,
        autocommit=True,
        **more,
    )


class Raw:
    """A client of packets."""

    def __init__(self, product: Any) -> None:
        self.sock = socket.create_connection(("127.0.0.1", product.split_port), PATIENCE)
        greeting = parse_greeting(self.packet())
        unwanted = CLIENT_MYSQL | CLIENT_DEPRECATE_EOF | CLIENT_SESSION_TRACK
        response = HandshakeResponse(
            capabilities=BASE_CAPABILITIES & ~unwanted | CLIENT_CONNECT_WITH_DB,
            charset=45,
            user=APP_USER,
            auth=auth.native_token(auth.password_hash(APP_PASSWORD), greeting.scramble),
            database=DATABASE,
            plugin="mysql_native_password",
        )
        self.sock.sendall(packets.frame(1, build_handshake_response(response)))
        assert self.packet()[:1] == b"\x00"

    def packet(self) -> bytes:
        head = self._exactly(4)
        return self._exactly(int.from_bytes(head[:3], "little"))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            assert piece, "the connection ended"
            data += piece
        return data

    def ask(self, command: int, rest: bytes) -> bytes:
        self.sock.sendall(packets.frame(0, bytes((command,)) + rest))
        return self.packet()

    def value(self, sql: bytes) -> bytes:
        """The one value of a query."""
        assert self.ask(COM_QUERY, sql) == b"\x01"
        self.packet()
        self.packet()
        row = self.packet()
        assert self.packet()[:1] == b"\xfe"
        return row[1:]


@pytest.fixture
def table(product: Any) -> str:
    with connect(product) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE TABLE hostile (a INT)")
    return "hostile"


def test_load_data_local_of_every_kind(product: Any, table: str, tmp_path: Path) -> None:
    path = tmp_path / "numbers.txt"
    path.write_text("".join(f"{number}\n" for number in range(50_000)))
    load = f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE {table}"
    with connect(product, local_infile=True) as connection, connection.cursor() as cursor:
        cursor.execute(load)
        cursor.execute(f'EXECUTE IMMEDIATE "{load}"')
        cursor.execute("BEGIN")
        cursor.execute(f"SELECT COUNT(*) FROM {table}")
        assert cursor.fetchone() == (100_000,)
        cursor.execute("COMMIT")
    raw = Raw(product)
    assert raw.ask(COM_STMT_PREPARE, f"LOAD DATA LOCAL INFILE 'x' INTO TABLE {table}".encode())[:1] == b"\x00"
    assert raw.ask(COM_STMT_EXECUTE, struct.pack("<IBI", 1, 0, 1)) == b"\xfbx"
    raw.sock.sendall(packets.frame(2, b"7\n8\n") + packets.frame(3, b""))
    assert raw.packet()[:2] == b"\x00\x02"
    sql = f"INSERT INTO {table} VALUES (1); LOAD DATA LOCAL INFILE 'y' INTO TABLE {table}; SELECT 5"
    assert raw.ask(COM_QUERY, sql.encode())[:1] == b"\x00"
    assert raw.packet() == b"\xfby"
    raw.sock.sendall(packets.frame(3, b"9\n") + packets.frame(4, b""))
    assert raw.packet()[:2] == b"\x00\x01"
    assert [raw.packet() for _ in range(5)][3] == b"\x015"
    assert raw.value(b"SELECT 'after'") == b"after"
    raw.sock.close()


def test_a_transaction_in_front_of_an_error_stays_on_the_primary(product: Any, table: str) -> None:
    raw = Raw(product)
    primary = raw.value(b"SELECT @@server_id FOR UPDATE")
    assert raw.ask(COM_QUERY, b"BEGIN; NONSENSE")[:1] == b"\x00"
    assert raw.packet()[:1] == b"\xff"
    for _ in range(5):
        assert raw.value(b"SELECT @@server_id") == primary
    assert raw.ask(COM_QUERY, b"ROLLBACK")[:1] == b"\x00"
    raw.sock.close()


def _descriptors(product: Any) -> int:
    """Of all processes of the product."""
    total = 0
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_text()
            if str(product.config) in command or _parent(entry) == product.process.pid:
                total += len(os.listdir(entry / "fd"))
        except OSError:
            continue
    return total


def _connections(product: Any) -> list[int]:
    servers = product.get("servers")["data"]
    return [each["attributes"]["statistics"]["connections"] for each in servers]


def _parent(entry: Path) -> int:
    return int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) if entry.name.isdigit() else 0


def test_clients_of_nonsense_leave_nothing(product: Any) -> None:
    with connect(product) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        # The other server connections of this session are opened a moment later.
        wait_until(lambda: all(_connections(product)), "a connection to every server", PATIENCE)
        before = _descriptors(product)
        assert before > 20
        for number in range(300):
            generator = random.Random(number)
            sock = socket.create_connection(("127.0.0.1", product.split_port), PATIENCE)
            data = generator.randbytes(generator.randrange(300))
            if number % 2:
                data = len(data).to_bytes(3, "little") + b"\x01" + data
            sock.sendall(data)
            if number % 3 == 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
            if number % 20 == 0:
                cursor.execute("SELECT 1")
                assert cursor.fetchone() == (1,)
        deadline = time.monotonic() + 2 * PATIENCE
        while _descriptors(product) > before:
            assert time.monotonic() < deadline, "descriptors are left"
            cursor.execute("SELECT 1")
