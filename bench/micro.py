"""`make bench-micro`: the compiled modules one by one, as ratios to a loop of plain Python in one process.

A ratio says the same on a fast and on a slow machine. `bench/micro_floors.json` keeps the ratio that each
benchmark once reached; the command fails when one is much slower than that, and `--record` writes the file
anew. Every module of `fairlead.compiled` is named by at least one benchmark (a test asserts it).
"""

from __future__ import annotations

import argparse
import json
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

FLOORS = Path(__file__).with_name("micro_floors.json")
# How much slower than its floor a benchmark may be before the command fails.
SLOWER_MAX = 1.6
# Runs of which the best counts, and how long one takes at least, in seconds.
BEST_OF = 7
RUN_SECONDS = 0.01
# Bars in microseconds that do not depend on the floor: classification of a statement of about 200 bytes.
BARS_US = {"classify, cached": 0.5, "classify, cold": 20.0}

SELECT = (
    b"SELECT c.id, c.name, o.total, o.created FROM customers c JOIN orders o ON o.customer = c.id "
    b"WHERE c.id = 4711 AND o.state IN ('open', 'paid') ORDER BY o.created LIMIT 25 "
)
SCRAMBLE = b"abcdefghijklmnopqrst"


@dataclass(frozen=True)
class Micro:
    """One benchmark: `make` sets up what is needed and returns the function that is timed."""

    name: str
    modules: tuple[str, ...]
    make: Callable[[], Callable[[], object]]


def calibration() -> int:
    """A loop of plain Python: what the others are measured by."""
    total = 0
    for number in range(100):
        total += number * number % 7
    return total


def nanoseconds(run: Callable[[], object]) -> float:
    """Time of one call: the best of several runs."""
    run()
    rounds = 1
    while True:
        begin = time.perf_counter()
        for _ in range(rounds):
            run()
        spent = time.perf_counter() - begin
        if spent >= RUN_SECONDS:
            break
        rounds = max(rounds * 2, int(rounds * RUN_SECONDS / max(spent, 1e-9)))
    best = spent
    for _ in range(BEST_OF - 1):
        begin = time.perf_counter()
        for _ in range(rounds):
            run()
        best = min(best, time.perf_counter() - begin)
    return best / rounds * 1e9


# -- what is measured


def cached() -> Callable[[], object]:
    from fairlead.sql.classifier import Classifier

    buf, classifier = bytearray(b"\x03" + SELECT), Classifier(1 << 20)
    end = len(buf)
    return lambda: classifier.classify(buf, 1, end)


def cold() -> Callable[[], object]:
    from fairlead.sql.classifier import Classifier

    buf, classifier = bytearray(b"\x03" + SELECT), Classifier(0)
    end = len(buf)
    return lambda: classifier.classify(buf, 1, end)


def collecting() -> Callable[[], object]:
    from fairlead.sql.fields import FieldCollector

    collector = FieldCollector()
    buf = bytearray(SELECT)
    return lambda: collector.collect(buf, False, False, False, 0)


def setting() -> Callable[[], object]:
    from fairlead.sql.classifier import Classifier

    buf, classifier = bytearray(b"\x03SET @a = 1, sql_mode = 'ANSI', NAMES utf8mb4"), Classifier(0)
    return lambda: classifier.classify(buf, 1, len(buf))


def defining() -> Callable[[], object]:
    from fairlead.sql.classifier import Classifier

    buf, classifier = bytearray(b"\x03CREATE TABLE db.t (id INT PRIMARY KEY, v TEXT)"), Classifier(0)
    return lambda: classifier.classify(buf, 1, len(buf))


def tracking() -> Callable[[], object]:
    from fairlead.protocol.tracker import ReplyTracker

    tracker, buf = ReplyTracker(), bytearray(b"\x07\0\0\x01\0\0\0\x02\0\0\0")

    def run() -> None:
        tracker.begin(3, 0)
        tracker.feed(buf, 0, len(buf))

    return run


def types() -> Callable[[], object]:
    from fairlead.protocol.statements import same_types

    buf = bytearray(b"\x16\0\0\0\x17\x01\0\0\0\0\x01\0\0\0\0\x01\x08\0" + bytes(8))
    return lambda: same_types(buf, 0, len(buf), b"\x08\0")


def token() -> Callable[[], object]:
    from fairlead.protocol.auth import native_token

    return lambda: native_token(SCRAMBLE, SCRAMBLE)


def framing() -> Callable[[], object]:
    from fairlead.protocol.packets import ok_payload, parse_ok

    return lambda: parse_ok(ok_payload(0), 0)


def handshake() -> Callable[[], object]:
    from fairlead.protocol.handshake import (
        HandshakeResponse,
        build_handshake_response,
        parse_handshake_response,
    )

    capabilities = 1 | 512 | 32768 | 1 << 19
    payload = build_handshake_response(HandshakeResponse(capabilities, 8, "app", SCRAMBLE, "", "plugin"))
    return lambda: parse_handshake_response(payload, capabilities)


