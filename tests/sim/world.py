"""One simulated world: Fairlead's sessions between modelled clients and servers, driven by one seed.

The world is the sessions' `Host` (what a worker's data plane is in earnest), the monitor that writes the
status board, and the place where faults happen. What the checkers and models find is collected in
`findings`; an empty list means that the seed passed.

Invariant: everything that happens is decided by the seed; nothing here reads a real clock or a socket.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from fairlead.accounts.model import Account, AccountSet
from fairlead.cluster import gtid
from fairlead.cluster.board import (
    LAG,
    P_CELLS,
    RANK,
    S_ACTIVE,
    S_CONNECTIONS,
    SERVER_GTIDS,
    STATUS,
    V_CELLS,
    V_SESSIONS,
    Board,
    server_index,
    worker_pair_index,
    worker_server_index,
    worker_service_index,
)
from fairlead.cluster.defs import ListenerDef, ServerDef, ServerFacts, ServiceDef
from fairlead.cluster.status import MAINT, MASTER, RUNNING, SLAVE
from fairlead.config.params import defaults
from fairlead.net.params import LISTENER_PARAMS
from fairlead.protocol.constants import CLIENT_MYSQL
from fairlead.protocol.handshake import Greeting, GreetingTemplate
from fairlead.routers.readconnroute import router as readconnroute
from fairlead.routers.readconnroute.params import PARAMS as RCR_PARAMS
from fairlead.routers.readwritesplit import router as readwritesplit
from fairlead.routers.readwritesplit.params import PARAMS as RWS_PARAMS
from fairlead.routers.readwritesplit.params import imply
from fairlead.session.client import ClientConnection
from fairlead.session.kill import KillOrder, matches
from fairlead.session.listener import ListenerRuntime
from fairlead.session.login import Login
from fairlead.session.params import SERVICE_PARAMS
from fairlead.session.ports import Server
from fairlead.session.service import ServiceRuntime
from fairlead.session.session import Session
from fairlead.sql.classifier import Classifier
from fairlead.workers.deadlines import Deadlines

from . import wire_format as fmt
from .checkers import check_everything
from .client import Client
from .clock import Clock
from .faults import plan
from .network import Network, SimChannel, Wire
from .server import DATABASES, USERS, Commit, Node, ServerConnection

# The board is shared by all worlds of a process: making one is dear.
_BOARD: list[Board] = []
# After the faults are healed every client has to be done within this time, in microseconds.
PATIENCE_US = 120_000_000
# Servers of a world, at most.
SERVERS_MAX = 4
# Clients of a world, at most.
CLIENTS_MAX = 6
# Lines of the transcript that are kept.
TRANSCRIPT_MAX = 20_000


def _board() -> Board:
    if not _BOARD:
        _BOARD.append(Board.create(1))
    board = _BOARD[0]
    for slot in range(SERVERS_MAX):
        board.reset_server(slot)
        for cell in range(P_CELLS):
            board.set(worker_pair_index(0, 0, slot, cell), 0)
    for cell in range(V_CELLS):
        board.set(worker_service_index(0, 0, cell), 0)
    return board


class World:
    """`run` lives through the seed; `findings` tells what was wrong."""

    worker = 0

    def __init__(self, seed: int, faults: bool = True) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.clock = Clock()
        self.network = Network(self.clock, self.rng)
        self.network.on_exception = self._product_raised
        self.findings: list[str] = []
        self.transcript: list[str] = []
        self.ledger: list[Commit] = []
        # Something has happened that clients may notice.
        self.disturbed = False
        # A client sees its own writes on whatever server reads.
        self.causal = False
        self.faults = faults
        self.board = _board()
        self.globals: dict[str, Any] = {}
        self.classifier = Classifier(1 << 16)
        self.sessions: dict[int, Session] = {}
        self.deadlines = Deadlines()
        self.over = False
        self._last_session = 0
        self._make_servers()
        self._make_service()
        self.clients = [
            Client(self, number, random.Random(self.rng.random()))
            for number in range(1, self.rng.randint(1, CLIENTS_MAX) + 1)
        ]

    # -- what there is

    def _make_servers(self) -> None:
        count = self.rng.randint(1, SERVERS_MAX)
        self.nodes: list[Node] = []
        self.servers: list[Server] = []
        for slot in range(count):
            name = f"server{slot + 1}"
            self.nodes.append(Node(self, name, slot, slot == 0))
            server = Server(ServerDef(name, slot, {"address": name, "port": 3306}))
            server.facts = ServerFacts(name, "10.11.6-MariaDB", fmt.SERVER_CAPABILITIES | CLIENT_MYSQL)
            self.servers.append(server)
            self.board.set_server(slot, RANK, 1)
            self.board.set_server(slot, STATUS, RUNNING | (MASTER if slot == 0 else SLAVE))
            self.board.set_server(slot, LAG, 0)
            self.nodes[slot].lag_us = 0 if slot == 0 else self.rng.choice((0, 1_000, 500_000))

    def _make_service(self) -> None:
        rng = self.rng
        if rng.random() < 0.15:
            params = defaults(SERVICE_PARAMS, RCR_PARAMS)
            params["router_options"] = ("master",)
            self._router: Any = readconnroute
            self._configure(params, self.servers)
            return
        self._router = readwritesplit
        params = defaults(SERVICE_PARAMS, RWS_PARAMS)
        params["master_accept_reads"] = rng.random() < 0.3
        params["lazy_connect"] = rng.random() < 0.3
        params["master_reconnection"] = params["lazy_connect"] or rng.random() < 0.7
        params["master_failure_mode"] = rng.choice(("fail_instantly", "fail_on_write", "error_on_write"))
        params["retry_failed_reads"] = rng.random() < 0.8
        params["max_slave_connections"] = rng.choice((255, 255, 1, 2))
        # With pruning a full history is lossy by design; without, the session stays where it is.
        params["max_sescmd_history"] = 50 if params["lazy_connect"] else rng.choice((50, 50, 5))
        params["prune_sescmd_history"] = params["max_sescmd_history"] == 50
        params["use_sql_variables_in"] = rng.choice(("all", "all", "master"))
        params["connection_keepalive"] = rng.choice((0, 300_000, 1_000))
        params["slave_selection_criteria"] = rng.choice(
            (
                "least_current_operations",
                "least_global_connections",
                "adaptive_routing",
                "least_behind_master",
            )
        )
        self._choose_repetition(params)
        self._configure(params, self.servers)

    def _choose_repetition(self, params: dict[str, Any]) -> None:
        """Retries, replay, optimistic transactions and causal reads."""
        rng = self.rng
        params["delayed_retry"] = rng.random() < 0.3
        params["delayed_retry_timeout"] = 2_000
        params["transaction_replay"] = rng.random() < 0.35
        params["transaction_replay_timeout"] = rng.choice((0, 30_000))
        params["transaction_replay_max_size"] = rng.choice((1 << 20, 1 << 20, 300))
        params["transaction_replay_retry_on_mismatch"] = rng.random() < 0.2
        params["transaction_replay_checksum"] = rng.choice(("full", "result_only", "no_insert_id"))
        params["optimistic_trx"] = rng.random() < 0.1
        if rng.random() < 0.25:
            params["causal_reads"] = rng.choice(
                ("local", "global", "fast", "fast_global", "universal", "fast_universal")
            )
            params["causal_reads_timeout"] = rng.choice((1_000, 10_000))
            self.causal = True
        # What an optimist has read on a replica may be different on the primary: the session ends.
        self.disturbed = params["optimistic_trx"]
        imply(params)

    def _configure(self, params: dict[str, Any], targets: list[Server]) -> None:
        """Give the service these parameters and targets; sessions keep what they began with."""
        names = tuple(server.name for server in targets)
        runtime = ServiceRuntime(ServiceDef("Split", 0, "readwritesplit", params, names))
        runtime.targets = list(targets)
        runtime.factory = self._router.make_session
        runtime.router_config = self._router.make_config(params)
        runtime.accounts = _accounts()
        runtime.accounts_loaded = True
        self.service = runtime
        self.listener = ListenerRuntime(ListenerDef("Listener", "Split", defaults(LISTENER_PARAMS)), runtime)
        self.deadlines.configured()

    # -- life

    def run(self) -> list[str]:
        """Live through it all; what was found."""
        rng = self.rng
        for client in self.clients:
            self.clock.after(rng.randint(0, 20_000), client.connect)
        self.clock.after(1_000_000, self._tick)
        end = plan(self) if self.faults else self.clock.now
        limit = end + PATIENCE_US
        while self.clock.now < limit and not self.findings:
            if self.clock.now >= end and all(client.done for client in self.clients):
                break
            if not self.clock.step():
                break
        check_everything(self)
        return self.findings

    def settle(self, microseconds: int) -> None:
        """Let time pass."""
        limit = self.clock.now + microseconds
        while 0 <= self.clock.next_time() <= limit:
            self.clock.step()
        self.clock.now = max(self.clock.now, limit)

    def _tick(self) -> None:
        if not self.over:
            self.clock.after(1_000_000, self._tick)
        self._guarded(lambda: self.deadlines.tick(self.sessions, self.clock.now))
        for node in self.nodes:
            gtid.write(self.board, server_index(node.slot, SERVER_GTIDS), {0: (1, node.position())})

    def note(self, who: str, what: str) -> None:
        """A line of the transcript."""
        if len(self.transcript) < TRANSCRIPT_MAX:
            self.transcript.append(f"{(self.clock.now - 1_000_000) / 1000:12.3f} ms  {who:12s} {what}")

    def must_see(self, who: str, token: str, found: str, sql: str) -> None:
        """A causal read shows this write of its row or a later one."""
        tokens = [commit.token for commit in self.ledger]
        # What is not committed yet is the client's own, of the transaction that it reads in.
        if found == "none" or (found in tokens and tokens.index(found) < tokens.index(token)):
            self.finding(f"{who} read {found}, which is older than its own write {token}: {sql}")

    def finding(self, text: str) -> None:
        """Something is wrong."""
        self.note("FINDING", text)
        self.findings.append(text)

    def _guarded(self, action: Callable[[], object]) -> None:
        """Run product code from outside of a channel."""
        self.network.poller.now_us = self.clock.now
        try:
            action()
        except Exception:
            self.finding(f"the product raised: {traceback.format_exc()}")

    def _product_raised(self, channel: SimChannel, error: Exception) -> None:
        self.finding("the product raised: " + "".join(traceback.format_exception(error)))

    # -- the models' side

    def connect_client(self, client: Client) -> None:
        """A client connects to the listener."""
        wire = self.network.wire(client.name)
        client.wire, client.side = wire, 0
        wire.ends[0] = client
        self.note(client.name, "connects")
        self._guarded(lambda: self._accept(wire))

    def _accept(self, wire: Wire) -> None:
        self._last_session += 1
        connection = ClientConnection(self, self.listener, self._last_session)
        channel = SimChannel(self.network, connection, wire, 1, False)
        session = Session(self, self.service, self._last_session, connection, channel)
        session.listener = self.listener
        session.remote = "10.0.0.1"
        session.remote_port = 4000
        channel.high_water, channel.low_water = 8_192, 1_024
        self.deadlines.login_begins(connection)
        connection.begin(channel, session, Login(connection, session))

    def commit(self, writes: list[tuple[str, int]]) -> None:
        """The primary commits."""
        for token, row in writes:
            self.ledger.append(Commit(token, row, self.clock.now))

    def refused_write(self, node: Node, token: str) -> None:
        """A write has reached a server that is no primary."""
        if not self.disturbed:
            self.finding(f"the write {token} was sent to {node.name}, which is not the primary")

    def some_session(self, rng: random.Random) -> Client | None:
        """A client to be killed."""
        ready = [client for client in self.clients if client.state == "ready"]
        return rng.choice(ready) if ready else None

    # -- Host: servers

    def connect(self, session: Session, backend: Any) -> None:
        """Open a connection to a server; it is refused when the server is down."""
        node = self.nodes[backend.slot]
        wire = self.network.wire(f"s{session.id}-{node.name}")
        channel = SimChannel(self.network, backend, wire, 0, True)
        channel.high_water, channel.low_water = 8_192, 1_024
        backend.opened(channel)
        self.deadlines.opening(session, backend)
        server = ServerConnection(node, self.rng)
        server.wire, server.side = wire, 1
        wire.ends[1] = server
        delay = self.rng.randint(20, 500)

        def established() -> None:
            if channel.closed:
                return
            if not node.up:
                wire.reset("connection refused")
                return
            channel.opened()
            server.connected()

        self.clock.after(delay, established)

    def open_later(self, session: Session) -> None:
        """As a worker does, after 10 ms."""
        self.clock.after(10_000, lambda: None if session.closed else self._guarded(session.open_planned))

    def start_tls(self, session: Session, backend: Any) -> None:
        """There is no TLS here."""
        raise NotImplementedError

    def keep(self, session: Session, backend: Any) -> bool:
        return False

    def session_idle(self, session: Session) -> None:
        """Connections are not shared here."""

    def backend_closed(self, backend: Any) -> None:
        """A server connection was closed."""
        self.deadlines.backend_closed(backend)

    def backend_refused(self, backend: Any) -> None:
        """A server refused a login: the models know all users."""
        if self.nodes[backend.slot].full:
            return
        self.finding(f"{backend.server.name} refused a login")

    def server_blocks_us(self, server: Server, message: str) -> None:
        """Models do not block."""

    # -- Host: clients

    def scramble(self) -> bytes:
        """20 bytes without NUL."""
        return bytes(self.rng.randint(33, 126) for _ in range(20))

    def wall_clock(self) -> float:
        """Seconds."""
        return self.clock.now / 1e6

    def call_later(self, milliseconds: int, callback: Callable[[], None]) -> Any:
        """Later."""
        return self.clock.after(milliseconds * 1000, lambda: self._guarded(callback))

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
        self.clock.after(100, lambda: self._guarded(lambda: callback(None)))

    def login_failed(self, service: ServiceRuntime, session: Session, user: str, *, known: bool) -> None:
        """Somebody typed a wrong password."""

    def reload_accounts(self, service: ServiceRuntime, callback: Callable[[], None]) -> None:
        """The accounts are as they were."""
        self.clock.after(2_000, lambda: self._guarded(callback))

    def accounts_doubtful(self, service: ServiceRuntime) -> None:
        """They are not."""

    def admit(self, session: Session) -> str:
        """There is always room."""
        self.deadlines.login_ends(session.connection)
        self.sessions[session.id] = session
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

        self.clock.after(0, lambda: self._guarded(dismantle))

    def session_closed(self, session: Session) -> None:
        """A session has ended."""
        self.note(f"session{session.id}", f"ends: {session.close_reason}")
        connection = session.connection
        if connection.channel is not None and connection.channel.finishing:
            self.deadlines.goodbye(connection, self.clock.now)
        self.sessions.pop(session.id, None)

    def log(self, level: int, text: str, session: Session | None) -> None:
        """The log goes into the transcript."""
        self.note(f"session{session.id}" if session is not None else "log", text)

    # -- Host: KILL

    def forward_kill(self, order: KillOrder, session: Session) -> None:
        """Kill on the servers, then the session; then the one who asked hears of it."""
        victims = [each for each in self.sessions.values() if matches(order, each)]
        for victim in victims:
            victim.kill_message = "Connection was killed"
            for backend in victim.backends:
                if backend.thread_id:
                    node, thread = self.nodes[backend.slot], backend.thread_id
                    self.clock.after(self.rng.randint(50, 2_000), partial(node.kill, thread, False))

        def done() -> None:
            for victim in victims:
                if not victim.closed:
                    victim.close("Killed", code=1927, sqlstate="70100", message="Connection was killed")
            session.kill_done()

        self.clock.after(self.rng.randint(100, 5_000), lambda: self._guarded(done))

    # -- the monitor

    def set_status(self, node: Node, status: int) -> None:
        """The monitor has noticed something."""
        self.note("monitor", f"{node.name} has status {status:#x}")
        self.board.set_server(node.slot, STATUS, status)
        if not status & RUNNING:
            self._hang_up(node)

    def _hang_up(self, node: Node) -> None:
        for session in list(self.sessions.values()):
            for backend in list(session.backends):
                if backend.slot == node.slot and backend.in_use() and not session.closed:
                    self._guarded(partial(session.router.hang_up, backend, "the server is down"))

    def status_of(self, node: Node) -> int:
        """What the monitor would write for a server in good health."""
        return RUNNING | (MASTER if node.is_primary else SLAVE)

    def maintain(self, node: Node, on: bool) -> None:
        """Set or clear the maintenance bit."""
        status = self.board.server(node.slot, STATUS)
        self.set_status(node, status | MAINT if on else status & ~MAINT)

    def reconfigure(self, rng: random.Random) -> None:
        """New parameters for new sessions."""
        params = dict(self.service.params)
        if self._router is readwritesplit:
            params["max_slave_connections"] = rng.choice((1, 2, 255))
            params["master_accept_reads"] = rng.random() < 0.5
        targets = self.servers if rng.random() < 0.5 else [self.servers[0], *self.servers[2:]]
        self.note("admin", f"changes the service: {[server.name for server in targets]}")
        self._configure(params, targets)

    # -- what the board says

    def gauges(self) -> dict[str, int]:
        """Gauges that have to be zero when nobody is there."""
        board = self.board
        found = {"sessions": board.get(worker_service_index(0, 0, V_SESSIONS))}
        for node in self.nodes:
            for name, cell in (("connections", S_CONNECTIONS), ("active", S_ACTIVE)):
                found[f"{node.name} {name}"] = board.get(worker_server_index(0, node.slot, cell))
        return found


def _accounts() -> AccountSet:
    accounts = []
    for user, password in USERS.items():
        stored = fmt.sha1(fmt.sha1(password.encode())).hex() if password else ""
        accounts.append(Account(user, "%", password=stored, global_db_priv=True))
    return AccountSet(tuple(accounts), databases=DATABASES)
