"""One simulated worker: the `Host` of its sessions, with the product's own pool, pauses and deadlines.

It does what a worker's data plane does, with a simulated clock and network instead of a loop and
descriptors; what all workers share (servers, status board, monitor) is in `world.py`.

Invariant: everything of the product that is called from here and not by a channel is guarded: what it raises
is a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from fairlead.accounts.model import Account, AccountSet
from fairlead.cluster.board import V_WAITING, worker_service_index
from fairlead.cluster.defs import ListenerDef, ServiceDef
from fairlead.config.params import defaults
from fairlead.net.params import LISTENER_PARAMS
from fairlead.net.poller import Poller
from fairlead.protocol.constants import CLIENT_MYSQL
from fairlead.protocol.handshake import Greeting, GreetingTemplate
from fairlead.session.client import ClientConnection
from fairlead.session.kill import KillOrder, matches
from fairlead.session.listener import ListenerRuntime
from fairlead.session.login import Login
from fairlead.session.server import Server
from fairlead.session.service import ServiceRuntime
from fairlead.session.session import Session
from fairlead.workers.deadlines import Deadlines
from fairlead.workers.pauses import Pauses
from fairlead.workers.pool import Pool

from . import wire_format as fmt
from .checkers import check_limit, check_pool, check_wait
from .clock import Event
from .network import SimChannel, Wire
from .server import DATABASES, USERS, ServerConnection

if TYPE_CHECKING:
    import asyncio

    from .server import Node
    from .world import World


class SimLoop:
    """As much of an event loop as pauses need."""

    def __init__(self, host: SimHost) -> None:
        self._host = host

    def call_later(self, seconds: float, callback: Callable[..., None], *arguments: Any) -> Event:
        """Call a function later."""
        return self._host.call_later(seconds * 1000, partial(callback, *arguments))


class Sessions(set[Session]):
    """In the order of their numbers, so that a seed decides everything."""

    def __iter__(self) -> Iterator[Session]:
        return iter(sorted(super().__iter__(), key=lambda session: session.id))


class SimHost:
    """The worker `worker`."""

    def __init__(self, world: World, worker: int) -> None:
        self.world = world
        self.worker = worker
        self.board = world.board
        self.poller: Poller = world.network.poller
        self.globals: dict[str, Any] = {}
        self.classifier = world.classifier
        self.servers: dict[str, Server] = {server.name: server for server in world.servers}
        self.sessions: dict[int, Session] = {}
        self.deadlines = Deadlines()
        self.pool = Pool(self)
        self.loop = cast("asyncio.AbstractEventLoop", SimLoop(self))
        self.pauses = Pauses(self.board, worker, self.loop)
        # The pause of the service as it was ordered: since when (-1: none is on), and its deadline.
        self.paused_since = -1
        self.paused_until = -1
        self._service: ServiceRuntime | None = None

    # -- configuration

    @property
    def service(self) -> ServiceRuntime:
        """The service as it is configured now."""
        assert self._service is not None
        return self._service

    def configure(self, router: Any, params: dict[str, Any], targets: list[Server]) -> None:
        """Give the service these parameters and targets; sessions keep what they began with."""
        old = self._service
        names = tuple(server.name for server in targets)
        runtime = ServiceRuntime(ServiceDef("Split", 0, "readwritesplit", params, names))
        runtime.targets = list(targets)
        runtime.factory = router.make_session
        runtime.router_config = router.make_config(params)
        runtime.accounts = _ACCOUNTS
        runtime.accounts_loaded = True
        runtime.standing.sessions = Sessions()
        if old is not None:
            runtime.standing = old.standing
        self._service = runtime
        self.listener = ListenerRuntime(ListenerDef("Listener", "Split", defaults(LISTENER_PARAMS)), runtime)
        self.deadlines.configured()

    def server_changed(self, server: Server) -> None:
        """A server has got other parameters."""
        self.guarded(partial(self.pool.drop, server))

    # -- pauses

    def pause(self, milliseconds: int) -> None:
        """Pause the service, or give its pause another deadline."""
        now = self.world.clock.now
        if not self.is_paused():
            self.paused_since = now
        self.paused_until = now + milliseconds * 1000
        self.guarded(partial(self.pauses.pause, self.service, milliseconds, now // 1000))

    def resume(self) -> None:
        """End the pause."""
        self.paused_since = -1
        self.guarded(partial(self.pauses.resume, self.service))
        waiting = self.board.get(worker_service_index(self.worker, 0, V_WAITING))
        if waiting:
            self.world.finding(f"{waiting} sessions wait although the pause has ended")

    def is_paused(self) -> bool:
        """Whether the service has to be paused at this moment."""
        return self.paused_since >= 0 and self.world.clock.now < self.paused_until

    # -- life

    def guarded(self, action: Callable[[], object]) -> None:
        """Run product code from outside of a channel."""
        self.world.guarded(action)

    def tick(self) -> None:
        """A second has passed."""
        now = self.world.clock.now
        self.guarded(lambda: self.deadlines.tick(self.sessions, now))
        self.guarded(lambda: self.pool.tick(self.servers, self.sessions, now))

    def accept(self, wire: Wire) -> None:
        """A client has connected."""
        session_id = self.world.next_session()
        connection = ClientConnection(self, self.listener, session_id)
        channel = SimChannel(self.world.network, connection, wire, 1, False)
        session = Session(self, self.listener.service, session_id, connection, channel)
        session.listener = self.listener
        session.remote = "10.0.0.1"
        session.remote_port = 4000
        channel.high_water, channel.low_water = 8_192, 1_024
        self.deadlines.login_begins(connection)
        connection.begin(channel, session, Login(connection, session))

    def leave(self, node: Node) -> None:
        """The draining of a server is over."""
        self.pool.drop(self.servers[node.name])
        for session in list(self.sessions.values()):
            for backend in session.backends:
                if backend.server.name == node.name and backend.in_use() and not session.closed:
                    self.guarded(partial(session.router.leave, backend, "it has been drained"))

    def hang_up(self, node: Node) -> None:
        """The monitor says that a server is gone."""
        self.guarded(partial(self.pool.drop, self.servers[node.name]))
        for session in list(self.sessions.values()):
            for backend in list(session.backends):
                if backend.slot == node.slot and backend.in_use() and not session.closed:
                    self.guarded(partial(session.router.hang_up, backend, "the server is down"))

    # -- Host: servers

    def connect(self, session: Session, backend: Any) -> None:
        """Take a connection of the pool or open one; it is refused when the server is down."""
        check_pool(self, backend.slot)
        if backend.server.pools and self.pool.supply(session, backend):
            return
        world = self.world
        node = world.nodes[backend.slot]
        wire = world.network.wire(f"s{session.id}-{node.name}")
        channel = SimChannel(world.network, backend, wire, 0, True)
        channel.node = node
        channel.high_water, channel.low_water = 8_192, 1_024
        backend.opened(channel)
        self.deadlines.opening(session, backend)
        check_limit(world, node)
        server = ServerConnection(node, world.rng)
        server.wire, server.side = wire, 1
        wire.ends[1] = server
        delay = world.rng.randint(20, 500)

        def established() -> None:
            if channel.closed:
                return
            if not node.up:
                wire.reset("connection refused")
                return
            channel.opened()
            server.connected()

        world.clock.after(delay, established)

    def open_later(self, session: Session) -> None:
        """As a worker does, after 10 ms."""
        clock = self.world.clock
        clock.after(10_000, lambda: None if session.closed else self.guarded(session.open_planned))

    def start_tls(self, session: Session, backend: Any) -> None:
        """There is no TLS here."""
        raise NotImplementedError

    def keep(self, session: Session, backend: Any) -> bool:
        """Keep the connection of a session that ends for the next one."""
        return self.pool.keep(session, backend)

    def session_idle(self, session: Session) -> None:
        """Somebody may wait for a connection of this session."""
        self.pool.session_idle(session)

    def pooled_closed(self) -> None:
        """Descriptors are not counted here."""

    def backend_closed(self, backend: Any) -> None:
        """A server connection was closed."""
        self.deadlines.backend_closed(backend)
        if backend.server.pools:
            self.pool.freed(backend.server)

    def backend_refused(self, backend: Any) -> None:
        """A server refused a login: the models know all users."""
        # The server is full, or the connection was killed.
        if backend.last_error[:4] in ("1040", "1927"):
            return
        self.world.finding(f"{backend.server.name} refused a login")

    def server_blocks_us(self, server: Server, message: str) -> None:
        """Models do not block."""

    # -- Host: clients

    def scramble(self) -> bytes:
        """20 bytes without NUL."""
        return bytes(self.world.rng.randint(33, 126) for _ in range(20))

    def wall_clock(self) -> float:
        """Seconds."""
        return self.world.clock.now / 1e6

    def call_later(self, milliseconds: float, callback: Callable[[], None]) -> Event:
        """Later."""
        return self.world.clock.after(round(milliseconds * 1000), lambda: self.guarded(callback))

    def greeting(self, listener: ListenerRuntime) -> GreetingTemplate:
        """What a client is greeted with."""
        capabilities = fmt.SERVER_CAPABILITIES | CLIENT_MYSQL
        return GreetingTemplate(Greeting("5.5.5-10.11.6-MariaDB", 0, bytes(20), capabilities))

    def login_variables(self, listener: ListenerRuntime, session: Session) -> dict[str, str]:
        """Nothing is reported."""
        return {}

    def resolves_names(self) -> bool:
        """No."""
        return False

    def resolve_name(self, address: str, callback: Callable[[str | None], None]) -> None:
        """Nobody has a name."""
        self.world.clock.after(100, lambda: self.guarded(lambda: callback(None)))

    def login_failed(self, service: ServiceRuntime, session: Session, user: str, *, known: bool) -> None:
        """Somebody typed a wrong password."""

    def reload_accounts(self, service: ServiceRuntime, callback: Callable[[], None]) -> None:
        """The accounts are as they were."""
        self.world.clock.after(2_000, lambda: self.guarded(callback))

    def accounts_doubtful(self, service: ServiceRuntime) -> None:
        """They are not."""

    def admit(self, session: Session) -> str:
        """There is always room."""
        self.deadlines.login_ends(session.connection)
        self.sessions[session.id] = session
        session.service.sessions.add(session)
        return ""

    def start_client_tls(self, connection: ClientConnection) -> None:
        """There is no TLS here."""
        raise NotImplementedError

    def client_gone(self, connection: ClientConnection) -> None:
        """A client's channel is closed."""
        self.deadlines.client_gone(connection)
        session = connection.session

        def dismantle() -> None:
            if session is not None:
                session.dismantle()
            connection.channel = None

        self.world.clock.after(0, lambda: self.guarded(dismantle))

    def session_closed(self, session: Session) -> None:
        """A session has ended."""
        self.world.note(f"session{session.id}", f"ends: {session.close_reason}")
        connection = session.connection
        if connection.channel is not None and connection.channel.finishing:
            self.deadlines.goodbye(connection, self.world.clock.now)
        if self.sessions.pop(session.id, None) is not None:
            session.service.sessions.discard(session)

    def log(self, level: int, text: str, session: Session | None) -> None:
        """The log goes into the transcript."""
        self.world.note(f"session{session.id}" if session is not None else "log", text)
        for server in self.servers.values():
            if text.startswith(f"No connection to '{server.name}' became free"):
                check_wait(self, server)

    # -- Host: KILL

    def forward_kill(self, order: KillOrder, session: Session) -> None:
        """Kill on the servers, then the session; then the one who asked hears of it."""
        world = self.world
        victims = [each for each in world.sessions.values() if matches(order, each)]
        for victim in victims:
            victim.kill_message = "Connection was killed"
            for backend in victim.backends:
                if backend.thread_id:
                    node, thread = world.nodes[backend.slot], backend.thread_id
                    world.clock.after(world.rng.randint(50, 2_000), partial(node.kill, thread, False))

        def done() -> None:
            for victim in victims:
                if not victim.closed:
                    victim.close("Killed", code=1927, sqlstate="70100", message="Connection was killed")
            session.kill_done()

        world.clock.after(world.rng.randint(100, 5_000), lambda: self.guarded(done))


def _accounts() -> AccountSet:
    accounts = []
    for user, password in USERS.items():
        stored = fmt.sha1(fmt.sha1(password.encode())).hex() if password else ""
        accounts.append(Account(user, "%", password=stored, global_db_priv=True))
    return AccountSet(tuple(accounts), databases=DATABASES)


_ACCOUNTS = _accounts()