def board() -> Callable[[], object]:
    from fairlead.cluster.board import Board

    made = Board.create(2)

    def run() -> None:
        made.add(5000, 1)
        made.sum_server(1, 2)

    return run


def _eater() -> Any:
    """A handler that takes whatever comes."""
    from fairlead.net.channel import Handler

    class Eater(Handler):
        def on_data(self, buf: bytearray, start: int, end: int) -> int:
            return end

    return Eater()


def _both_ends() -> tuple[socket.socket, socket.socket]:
    """A connection; the first end does not block."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return ours, theirs


def channel() -> Callable[[], object]:
    """A kilobyte through the kernel, there and back, by way of the poller."""
    from fairlead.net.channel import Channel
    from fairlead.net.poller import Poller

    poller = Poller()
    ours, theirs = _both_ends()
    made = Channel(poller, ours.detach(), _eater())
    data = bytearray(1024)

    def run() -> None:
        made.send(data, 0, 1024)
        theirs.recv(2048)
        theirs.send(data)
        poller.run(0)

    return run


def posting() -> Callable[[], object]:
    """A turn's worth of small sends, taken by the kernel in one call; their way out of it is measured too."""
    from fairlead.net.outbox import Outbox, open_outbox

    made = open_outbox() or Outbox()
    pairs = [_both_ends() for _ in range(8)]
    data = bytearray(100)

    def run() -> None:
        for ours, _ in pairs:
            made.add(ours.fileno(), data, 0, 100)
        made.submit()
        for _, theirs in pairs:
            theirs.recv(200)

    return run


def encrypted() -> Callable[[], object]:
    """The same enciphered; the other side's half of it is measured too."""
    from identity import Identity

    from fairlead.net.poller import Poller
    from fairlead.net.tls import listener_context
    from fairlead.net.tlschannel import TlsChannel

    poller = Poller()
    ours, theirs = _both_ends()
    with tempfile.TemporaryDirectory() as directory:
        identity = Identity(Path(directory))
        context = listener_context({"ssl_cert": str(identity.cert), "ssl_key": str(identity.key)})
    made, ready = TlsChannel(poller, ours.detach(), _eater()), list[bool]()
    made.start_tls(context, server_side=True, on_ready=lambda: ready.append(True))
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    peer = trusting.wrap_bio(incoming, outgoing)
    while not ready:
        try:
            peer.do_handshake()
        except ssl.SSLWantReadError:
            theirs.send(outgoing.read())
            poller.run(0)
            incoming.write(theirs.recv(65536))
        else:
            theirs.send(outgoing.read())
            poller.run(0)
    data = bytearray(1024)

    def run() -> None:
        made.send(data, 0, 1024)
        theirs.recv(4096)
        peer.write(data)
        theirs.send(outgoing.read())
        poller.run(0)

    return run


def accounts() -> Callable[[], object]:
    from fairlead.accounts.authenticators import AuthenticatorSet
    from fairlead.accounts.directory import AccountDirectory
    from fairlead.accounts.model import Account, AccountSet
    from fairlead.accounts.patterns import like

    directory = AccountDirectory(AccountSet((Account("app", "10.%"), Account("app", "%"))))
    authenticators = AuthenticatorSet((), "")

    def run() -> None:
        account = directory.find("app", "10.0.0.1")
        chosen: Any = authenticators.choose(account)
        chosen.start(account, "app", "10.0.0.1", SCRAMBLE).begin("mysql_native_password", b"")
        like("a%c", "abc")

    return run


def history() -> Callable[[], object]:
    from fairlead.session.history import History

    made = History(50, True, False)

    def run() -> None:
        entry = made.next_id()
        made.add(entry, 3, b"SET @a = 1", False)
        made.delivered(entry, True)

    return run


def transaction() -> Callable[[], object]:
    from fairlead.session.trx import TrxTracker

    tracker = TrxTracker()

    def run() -> None:
        tracker.on_statement(0, True, False)
        tracker.on_reply(2)

    return run


def simulated() -> Callable[[], object]:
    """Whole sessions, without the kernel: logins, statements, replies, ends."""
    from tests.sim.world import World

    return lambda: World(7, faults=False).run()


def duties() -> Callable[[], object]:
    """What a worker does beside the statements."""
    from fairlead.cluster.board import Board
    from fairlead.workers.deadlines import Deadlines
    from fairlead.workers.greetings import Greetings
    from fairlead.workers.plane import SpareDescriptor

    deadlines, greetings, spare = Deadlines(), Greetings(Board.create(1)), SpareDescriptor()

    def run() -> None:
        deadlines.tick({}, 1)
        greetings.scramble()
        spare.lend()
        spare.take_back()

    return run


def pooled() -> Callable[[], object]:
    """A connection changes its user, and nobody waits for it."""
    from fairlead.cluster.board import Board
    from fairlead.session.user_change import Credentials, UserChange
    from fairlead.workers.pool import Pool

    host: Any = SimpleNamespace(board=Board.create(1), worker=0, servers={}, sessions={})
    pool = Pool(host)
    who = Credentials("app", bytes(range(20)), 45, "shop", b"")

    def run() -> None:
        change = UserChange(who, SCRAMBLE, 0)
        change.request()
        change.answer(b"\0\0\0\2\0\0\0", 1)
        pool.tick({}, {}, 1)

    return run


