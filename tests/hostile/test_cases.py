"""Hostile or unlucky moments of a session, each by its name."""

from __future__ import annotations

import pytest
from harness import Client, ServerConnection, World
from talk import (
    CONVERSATIONS,
    answer,
    by_id,
    change_user,
    command,
    execute,
    frame,
    large,
    login,
    new_world,
    ok,
    prepare,
    query,
)

from fairlead.protocol import packets
from fairlead.protocol.constants import (
    COM_CHANGE_USER,
    COM_PING,
    COM_PROCESS_KILL,
    COM_QUERY,
    COM_STMT_PREPARE,
    COM_STMT_SEND_LONG_DATA,
    MAX_PACKET,
)
from fairlead.session.backend import B_CONNECTING, B_READY
from fairlead.session.login import LOGIN_PACKET_BYTES_MAX

ROUTERS = ("readwritesplit", "readconnroute")


def logged_in(world: World) -> Client:
    client = world.connect()
    world.run()
    client.send(login())
    world.run()
    assert client.connection.ready
    client.received.clear()
    return client


def payloads(data: bytes | bytearray) -> list[bytes]:
    """The payloads of whole packets."""
    found = []
    data = bytes(data)
    while data:
        size = int.from_bytes(data[:3], "little")
        assert len(data) >= 4 + size, "a packet is cut short"
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found


def ask(world: World, client: Client, data: bytes) -> list[bytes]:
    client.received.clear()
    client.send(data)
    world.run()
    return payloads(client.received)


def replying(to: bytes, replies: list[bytes], others=answer):
    """A script that answers one command in its own way."""

    def script(connection: ServerConnection, payload: bytes) -> list[bytes]:
        return replies if payload.startswith(to) else others(connection, payload)

    return script


def world_with(script, **params) -> World:
    world = new_world(**params)
    for each in world.scripts:
        each.answer = script
    return world


def over(world: World) -> None:
    world.end()
    assert world.leftovers() == {}


# -- answers that make no sense


@pytest.mark.parametrize(
    "reply",
    [
        [b"\x01", packets.column_payload("a"), b"\xfe\x00\x00\x02\x00", b"\x011", b"\xfe\x00\x00\x02\x00"],
        [b"\x00\x01"],
        [b"\x00\x00\x00\x00\x02\x00\x00\x00"],
        [b"\xfe\x00\x00\x02\x00"],
        [b"\xfbfile"],
    ],
)
def test_a_prepare_answered_by_something_else_ends_the_session(reply: list[bytes]) -> None:
    world = world_with(replying(bytes((COM_STMT_PREPARE,)), reply), router="readconnroute")
    client = logged_in(world)
    client.send(prepare("SELECT ?"))
    world.run()
    assert client.session.closed
    over(world)


@pytest.mark.parametrize("place", [1, 2, 3])
def test_an_error_in_place_of_a_definition_is_the_end_of_the_reply(place: int) -> None:
    definitions = [packets.column_payload("a")] * 3
    reply = [b"\x03", *definitions[: place - 1], packets.err_payload(1317, "70100", "interrupted")]
    world = world_with(replying(b"\x03SELECT 7", reply), router="readconnroute")
    client = logged_in(world)
    assert ask(world, client, query("SELECT 7"))[-1].startswith(b"\xff")
    assert client.session.expecting == 0
    assert len(ask(world, client, query("SELECT 1"))) > 3
    over(world)


@pytest.mark.parametrize("number", [COM_PING, COM_STMT_PREPARE, 0x50])
def test_local_infile_where_no_server_asks_for_it_is_not_understood(number: int) -> None:
    world = world_with(replying(bytes((number,)), [b"\xfbfile"]), router="readconnroute")
    client = logged_in(world)
    ask(world, client, command(number, b"SELECT ?"))
    assert client.session.closed
    over(world)


def test_the_last_error_of_a_server_is_the_one_it_sent() -> None:
    """An error behind rows that came in the same piece."""
    world = new_world(router="readconnroute")
    client = logged_in(world)
    ask(world, client, query("SELECT MIDDLE"))
    assert "malformed" not in client.session.backends[0].last_error
    over(world)


