"""A whole session in memory: channels without descriptors, scripted servers, and the host between them.

It owns time and the order of events: `World.run` goes on until nothing moves any more, so that after it every
command is answered, or its session closed, or its input incomplete. Buffers are given to the handlers with
foreign bytes in front and behind, which must neither be read nor written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from fairlead.accounts.model import Account, AccountSet
from fairlead.cluster.board import (
    LAG,
    RANK,
    S_ACTIVE,
    S_CONNECTIONS,
    STATUS,
    V_SESSIONS,
    Board,
    worker_server_index,
    worker_service_index,
)
from fairlead.cluster.defs import ListenerDef, ServerDef, ServerFacts, ServiceDef
from fairlead.cluster.status import MASTER, RUNNING, SLAVE
from fairlead.config.modules import router_entry
from fairlead.config.params import defaults
from fairlead.net.channel import HIGH_WATER_BYTES, LOW_WATER_BYTES, Channel, Handler
from fairlead.net.poller import Poller
from fairlead.protocol import auth
from fairlead.protocol.constants import BASE_CAPABILITIES, CLIENT_MYSQL, EXTENDED_CAPABILITIES
from fairlead.protocol.handshake import Greeting, GreetingTemplate
from fairlead.routers.readconnroute.params import SPEC as READCONNROUTE
from fairlead.routers.readwritesplit.params import SPEC as READWRITESPLIT
from fairlead.routers.readwritesplit.params import imply
from fairlead.session.client import ClientConnection
from fairlead.session.listener import ListenerRuntime
from fairlead.session.login import Login
from fairlead.session.params import SERVICE_PARAMS
from fairlead.session.server import Server
from fairlead.session.service import ServiceRuntime
from fairlead.session.session import Session
from fairlead.sql.classifier import Classifier

USER, PASSWORD = "app", "secret"
SCRAMBLE = bytes(range(40, 60))
# Bytes around what a handler is given.
MARGIN = b"\xa5\xff\x00\xfe" * 16
# Events after which a world that still moves is taken to run in circles.
EVENTS_MAX = 200_000
_SPECS = {"readwritesplit": READWRITESPLIT, "readconnroute": READCONNROUTE}


class Circling(AssertionError):
    """The world did not come to rest."""


class MemoryChannel(Channel):
    """A channel whose other side is `peer`, a function that is given what is sent.

    It keeps the contract of `fairlead.net.channel`; `inbox` is what the peer has sent and nobody has read.
    """

    def __init__(self, world: World, handler: Handler, peer: Callable[[bytes], None]) -> None:
        self.fd = -1
        self.world = world
        self.poller = world.poller
        self.handler = handler
        self.peer = peer
        self.closed = False
        self.connecting = False
        self.paused = False
        self.blocked = False
        self.finishing = False
        self.want = 0
        self.high_water = world.high_water or HIGH_WATER_BYTES
        self.low_water = LOW_WATER_BYTES
        self.inbox: deque[bytes | None] = deque()
        self.kept = b""
        self.kept_max = 0
        self.outbox = bytearray()
        # The peer does not read: what is sent stays in the outbox.
        self.stuck = False
        self.scheduled = False
        self.again = False
        # The peer has seen the end of our side.
        self.said_goodbye = False
        self.closed_calls = 0

    # -- the peer's side

    def arrive(self, data: bytes | None) -> None:
        """The peer sends bytes, or closes (None)."""
        if not self.closed:
            self.inbox.append(data)
            self._schedule()

    def take_out(self) -> None:
        """The peer reads what is in the outbox."""
        data = bytes(self.outbox)
        self.outbox.clear()
        if data:
            self.peer(data)
        if self.blocked and not self.closed:
            self.blocked = False
            self.handler.on_unblocked()

    # -- turns

    def _schedule(self) -> None:
        if not self.scheduled:
            self.scheduled = True
            self.world.later(self._turn)

    def _turn(self) -> None:
        self.scheduled = False
        if self.closed or self.paused or self.connecting:
            return
        if not self.inbox:
            if self.kept and self.again:
                self._deliver(b"")
            return
        data = self.inbox.popleft()
        if data is None:
            self.lose("connection closed by peer")
            return
        self._deliver(data)
        if self.inbox and not self.closed:
            self._schedule()

    def _deliver(self, data: bytes) -> None:
        self.again = False
        data = self.kept + data
        self.kept = b""
        if self.finishing:
            return
        if len(data) < self.want:
            self.kept = data
            self.kept_max = max(self.kept_max, len(data))
            return
        self.want = 0
        start, end = len(MARGIN), len(MARGIN) + len(data)
        buf = bytearray(MARGIN + data + MARGIN)
        position = self.handler.on_data(buf, start, end)
        assert start <= position <= end, (start, position, end)
        assert buf.startswith(MARGIN) and buf[end:] == MARGIN, "a handler wrote outside of its bytes"
        if self.closed:
            return
        self.kept = bytes(buf[position:end])
        self.kept_max = max(self.kept_max, len(self.kept))

    def lose(self, reason: str) -> None:
        """The connection is gone."""
        if not self.closed:
            self.close()
            self.closed_calls += 1
            assert self.closed_calls == 1
            self.handler.on_closed(reason)

    # -- the handler's side

    def send(self, buf: bytearray, start: int, end: int) -> None:
        if self.closed or start >= end or self.finishing:
            return
        assert end <= len(buf)
        self.outbox += buf[start:end]
        if not self.stuck:
            self.world.later(self._flush)
        elif not self.blocked and len(self.outbox) > self.high_water:
            self.blocked = True
            self.handler.on_blocked()

    def _flush(self) -> None:
        if self.outbox and not self.stuck:
            self.take_out()

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        if self.paused:
            self.paused = False
            self.again = True
            self._schedule()

    def take_kept(self) -> bytearray | None:
        kept, self.kept = self.kept, b""
        return bytearray(kept) or None

    def unsent(self) -> int:
        return len(self.outbox)

    def fail_soon(self, reason: str) -> None:
        self.world.later(lambda: self.lose(reason))

    def close(self) -> None:
        if not self.closed:
            # Unlike a reset, what has been sent before is in the kernel's hands already.
            if self.outbox and not self.stuck:
                data = bytes(self.outbox)
                self.outbox.clear()
                self.world.later(lambda: self.peer(data))
            self.closed = True
            self.world.later(self._gone)

    def _gone(self) -> None:
        self.said_goodbye = True

    def close_with(self, words: bytes) -> None:
        if not self.closed:
            if not self.connecting:
                self.send(bytearray(words), 0, len(words))
            self.close()

    def close_gracefully(self) -> None:
        if not self.closed and not self.finishing:
            self.finishing = True
            self.kept = b""
            self.paused = False
            self.world.later(self._gone)
            self._schedule()


class MemoryHost:
    """The host of the sessions of one world. Accounts are never news, names are never resolved."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.worker = 0
        self.board = world.board
        self.globals: dict[str, Any] = {"retain_last_statements": 0}
        self.classifier = world.classifier
        self.descriptors = 0
        self.clients_gone = 0
        self.sessions: set[Session] = set()
        self.logged: list[str] = []
        self.kills: list[Any] = []
        self.reloads = 0

    def connect(self, session: Session, backend: Any) -> None:
        """Open a connection to a scripted server; it is established in a later turn."""
        script = self.world.scripts[backend.slot]
        if script.refuses:
            raise OSError("connection refused")
        connection = ServerConnection(self.world, script)
        channel = MemoryChannel(self.world, backend, connection.receive)
        channel.connecting = True
        connection.channel = channel
        self.descriptors += 1
        self.world.server_connections.append(connection)
        backend.opened(channel)
        if not script.stalls:
            self.world.later(connection.establish)

    def start_tls(self, session: Session, backend: Any) -> None:
        """No world has TLS."""
        raise AssertionError("TLS in a world without it")

    start_client_tls = start_tls

    def scramble(self) -> bytes:
        """Always the same, so that runs can be compared."""
        return SCRAMBLE

    def wall_clock(self) -> float:
        """A fixed moment."""
        return 1_000_000.0

    def call_later(self, milliseconds: int, callback: Any) -> Any:
        """It is called when nothing else moves any more."""
        self.world.timers.append((self.world.poller.now_us + milliseconds * 1000, callback))

    def keep(self, session: Session, backend: Any) -> bool:
        """Nothing is kept."""
        return False

    def session_idle(self, session: Session) -> None:
        """Nobody waits for a connection."""

    def forward_kill(self, order: Any, session: Session) -> None:
        """Nobody is killed; the order is confirmed."""
        self.kills.append(order)
        self.world.later(session.kill_done)

    def reload_accounts(self, service: Any, callback: Callable[[], None]) -> None:
        """Nothing new."""
        self.reloads += 1
        self.world.later(callback)

    def accounts_doubtful(self, service: Any) -> None:
        """Not looked at."""

    def backend_closed(self, backend: Any) -> None:
        """A descriptor is given back."""
        self.descriptors -= 1

    def backend_refused(self, backend: Any) -> None:
        """Not looked at."""

    def server_blocks_us(self, server: Server, message: str) -> None:
        """Not looked at."""

    def session_closed(self, session: Session) -> None:
        """A session has ended."""
        self.sessions.discard(session)

    def log(self, level: int, text: str, session: Session | None) -> None:
        """Kept, the latest only."""
        self.logged = [*self.logged[-19:], text]

    def resolves_names(self) -> bool:
        """No."""
        return False

    def greeting(self, listener: Any) -> GreetingTemplate:
        """What the scripted servers can do."""
        return GreetingTemplate(self.world.greeting)

    def open_later(self, session: Session) -> None:
        """In the next turn."""
        self.world.later(lambda: None if session.closed else session.open_planned())

    def login_failed(self, service: Any, session: Session, user: str, *, known: bool) -> None:
        """Not looked at."""

    def admit(self, session: Session) -> str:
        """Everybody."""
        self.sessions.add(session)
        return ""

    def login_variables(self, listener: Any, session: Session) -> dict[str, str]:
        """What the OK of a login reports."""
        return {"connection_id": str(session.id)}

    def client_gone(self, connection: ClientConnection) -> None:
        """The client's channel is closed."""
        self.clients_gone += 1