def accepting() -> Callable[[], object]:
    """A connection to a listener, both ends."""
    from fairlead.net.syscalls import sys_accept, sys_close
    from fairlead.workers.acceptor import listen_on
    from fairlead.workers.dialer import dial
    from fairlead.workers.names import NameResolver

    listener = listen_on({"address": "127.0.0.1", "port": 0})
    names = NameResolver(None)  # type: ignore[arg-type]
    params = {"address": "127.0.0.1", "port": listener.getsockname()[1]}

    def run() -> None:
        fd = dial(names, params, "")
        sys_close(sys_accept(listener.fileno())[0])
        sys_close(fd)

    return run


_SQL = tuple(f"fairlead.sql.{name}" for name in ("lexer", "digest", "info", "cache", "classifier"))
_SESSION = tuple(
    f"fairlead.session.{name}"
    for name in (
        "statement",
        "router",
        "tap",
        "prepared",
        "backend",
        "state",
        "servers",
        "session",
        "client",
        "login",
        "backend_login",
        "server",
        "service",
        "listener",
    )
)
_SPLIT = tuple(
    f"fairlead.routers.readwritesplit.{name}"
    for name in ("config", "decide", "select", "targets", "router", "replay", "causal")
)

MICROS = (
    Micro("classify, cached", _SQL, cached),
    Micro("classify, cold", ("fairlead.sql.parser", "fairlead.sql.statements"), cold),
    Micro("classify SET, cold", ("fairlead.sql.settings",), setting),
    Micro("classify CREATE, cold", ("fairlead.sql.schema",), defining),
    Micro("fields and functions", ("fairlead.sql.expressions", "fairlead.sql.fields"), collecting),
    Micro("track an OK", ("fairlead.protocol.tracker",), tracking),
    Micro("compare parameter types", ("fairlead.protocol.statements",), types),
    Micro("token of a password", ("fairlead.protocol.auth",), token),
    Micro("make and read an OK", ("fairlead.protocol.packets",), framing),
    Micro("read a login packet", ("fairlead.protocol.handshake",), handshake),
    Micro("count on the board", ("fairlead.cluster.board",), board),
    Micro(
        "1 KB there and back",
        ("fairlead.net.syscalls", "fairlead.net.poller", "fairlead.net.channel"),
        channel,
    ),
    Micro("8 small sends of a turn", ("fairlead.net.outbox",), posting),
    Micro("1 KB there and back over TLS", ("fairlead.net.tlschannel",), encrypted),
    Micro(
        "find and judge an account",
        tuple(f"fairlead.accounts.{name}" for name in ("patterns", "directory", "authenticators")),
        accounts,
    ),
    Micro("record a session command", ("fairlead.session.history",), history),
    Micro("follow a statement's transaction", ("fairlead.session.trx",), transaction),
    Micro("a world of simulated sessions", (*_SESSION, *_SPLIT), simulated),
    Micro(
        "a worker's other duties",
        ("fairlead.workers.deadlines", "fairlead.workers.greetings", "fairlead.workers.plane"),
        duties,
    ),
    Micro("change a connection's user", ("fairlead.session.user_change", "fairlead.workers.pool"), pooled),
    Micro("connect and accept", ("fairlead.workers.acceptor", "fairlead.workers.dialer"), accepting),
)


def measure(micro: Micro, unit: float) -> tuple[float, float]:
    """(nanoseconds, ratio to the calibration loop, which takes `unit` nanoseconds)."""
    spent = nanoseconds(micro.make())
    return spent, spent / unit


def floors() -> dict[str, float]:
    """The recorded ratios by name."""
    found: dict[str, float] = json.loads(FLOORS.read_text())
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Micro-benchmarks of the compiled modules.")
    parser.add_argument("--record", action="store_true", help="keep what is measured as the new floors")
    given = parser.parse_args()
    unit = nanoseconds(calibration)
    known = {} if given.record else floors()
    slow = []
    print(f"calibration loop: {unit:.0f} ns")
    measured = {}
    for micro in MICROS:
        spent, ratio = measure(micro, unit)
        measured[micro.name] = round(ratio, 4)
        floor = known.get(micro.name, ratio)
        bar = BARS_US.get(micro.name)
        note = f"   bar {bar} us" if bar is not None else ""
        print(f"{micro.name:34s} {spent:12.0f} ns   ratio {ratio:9.3f}   floor {floor:9.3f}{note}")
        if ratio > floor * SLOWER_MAX or (bar is not None and spent > bar * 1000):
            slow.append(micro.name)
    if given.record:
        FLOORS.write_text(json.dumps(measured, indent=1) + "\n")
    for name in slow:
        print(f"slower than it was, or than its bar: {name}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