@pytest.mark.parametrize("router", ROUTERS)
def test_data_nobody_asked_for_is_not_given_to_the_client(router: str) -> None:
    world = new_world(router=router)
    client = logged_in(world)
    ask(world, client, query("INSERT INTO t VALUES (1)"))
    client.received.clear()
    for connection in world.server_connections:
        connection.send(0, [ok(2), b"\x01", b"rows"])
    world.run()
    assert not client.received.startswith(frame(ok(2)))
    over(world)


# -- LOAD DATA LOCAL


def _early(connection: ServerConnection, payload: bytes) -> list[bytes]:
    """A server that gives up before the client has sent its data."""
    state = connection.state
    if state.get("early"):
        state["early"] = bool(payload)
        return []
    if b"LOAD" in payload:
        state["early"] = True
        return [b"\xfbfile", packets.err_payload(1148, "42000", "not today")]
    return answer(connection, payload)


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("together", [True, False])
def test_data_of_a_load_that_failed_early_is_not_taken_for_commands(router: str, together: bool) -> None:
    world = world_with(_early, router=router)
    if not together:
        for script in world.scripts:
            script.mutate = lambda connection, data: [data[at : at + 1] for at in range(len(data))]
    client = logged_in(world)
    client.send(query("LOAD DATA LOCAL INFILE 'file' INTO TABLE t"))
    world.run()
    client.received.clear()
    client.send(frame(b"\x03INSERT INTO t VALUES (666)", 2) + frame(b"", 3))
    world.run()
    assert bytes(client.received) == b""
    received = b"".join(connection.received for connection in world.server_connections)
    assert received.count(b"666") == 1
    assert len(ask(world, client, query("SELECT 1"))) > 3
    over(world)


# -- commands of 16 MiB and more


def _continued(payload: bytes) -> bytes:
    return frame(payload + b"x" * (MAX_PACKET - len(payload)) + b"\x03INSERT INTO t VALUES (666)")


@pytest.mark.parametrize("router", ROUTERS)
def test_the_rest_of_a_refused_command_is_not_taken_for_a_command(router: str) -> None:
    world = new_world(router=router)
    client = logged_in(world)
    replies = ask(world, client, _continued(b"\x17\x63\x00\x00\x00\x00\x01\x00\x00\x00"))
    assert len(replies) == 1 and replies[0].startswith(b"\xff\xdb\x04")
    replies = ask(world, client, _continued(b"\x18\x63\x00\x00\x00\x00\x00"))
    assert replies == []
    received = b"".join(connection.received for connection in world.server_connections)
    assert b"666" not in received
    assert len(ask(world, client, query("SELECT 1"))) > 3
    over(world)


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("size", [MAX_PACKET - 1, MAX_PACKET, MAX_PACKET + 1, 2 * MAX_PACKET])
def test_large_commands(router: str, size: int) -> None:
    world = new_world(router=router)
    client = logged_in(world)
    data = large(size)
    for at in range(0, len(data), 4_000_037):
        client.send(data[at : at + 4_000_037])
        world.run()
    assert len(payloads(client.received)) == 1
    assert sum(data in connection.received for connection in world.server_connections) == 1
    assert len(ask(world, client, query("SELECT 1"))) > 3
    over(world)


def test_the_rest_of_a_command_waits_for_its_beginning() -> None:
    """The beginning waits for the statement's id on a server that is still preparing."""
    held: list[ServerConnection] = []

    def slow(connection: ServerConnection, payload: bytes) -> list[bytes]:
        if payload[0] == COM_STMT_PREPARE and connection.script is world.scripts[1]:
            held.append(connection)
            connection.state["held"] = payload
            return []
        return answer(connection, payload)

    world = world_with(slow, servers=2)
    client = logged_in(world)
    ask(world, client, prepare("SELECT ?"))
    assert len(held) == 1
    head = execute(1, 1)[4:]
    payload = head + b"y" * (MAX_PACKET + 10 - len(head))
    client.send(frame(payload))
    world.run()
    connection = held[0]
    connection.send(1, answer(connection, connection.state["held"]))
    world.run()
    tail = bytes(connection.received)[-(len(frame(payload)) + 5) :]
    assert tail.count(b"y" * 1000) > 16000
    assert tail.endswith(frame(payload)[-24:])
    over(world)


