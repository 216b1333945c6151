"""TLS channels against a real peer: handshakes, garbage, cuts of every kind, ends, and memory."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fairlead.net.channel import Handler
from fairlead.net.outbox import Outbox
from fairlead.net.poller import RECV_BUFFER_BYTES, Poller, Watched
from fairlead.net.tlschannel import TlsChannel


class Recorder(Handler):
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.reasons: list[str] = []
        self.heard: list[str] = []
        self.eat: Callable[[bytes], int] = len

    def on_data(self, buf: bytearray, start: int, end: int) -> int:
        assert not self.reasons
        piece = bytes(buf[start:end])
        count = self.eat(piece)
        self.data += piece[:count]
        return start + count

    def on_closed(self, reason: str) -> None:
        self.reasons.append(reason)

    def on_blocked(self) -> None:
        self.heard.append("blocked")

    def on_unblocked(self) -> None:
        self.heard.append("unblocked")


class Peer:
    """The other side: an SSLObject whose bytes are sent by hand, so that they can be cut and spoiled."""

    def __init__(self, context: ssl.SSLContext, sock: socket.socket) -> None:
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=False)
        self.ready = False
        self.data = bytearray()
        self.ended = False
        self.spoil: Callable[[bytes], bytes] = lambda data: data
        # What the kernel has not taken: a channel that naps takes its time.
        self.unsent = b""

    def step(self) -> None:
        """Take what has come, go on with the handshake, read."""
        self._receive()
        try:
            if not self.ready:
                self.tls.do_handshake()
                self.ready = True
            while True:
                piece = self.tls.read(65536)
                if not piece:
                    break
                self.data += piece
        except (ssl.SSLWantReadError, ssl.SSLEOFError):
            pass
        self.flush()

    def _receive(self) -> None:
        while True:
            try:
                piece = self.sock.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                self.ended = True
                return
            if not piece:
                self.ended = True
                return
            self.incoming.write(piece)

    def flush(self, size: int = 0) -> None:
        self.unsent += self.spoil(self.outgoing.read())
        while self.unsent:
            piece = self.unsent[: size or len(self.unsent)]
            try:
                count = self.sock.send(piece)
            except BlockingIOError:
                return
            except OSError:
                self.ended = True
                return
            self.unsent = self.unsent[count:]


class Loop:
    def __init__(self, server: ssl.SSLContext, client: ssl.SSLContext, outbox: Outbox | None) -> None:
        self.poller = Poller(outbox)
        self.errors: list[Exception] = []
        self.poller.on_error = self._failed
        self.server, self.client = server, client
        self.made: list[tuple[TlsChannel, socket.socket]] = []
        self.ready: list[TlsChannel] = []

    def _failed(self, watched: Watched, error: Exception) -> None:
        self.errors.append(error)

    def pair(self, start: bool = True) -> tuple[Recorder, TlsChannel, Peer]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        recorder = Recorder()
        channel = TlsChannel(self.poller, ours.detach(), recorder)
        self.made.append((channel, theirs))
        if start:
            self.start(channel)
        return recorder, channel, Peer(self.client, theirs)

    def start(self, channel: TlsChannel) -> None:
        channel.start_tls(self.server, server_side=True, on_ready=lambda: self.ready.append(channel))

    def turn(self) -> None:
        self.poller.run(0)

    def shake(self, peer: Peer) -> None:
        self.until(lambda: peer.ready and self.ready, peer)
        self.turn()
        peer.step()

    def until(self, condition: Callable[[], object], peer: Peer | None = None) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            if peer is not None and not peer.ended:
                peer.step()
            self.poller.run(1)
            assert time.monotonic() < deadline, "it does not happen"

    def close(self) -> None:
        for channel, sock in self.made:
            channel.close()
            sock.close()
        self.poller.close()


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    directory: Path = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = directory / "server.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    return server, client


@pytest.fixture
def loop(contexts: tuple[ssl.SSLContext, ssl.SSLContext], outbox: Outbox | None) -> Iterator[Loop]:
    loop = Loop(*contexts, outbox)
    yield loop
    loop.close()
    assert not loop.errors


# -- bytes


def test_both_ways(loop: Loop) -> None:
    recorder, channel, peer = loop.pair()
    loop.shake(peer)
    peer.tls.write(b"question")
    loop.until(lambda: recorder.data, peer)
    channel.send(bytearray(b"..answer.."), 2, 8)
    loop.until(lambda: peer.data, peer)
    assert (bytes(recorder.data), bytes(peer.data)) == (b"question", b"answer")
    assert channel.cipher


@pytest.mark.parametrize("size", [1, 2, 5, 100, 1500])
def test_records_in_pieces(loop: Loop, size: int) -> None:
    recorder, _, peer = loop.pair()
    pending = bytearray()

    def trickle() -> None:
        pending.extend(peer.outgoing.read())
        if pending:
            peer.sock.send(pending[:size])
            del pending[:size]

    sent = random.Random(size).randbytes(20 * size if size < 100 else 40_000)
    written = False
    deadline = time.monotonic() + 20
    while len(recorder.data) < len(sent):
        peer._receive()
        try:
            if not peer.ready:
                peer.tls.do_handshake()
                peer.ready = True
            peer.tls.read(100)
        except ssl.SSLWantReadError:
            pass
        if peer.ready and not written:
            peer.tls.write(sent)
            written = True
        trickle()
        loop.turn()
        assert time.monotonic() < deadline
    assert recorder.data == sent


def test_plain_text_first_and_the_handshake_in_the_same_piece(loop: Loop) -> None:
    """The request for TLS and the first record may come together."""
    recorder, channel, peer = loop.pair(start=False)

    def request(piece: bytes) -> int:
        loop.start(channel)
        return 7

    recorder.eat = request
    with contextlib.suppress(ssl.SSLWantReadError):
        peer.tls.do_handshake()
    peer.sock.send(b"request" + peer.outgoing.read())
    loop.until(lambda: recorder.data)
    recorder.eat = len
    loop.shake(peer)
    peer.tls.write(b"secret")
    loop.until(lambda: recorder.data.endswith(b"secret"), peer)
    assert recorder.data == b"requestsecret"


def test_what_was_sent_before_goes_before_the_handshake(loop: Loop) -> None:
    """A request for TLS, and the hello behind it, of a side that waits for nothing in between."""
    _, channel, peer = loop.pair(start=False)
    channel.send(bytearray(b"request"), 0, 7)
    channel.start_tls(loop.client, server_side=False, on_ready=lambda: loop.ready.append(channel))
    loop.turn()
    assert peer.sock.recv(4096).startswith(b"request\x16\x03")


def test_a_stream_naps_and_arrives_whole(loop: Loop) -> None:
    recorder, channel, peer = loop.pair()
    loop.shake(peer)
    generator = random.Random(9)
    sent = bytearray()
    naps = 0
    for _ in range(400):
        if not peer.unsent:
            piece = generator.randbytes(30_000)
            peer.tls.write(piece)
            sent += piece
        peer.flush()
        loop.turn()
        naps += channel.napping
    assert naps > 100
    loop.until(lambda: len(recorder.data) == len(sent), peer)
    loop.until(lambda: not channel.napping)
    assert recorder.data == sent and not channel.asleep
    peer.tls.write(b"small")
    peer.flush()
    loop.turn()
    assert recorder.data == sent + b"small"


@pytest.mark.parametrize("end", ["goodbye", "reset"])
def test_the_end_of_one_that_naps(loop: Loop, end: str) -> None:
    recorder, channel, peer = loop.pair()
    loop.shake(peer)
    sent = b""
    while not channel.napping:
        peer.tls.write(b"x" * 30_000)
        sent += b"x" * 30_000
        peer.flush()
        loop.turn()
        assert len(sent) < 1 << 20
    channel.pause()
    peer.tls.write(b"last")
    if end == "goodbye":
        with contextlib.suppress(ssl.SSLWantReadError):
            peer.tls.unwrap()
    peer.flush()
    if end == "reset":
        peer.sock.close()
        loop.until(lambda: recorder.reasons or not channel.napping)
    else:
        loop.until(lambda: not channel.napping)
        assert recorder.data == sent and not recorder.reasons
    channel.resume()
    loop.until(lambda: recorder.reasons)
    assert sent + b"last" in (recorder.data, recorder.data + b"last") and len(recorder.reasons) == 1


def test_what_is_not_consumed_is_shown_again(loop: Loop) -> None:
    recorder, channel, peer = loop.pair()
    loop.shake(peer)

    def packets_of_100(piece: bytes) -> int:
        if len(piece) < 100:
            channel.want = 100
            return 0
        return len(piece) // 100 * 100

    recorder.eat = packets_of_100
    sent = random.Random(5).randbytes(1000)
    for at in range(0, 1000, 30):
        peer.tls.write(sent[at : at + 30])
        peer.flush()
        loop.turn()
    loop.until(lambda: len(recorder.data) == 1000, peer)
    assert recorder.data == sent


def test_pause_and_resume_lose_nothing(loop: Loop) -> None:
    recorder, channel, peer = loop.pair()
    loop.shake(peer)
    generator = random.Random(8)

    def hesitant(piece: bytes) -> int:
        if generator.random() < 0.5:
            return len(piece)
        channel.pause()
        return generator.randrange(len(piece) + 1)

    recorder.eat = hesitant
    sent = generator.randbytes(200_000)
    for at in range(0, len(sent), 5000):
        peer.tls.write(sent[at : at + 5000])
        peer.flush()
        loop.turn()
        channel.resume()
    loop.until(lambda: channel.resume() or len(recorder.data) == len(sent), peer)
    assert recorder.data == sent


def test_a_fast_sender_is_not_collected(loop: Loop) -> None:
    """What is deciphered follows what is handed over: otherwise a large result would grow in memory."""
    _, channel, peer = loop.pair()
    loop.shake(peer)
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    most = 0
    unsent = b""
    total = 0
    while total < 24 << 20:
        for _ in range(40):
            if not unsent:
                peer.tls.write(bytes(60_000))
                unsent = peer.outgoing.read()
            try:
                unsent = unsent[peer.sock.send(unsent) :]
                total += 60_000
            except BlockingIOError:
                break
        loop.turn()
        most = max(most, channel._incoming.pending)
    assert most <= 3 * RECV_BUFFER_BYTES


def test_records_that_come_together_are_handed_over_together(loop: Loop) -> None:
    recorder, _, peer = loop.pair()
    loop.shake(peer)
    pieces: list[int] = []
    recorder.eat = lambda piece: pieces.append(len(piece)) or len(piece)
    for _ in range(20):
        peer.tls.write(b"x" * 50)
    peer.flush()
    loop.until(lambda: recorder.data)
    assert pieces == [1000]


def test_a_remainder_that_fills_the_buffer(loop: Loop) -> None:
    """A handler may wait for a packet that is greater than the worker's buffer, and then leave most of it."""
    recorder, channel, peer = loop.pair()
    loop.shake(peer)
    size = RECV_BUFFER_BYTES + 10_000

    def hesitant(piece: bytes) -> int:
        if len(piece) < size:
            channel.want = size
            return 0
        recorder.eat = len
        return 1

    recorder.eat = hesitant
    sent = random.Random(3).randbytes(size + 20_000)
    for at in range(0, size + 10_000, 10_000):
        peer.tls.write(sent[at : min(at + 10_000, size + 10_000)])
        peer.flush()
        loop.turn()
    loop.until(lambda: recorder.data, peer)
    # What was left is shown again with the next bytes, however many came together before.
    peer.tls.write(sent[size + 10_000 :])
    loop.until(lambda: len(recorder.data) == len(sent), peer)
    assert recorder.data == sent


