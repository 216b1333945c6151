"""A worker's data plane in this process, on real sockets, between scripted TCP servers and raw clients.

The loop of the test is the worker's own; limits of time are shortened, so that waiting for them is short.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from hashlib import sha1
from typing import Any

import pytest
from harness import PASSWORD, SCRAMBLE, USER
from talk import answer

from fairlead.accounts.model import Account, AccountSet
from fairlead.cluster.board import (
    LAG,
    RANK,
    S_ACTIVE,
    S_CONNECTIONS,
    STATUS,
    V_SESSIONS,
    W_FDS,
    W_SESSIONS,
    Board,
    worker_index,
    worker_server_index,
    worker_service_index,
)
from fairlead.cluster.defs import ListenerDef, ServerDef, ServerFacts, ServiceDef, Snapshot
from fairlead.cluster.status import MASTER, RUNNING, SLAVE
from fairlead.config.params import defaults
from fairlead.net.params import LISTENER_PARAMS
from fairlead.net.poller import WorkerLoop, new_event_loop
from fairlead.protocol import auth, packets
from fairlead.protocol.constants import BASE_CAPABILITIES, CLIENT_DEPRECATE_EOF, CLIENT_MYSQL
from fairlead.protocol.handshake import Greeting
from fairlead.routers.readconnroute.params import SPEC as READCONNROUTE
from fairlead.routers.readwritesplit.params import SPEC as READWRITESPLIT
from fairlead.session.params import SERVICE_PARAMS
from fairlead.workers import deadlines as deadlines_module
from fairlead.workers import plane as plane_module
from fairlead.workers.messages import Accounts, ReloadAccounts
from fairlead.workers.plane import Plane

PORT_FIRST = 31100
# Limits of the product, shortened to these, in milliseconds.
LOGIN_MS = 300
CONNECT_MS = 300
GOODBYE_MS = 100
TICK_SECONDS = 0.02
# Nothing may take longer, in seconds.
PATIENCE = 8.0

CAPABILITIES = BASE_CAPABILITIES & ~CLIENT_MYSQL & ~CLIENT_DEPRECATE_EOF
GREETING = Greeting("11.4.2-MariaDB", 7, SCRAMBLE, CAPABILITIES, 45)
_SPECS = {"readwritesplit": READWRITESPLIT, "readconnroute": READCONNROUTE}

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class FakeConnection:
    """What the scripted answers need to know of a connection."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.capabilities = CAPABILITIES