# -- back-pressure


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("statement", ["SELECT ", "INSERT ", "SET @a = "])
def test_a_server_that_stopped_reading_and_dies_leaves_no_client_unread(router: str, statement: str) -> None:
    world = new_world(
        router=router, **({"master_failure_mode": "error_on_write"} if router == "readwritesplit" else {})
    )
    client = logged_in(world)
    for connection in world.server_connections:
        assert connection.channel is not None
        connection.channel.stuck = True
    client.send(query(f"{statement}'{'x' * 200_000}'"))
    world.run()
    for connection in list(world.server_connections):
        if connection.channel is not None and connection.channel.blocked:
            connection.channel.lose("connection reset by peer")
            world.run()
    for connection in world.server_connections:
        if connection.channel is not None and not connection.channel.closed:
            connection.channel.stuck = False
            connection.channel.take_out()
    world.run()
    if not client.session.closed:
        assert not client.channel.paused
        assert client.session.expecting == 0
        assert ask(world, client, command(COM_PING))
    over(world)


def test_the_client_is_read_again_only_when_no_server_is_behind() -> None:
    world = new_world(servers=3)
    client = logged_in(world)
    channels = [connection.channel for connection in world.server_connections]
    for channel in channels:
        assert channel is not None
        channel.stuck = True
    client.send(query(f"SET @a = '{'x' * 200_000}'"))
    world.run()
    behind = [channel for channel in channels if channel is not None and channel.blocked]
    assert len(behind) == 3 and client.channel.paused
    for channel in behind:
        assert client.channel.paused
        channel.stuck = False
        channel.take_out()
        world.run()
    assert not client.channel.paused
    over(world)


# -- logins


def test_a_server_that_announces_an_endless_greeting_is_given_up() -> None:
    world = new_world(router="readconnroute")
    world.scripts[0].mutate = lambda connection, data: [b"\xff\xff\xff\x00" + b"x" * 2000]
    world.scripts[1].mutate = world.scripts[2].mutate = world.scripts[0].mutate
    client = logged_in(world)
    assert client.session.closed
    over(world)


def test_what_follows_a_request_for_tls_in_plain_text_is_not_read() -> None:
    """A verdict that came with the greeting, before the encryption, is nobody's word."""
    world = new_world(router="readconnroute")
    switched: list[object] = []
    world.host.start_tls = lambda session, backend: switched.append(backend)  # type: ignore[method-assign]
    for server in world.service.targets:
        server.tls = object()
    greeting = packets.frame(
        0,
        world.greeting.__class__(
            "11.4.2-MariaDB", 7, world.greeting.scramble, world.greeting.capabilities | (1 << 11), 45
        ).build(),
    )
    for script in world.scripts:
        script.mutate = lambda connection, data: [] if connection.logged_in else [greeting + frame(ok(2), 2)]
    client = logged_in(world)
    assert len(switched) == 1 and not client.session.closed
    assert all(backend.state != B_READY for backend in client.session.backends)
    world.server_connections[0].channel.lose("reset")  # type: ignore[union-attr]
    over(world)


def test_an_answer_to_a_change_of_user_that_came_ahead_is_taken() -> None:
    from talk import token

    from fairlead.protocol.handshake import ChangeUserRequest, build_change_user

    world = new_world()
    client = logged_in(world)
    request = ChangeUserRequest("app", b"", "", 45, "client_ed25519")
    data = frame(build_change_user(request, 1 << 19)) + frame(token(), 2) + query("SELECT 1")
    replies = ask(world, client, data)
    assert replies[0].startswith(b"\xfe") and replies[1].startswith(b"\x00")
    assert len(replies) > 5, replies
    over(world)


