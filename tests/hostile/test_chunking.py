"""However the bytes are cut, on either side, the same bytes come out on both sides."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from harness import Client, ServerConnection, World
from talk import CONVERSATIONS, Step, new_world

ROUTERS = ("readwritesplit", "readconnroute")
# Random cuttings of each conversation.
RANDOM_RUNS = 60

# An empty packet ends the session before the replies; data of LOAD DATA may be sent only when asked for.
NOT_AHEAD = ("empty packet", "load data")

# From the position in a stream and a piece of it to the pieces that arrive.
Cutter = Callable[[int, bytes], list[bytes]]
# (what the client got, what each server connection got, why the session ended)
Outcome = tuple[bytes, tuple[bytes, ...], str]


def whole(position: int, data: bytes) -> list[bytes]:
    return [data]


def single_bytes(position: int, data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def cut_at(place: int) -> Cutter:
    """One cut, at this position of the stream."""

    def cut(position: int, data: bytes) -> list[bytes]:
        at = place - position
        return [data[:at], data[at:]] if 0 < at < len(data) else [data]

    return cut


def randomly(generator: random.Random) -> Cutter:
    def cut(position: int, data: bytes) -> list[bytes]:
        pieces = []
        while data:
            size = generator.choice((1, 2, 3, 4, 5, 8, 30, 300))
            pieces.append(data[:size])
            data = data[size:]
        return pieces

    return cut


class Cutting:
    """Cuts what the servers send; all their connections count as one stream, in the order of sending."""

    def __init__(self, cut: Cutter) -> None:
        self.cut = cut
        self.position = 0

    def __call__(self, connection: ServerConnection, data: bytes) -> list[bytes | None]:
        pieces = self.cut(self.position, data)
        self.position += len(data)
        return list(pieces)


def play(name: str, router: str, client_cut: Cutter, server_cut: Cutter) -> tuple[Outcome, int, int]:
    """The conversation with these cuts: its outcome, and how long both streams towards the proxy are."""
    world = new_world(name, router=router)
    cutting = Cutting(server_cut)
    for script in world.scripts:
        script.mutate = cutting
    client = world.connect()
    world.run()
    position = 0
    for step in CONVERSATIONS[name]:
        data = step(client) if callable(step) else step
        for piece in client_cut(position, data):
            client.send(piece)
            world.run()
        position += len(data)
    outcome = _outcome(world, client)
    world.end()
    assert world.leftovers() == {}
    return outcome, position, cutting.position


def _outcome(world: World, client: Client) -> Outcome:
    servers = tuple(bytes(connection.received) for connection in world.server_connections)
    return bytes(client.received), servers, client.session.close_reason


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_one_cut_anywhere_on_the_clients_side(name: str, router: str) -> None:
    expected, length, _ = play(name, router, whole, whole)
    assert len(expected[0]) > 100
    for place in range(1, length):
        assert play(name, router, cut_at(place), whole)[0] == expected, f"cut at {place}"


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("name", [name for name in CONVERSATIONS if name != "refused"])
def test_one_cut_anywhere_on_the_servers_side(name: str, router: str) -> None:
    expected, _, length = play(name, router, whole, whole)
    assert length > 100
    for place in range(1, length):
        assert play(name, router, whole, cut_at(place))[0] == expected, f"cut at {place}"


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_byte_by_byte(name: str, router: str) -> None:
    expected = play(name, router, whole, whole)[0]
    assert play(name, router, single_bytes, whole)[0] == expected
    assert play(name, router, whole, single_bytes)[0] == expected
    assert play(name, router, single_bytes, single_bytes)[0] == expected


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_random_cuts_on_both_sides(name: str, router: str) -> None:
    expected = play(name, router, whole, whole)[0]
    for seed in range(RANDOM_RUNS):
        generator = random.Random(seed)
        outcome = play(name, router, randomly(generator), randomly(generator))[0]
        assert outcome == expected, f"seed {seed}"


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("name", [name for name in CONVERSATIONS if name not in NOT_AHEAD])
def test_what_is_sent_ahead_is_answered_in_order(name: str, router: str) -> None:
    """The client does not wait for replies, except for the last ones before it says goodbye."""
    expected = play(name, router, whole, whole)[0]
    steps: list[Step] = CONVERSATIONS[name]
    ahead = steps[:-1] or steps
    for cut in (whole, randomly(random.Random(7))):
        world = new_world(name, router=router)
        client = world.connect()
        world.run()
        data = b"".join(step(client) if callable(step) else step for step in ahead)
        for piece in cut(0, data):
            client.send(piece)
        world.run()
        assert bytes(client.received) == expected[0]
        world.end()
        assert world.leftovers() == {}