def test_nothing_is_collected_for_a_paused_handler(loop: Loop) -> None:
    recorder, channel, peer = loop.pair()
    loop.shake(peer)
    recorder.eat = lambda piece: channel.pause() or 1
    for _ in range(100):
        peer.tls.write(bytes(100_000))
        peer.flush()
        loop.turn()
    assert channel._incoming.pending + len(channel._plain) <= 3 * RECV_BUFFER_BYTES


def test_what_the_kernel_does_not_take_follows(loop: Loop) -> None:
    recorder, channel, peer = loop.pair()
    loop.shake(peer)
    sent = random.Random(2).randbytes(3_000_000)
    channel.send(bytearray(sent), 0, len(sent))
    assert recorder.heard == ["blocked"]
    loop.until(lambda: len(peer.data) == len(sent), peer)
    assert peer.data == sent and recorder.heard == ["blocked", "unblocked"]


# -- ends


@pytest.mark.parametrize(
    "garbage", [b"\x00" * 50, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 70_000]
)
def test_garbage_instead_of_a_handshake(loop: Loop, garbage: bytes) -> None:
    recorder, channel, peer = loop.pair()
    with contextlib.suppress(BlockingIOError):
        peer.sock.send(garbage)
    loop.until(lambda: recorder.reasons)
    assert channel.closed and recorder.reasons[0].startswith("TLS: ") and not loop.ready


