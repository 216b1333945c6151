"""One simulated world: Fairlead's sessions between modelled clients and servers, driven by one seed.

The world is what the workers (`host.py`) share: the servers, the configuration, the monitor that writes the
status board; and it is the place where faults happen. What the checkers and models find is collected in
`findings`; an empty list means that the seed passed.

Invariant: everything that happens is decided by the seed; nothing here reads a real clock or a socket.
"""

from __future__ import annotations

import random
import re
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from fairlead.cluster import gtid
from fairlead.cluster.board import (
    LAG,
    P_CELLS,
    RANK,
    S_ACTIVE,
    S_CELLS,
    S_CONNECTIONS,
    S_POOLED,
    S_WAITING,
    SERVER_GTIDS,
    STATUS,
    V_CELLS,
    V_PAUSED_UNTIL_MS,
    V_SESSIONS,
    V_WAITING,
    Board,
    server_index,
    worker_pair_index,
    worker_server_index,
    worker_service_index,
)
from fairlead.cluster.defs import ServerDef, ServerFacts
from fairlead.cluster.status import DRAINING, MAINT, MASTER, OVERDUE, RUNNING, SLAVE
from fairlead.config.params import defaults
from fairlead.monitors.derived import RANKS
from fairlead.protocol.constants import CLIENT_MYSQL
from fairlead.routers.readconnroute import router as readconnroute
from fairlead.routers.readconnroute.params import PARAMS as RCR_PARAMS
from fairlead.routers.readwritesplit import router as readwritesplit
from fairlead.routers.readwritesplit.params import PARAMS as RWS_PARAMS
from fairlead.routers.readwritesplit.params import imply
from fairlead.session.params import SERVICE_PARAMS
from fairlead.session.server import Server
from fairlead.session.service import ServiceRuntime
from fairlead.session.session import Session
from fairlead.sql.classifier import Classifier

from . import wire_format as fmt
from .checkers import check_arrival, check_everything
from .client import PIPELINED_MAX, Client
from .clock import Clock
from .faults import plan
from .host import SimHost
from .network import Network, SimChannel
from .server import Commit, Node

# The board is shared by all worlds of a process: making one is dear.
_BOARD: list[Board] = []
# After the faults are healed every client has to be done within this time, in microseconds.
PATIENCE_US = 120_000_000
# Servers of a world, at most.
SERVERS_MAX = 4
# Clients of a world, at most.
CLIENTS_MAX = 6
# Workers of a world, at most.
WORKERS_MAX = 2
# Lines of the transcript that are kept.
TRANSCRIPT_MAX = 20_000


_TOKEN = re.compile(rb"k\d+x\d+")


class Origin(NamedTuple):
    """Where a statement comes from: the client, when it sent it, and whether that was outside of
    a transaction.
    """

    client: Client
    when: int
    outside: bool


def _board(workers: int) -> Board:
    if not _BOARD:
        _BOARD.append(Board.create(WORKERS_MAX))
    board = _BOARD[0]
    board.workers = workers
    for slot in range(SERVERS_MAX):
        board.reset_server(slot)
    for worker in range(WORKERS_MAX):
        for slot in range(SERVERS_MAX):
            _clear(board, worker_server_index(worker, slot, 0), S_CELLS)
            _clear(board, worker_pair_index(worker, 0, slot, 0), P_CELLS)
        _clear(board, worker_service_index(worker, 0, 0), V_CELLS)
    return board


def _clear(board: Board, first: int, count: int) -> None:
    for index in range(first, first + count):
        board.set(index, 0)


