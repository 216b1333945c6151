"""Plays hostile inputs and says what is wrong with what came out; the program behind `make fuzz`.

    python tests/hostile/fuzz.py --number 1000000 --seed 1      inputs made from a seed, compiled modules
    python tests/hostile/fuzz.py --guided --number 20000        pure Python; keeps inputs that reach new lines
    python tests/hostile/fuzz.py --replay '{"router": ...}'     one input, with what was said

What must hold is in `check`. An input that breaks it is printed as one line of JSON.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus.jsonl"
if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    if "--guided" in sys.argv:
        os.environ["FAIRLEAD_PURE"] = "1"

from genome import CLIENT, SERVER, Genome, Operation, cut_packets, generate, spoil, vary  # noqa: E402
from harness import Client, ServerConnection  # noqa: E402
from talk import CONVERSATIONS, new_world  # noqa: E402

from fairlead.protocol.constants import MAX_PACKET  # noqa: E402
from fairlead.session.backend import B_READY, BACKLOG_MAX, K_CLIENT  # noqa: E402
from fairlead.session.login import LOGIN_PACKET_BYTES_MAX  # noqa: E402

# Rounds in which all servers that owe something die, until the client must have been told.
DEATHS_MAX = 12


class Broken(AssertionError):
    """An invariant does not hold."""


class Player:
    """One run of one input."""

    def __init__(self, genome: Genome) -> None:
        self.genome = genome
        self.world = new_world(genome.talk, router=genome.router, **genome.params)
        self.emitted = 0
        self.silent = False
        for script in self.world.scripts:
            script.mutate = self._server_sends
        self.world.high_water = genome.high_water
        self.client: Client | None = None

    def play(self) -> None:
        """The conversation, then the end; raises if something is wrong."""
        world = self.world
        client = self.client = world.connect()
        world.run()
        for number, step in enumerate(CONVERSATIONS[self.genome.talk]):
            data = step(client) if callable(step) else step
            if not self._client_sends(client, number, data):
                break
            world.run()
            self.check()
        self._servers_die()
        world.end()
        left = world.leftovers()
        if left:
            raise Broken(f"left over: {left}")

    # -- spoiling

    def _operations(self, side: str, step: int) -> list[Operation]:
        return [each for each in self.genome.operations if each.side == side and each.step == step]

    def _client_sends(self, client: Client, number: int, data: bytes) -> bool:
        ends = False
        for operation in self._operations(CLIENT, number):
            data = spoil(operation, data)
            if operation.name in ("close", "silence"):
                data = data[: operation.place % (len(data) + 1)]
                ends = True
                if operation.name == "close":
                    client.send(data)
                    data = b""
                    client.hang_up()
            elif operation.name == "stuck":
                client.channel.stuck = True
            elif operation.name == "read":
                client.channel.stuck = False
                self.world.later(client.channel.take_out)
        if data:
            client.send(data)
        return not ends

    def _server_sends(self, connection: ServerConnection, data: bytes) -> list[bytes | None]:
        number = self.emitted
        self.emitted += 1
        pieces: list[bytes | None] = []
        for operation in self._operations(SERVER, number):
            data = spoil(operation, data)
            channel = connection.channel
            assert channel is not None
            if operation.name == "close":
                return [data[: operation.place % (len(data) + 1)], None]
            if operation.name == "silence":
                connection.state["silent"] = True
                data = data[: operation.place % (len(data) + 1)]
                return [data]
            if operation.name == "stuck":
                channel.stuck = True
            elif operation.name == "read":
                for each in self.world.server_connections:
                    if each.channel is not None and each.channel.stuck:
                        each.channel.stuck = False
                        self.world.later(each.channel.take_out)
        if connection.state.get("silent"):
            return []
        pieces.append(data)
        return pieces

    # -- what must hold whenever nothing moves

    def check(self) -> None:
        """Nothing moves: everybody who waits has a reason, and nothing has grown beyond its limit."""
        client = self.client
        assert client is not None
        session, connection, channel = client.session, client.connection, client.channel
        if session.closed:
            if not channel.closed and not channel.finishing:
                raise Broken("the session is closed and its client was not told")
            return
        if channel.closed:
            raise Broken("the client's channel is closed and the session goes on")
        if channel.want > 4 + (MAX_PACKET if connection.login is None else LOGIN_PACKET_BYTES_MAX):
            raise Broken(f"the client's channel waits for {channel.want} bytes")
        if any(len(backend.backlog) > BACKLOG_MAX for backend in session.backends):
            raise Broken("a backlog is too long")
        self._check_pause(client)
        self._check_input(client)
        if not any(each.side == CLIENT for each in self.genome.operations):
            self._check_gauges(client)

    def _check_pause(self, client: Client) -> None:
        """A client that is not read waits for a server that owes it something, or does not read either."""
        session, channel = client.session, client.channel
        if not channel.paused:
            return
        blocked = any(each.channel is not None and each.channel.blocked for each in session.backends)
        owing = any(backend.owed() or 0 < backend.state < B_READY for backend in session.backends)
        if not blocked and not owing:
            raise Broken(f"the client is not read for no reason: expecting {session.expecting}")

    def _check_input(self, client: Client) -> None:
        """A client that is read and left without an answer has not said all of its packet."""
        session, channel = client.session, client.channel
        kept = channel.kept
        if channel.paused:
            return
        if len(kept) >= 4 and session.load_backend is None and not session.stream_targets:
            if len(kept) >= 4 + int.from_bytes(kept[:3], "little"):
                raise Broken(f"{len(kept)} bytes of the client hold a whole packet and nobody takes it")

    def _check_gauges(self, client: Client) -> None:
        session = client.session
        owed = sum(1 for backend in session.backends for _ in range(_owed_to_client(backend)))
        owed += _held_back(session.router)
        if session.expecting != owed:
            raise Broken(f"the session expects {session.expecting} replies, the servers owe {owed}")

    # -- the end

    def _servers_die(self) -> None:
        """Every server that owes something, or does not read, dies: then the client must know."""
        client = self.client
        assert client is not None
        session = client.session
        # What the client has not read yet it reads now.
        client.channel.stuck = False
        client.channel.take_out()
        self.world.run()
        for _ in range(DEATHS_MAX):
            dying = [each for each in session.backends if each.channel is not None and _is_awaited(each)]
            if not dying or session.closed:
                break
            for backend in dying:
                channel: Any = backend.channel
                if channel is not None:
                    channel.lose("connection reset by peer")
            self.world.run()
        self.check()
        if session.closed:
            return
        if session.expecting or session.waiting or client.channel.paused:
            raise Broken(
                f"the servers are dead and the client still waits: expecting {session.expecting}, "
                f"waiting {session.waiting}, paused {client.channel.paused}"
            )


def _is_awaited(backend: Any) -> bool:
    return bool(backend.owed() or 0 < backend.state < B_READY or backend.channel.blocked)


def _owed_to_client(backend: Any) -> int:
    count = 1 if backend.pending and backend.head_kind == K_CLIENT else 0
    count += sum(1 for kind, _, _ in backend._more if kind == K_CLIENT)
    return count + sum(1 for item in backend.backlog if item[2] == K_CLIENT)


def _held_back(router: Any) -> int:
    """Replies that the router owes the client on its own account."""
    replay, causal = getattr(router, "replay", None), getattr(router, "causal", None)
    held = getattr(router, "held", None) is not None
    repeats = replay is not None and replay.state != 0
    return held + repeats + (causal is not None and causal.held is not None)


def wrong_with(genome: Genome) -> str:
    """Plays an input; what is wrong, or the empty string."""
    player = Player(genome)
    try:
        player.play()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        player.world.clear_board()
        if isinstance(error, Broken):
            return str(error)
        return "".join(traceback.format_exception(error)[-4:]).strip()
    return ""


def smaller(genome: Genome) -> Genome:
    """An input with fewer operations that is wrong as well."""
    position = 0
    while position < len(genome.operations) and len(genome.operations) > 1:
        candidate = Genome.parse(genome.text())
        del candidate.operations[position]
        if wrong_with(candidate):
            genome = candidate
        else:
            position += 1
    for change in ({"high_water": 0}, {"params": {}}):
        candidate = Genome.parse(genome.text())
        for name, value in change.items():
            setattr(candidate, name, value)
        if wrong_with(candidate):
            genome = candidate
    return genome


def of_seed(seed: int, number: int, corpus: list[Genome]) -> Genome:
    """The input with this number; every third is a variation of one that was kept."""
    generator = random.Random(seed << 32 | number)
    if corpus and number % 3 == 0:
        return vary(generator.choice(corpus), generator)
    return generate(generator)


def kept() -> list[Genome]:
    """The corpus: inputs that reached something no other did, and those that once failed."""
    if not CORPUS.exists():
        return []
    return [Genome.parse(line) for line in CORPUS.read_text().splitlines() if line.strip()]


# -- coverage


class Coverage:
    """The pairs of consecutive lines that have been run in the rooms of the data path."""

    _ROOMS = tuple(f"/fairlead/{room}/" for room in ("session", "protocol", "routers", "net"))

    def __init__(self) -> None:
        self.seen: set[tuple[int, int, int]] = set()
        self.fresh = 0
        self._last = 0

    def start(self) -> None:
        """Watch what is called from here on."""
        self.fresh = 0
        sys.settrace(self._call)

    def stop(self) -> int:
        """How much was new."""
        sys.settrace(None)
        return self.fresh

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        if any(room in frame.f_code.co_filename for room in self._ROOMS):
            self._last = 0
            return self._line
        return None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            edge = (id(frame.f_code), self._last, frame.f_lineno)
            self._last = frame.f_lineno
            if edge not in self.seen:
                self.seen.add(edge)
                self.fresh += 1
        return self._line


# -- the program


def _guided(number: int, seed: int) -> int:
    coverage = Coverage()
    corpus: list[Genome] = []
    failures = 0
    generator = random.Random(seed)
    candidates = kept()
    started = time.monotonic()
    for count in range(number):
        if candidates:
            genome = candidates.pop()
        elif corpus and generator.random() < 0.7:
            genome = vary(generator.choice(corpus), generator)
        else:
            genome = generate(generator)
        coverage.start()
        wrong = wrong_with(genome)
        if coverage.stop():
            corpus.append(genome)
        if wrong:
            failures += 1
            print(f"{wrong}\n  {smaller(genome).text()}", flush=True)
        if count % 1000 == 999:
            rate = count / (time.monotonic() - started)
            print(
                f"{count + 1} inputs, {len(corpus)} kept, {len(coverage.seen)} edges, {rate:.0f}/s",
                flush=True,
            )
    CORPUS.write_text("".join(f"{genome.text()}\n" for genome in corpus))
    return failures


def _seeded(number: int, seed: int) -> int:
    corpus = kept()
    failures: dict[str, int] = {}
    started = time.monotonic()
    for count in range(number):
        genome = of_seed(seed, count, corpus)
        wrong = wrong_with(genome)
        if wrong:
            kind = wrong.splitlines()[-1]
            failures[kind] = failures.get(kind, 0) + 1
            if failures[kind] == 1:
                print(f"{wrong}\n  {smaller(genome).text()}", flush=True)
        if count % 100_000 == 99_999:
            print(f"{count + 1} inputs, {count / (time.monotonic() - started):.0f}/s", flush=True)
    spent = time.monotonic() - started
    print(f"{number} inputs with seed {seed} in {spent:.0f} s: {sum(failures.values())} wrong")
    for kind, times in sorted(failures.items(), key=lambda pair: -pair[1]):
        print(f"  {times} x {kind}")
    return sum(failures.values())


def _replay(text: str) -> int:
    genome = Genome.parse(text)
    wrong = wrong_with(genome)
    player = Player(genome)
    try:
        player.play()
    except BaseException:
        player.world.clear_board()
    assert player.client is not None
    print("to the client:")
    for packet in cut_packets(bytes(player.client.received)):
        print(f"  {packet[:4].hex()} {packet[4:84]!r}")
    for connection in player.world.server_connections:
        for title, data in (("server", connection.sent), ("proxy", connection.received)):
            print(f"{title}:")
            for packet in cut_packets(bytes(data)):
                print(f"  {packet[:4].hex()} {packet[4:84]!r}")
    print("\n".join(player.world.host.logged))
    print(f"end of the session: {player.client.session.close_reason!r}")
    print(wrong or "nothing is wrong")
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Plays hostile inputs against the data path.")
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--guided", action="store_true")
    parser.add_argument("--replay", default="")
    options = parser.parse_args()
    if options.replay:
        return _replay(options.replay)
    run = _guided if options.guided else _seeded
    return 1 if run(options.number, options.seed) else 0


if __name__ == "__main__":
    sys.exit(main())