@pytest.mark.parametrize("seed", range(60))
def test_a_spoiled_byte_anywhere(loop: Loop, seed: int) -> None:
    """In the handshake or behind it: one side notices, and nothing false is handed over."""
    recorder, channel, peer = loop.pair()
    generator = random.Random(seed)
    spoiled_at = generator.randrange(900)
    position = 0

    def spoil(data: bytes) -> bytes:
        nonlocal position
        at = spoiled_at - position
        position += len(data)
        if 0 <= at < len(data):
            return data[:at] + bytes((data[at] ^ (1 << generator.randrange(8)),)) + data[at + 1 :]
        return data

    peer.spoil = spoil
    for _ in range(40):
        try:
            peer.step()
            if peer.ready:
                peer.tls.write(b"x" * 100)
        except ssl.SSLError:
            peer.sock.close()
            break
        loop.turn()
    for _ in range(10):
        loop.turn()
    assert set(recorder.data) <= {ord("x")}
    assert channel.closed or not channel.cipher or not recorder.reasons


@pytest.mark.parametrize("seen", [0, 1, 5, 100, 200, 260, 300, 350])
def test_a_peer_that_leaves_in_the_handshake(loop: Loop, seen: int) -> None:
    recorder, channel, peer = loop.pair()
    with contextlib.suppress(ssl.SSLWantReadError):
        peer.tls.do_handshake()
    hello = peer.outgoing.read()
    peer.sock.send(hello[:seen])
    loop.turn()
    peer.sock.close()
    loop.until(lambda: recorder.reasons)
    assert channel.closed and len(recorder.reasons) == 1 and not loop.ready