@pytest.mark.parametrize(
    "rest",
    [frame(b"\x03INSERT", 9), (LOGIN_PACKET_BYTES_MAX + 1).to_bytes(3, "little") + b"\x03" + b"x" * 50],
)
@pytest.mark.parametrize("cut", [False, True])
def test_a_change_of_user_that_breaks_the_protocol_ends_the_session(rest: bytes, cut: bool) -> None:
    """Whatever was on its way with it must not be taken for commands."""
    from fairlead.protocol.handshake import ChangeUserRequest, build_change_user

    world = new_world()
    client = logged_in(world)
    request = ChangeUserRequest("app", b"", "", 45, "client_ed25519")
    client.send(frame(build_change_user(request, 1 << 19)))
    world.run()
    data = rest + query("INSERT INTO t VALUES (666)")
    for at in range(len(data)) if cut else [0]:
        client.send(data[at : at + 1] if cut else data)
        world.run()
    assert client.session.closed
    assert b"666" not in b"".join(connection.received for connection in world.server_connections)
    over(world)


def test_a_change_of_user_that_is_too_large_ends_the_session() -> None:
    world = new_world()
    client = logged_in(world)
    client.send(_continued(bytes((COM_CHANGE_USER,)) + b"app\0"))
    world.run()
    assert client.session.closed
    assert b"666" not in b"".join(connection.received for connection in world.server_connections)
    over(world)


# -- ends


@pytest.mark.parametrize("router", ROUTERS)
def test_no_error_is_put_into_the_middle_of_a_packet(router: str) -> None:
    world = new_world(router=router)
    client = logged_in(world)
    for script in world.scripts:
        script.mutate = lambda connection, data: [data[:-30]]
    client.send(query("SELECT 1"))
    world.run()
    sent = bytes(client.received)
    assert len(sent) > 100
    client.session.close("killed", code=1927, message="Connection was killed", sqlstate="70100")
    world.run()
    assert bytes(client.received) == sent
    over(world)


def test_long_data_and_other_conversations_are_in_the_list() -> None:
    """The conversations that the other tests cut and spoil contain what they are meant to contain."""
    said = b"".join(step for steps in CONVERSATIONS.values() for step in steps if isinstance(step, bytes))
    for part in (by_id(2, COM_STMT_SEND_LONG_DATA, b"\0\0long"), change_user(), b"LOAD DATA", b"PROXY"):
        assert part in said
    assert bytes((COM_QUERY,)) in said


def test_a_read_that_nobody_has_begun_to_answer_is_repeated_elsewhere() -> None:
    """Also if the same server has answered others before."""

    def script(connection: ServerConnection, payload: bytes) -> list[bytes]:
        return [] if b"SELECT 7" in payload else answer(connection, payload)

    world = world_with(answer, servers=2, master_accept_reads=True)
    client = logged_in(world)
    for _ in range(4):
        assert len(ask(world, client, query("SELECT 1"))) > 3
    for backend in client.session.backends:
        assert backend.active_us
    world.scripts[0].answer, world.scripts[1].answer = answer, script
    while not client.session.expecting:
        ask(world, client, query("SELECT 7"))
    assert client.session.expecting == 1
    owing = [backend for backend in client.session.backends if backend.pending]
    assert len(owing) == 1 and owing[0].index == 1
    owing[0].channel.lose("connection reset by peer")  # type: ignore[attr-defined]
    world.run()
    assert not client.session.closed, client.session.close_reason
    assert len(payloads(client.received)) > 3
    over(world)


def test_a_killed_client_is_told_so_between_two_replies() -> None:
    world = world_with(replying(b"\x03SELECT 7", []), router="readconnroute")
    client = logged_in(world)
    assert len(ask(world, client, query("SELECT 1"))) > 3
    assert ask(world, client, query("SELECT 7")) == []
    client.session.close("killed", code=1927, message="Connection was killed", sqlstate="70100")
    world.run()
    assert payloads(client.received)[0].startswith(b"\xff\x87\x07")
    over(world)