class ServerScript:
    """What one server answers: `answer` gives the payloads of a reply; `mutate` may change what is sent."""

    def __init__(self, answer: Callable[[ServerConnection, bytes], list[bytes]]) -> None:
        self.answer = answer
        self.refuses = False
        # Connections are never established.
        self.stalls = False
        self.greeting: bytes | None = None
        self.verdict: list[bytes] | None = None
        # Called with (connection, the bytes to send); returns the pieces to send, None for a close.
        self.mutate: Callable[[ServerConnection, bytes], list[bytes | None]] | None = None


class ServerConnection:
    """The server's end of one connection: cuts what it receives into packets and answers by its script."""

    def __init__(self, world: World, script: ServerScript) -> None:
        self.world = world
        self.script = script
        self.channel: MemoryChannel | None = None
        self.received = bytearray()
        self.sent = bytearray()
        self._unread = bytearray()
        self._payload = bytearray()
        self.logged_in = False
        self.capabilities = 0
        self.state: dict[str, Any] = {}

    def establish(self) -> None:
        """The connection is up: greet."""
        channel = self.channel
        assert channel is not None
        if channel.closed:
            return
        channel.connecting = False
        channel.handler.on_connected()
        if not channel.closed:
            self.send(0, [self.script.greeting or self.world.server_greeting()])

    def send(self, sequence: int, payloads: Iterable[bytes]) -> None:
        """Send packets."""
        data = b"".join(
            len(payload).to_bytes(3, "little") + bytes(((sequence + number) & 0xFF,)) + payload
            for number, payload in enumerate(payloads)
        )
        pieces: list[bytes | None] = [data]
        if self.script.mutate is not None:
            pieces = self.script.mutate(self, data)
        assert self.channel is not None
        for piece in pieces:
            if piece:
                self.sent += piece
            if piece != b"":
                self.channel.arrive(piece)

    def receive(self, data: bytes) -> None:
        """Bytes of the proxy."""
        self.received += data
        unread = self._unread
        unread += data
        while len(unread) >= 4:
            length = int.from_bytes(unread[:3], "little")
            if len(unread) < 4 + length:
                return
            sequence = unread[3]
            payload = bytes(unread[4 : 4 + length])
            del unread[: 4 + length]
            if length == 0xFFFFFF:
                self._payload += payload
                continue
            whole = bytes(self._payload) + payload
            self._payload.clear()
            self._packet(sequence, whole)

    def _packet(self, sequence: int, payload: bytes) -> None:
        if not self.logged_in:
            self.logged_in = True
            self.capabilities = int.from_bytes(payload[:4], "little")
            self.send(sequence + 1, self.script.verdict or [b"\x00\x00\x00\x02\x00\x00\x00"])
            return
        replies = self.script.answer(self, payload)
        if replies:
            self.send(sequence + 1, replies)