def test_a_truncated_record_is_the_end(loop: Loop) -> None:
    recorder, channel, peer = loop.pair()
    loop.shake(peer)
    peer.tls.write(b"whole")
    peer.flush()
    peer.tls.write(b"cut")
    peer.spoil = lambda data: data[:-3]
    peer.flush()
    peer.sock.close()
    loop.until(lambda: recorder.reasons)
    assert recorder.data == b"whole" and channel.closed


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("end", ["broken", "goodbye", "reset"])
def test_what_came_before_the_end_in_the_same_piece(loop: Loop, end: str, paused: bool) -> None:
    recorder, channel, peer = loop.pair()
    loop.shake(peer)
    recorder.eat = lambda piece: (channel.pause() if paused else None) or len(piece)
    peer.tls.write(b"good")
    if end == "goodbye":
        with contextlib.suppress(ssl.SSLWantReadError):
            peer.tls.unwrap()
    piece = peer.outgoing.read()
    if end == "broken":
        peer.tls.write(b"bad")
        piece += peer.outgoing.read()
        piece = piece[:-1] + bytes((piece[-1] ^ 1,))
    peer.sock.send(piece)
    if end == "reset":
        peer.sock.close()
    loop.until(lambda: recorder.data)
    if paused and not recorder.reasons:
        for _ in range(3):
            loop.turn()
        channel.resume()
    loop.until(lambda: recorder.reasons)
    assert recorder.data == b"good" and len(recorder.reasons) == 1 and channel.closed
    assert recorder.reasons[0].startswith("TLS: " if end == "broken" else "connection ")


def test_data_before_the_end_is_not_lost(loop: Loop) -> None:
    recorder, _, peer = loop.pair()
    loop.shake(peer)
    sent = random.Random(4).randbytes(120_000)
    peer.tls.write(sent)
    peer.flush()
    peer.sock.close()
    loop.until(lambda: recorder.reasons)
    assert recorder.data == sent[: len(recorder.data)] and len(recorder.data) > 100_000


@pytest.mark.parametrize("when", ["before", "in the handshake", "in on_ready", "in on_data"])
def test_close_at_any_moment(loop: Loop, when: str) -> None:
    recorder, channel, peer = loop.pair(start=False)
    channel.start_tls(
        loop.server,
        server_side=True,
        on_ready=channel.close if when == "in on_ready" else lambda: loop.ready.append(channel),
    )
    if when == "before":
        channel.close()
    elif when == "in on_data":
        recorder.eat = lambda piece: channel.close() or len(piece)
    for number in range(10):
        if peer.ended:
            break
        peer.step()
        loop.turn()
        if when == "in the handshake" and number == 0:
            channel.close()
        if peer.ready and not peer.ended:
            peer.tls.write(b"data")
    assert channel.closed and recorder.reasons == []


def test_a_graceful_end_says_everything(loop: Loop) -> None:
    recorder, channel, peer = loop.pair()
    loop.shake(peer)
    sent = random.Random(6).randbytes(2_000_000)
    channel.send(bytearray(sent), 0, len(sent))
    channel.close_gracefully()
    peer.tls.write(b"ignored")
    loop.until(lambda: peer.ended, peer)
    assert peer.data == sent and recorder.data == b""
    peer.sock.close()
    loop.until(lambda: recorder.reasons)
    assert len(recorder.reasons) == 1


def test_a_graceful_end_in_the_handshake(loop: Loop) -> None:
    recorder, channel, peer = loop.pair()
    loop.turn()
    channel.close_gracefully()
    loop.turn()
    peer.sock.close()
    loop.until(lambda: recorder.reasons)
    assert channel.closed and not loop.ready