class World:
    """`run` lives through the seed; `findings` tells what was wrong."""

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
        # The servers are MySQL's, as far as GTIDs go.
        self.mysql = False
        self.faults = faults
        # The statements of clients by their tokens, and whether anybody asks where they arrive.
        self.sent: dict[bytes, Origin] = {}
        self.watches_arrivals = False
        # When rank and lag of a server changed last, by slot.
        self.ranked_at = [0] * SERVERS_MAX
        self.lagged_at = [0] * SERVERS_MAX
        # How long sessions may have been paused, together, in microseconds.
        self.paused_us = 0
        self.board = _board(2 if self.rng.random() < 0.25 else 1)
        self.classifier = Classifier(1 << 16)
        self.over = False
        self._last_session = 0
        self._make_servers()
        self.hosts = [SimHost(self, worker) for worker in range(self.board.workers)]
        self._make_service()
        self.clients = [
            Client(self, number, random.Random(self.rng.random()))
            for number in range(1, self.rng.randint(1, CLIENTS_MAX) + 1)
        ]

    @property
    def sessions(self) -> dict[int, Session]:
        """The sessions of all workers."""
        if len(self.hosts) == 1:
            return self.hosts[0].sessions
        return {number: session for host in self.hosts for number, session in host.sessions.items()}

    @property
    def service(self) -> ServiceRuntime:
        """The service as the first worker knows it."""
        return self.hosts[0].service

    # -- what there is

    def _make_servers(self) -> None:
        rng = self.rng
        count = rng.randint(1, SERVERS_MAX)
        self.nodes: list[Node] = []
        self.servers: list[Server] = []
        params = {"port": 3306, "rank": "primary", **self._choose_pooling()}
        ranked = rng.random() < 0.15
        for slot in range(count):
            name = f"server{slot + 1}"
            rank = rng.choice(("primary", "secondary")) if ranked else "primary"
            self.nodes.append(Node(self, name, slot, slot == 0))
            server = Server(ServerDef(name, slot, {**params, "address": name, "rank": rank}))
            server.facts = ServerFacts(name, "10.11.6-MariaDB", fmt.SERVER_CAPABILITIES | CLIENT_MYSQL)
            self.servers.append(server)
            self.board.set_server(slot, RANK, RANKS[rank])
            self.board.set_server(slot, STATUS, RUNNING | (MASTER if slot == 0 else SLAVE))
            self.board.set_server(slot, LAG, 0)
            self.nodes[slot].lag_us = 0 if slot == 0 else rng.choice((0, 1_000, 500_000))
        self.watches_arrivals = ranked

    def _choose_pooling(self) -> dict[str, Any]:
        """Whether servers have pools and limits."""
        rng = self.rng
        params = {"persistpoolmax": 0, "persistmaxtime": 0, "max_routing_connections": 0}
        if rng.random() < 0.4:
            params["persistpoolmax"] = rng.choice((1, 2, 5, 20))
            params["persistmaxtime"] = rng.choice((1_000, 3_000, 10_000))
        if rng.random() < 0.3:
            params["max_routing_connections"] = rng.choice((1, 2, 3, 5))
        return params

    def _choose_sharing(self, params: dict[str, Any]) -> None:
        """Whether sessions lend their connections; without, a limit turns them away."""
        rng = self.rng
        if rng.random() < 0.1 or (self.is_limited() and rng.random() < 0.85):
            params["idle_session_pool_time"] = rng.choice((0, 0, 5, 200))
        params["multiplex_timeout"] = rng.choice((1_000, 3_000, 10_000))
        # A session that a pause or a wait holds back is not idle.
        params["wait_timeout"] = rng.choice((0, 0, 15_000))
        if self.is_limited() and params["idle_session_pool_time"] < 0:
            self.disturbed = True

    def is_limited(self) -> bool:
        """Whether there is a limit to the connections of a server."""
        return any(server.definition.params["max_routing_connections"] for server in self.servers)

    def keeps_connections(self) -> bool:
        """Whether connections go from session to session."""
        return any(server.pools for server in self.servers)

    def multiplex_timeout_us(self) -> int:
        """How long a session waits for a connection; 0: it does not."""
        params = self.service.params
        return int(params["multiplex_timeout"]) * 1000 if int(params["idle_session_pool_time"]) >= 0 else 0

    def may_wait_us(self) -> int:
        """What may hold a statement up although nothing is wrong."""
        catches_up = int(self.service.params["causal_reads_timeout"]) * 1000 if self.causal else 0
        return 2 * self.multiplex_timeout_us() + self.paused_us + PIPELINED_MAX * catches_up

    def _make_service(self) -> None:
        rng = self.rng
        if rng.random() < 0.15:
            params = defaults(SERVICE_PARAMS, RCR_PARAMS)
            params["router_options"] = ("master",)
            self._router: Any = readconnroute
            self._choose_sharing(params)
            self._configure(params, self.servers)
            return
        self._router = readwritesplit
        params = defaults(SERVICE_PARAMS, RWS_PARAMS)
        params["master_accept_reads"] = rng.random() < 0.3
        params["lazy_connect"] = rng.random() < 0.3
        params["master_reconnection"] = params["lazy_connect"] or rng.random() < 0.7
        params["master_failure_mode"] = rng.choice(("fail_instantly", "fail_on_write", "error_on_write"))
        params["retry_failed_reads"] = rng.random() < 0.8
        params["retry_lagging_reads"] = rng.random() < 0.3
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
        self._choose_lag_limit(params)
        self._choose_repetition(params)
        self._choose_sharing(params)
        self._configure(params, self.servers)

    def _choose_lag_limit(self, params: dict[str, Any]) -> None:
        params["max_replication_lag"] = self.rng.choice((0, 0, 0, 2_000, 10_000))
        if params["max_replication_lag"]:
            self.watches_arrivals = True

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
            self.mysql = rng.random() < 0.3
        # What an optimist has read on a replica may be different on the primary: the session ends.
        self.disturbed = params["optimistic_trx"]
        imply(params)

    def _configure(self, params: dict[str, Any], targets: list[Server]) -> None:
        """Give the service these parameters and targets, in all workers."""
        for host in self.hosts:
            host.configure(self._router, params, targets)

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
        for host in self.hosts:
            host.tick()
        for node in self.nodes:
            position = gtid.parse(node.gtids(node.position()))
            gtid.write(self.board, server_index(node.slot, SERVER_GTIDS), position)

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

    def guarded(self, action: Callable[[], object]) -> None:
        """Run product code from outside of a channel: what it raises is a finding."""
        self.network.poller.now_us = self.clock.now
        try:
            action()
        except Exception:
            self.finding(f"the product raised: {traceback.format_exc()}")

    def _product_raised(self, channel: SimChannel, error: Exception) -> None:
        self.finding("the product raised: " + "".join(traceback.format_exception(error)))

    # -- the models' side

    def connect_client(self, client: Client) -> None:
        """A client connects to the listener of one of the workers."""
        wire = self.network.wire(client.name)
        client.wire, client.side = wire, 0
        wire.ends[0] = client
        client.host = host = self.rng.choice(self.hosts) if len(self.hosts) > 1 else self.hosts[0]
        self.note(client.name, "connects")
        self.guarded(lambda: host.accept(wire))

    def next_session(self) -> int:
        """A number for a session."""
        self._last_session += 1
        return self._last_session

    def sends(self, client: Client, payload: bytes, outside: bool) -> None:
        """A client sends a command."""
        for token in _TOKEN.findall(payload):
            self.sent[token] = Origin(client, self.clock.now, outside)

    def arrives(self, node: Node, payload: bytes) -> None:
        """A command has reached a server."""
        for token in _TOKEN.findall(payload):
            if token in self.sent:
                check_arrival(self, node, payload, self.sent[token])

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

    # -- the monitor

    def set_status(self, node: Node, status: int) -> None:
        """The monitor has noticed something."""
        self.note("monitor", f"{node.name} has status {status:#x}")
        self.board.set_server(node.slot, STATUS, status)
        if not status & RUNNING:
            for host in self.hosts:
                host.hang_up(node)

    def status_of(self, node: Node) -> int:
        """What the monitor would write for a server in good health."""
        return RUNNING | (MASTER if node.is_primary else SLAVE)

    def maintain(self, node: Node, on: bool) -> None:
        """Set or clear the maintenance bit."""
        status = self.board.server(node.slot, STATUS)
        self.set_status(node, status | MAINT if on else status & ~MAINT)

    def drain(self, node: Node, deadline_us: int) -> None:
        """Let a server run dry, with a deadline."""
        status = self.board.server(node.slot, STATUS)
        self.set_status(node, status | DRAINING)
        self.clock.after(deadline_us, lambda: self._drained(node))

    def _drained(self, node: Node) -> None:
        status = self.board.server(node.slot, STATUS)
        if status & DRAINING:
            self.set_status(node, status | OVERDUE)
            for host in self.hosts:
                host.leave(node)

    def refill(self, node: Node) -> None:
        """The server may be used again."""
        self.set_status(node, self.board.server(node.slot, STATUS) & ~(DRAINING | OVERDUE))

    def set_rank(self, node: Node, rank: str) -> None:
        """The server gets this rank."""
        self.watches_arrivals = True
        self.ranked_at[node.slot] = self.clock.now
        self.note("admin", f"{node.name} has rank {rank}")
        self.change_server(node, rank=rank)
        self.board.set_server(node.slot, RANK, RANKS[rank])

    def set_lag(self, node: Node, seconds: int) -> None:
        """The server lags so much; -1: nobody knows."""
        self.lagged_at[node.slot] = self.clock.now
        self.board.set_server(node.slot, LAG, seconds)
        node.lag_us = max(0, seconds) * 1_000_000

    # -- the administrator

    def change_server(self, node: Node, **values: Any) -> None:
        """The server gets other parameters, in all workers at once, as a new configuration does it."""
        server = self.servers[node.slot]
        params = {**server.definition.params, **values}
        if params == server.definition.params:
            return
        for host in self.hosts:
            host.server_changed(server)
        server.changed_us = self.clock.now
        server.define(ServerDef(server.name, server.slot, params))

    def change_pools(self, rng: random.Random) -> None:
        """A server gets another pool, and another limit if sessions can live with one."""
        node = rng.choice(self.nodes)
        values = self._choose_pooling()
        if self.disturbed or int(self.service.params["idle_session_pool_time"]) < 0:
            del values["max_routing_connections"]
        self.note("admin", f"{node.name} has {values}")
        self.change_server(node, **values)

    def pause(self, rng: random.Random, milliseconds: int) -> None:
        """The service is paused; its workers hear of it one after the other."""
        self.watches_arrivals = True
        self.paused_us += milliseconds * 1000
        self.note("admin", f"pauses the service for {milliseconds} ms")
        for host in self.hosts:
            self.clock.after(rng.randint(0, 3_000), partial(host.pause, milliseconds))

    def resume(self, rng: random.Random) -> None:
        """The pause ends early."""
        self.note("admin", "resumes the service")
        for host in self.hosts:
            self.clock.after(rng.randint(0, 3_000), host.resume)

    def reconfigure(self, rng: random.Random) -> None:
        """New parameters for new sessions."""
        params = dict(self.service.params)
        if self._router is readwritesplit:
            params["max_slave_connections"] = rng.choice((1, 2, 255))
            params["master_accept_reads"] = rng.random() < 0.5
            self._choose_lag_limit(params)
        targets = self.servers if rng.random() < 0.5 else [self.servers[0], *self.servers[2:]]
        self.note("admin", f"changes the service: {[server.name for server in targets]}")
        self._configure(params, targets)

    # -- what the board says

    def gauges(self) -> dict[str, int]:
        """Gauges that have to be zero when nobody is there."""
        return {name: value for host in self.hosts for name, value in self._gauges_of(host.worker)}

    def _gauges_of(self, worker: int) -> list[tuple[str, int]]:
        board = self.board
        found = []
        for name, cell in (
            ("sessions", V_SESSIONS),
            ("waiting sessions", V_WAITING),
            ("paused until", V_PAUSED_UNTIL_MS),
        ):
            found.append((f"worker {worker} {name}", board.get(worker_service_index(worker, 0, cell))))
        for node in self.nodes:
            for name, cell in (
                ("connections", S_CONNECTIONS),
                ("active", S_ACTIVE),
                ("pooled", S_POOLED),
                ("waiting", S_WAITING),
            ):
                value = board.get(worker_server_index(worker, node.slot, cell))
                found.append((f"worker {worker} {node.name} {name}", value))
        return found
