"""What the simulation found once, as scenarios of their own: fixed scripts, many timings."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from fairlead.cluster.board import LAG, V_LAGGING_READS
from fairlead.routers.readwritesplit import router as readwritesplit
from fairlead.workers.pauses import open_transactions

from . import wire_format as fmt
from .client import Client, Sent, Write
from .host import SimHost
from .server import Commit
from .world import World

TIMINGS = range(1, 41)


class Scripted(Client):
    """Sends groups of statements; a group goes out at once, the next one when all its replies are there."""

    def __init__(self, world: World, number: int, script: list[list[str]]) -> None:
        super().__init__(world, number, random.Random(number))
        self.script = list(script)
        self.script_left = 1000
        self.user, self.password, self.wrong = "app", "secret", False
        self.slow = self.pipelines = False
        self.reconnects = 1000
        self.heard: list[tuple[str, fmt.Reply]] = []

    def _go_on(self) -> None:
        self._waiting = False
        if self.state != "ready" or self.sent:
            return
        if not self.script:
            return
        for sql in self.script.pop(0):
            token = sql.split("'")[1] if sql.startswith("SELECT") else ""
            what = {"SE": "read", "IN": "write", "KI": "kill", "BE": "begin", "ST": "begin"}[sql[:2]]
            what = "big" if "REPEAT" in sql else "names" if sql.startswith("SET") else what
            write = Write(sql.split("'")[1]) if what == "write" else None
            self._send(what, sql, token=token, write=write)

    def _replied(self, sent: Sent, reply: fmt.Reply) -> None:
        self.heard.append((sent.sql, reply))
        super()._replied(sent, reply)


def world_of(seed: int, servers: int = 2) -> World:
    """A world without faults or clients of its own."""
    for shift in range(1000):
        world = World(seed + 1000 * shift, faults=False)
        if len(world.nodes) == servers and world.service.params.get("master_failure_mode"):
            world.clients = []
            _make_plain(world)
            return world
    raise AssertionError("no seed has so many servers")


def _make_plain(world: World) -> None:
    """One worker without pools and limits."""
    del world.hosts[1:]
    world.board.workers = 1
    world.disturbed = False
    for node in world.nodes:
        world.change_server(node, **_NO_POOLS)
        world.set_rank(node, "primary")
    world.ranked_at = [0] * len(world.ranked_at)
    set_parameters(world, idle_session_pool_time=-1, wait_timeout=0, max_replication_lag=0)


_NO_POOLS = {"persistpoolmax": 0, "persistmaxtime": 0, "max_routing_connections": 0}
_NOTHING_IS_REPEATED = {
    "delayed_retry": False,
    "transaction_replay": False,
    "optimistic_trx": False,
    "causal_reads": "none",
}


def set_parameters(world: World, **values: object) -> None:
    """Change parameters of the service before anybody connects; nothing is repeated unless they say so."""
    world.causal = False
    world.service.params.update(_NOTHING_IS_REPEATED)
    world.service.params.update(values)
    world.service.read_params()
    world.service.router_config = readwritesplit.make_config(world.service.params)


def run_until(world: World, done: Callable[[], bool]) -> None:
    """Let time pass until something is so."""
    limit = world.clock.now + 60_000_000
    while not done():
        assert world.clock.now < limit and world.clock.step(), "\n".join(world.transcript[-30:])


@pytest.mark.parametrize("seed", TIMINGS)
def test_no_reply_overtakes_that_of_a_kill(seed: int) -> None:
    """KILL is answered by the session itself: what was sent behind it has to wait."""
    world = world_of(seed)
    victim = Scripted(world, 1, [["SELECT 'a', v FROM t WHERE id = 1"]])
    killer = Scripted(
        world,
        2,
        [
            ["SELECT 'b', v FROM t WHERE id = 1 FOR UPDATE"],
            ["KILL 1", "SELECT 'c', v FROM t WHERE id = 2 FOR UPDATE", "SELECT 'd', v FROM t WHERE id = 1"],
        ],
    )
    world.clients = [victim, killer]
    world.disturbed = True
    victim.connect()
    run_until(world, lambda: bool(victim.heard))
    killer.connect()
    run_until(world, lambda: len(killer.heard) == 4)
    assert not world.findings
    assert [reply.rows[0][0] if reply.rows else "ok" for _, reply in killer.heard] == ["b", "ok", "c", "d"]


@pytest.mark.parametrize("seed", TIMINGS)
def test_no_error_in_the_middle_of_a_result(seed: int) -> None:
    """A session that is killed while its client reads a result ends without a word."""
    world = world_of(seed)
    victim = Scripted(world, 1, [["SELECT 'a', REPEAT('x', 200) FROM seq_1_to_400"]])
    killer = Scripted(world, 2, [["KILL 1"]])
    world.clients = [victim, killer]
    world.disturbed = True
    victim.connect()
    run_until(world, lambda: bool(victim.sent))
    killer.connect()
    run_until(world, lambda: bool(killer.heard) and victim.state == "gone")
    assert not world.findings


@pytest.mark.parametrize("seed", TIMINGS)
def test_a_write_that_may_have_happened_is_not_called_refused(seed: int) -> None:
    """With error_on_write the client is told when nobody knows what became of its statement."""
    world = world_of(seed)
    set_parameters(world, master_failure_mode="error_on_write", lazy_connect=False)
    client = Scripted(world, 1, [["SELECT 'a', v FROM t WHERE id = 1"], ["INSERT INTO log VALUES ('b')"]])
    world.clients = [client]
    world.disturbed = True
    client.connect()
    run_until(world, lambda: any(sent.what == "write" for sent in client.sent))
    primary = world.nodes[0]
    run_until(world, lambda: any(each.busy is not None for each in primary.connections.values()))
    primary.crash()
    run_until(world, lambda: len(client.heard) == 2)
    error = client.heard[1][1]
    assert error.code == 1290 and "may have been executed" in error.message
    assert client.state == "ready"


@pytest.mark.parametrize("seed", TIMINGS)
def test_a_read_is_repeated_also_after_others(seed: int) -> None:
    """A lost read goes to another server, although its connection has answered others before."""
    world = world_of(seed, servers=3)
    set_parameters(world, master_accept_reads=False, max_slave_connections=1, retry_failed_reads=True)
    script = [[f"SELECT '{token}', v FROM t WHERE id = 1"] for token in "abc"]
    client = Scripted(world, 1, script)
    world.clients = [client]
    world.disturbed = True
    client.connect()
    run_until(world, lambda: len(client.heard) == 2)
    run_until(
        world,
        lambda: any(each.busy is not None for node in world.nodes for each in node.connections.values()),
    )
    node = next(node for node in world.nodes for each in node.connections.values() if each.busy is not None)
    node.crash()
    run_until(world, lambda: len(client.heard) == 3)
    assert client.heard[2][1].rows[0][0] == "c" and client.heard[2][1].rows[0][1] != node.name
    assert not world.findings


@pytest.mark.parametrize("seed", TIMINGS)
def test_a_transaction_that_has_just_begun_does_not_survive_its_server(seed: int) -> None:
    """After the reply to BEGIN nothing may pass as if there were no transaction."""
    world = world_of(seed)
    set_parameters(world, master_reconnection=True, master_failure_mode="fail_on_write")
    client = Scripted(world, 1, [["BEGIN"]])
    world.clients = [client]
    world.disturbed = True
    client.connect()
    run_until(world, lambda: len(client.heard) == 1)
    client.reconnects = 1000
    client.done = True
    world.nodes[0].crash()
    world.nodes[0].up = True
    run_until(world, lambda: client.state == "gone")
    assert not world.sessions


@pytest.mark.parametrize("seed", TIMINGS)
def test_a_full_history_still_serves_a_connection_on_its_way(seed: int) -> None:
    """The command that makes the history overflow may itself be what opens a connection."""
    world = world_of(seed)
    set_parameters(
        world, max_sescmd_history=3, prune_sescmd_history=False, lazy_connect=False, max_slave_connections=1
    )
    client = Scripted(
        world,
        1,
        [
            ["SET @a = 'one'"],
            ["SET @b = 'two'"],
            ["SET sql_mode = ''"],
            ["SET NAMES utf8mb4"],
            ["SELECT 's', @a, @b, DATABASE(), @@sql_mode"],
        ],
    )
    world.clients = [client]
    world.disturbed = True
    client.connect()
    run_until(world, lambda: len(client.heard) == 3)
    session = next(iter(world.sessions.values()))
    for backend in session.backends:
        session.drop_backend(backend, "for the test")
    run_until(world, lambda: len(client.heard) == 5 or client.state == "gone")
    assert not world.findings
    # Where nothing can be opened any more the session says so or ends; what it must not do is to forget.
    if len(client.heard) == 5 and client.heard[4][1].kind == "rows":
        assert client.heard[4][1].rows[0][2:4] == ["one", "two"]


@pytest.mark.parametrize("seed", TIMINGS)
def test_a_goodbye_waits_for_what_was_sent_before(seed: int) -> None:
    """A write with QUIT right behind it is carried out, also where its connection has yet to be opened."""
    world = world_of(seed)
    client = Scripted(world, 1, [["INSERT INTO log VALUES ('b')"]])
    world.clients = [client]
    client.connect()
    run_until(world, lambda: bool(client.sent))
    client.send(fmt.packet(0, b"\x01"))
    client.done = True
    world.disturbed = True
    run_until(world, lambda: client.state == "gone" and not world.sessions)
    assert [commit.token for commit in world.ledger] == ["b"]


@pytest.mark.parametrize("seed", TIMINGS)
def test_a_session_keeps_its_primary_among_several(seed: int) -> None:
    """A.15 row 6: two primaries in one service do not take turns, however the connections are counted."""
    world = world_of(seed)
    set_parameters(world, master_reconnection=True)
    world.nodes[1].is_primary = True
    world.set_status(world.nodes[1], world.status_of(world.nodes[1]))
    others = [Scripted(world, number, [["SELECT 'x', v FROM t WHERE id = 1"]]) for number in (2, 3)]
    client = Scripted(world, 1, [[f"INSERT INTO log VALUES ('k{number}')"] for number in range(50)])
    world.clients = [client, *others]
    for each in world.clients:
        each.connect()
    run_until(world, lambda: len(client.heard) == 50)
    session = world.sessions[client.session_id]
    assert sum(backend.in_use() for backend in session.backends) == 1
    assert not world.findings


def in_a_large_result(seed: int, **values: object) -> tuple[World, Scripted]:
    """A client that has written in a transaction and is about to ask for a large result in it."""
    world = world_of(seed)
    repeats = {"transaction_replay": True, "master_reconnection": True}
    set_parameters(world, master_failure_mode="fail_on_write", **repeats, **values)
    big = "SELECT 'one', REPEAT('x', 150) FROM seq_1_to_400"
    client = Scripted(world, 1, [["BEGIN"], ["INSERT INTO log VALUES ('a')"], [big]])
    world.clients = [client]
    world.disturbed = True
    client.connect()
    run_until(world, lambda: len(client.heard) == 2)
    return world, client


@pytest.mark.parametrize("seed", TIMINGS)
def test_too_large_a_transaction_is_lost_in_the_middle_of_a_result(seed: int) -> None:
    """No error is put into the result, although the transaction could not be repeated."""
    world, client = in_a_large_result(seed, transaction_replay_max_size=60)
    run_until(world, lambda: bool(client.sent) and client.sent[0].what == "big")
    # Some of the timings are those where the client has a part of it.
    world.settle(100 * seed)
    client.reconnects = 1000
    client.done = True
    world.nodes[0].crash()
    run_until(world, lambda: client.state == "gone" or len(client.heard) == 3)
    assert not world.findings


@pytest.mark.parametrize("seed", TIMINGS)
def test_no_error_in_a_result_whose_transaction_is_being_repeated(seed: int) -> None:
    """The client has a part of it, whatever ends the session while the rest is fetched from elsewhere."""
    world, client = in_a_large_result(seed, transaction_replay_timeout=30_000)
    wire = next(wire for wire in world.network.wires if wire.name.endswith("server1"))
    wire.streams[1].cut_at = wire.streams[1].delivered + 1_300 * seed
    wire.streams[1].on_cut = world.nodes[0].crash
    run_until(world, lambda: not world.nodes[0].up)
    client.reconnects = 1000
    client.done = True
    world.settle(100_000)
    for session in list(world.sessions.values()):
        session.close("closed by an administrator", code=1927, message="Connection killed by Fairlead")
    run_until(world, lambda: client.state == "gone")
    assert not world.findings


@pytest.mark.parametrize("mode", ["fast", "fast_global", "fast_universal", "local", "global", "universal"])
@pytest.mark.parametrize("seed", range(1, 11))
def test_a_read_only_transaction_sees_what_was_written_before(seed: int, mode: str) -> None:
    """It begins on a server that has it, or its reads wait."""
    world = world_of(seed)
    set_parameters(world, causal_reads=mode, causal_reads_timeout=10_000)
    world.nodes[1].lag_us = 300_000
    client = Scripted(world, 1, [["INSERT INTO log VALUES ('first')"]])
    world.clients = [client]
    client.connect()
    run_until(world, lambda: len(client.heard) == 1)
    client.script = [["START TRANSACTION READ ONLY"], ["SELECT 'r', v FROM t WHERE id = 3"]]
    world.ledger.append(Commit("second", 3, world.clock.now))
    if mode not in ("universal", "fast_universal"):
        client.script.insert(0, ["INSERT INTO log VALUES ('third')"])
    client._pause()
    run_until(world, lambda: client.heard[-1][0].startswith("SELECT"))
    assert client.heard[-1][1].rows[0][2] == "second"
    assert not world.findings


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"delayed_retry": True},
        {"delayed_retry": True, "master_failure_mode": "error_on_write"},
        {"transaction_replay": True, "delayed_retry": True, "transaction_replay_timeout": 5_000},
        {"causal_reads": "universal"},
        {"causal_reads": "universal", "delayed_retry": True},
    ],
)
@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO log VALUES ('w')", "SELECT 'r', v FROM t WHERE id = 1", "SET NAMES utf8mb4", "BEGIN"],
)
@pytest.mark.parametrize("lazy", [True, False])
def test_a_server_that_refuses_every_login_ends_the_waiting(
    values: dict[str, object], statement: str, lazy: bool
) -> None:
    """It takes connections, so each attempt looks like a success: the time to wait goes on all the same."""
    world = world_of(1)
    set_parameters(world, lazy_connect=lazy, master_reconnection=True, delayed_retry_timeout=3_000, **values)
    for node in world.nodes:
        node.full = True
    client = Scripted(world, 1, [[statement]])
    world.clients = [client]
    world.disturbed = True
    client.done = True
    client.connect()
    run_until(world, lambda: client.state == "gone" or bool(client.heard))
    assert world.clock.now < 30_000_000
    assert not world.findings


@pytest.mark.parametrize("seed", TIMINGS)
@pytest.mark.parametrize("repeat", [True, False])
def test_a_replica_falls_behind_during_a_read(seed: int, repeat: bool) -> None:
    """It is counted, and with retry_lagging_reads another server answers, if there is one."""
    world = world_of(seed, servers=3)
    set_parameters(
        world, master_accept_reads=False, max_replication_lag=10_000, retry_failed_reads=True,
        retry_lagging_reads=repeat, max_slave_connections=2,
    )  # fmt: skip
    script = [["SELECT 'a', v FROM t WHERE id = 1"], ["SELECT 'b', v FROM t WHERE id = 1"]]
    client = Scripted(world, 1, script)
    world.clients = [client]
    world.disturbed = True
    client.connect()
    slow: set[str] = set()
    for replies in (1, 2):
        run_until(
            world,
            lambda: any(each.busy is not None for node in world.nodes for each in node.connections.values()),
        )
        node = next(one for one in world.nodes for each in one.connections.values() if each.busy is not None)
        slow.add(node.name)
        world.board.set_server(node.slot, LAG, 20)
        while len(client.heard) < replies:
            run_until(world, lambda: not client.sent)
        answered = client.heard[replies - 1][1].rows[0][1]
        assert (answered != node.name) is repeat
    assert len(slow) == 2
    counted = world.board.sum_service(world.service.slot, V_LAGGING_READS)
    assert counted == 2
    assert not world.findings and client.state == "ready"


def two_workers(world: World) -> None:
    """Give the world another worker."""
    host = SimHost(world, 1)
    host.configure(readwritesplit, world.service.params, world.servers)
    world.hosts.append(host)
    world.board.workers = 2


@pytest.mark.parametrize("seed", TIMINGS)
def test_a_connection_of_a_client_that_did_not_read_serves_others(seed: int) -> None:
    """It was stopped for that client; who gets it from the pool hears what the server says."""
    world = world_of(seed)
    set_parameters(world, max_slave_connections=1, master_accept_reads=False, lazy_connect=True)
    for node in world.nodes:
        world.change_server(node, persistpoolmax=5, persistmaxtime=10_000)
    slow = Scripted(world, 1, [["SELECT 'a', REPEAT('x', 200) FROM seq_1_to_400"]])
    client = Scripted(world, 2, [["SELECT 'b', v FROM t WHERE id = 1"]])
    world.clients = [slow, client]
    slow.connect()
    run_until(world, lambda: bool(slow.sent))
    slow.stopped_reading = True
    session = world.sessions[slow.session_id]
    while session.expecting or not slow.unread:
        if not world.clock.step():
            # The server was stopped before its last bytes: it goes on when the client reads a little.
            slow._read_on()
            slow.stopped_reading = True
    slow.done = world.disturbed = True
    slow.send(fmt.packet(0, b"\x01"))
    run_until(world, lambda: session.closed)
    client.connect()
    began = world.clock.now
    run_until(world, lambda: bool(client.heard))
    assert world.clock.now - began < 1_000_000
    assert not world.findings


@pytest.mark.parametrize("seed", TIMINGS)
def test_a_connection_that_is_being_reset_counts_in_all_workers(seed: int) -> None:
    """No other worker takes it for a free place on the server."""
    world = world_of(seed)
    set_parameters(world, lazy_connect=True)
    two_workers(world)
    primary = world.nodes[0]
    world.change_server(primary, persistpoolmax=5, persistmaxtime=10_000, max_routing_connections=1)
    first = Scripted(world, 1, [["INSERT INTO log VALUES ('a')"]])
    second = Scripted(world, 2, [["INSERT INTO log VALUES ('b')"]])
    world.clients = [first, second]
    world.disturbed = True
    first.connect()
    run_until(world, lambda: bool(first.heard))
    stalled = next(wire for wire in world.network.wires if wire.name.endswith(primary.name))
    for stream in stalled.streams:
        stream.stalled_until = world.clock.now + 3_000_000
    first.leave(True)
    run_until(world, lambda: not world.sessions)
    others = [host for host in world.hosts if host is not first.host]
    world.hosts = others
    second.reconnects = 1000
    second.connect()
    run_until(world, lambda: second.state == "gone" or bool(second.heard))
    assert not world.findings


@pytest.mark.parametrize("seed", TIMINGS)
def test_the_primary_may_lag(seed: int) -> None:
    """It may replicate from elsewhere: max_replication_lag is about replicas."""
    world = world_of(seed)
    set_parameters(world, max_replication_lag=2_000, master_reconnection=False, lazy_connect=False)
    client = Scripted(world, 1, [["INSERT INTO log VALUES ('a')"]])
    world.clients = [client]
    client.connect()
    run_until(world, lambda: len(client.heard) == 1)
    world.set_lag(world.nodes[0], 1000)
    client.script = [["SELECT 'b', v FROM t WHERE id = 1"], ["INSERT INTO log VALUES ('c')"]]
    client._pause()
    run_until(world, lambda: len(client.heard) == 3 or client.state == "gone")
    assert client.state == "ready"
    assert not world.findings


@pytest.mark.parametrize("seed", TIMINGS)
def test_the_primary_answers_where_no_replica_can_whatever_its_rank(seed: int) -> None:
    """The replicas are of the better rank, and too far behind."""
    world = world_of(seed)
    set_parameters(world, max_replication_lag=2_000, master_accept_reads=False, lazy_connect=True)
    world.set_rank(world.nodes[0], "secondary")
    world.set_lag(world.nodes[1], 1000)
    client = Scripted(world, 1, [["SELECT 'a', v FROM t WHERE id = 1"]])
    world.clients = [client]
    client.connect()
    run_until(world, lambda: bool(client.heard) or client.state == "gone")
    assert client.heard and client.heard[0][1].rows[0][1] == "server1"
    assert not world.findings


@pytest.mark.parametrize(
    ("command", "causal"),
    [
        ("SET NAMES utf8mb4", "none"),
        ("COM_PING", "none"),
        ("COM_RESET_CONNECTION", "none"),
        ("COM_RESET_CONNECTION", "local"),
        ("CLOSE", "none"),
    ],
)
@pytest.mark.parametrize("seed", range(1, 11))
def test_who_lent_its_connection_waits_for_it_only_when_it_needs_it(
    seed: int, command: str, causal: str
) -> None:
    """A copy of a session command is no need: the connection begins with it when it is opened."""
    world = world_of(seed)
    set_parameters(
        world,
        idle_session_pool_time=0,
        multiplex_timeout=1_000,
        lazy_connect=False,
        master_accept_reads=False,
        causal_reads=causal,
    )
    world.change_server(world.nodes[1], max_routing_connections=1)
    read = "SELECT 'a', v FROM t WHERE id = 1"
    lender = Scripted(world, 1, [[read]])
    keeper = Scripted(world, 2, [["START TRANSACTION READ ONLY"], [read]])
    world.clients = [lender, keeper]
    world._tick()
    lender.connect()
    run_until(world, lambda: len(lender.heard) == 1)
    if command == "CLOSE":
        lender._send("prepare", "SELECT ?, v FROM t WHERE id = ?", b"\x16SELECT ?, v FROM t WHERE id = ?")
        run_until(world, lambda: len(lender.heard) == 2)
    keeper.connect()
    run_until(world, lambda: len(keeper.heard) == 2)
    if command == "CLOSE":
        lender.send(fmt.packet(0, b"\x19" + min(lender.prepared).to_bytes(4, "little")))
    else:
        payload = {"COM_PING": b"\x0e", "COM_RESET_CONNECTION": b"\x1f"}.get(command)
        lender._send("names", command, payload)
        run_until(world, lambda: lender.heard[-1][0] == command)
    world.settle(5_000_000)
    assert lender.state == "ready"
    keeper.leave(True)
    lender.script = [["SELECT 'b', v FROM t WHERE id = 1"]]
    lender._pause()
    run_until(world, lambda: lender.heard[-1][1].rows[:1] != [] and lender.heard[-1][1].rows[0][0] == "b")
    assert not world.findings


@pytest.mark.parametrize("seed", TIMINGS)
def test_sessions_that_wait_for_each_other_s_connections_get_them(seed: int) -> None:
    """One that waits for a server does not need what it has on another."""
    world = world_of(seed)
    set_parameters(
        world,
        idle_session_pool_time=200,
        multiplex_timeout=3_000,
        lazy_connect=True,
        master_accept_reads=False,
    )
    for node in world.nodes:
        world.change_server(node, max_routing_connections=1)
    read, write = "SELECT 'a', v FROM t WHERE id = 1", "INSERT INTO log VALUES ('w')"
    reader, writer = Scripted(world, 1, [[read]]), Scripted(world, 2, [[write]])
    world.clients = [reader, writer]
    world._tick()
    for client in (reader, writer):
        client.connect()
    run_until(world, lambda: bool(reader.heard and writer.heard))
    for client, sql in ((reader, write), (writer, read)):
        client.script = [[sql]]
        client._go_on()
    run_until(world, lambda: len(reader.heard) == len(writer.heard) == 2)
    assert all(reply.kind != "error" for client in (reader, writer) for _, reply in client.heard)
    assert not world.findings


@pytest.mark.parametrize("seed", TIMINGS)
def test_a_connection_from_before_a_change_of_its_server_makes_room(seed: int) -> None:
    """It is not given to others, but the place that it has is."""
    world = world_of(seed)
    set_parameters(world, idle_session_pool_time=0, multiplex_timeout=3_000, lazy_connect=True)
    world.change_server(world.nodes[0], max_routing_connections=1)
    first, second = (Scripted(world, n, [[f"INSERT INTO log VALUES ('k{n}')"]]) for n in (1, 2))
    world.clients = [first, second]
    world._tick()
    first.connect()
    run_until(world, lambda: bool(first.heard))
    world.settle(1_000)
    world.set_rank(world.nodes[0], "secondary")
    second.connect()
    run_until(world, lambda: bool(second.heard))
    assert second.heard[0][1].kind == "ok"
    assert not world.findings


@pytest.mark.parametrize("seed", range(1, 11))
@pytest.mark.parametrize("resumed", [True, False])
def test_who_logs_in_while_the_configuration_changes_is_paused_like_the_others(
    seed: int, resumed: bool
) -> None:
    """A session that began with the former configuration knows of the pauses of the present one."""
    world = world_of(seed)
    host = world.hosts[0]
    client = Scripted(world, 1, [["SELECT 'k1x1', v FROM t WHERE id = 1"]])
    world.clients = [client]
    if resumed:
        host.pause(60_000)
    client.connect()
    host.configure(readwritesplit, world.service.params, world.servers)
    if resumed:
        host.resume()
        run_until(world, lambda: bool(client.heard))
    else:
        host.pause(3_000)
        world.watches_arrivals = True
        began = world.clock.now
        run_until(world, lambda: bool(client.heard))
        assert world.clock.now - began >= 3_000_000
    assert not world.findings


@pytest.mark.parametrize("seed", TIMINGS)
def test_a_switchover_during_a_pause_is_not_noticed(seed: int) -> None:
    """Sessions that are in no transaction wait for the new primary, and nobody gets an error."""
    world = world_of(seed, servers=3)
    set_parameters(world, master_reconnection=True, master_failure_mode="fail_on_write", wait_timeout=4_000)
    writes = [[f"INSERT INTO log VALUES ('k{number}')"] for number in range(60)]
    client = Scripted(world, 1, [["SET @a = 'k1x1'"], *writes])
    other = Scripted(world, 2, [[f"SELECT 'r{number}', v FROM t WHERE id = 1"] for number in range(9000)])
    world.clients = [client, other]
    world._tick()
    for each in world.clients:
        each.connect()
    run_until(world, lambda: len(client.heard) > 5)
    host = world.hosts[0]
    host.pause(60_000)
    run_until(world, lambda: not open_transactions(host.service))
    former, chosen = world.nodes[:2]
    former.is_primary = False
    for connection in list(former.connections.values()):
        connection.killed(False)
    world.settle(1_000)
    world.set_status(former, world.status_of(former))
    world.settle(5_500_000)
    chosen.is_primary = True
    world.set_status(chosen, world.status_of(chosen))
    host.resume()
    run_until(world, lambda: len(client.heard) == 61)
    assert not world.findings
    assert [commit.token for commit in world.ledger] == [f"k{number}" for number in range(60)]
    assert all(reply.kind != "error" for each in (client, other) for _, reply in each.heard)