async def read_packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Sequence number and payload."""
    head = await reader.readexactly(4)
    return head[3], await reader.readexactly(int.from_bytes(head[:3], "little"))


async def serve(reader: asyncio.StreamReader, writer: Any) -> None:
    """One connection to a server that behaves; `writer` may spoil what is written."""
    writer.write(packets.frame(0, GREETING.build()))
    sequence, _ = await read_packet(reader)
    writer.write(packets.frame(sequence + 1, b"\x00\x00\x00\x02\x00\x00\x00"))
    connection: Any = FakeConnection()
    while True:
        sequence, payload = await read_packet(reader)
        if payload[:1] == b"\x01" and not connection.state.get("load"):
            return
        for number, reply in enumerate(answer(connection, payload), sequence + 1):
            writer.write(packets.frame(number & 0xFF, reply))


class KnownPlane(Plane):
    """A plane whose logins can be written down beforehand."""

    def scramble(self) -> bytes:
        return SCRAMBLE


class Rig:
    """`handlers[i]` is what server i does with a connection."""

    def __init__(self, router: str, servers: int, listener: dict[str, Any], params: dict[str, Any]) -> None:
        self.loop: WorkerLoop = new_event_loop()
        self.board = Board.create(1)
        self.sent: list[Any] = []
        self.plane = KnownPlane(0, self.board, self._to_supervisor, self.loop, {})
        self.errors: list[Exception] = []
        self._wrapped = self.plane.poller.on_error
        self.plane.poller.on_error = self._handler_failed
        self.handlers: list[Handler] = [serve] * servers
        self.ports: list[int] = []
        self._servers: list[asyncio.Server] = []
        for number in range(servers):
            self._servers.append(self.loop.run_until_complete(self._listen(number)))
        self.port = _free_port()
        self._configure(router, listener, params)

    def _to_supervisor(self, message: Any) -> None:
        self.sent.append(message)
        if isinstance(message, ReloadAccounts):
            self.loop.call_soon(self._accounts)

    def _handler_failed(self, watched: Any, error: Exception) -> None:
        self.errors.append(error)
        assert self._wrapped is not None
        self._wrapped(watched, error)

    async def _listen(self, number: int) -> asyncio.Server:
        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await self.handlers[number](reader, writer)
            except (asyncio.IncompleteReadError, OSError):
                pass
            finally:
                writer.close()

        port = _free_port()
        self.ports.append(port)
        return await asyncio.start_server(accepted, "127.0.0.1", port)

    def _configure(self, router: str, listener: dict[str, Any], params: dict[str, Any]) -> None:
        names = tuple(f"server{number}" for number in range(len(self.ports)))
        definitions = tuple(
            ServerDef(name, slot, {"address": "127.0.0.1", "port": self.ports[slot]})
            for slot, name in enumerate(names)
        )
        service = defaults(SERVICE_PARAMS, _SPECS[router].params) | params
        values = defaults(LISTENER_PARAMS) | {"address": "127.0.0.1", "port": self.port} | listener
        for slot in range(len(names)):
            self.board.set_server(slot, STATUS, RUNNING | (SLAVE if slot else MASTER))
            self.board.set_server(slot, RANK, 1)
            self.board.set_server(slot, LAG, 0)
        errors = self.plane.apply(
            Snapshot(
                1,
                {"skip_name_resolve": True, "max_auth_errors_until_block": 0, "writeq_high_water": 65536},
                definitions,
                (ServiceDef("service", 0, router, service, names),),
                (ListenerDef("listener", "service", values),),
            )
        )
        assert not errors, errors
        self.plane.set_facts([ServerFacts(name, "11.4.2-MariaDB", CAPABILITIES, 45) for name in names])
        self._accounts()

    def _accounts(self) -> None:
        stored = sha1(auth.password_hash(PASSWORD)).hexdigest().upper()
        accounts = AccountSet((Account(USER, "%", password=stored, global_db_priv=True),))
        self.plane.set_accounts(Accounts("service", 1, True, accounts))

    # -- clients

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A raw client; the greeting has not been read."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    def run(self, work: Awaitable[Any]) -> Any:
        """Do it within the patience of the tests."""
        return self.loop.run_until_complete(asyncio.wait_for(work, PATIENCE))

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for it."""
        while not condition():
            await asyncio.sleep(0.005)

    # -- what is left

    def gauges(self) -> dict[str, int]:
        """What should be zero when nobody is connected, and is not."""
        board = self.board
        found = {
            "descriptors": board.get(worker_index(0, W_FDS)),
            "sessions of the worker": board.get(worker_index(0, W_SESSIONS)),
            "sessions of the service": board.get(worker_service_index(0, 0, V_SESSIONS)),
            "sessions": len(self.plane.sessions),
            "connections": len(self.plane.connections),
        }
        for slot in range(len(self.ports)):
            found[f"connections of {slot}"] = board.get(worker_server_index(0, slot, S_CONNECTIONS))
            found[f"active of {slot}"] = board.get(worker_server_index(0, slot, S_ACTIVE))
        return {name: count for name, count in found.items() if count}

    def close(self) -> None:
        for server in self._servers:
            server.close()
        self.run(self.plane.stop(0))
        self.loop.run_until_complete(_cancel_others())
        for connection in list(self.plane.connections):
            if connection.channel is not None:
                connection.channel.close()
        self.loop.close()
        os.close(self.board.fd)


async def _cancel_others() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


_ports = iter(range(PORT_FIRST, 31999))


def _free_port() -> int:
    for port in _ports:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise AssertionError("no port is left")


@contextmanager
def rig(
    monkeypatch: pytest.MonkeyPatch,
    router: str = "readwritesplit",
    servers: int = 2,
    listener: dict[str, Any] | None = None,
    **params: Any,
) -> Iterator[Rig]:
    """A plane with short limits; afterwards every gauge is zero and no descriptor is left."""
    monkeypatch.setattr(deadlines_module, "LOGIN_TIMEOUT_MS", LOGIN_MS)
    monkeypatch.setattr(deadlines_module, "BACKEND_CONNECT_TIMEOUT_MS", CONNECT_MS)
    monkeypatch.setattr(deadlines_module, "GOODBYE_TIMEOUT_MS", GOODBYE_MS)
    monkeypatch.setattr(plane_module, "TICK_SECONDS", TICK_SECONDS)
    made = Rig(router, servers, listener or {}, params)
    try:
        yield made
        made.run(made.until(lambda: not made.gauges()))
    finally:
        left = made.gauges()
        made.close()
    assert not left, left