class Client:
    """The client's end of one connection."""

    def __init__(self, world: World, session_id: int) -> None:
        self.world = world
        self.received = bytearray()
        self.connection = ClientConnection(world.host, world.listener, session_id)
        self.channel = MemoryChannel(world, self.connection, self.received.extend)
        session = Session(world.host, world.service, session_id, self.connection, self.channel)  # type: ignore[arg-type]
        session.listener = world.listener
        session.remote = "127.0.0.1"
        session.remote_port = 31000
        self.session = session
        self.connection.begin(self.channel, session, Login(self.connection, session))

    def send(self, data: bytes) -> None:
        """Bytes to the proxy, as one piece."""
        self.channel.arrive(data)

    def hang_up(self) -> None:
        """Close."""
        self.channel.arrive(None)


class World:
    """Everything of one run. `roles`: the status of each server; `scripts`: what it answers."""

    _poller: Poller | None = None
    _board: Board | None = None
    _classifier: Classifier | None = None

    def __init__(
        self,
        answer: Callable[[ServerConnection, bytes], list[bytes]],
        *,
        router: str = "readwritesplit",
        servers: int = 3,
        eof: bool = True,
        networks: str = "",
        **params: Any,
    ) -> None:
        # A board is 40 MB of address space and a poller two descriptors: one for all worlds.
        if World._poller is None or World._board is None or World._classifier is None:
            World._poller, World._board, World._classifier = Poller(), Board.create(1), Classifier(0)
        self.poller, self.board, self.classifier = World._poller, World._board, World._classifier
        self.poller.now_us = 1_000_000
        self._queue: deque[Callable[[], None]] = deque()
        # (microseconds, function): what waits for a moment.
        self.timers: list[tuple[int, Callable[[], None]]] = []
        self.events = 0
        # Of every channel, in bytes; 0: the usual.
        self.high_water = 0
        capabilities = BASE_CAPABILITIES & ~CLIENT_MYSQL | EXTENDED_CAPABILITIES
        if eof:
            capabilities &= ~(1 << 24)
        self.greeting = Greeting("11.4.2-MariaDB", 7, SCRAMBLE, capabilities, 45)
        self.scripts = [ServerScript(answer) for _ in range(servers)]
        self.server_connections: list[ServerConnection] = []
        self.host = MemoryHost(self)
        self.service = self._service(router, servers, params)
        self.listener = ListenerRuntime(
            ListenerDef("listener", "service", {"proxy_protocol_networks": networks}), self.service
        )
        self.clients: list[Client] = []

    def _service(self, router: str, servers: int, params: dict[str, Any]) -> ServiceRuntime:
        values = defaults(SERVICE_PARAMS, _SPECS[router].params)
        values.update(params)
        if router == "readwritesplit":
            imply(values)
        names = tuple(f"server{number + 1}" for number in range(servers))
        service = ServiceRuntime(ServiceDef("service", 0, router, values, names))
        for slot, name in enumerate(names):
            server = Server(ServerDef(name, slot, {"address": "127.0.0.1", "port": 31000 + slot}))
            server.facts = ServerFacts(name, "11.4.2-MariaDB", self.greeting.capabilities, 45)
            service.targets.append(server)
            self.board.set_server(slot, STATUS, RUNNING | (SLAVE if slot else MASTER))
            self.board.set_server(slot, RANK, 1)
            self.board.set_server(slot, LAG, 0)
        service.factory, make_config = router_entry(router)
        service.router_config = make_config(values)
        stored = auth.password_hash(PASSWORD)
        from hashlib import sha1

        hashed = sha1(stored).hexdigest().upper()
        service.accounts = AccountSet((Account(USER, "%", password=hashed, global_db_priv=True),))
        service.accounts_loaded = True
        return service

    def server_greeting(self) -> bytes:
        """The greeting of a scripted server."""
        return self.greeting.build()

    def connect(self) -> Client:
        """A client connects."""
        client = Client(self, len(self.clients) + 1)
        self.host.descriptors += 1
        self.clients.append(client)
        return client

    # -- time

    def later(self, action: Callable[[], None]) -> None:
        """Do it in a later turn."""
        self._queue.append(action)

    def run(self) -> None:
        """Go on until nothing moves, and no timer runs."""
        while self._queue or self.timers:
            self.events += 1
            if self.events > EVENTS_MAX:
                raise Circling("the world does not come to rest")
            self.poller.now_us += 1
            if self._queue:
                self._queue.popleft()()
            else:
                due = min(self.timers, key=lambda timer: timer[0])
                self.timers.remove(due)
                self.poller.now_us = max(self.poller.now_us, due[0])
                due[1]()

    # -- the end

    def end(self) -> None:
        """Everybody hangs up."""
        for client in self.clients:
            if client.channel.stuck:
                client.channel.stuck = False
            client.channel.paused = False
            client.hang_up()
        self.run()

    def leftovers(self) -> dict[str, int]:
        """Gauges that are not zero, objects that are still there; empty if all is well after `end`."""
        board = self.board
        found = {
            "sessions on the board": board.get(worker_service_index(0, 0, V_SESSIONS)),
            "sessions": len(self.host.sessions),
            "clients": len(self.clients) - self.host.clients_gone,
            "server connections": self.host.descriptors - len(self.clients),
        }
        for slot in range(len(self.scripts)):
            found[f"connections of {slot}"] = board.get(worker_server_index(0, slot, S_CONNECTIONS))
            found[f"active of {slot}"] = board.get(worker_server_index(0, slot, S_ACTIVE))
        return {name: count for name, count in found.items() if count}

    def clear_board(self) -> None:
        """Forget what a run that failed has left."""
        self.board.clear_gauges(0)