@pytest.mark.parametrize("sql", ["BEGIN; NONSENSE", "CALL p(); NONSENSE"])
def test_a_transaction_that_began_in_front_of_an_error_is_known(sql: str) -> None:
    world = world_with(replying(query(sql)[4:], [ok(0x0B), packets.err_payload(1064, "42000", "syntax")]))
    client = logged_in(world)
    assert ask(world, client, query(sql))[1].startswith(b"\xff")
    assert client.session.trx.active
    ask(world, client, query("SELECT 'inside'"))
    inside = [b"inside" in connection.received for connection in world.server_connections]
    assert inside == [connection.script is world.scripts[0] for connection in world.server_connections]
    over(world)


@pytest.mark.parametrize("sent", [b"", b"\x4d", b"\x4d\x00\x00"])
def test_a_kill_that_is_cut_short_does_not_look_at_what_follows(sent: bytes) -> None:
    """It is refused, or names what it names alone."""
    world = new_world()
    client = logged_in(world)
    orders = []
    for data in (command(COM_PROCESS_KILL, sent), command(COM_PROCESS_KILL, sent) + command(COM_PING)):
        ask(world, client, data)
        orders.append([order.session for order in world.host.kills])
        world.host.kills.clear()
    assert orders[0] == orders[1] == []
    over(world)


def test_a_session_command_of_16_mib_reaches_the_primary_and_stays_there() -> None:
    """It can be repeated nowhere: what it set is known to the primary only."""
    world = new_world()
    client = logged_in(world)
    sql = b"\x03SET @a = '"
    assert ask(world, client, frame(sql + b"x" * MAX_PACKET + b"'"))[0].startswith(b"\x00")
    holders = [each.script for each in world.server_connections if b"SET @a" in each.received]
    assert holders == [world.scripts[0]]
    ask(world, client, query("SELECT @a, 'after'"))
    readers = [each.script for each in world.server_connections if b"after" in each.received]
    assert readers == [world.scripts[0]]
    over(world)


@pytest.mark.parametrize("router", ROUTERS)
def test_a_prepare_of_16_mib_is_refused(router: str) -> None:
    world = new_world(router=router)
    client = logged_in(world)
    replies = ask(world, client, frame(b"\x16SELECT '" + b"x" * MAX_PACKET + b"'"))
    assert len(replies) == 1 and replies[0].startswith(b"\xff\x81\x04")
    assert len(ask(world, client, query("SELECT 1"))) > 3
    over(world)


@pytest.mark.parametrize("outcome", ["lost", "established"])
def test_long_data_for_a_connection_that_is_not_ready_is_not_collected(outcome: str) -> None:
    world = new_world(master_failure_mode="fail_on_write", master_reconnection=True)
    client = logged_in(world)
    ask(world, client, prepare("INSERT INTO t VALUES (?)"))
    primary = client.session.backends[0]
    world.scripts[0].stalls = True
    primary.channel.lose("connection reset by peer")  # type: ignore[attr-defined]
    world.run()
    piece = by_id(1, COM_STMT_SEND_LONG_DATA, b"\0\0" + b"z" * 100_000)
    for _ in range(50):
        client.send(piece)
    client.send(execute(1, 1))
    world.run()
    assert primary.state == B_CONNECTING
    assert sum(len(item[0]) for item in primary.backlog) <= 2 * len(piece)
    if outcome == "lost":
        primary.channel.lose("connection refused")  # type: ignore[attr-defined]
        world.scripts[0].stalls = False
        world.run()
        assert client.session.closed or (client.session.expecting == 0 and not client.channel.paused)
    else:
        world.server_connections[-1].establish()
        world.run()
        assert bytes(world.server_connections[-1].received).count(b"z" * 100_000) == 50
        assert len(payloads(client.received)) >= 1 and client.session.expecting == 0
    over(world)
