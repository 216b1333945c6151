"""Channels that bring much are read every now and then: nothing is lost, late or left switched off by it."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest
from pairs import Loop, Recorder, reopen, run_refused

from fairlead.net.channel import HIGH_WATER_BYTES, STREAM_BYTES, STREAM_READ_BYTES, Channel
from fairlead.net.poller import Watched

COMPILED = os.environ.get("FAIRLEAD_PURE") != "1"
PIECE = random.Random(1).randbytes(2 * STREAM_READ_BYTES)
# So many pieces make a stream at the latest.
PIECES = STREAM_BYTES // len(PIECE) + 2


class Counting(Channel):
    """Counts what the poller calls."""

    def __init__(self, *args: Any) -> None:
        self.events_heard = 0
        self.naps = 0
        Channel.__init__(self, *args)

    def on_event(self, events: int) -> None:
        self.events_heard += 1
        Channel.on_event(self, events)

    def on_nap(self) -> None:
        self.naps += 1
        Channel.on_nap(self)


def counting(loop: Loop, tcp: bool = False) -> tuple[Recorder, Counting, socket.socket]:
    recorder, channel, peer = loop.tcp_pair() if tcp else loop.pair()
    fd = os.dup(channel.fd)
    channel.close()
    recorder.channel = made = Counting(loop.poller, fd, recorder)
    loop.channels.append(made)
    if tcp:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    loop.turn(2)
    return recorder, made, peer


def give(peer: socket.socket, data: bytes) -> int:
    """How many bytes the kernel takes."""
    try:
        return peer.send(data)
    except BlockingIOError:
        return 0


def doze(loop: Loop, channel: Channel, peer: socket.socket) -> bytearray:
    """Send until the channel naps; what was sent."""
    sent = bytearray()
    for _ in range(PIECES):
        sent += PIECE[: give(peer, PIECE)]
        loop.turn()
        if channel.napping:
            return sent
    raise AssertionError("it does not nap")


def wake(loop: Loop, channel: Channel) -> None:
    """Until it is watched again."""
    loop.until(lambda: not channel.napping)
    assert not channel.asleep and channel not in loop.poller.napping


@pytest.mark.parametrize("tcp", [False, True])
def test_a_stream_makes_no_events_and_arrives_whole(loop: Loop, tcp: bool) -> None:
    recorder, channel, peer = counting(loop, tcp)
    sent = doze(loop, channel, peer)
    before = channel.events_heard
    generator = random.Random(2)
    for _ in range(500):
        piece = generator.randbytes(len(PIECE))
        count = give(peer, piece)
        sent += piece[:count]
        loop.turn()
        # Each turn has brought something, so that a nap that is over begins anew.
        assert channel.napping or tcp
    assert channel.events_heard == before or tcp
    assert channel.events_heard - before < 250
    assert channel.naps
    loop.until(lambda: len(recorder.data) == len(sent))
    assert recorder.data == sent and not recorder.reasons


def test_what_gathers_in_a_nap_is_read_at_once(loop: Loop) -> None:
    recorder, channel, peer = counting(loop)
    doze(loop, channel, peer)
    peer.setblocking(True)
    shown = len(recorder.shown)
    for _ in range(5):
        peer.send(PIECE)
    loop.until(lambda: len(recorder.shown) > shown)
    assert recorder.shown[shown:] == [5 * len(PIECE)] and channel.naps


def test_little_is_never_a_stream(loop: Loop) -> None:
    _, channel, peer = counting(loop)
    small = STREAM_READ_BYTES - 1
    for _ in range(3 * STREAM_BYTES // small):
        assert peer.send(bytes(small)) == small
        loop.turn()
        assert not channel.napping and not channel.asleep
    # A small piece in between begins the count anew.
    for number in range(3 * PIECES):
        peer.send(b"x" if number % 10 == 0 else PIECE)
        loop.turn()
        assert not channel.napping
    assert channel.naps == 0


@pytest.mark.parametrize("moment", ["in the nap", "after it"])
def test_a_small_message_after_a_stream_is_heard(loop: Loop, moment: str) -> None:
    recorder, channel, peer = counting(loop)
    sent = doze(loop, channel, peer)
    if moment == "after it":
        wake(loop, channel)
    for number in range(5):
        peer.send(b"small %d" % number)
        sent += b"small %d" % number
        loop.until(lambda: len(recorder.data) == len(sent))  # noqa: B023
    wake(loop, channel)
    before = channel.events_heard
    peer.send(b"heard at once")
    loop.turn()
    assert recorder.data == sent + b"heard at once" and channel.events_heard == before + 1


def test_a_stream_goes_on_after_it_has_paused(loop: Loop) -> None:
    recorder, channel, peer = counting(loop)
    sent = bytearray()
    for _ in range(3):
        sent += doze(loop, channel, peer)
        wake(loop, channel)
    assert recorder.data == sent


# -- ends


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("more", [b"", b"last words", PIECE])
def test_the_end_in_a_nap(loop: Loop, tcp: bool, half: bool, more: bytes) -> None:
    recorder, channel, peer = counting(loop, tcp)
    sent = doze(loop, channel, peer)
    if more:
        peer.send(more)
    if half:
        peer.shutdown(socket.SHUT_WR)
    else:
        peer.close()
    loop.until(lambda: recorder.reasons)
    loop.turn(5)
    assert recorder.data == sent + more and recorder.reasons == ["connection closed by peer"]
    loop.until(lambda: not loop.poller.napping)


@pytest.mark.parametrize("paused", [False, True])
def test_a_reset_in_a_nap(loop: Loop, paused: bool) -> None:
    recorder, channel, peer = counting(loop, tcp=True)
    doze(loop, channel, peer)
    if paused:
        channel.pause()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    loop.until(lambda: recorder.reasons)
    loop.until(lambda: not loop.poller.napping)
    assert len(recorder.reasons) == 1 and channel.closed and not loop.errors


def test_close_in_a_nap(loop: Loop) -> None:
    recorder, channel, peer = counting(loop)
    doze(loop, channel, peer)
    shown = len(recorder.shown)
    peer.send(PIECE)
    number = channel.fd
    channel.close()
    # Somebody else has the number when the nap is over.
    other, other_channel, other_peer = reopen(loop, number)
    assert other_channel.fd == number
    loop.until(lambda: not loop.poller.napping)
    for _ in range(3):
        other_peer.send(b"x")
        loop.turn()
    assert other.data == b"xxx" and not other_channel.asleep
    assert len(recorder.shown) == shown and not recorder.reasons


@pytest.mark.parametrize("queued", [False, True])
@pytest.mark.parametrize("half", [False, True])
def test_a_graceful_end_in_a_nap(loop: Loop, queued: bool, half: bool) -> None:
    recorder, channel, peer = counting(loop, tcp=True)
    doze(loop, channel, peer)
    expected = b"goodbye"
    if queued:
        expected = random.Random(3).randbytes(3_000_000) + expected
        channel.send(bytearray(expected), 0, len(expected) - 7)
    channel.send(bytearray(b"goodbye"), 0, 7)
    channel.close_gracefully()
    shown = len(recorder.shown)
    got = bytearray()
    ended = False

    def all_heard() -> bool:
        nonlocal ended
        give(peer, PIECE)
        with contextlib.suppress(BlockingIOError):
            while piece := peer.recv(1 << 20):
                got.extend(piece)
            ended = True
        return ended

    loop.until(all_heard)
    assert got == expected and not channel.closed
    if half:
        peer.shutdown(socket.SHUT_WR)
    else:
        peer.close()
    loop.until(lambda: recorder.reasons)
    assert len(recorder.shown) == shown and len(recorder.reasons) == 1


def test_what_a_handler_does_when_it_is_woken(loop: Loop) -> None:
    """Each end from within the call at the end of a nap."""
    endings: dict[str, Callable[[Channel], None]] = {
        "close": Channel.close,
        "gracefully": Channel.close_gracefully,
        "words": lambda channel: channel.close_with(b"words"),
        "failure": lambda channel: channel.fail_soon("enough"),
    }
    for name, ending in endings.items():
        recorder, channel, peer = counting(loop)
        doze(loop, channel, peer)
        peer.send(PIECE)
        recorder.eat = lambda piece, ending=ending, channel=channel: ending(channel) or len(piece)
        loop.until(lambda channel=channel: channel.naps)
        loop.turn(2)
        assert channel.closed == (name != "gracefully")
        peer.close()
        loop.until(lambda channel=channel: channel.closed)
        assert len(recorder.reasons) == (name in ("gracefully", "failure"))
    assert not loop.errors


# -- flow


def test_pause_in_a_nap(loop: Loop) -> None:
    recorder, channel, peer = counting(loop)
    sent = doze(loop, channel, peer)
    channel.pause()
    peer.send(PIECE)
    shown = len(recorder.shown)
    wake(loop, channel)
    loop.turn(5)
    assert len(recorder.shown) == shown, "it was read while paused"
    channel.resume()
    loop.until(lambda: recorder.data == sent + PIECE)


def test_pause_and_resume_in_one_nap(loop: Loop) -> None:
    recorder, channel, peer = counting(loop)
    sent = doze(loop, channel, peer)
    channel.pause()
    channel.resume()
    peer.send(PIECE + b"more")
    loop.until(lambda: recorder.data == sent + PIECE + b"more")
    wake(loop, channel)


def test_a_handler_that_pauses_at_every_read(loop: Loop) -> None:
    recorder, channel, peer = counting(loop)
    generator = random.Random(4)

    def hesitant(piece: bytes) -> int:
        if generator.random() < 0.3:
            channel.pause()
        return generator.randrange(len(piece) // 2, len(piece) + 1)

    recorder.eat = hesitant
    sent = bytearray()
    for _ in range(400):
        sent += PIECE[: give(peer, PIECE)]
        loop.turn()
        if generator.random() < 0.3:
            channel.resume()
    recorder.eat = len

    def arrived() -> bool:
        channel.resume()
        # What was left is shown again when something comes behind it.
        if give(peer, b"."):
            sent.append(ord("."))
        return len(recorder.data) >= len(sent) - 1

    loop.until(arrived)
    loop.until(lambda: len(recorder.data) == len(sent))
    assert recorder.data == sent and channel.naps


@pytest.mark.parametrize("size", [20_000, 300_000, 1_000_000])
def test_want_in_naps(loop: Loop, size: int) -> None:
    recorder, channel, peer = counting(loop)

    def packets(piece: bytes) -> int:
        if len(piece) < size:
            channel.want = size
            return 0
        return size

    recorder.eat = packets
    data = random.Random(5).randbytes(size * (6_000_000 // size))
    position = 0
    while position < len(data):
        position += give(peer, data[position : position + len(PIECE)])
        loop.turn()
    loop.until(lambda: channel.naps and not channel.napping)
    # A packet that was left whole is shown again with what comes behind it.
    while len(recorder.data) < len(data):
        give(peer, b"." * size)
        loop.turn()
    assert recorder.data[: len(data)] == data


def test_a_queue_that_fills_in_a_nap_is_sent(loop: Loop) -> None:
    recorder, channel, peer = counting(loop)
    doze(loop, channel, peer)
    sent = random.Random(6).randbytes(2_000_000)
    channel.send(bytearray(sent), 0, len(sent))
    assert channel.blocked and channel.napping
    got = bytearray()

    def arrived() -> bool:
        give(peer, PIECE)
        with contextlib.suppress(BlockingIOError):
            got.extend(peer.recv(50_000))
        return len(got) == len(sent)

    loop.until(arrived)
    assert got == sent and recorder.heard == ["blocked", "unblocked"] and channel.unsent() == 0


def test_who_has_something_queued_does_not_nap(loop: Loop) -> None:
    """It would not hear that there is room again."""
    recorder, channel, peer = counting(loop)
    channel.send(bytearray(4 * HIGH_WATER_BYTES + 1_000_000), 0, 4 * HIGH_WATER_BYTES + 1_000_000)
    for _ in range(3 * PIECES):
        assert peer.send(PIECE)
        loop.turn()
        assert not channel.napping
    assert len(recorder.data) == 3 * PIECES * len(PIECE)


def test_an_answer_to_what_a_nap_has_brought_leaves_at_once(loop: Loop) -> None:
    recorder, channel, peer = counting(loop)
    doze(loop, channel, peer)
    recorder.eat = lambda piece: channel.send(bytearray(b"answer"), 0, 6) or len(piece)
    peer.send(b"question")
    while not recorder.data.endswith(b"question"):
        loop.turn()
    assert peer.recv(100) == b"answer"


# -- several


def test_who_is_spoken_to_is_heard_at_once(loop: Loop) -> None:
    """A statement right behind a large result does not wait for the end of the nap."""
    recorder, channel, peer = counting(loop)
    sent = doze(loop, channel, peer)
    channel.send(bytearray(b"question"), 0, 8)
    assert channel.napping
    assert not channel.asleep
    loop.turn()
    assert peer.recv(100) == b"question"
    peer.send(b"answer")
    sent += b"answer"
    loop.until(lambda: recorder.data == sent)
    wake(loop, channel)


def test_replies_one_after_the_other_are_no_stream(loop: Loop) -> None:
    """However much they bring together, none of them waits for a nap."""
    recorder, channel, peer = counting(loop)
    sent = bytearray()
    for _ in range(3 * PIECES):
        channel.send(bytearray(b"question"), 0, 8)
        loop.turn()
        assert peer.recv(100) == b"question"
        sent += PIECE[: give(peer, PIECE)]
        while len(recorder.data) < len(sent):
            loop.turn()
    assert recorder.data == sent
    assert channel.naps == 0
    assert not channel.napping


def test_two_that_nap(loop: Loop) -> None:
    pairs = [counting(loop) for _ in range(2)]
    sent = [doze(loop, pairs[0][1], pairs[0][2]), bytearray()]
    for number in range(600):
        for at, (_, _, peer) in enumerate(pairs):
            if at == 1 or number < 300:
                sent[at] += PIECE[: give(peer, PIECE)]
        loop.turn()
        assert len(loop.poller.napping) == len(set(loop.poller.napping))
        for _, channel, _ in pairs:
            assert channel.napping == (channel in loop.poller.napping) == channel.asleep
    loop.until(
        lambda: all(len(each.data) == len(data) for (each, _, _), data in zip(pairs, sent, strict=True))
    )
    loop.until(lambda: not loop.poller.napping)
    for (recorder, channel, peer), data in zip(pairs, sent, strict=True):
        assert recorder.data == data and channel.naps
        peer.send(b"end")
        loop.turn()
        assert recorder.data == data + b"end"


def test_one_that_closes_the_other_when_both_are_woken(loop: Loop) -> None:
    pairs = [counting(loop) for _ in range(2)]
    for _, channel, peer in pairs:
        doze(loop, channel, peer)
    # Both of one list.
    while not all(channel.napping for _, channel, _ in pairs):
        for _, _, peer in pairs:
            give(peer, PIECE)
        loop.turn()
    for (recorder, _, peer), (_, other, _) in zip(pairs, reversed(pairs), strict=True):
        recorder.eat = lambda piece, other=other: other.close() or len(piece)
        give(peer, PIECE)
    loop.until(lambda: any(channel.closed for _, channel, _ in pairs))
    loop.turn(5)
    assert sum(channel.closed for _, channel, _ in pairs) == 1 and not loop.errors
    assert not any(recorder.reasons for recorder, _, _ in pairs)


def test_others_are_served_while_one_naps(loop: Loop) -> None:
    _, stream, stream_peer = counting(loop)
    recorder, _, peer = loop.pair()
    doze(loop, stream, stream_peer)
    for number in range(1, 200):
        give(stream_peer, PIECE)
        peer.send(b"x")
        loop.turn()
        assert len(recorder.data) == number, "it had to wait"
        assert stream.napping


def test_a_handler_that_raises_when_it_is_woken_hears_the_next(loop: Loop) -> None:
    """As one that raises at an event does; whoever is behind it in the list hears too."""
    pairs = [counting(loop) for _ in range(3)]
    while not all(channel.napping for _, channel, _ in pairs):
        for _, _, peer in pairs:
            give(peer, PIECE)
        loop.turn()

    def fall(piece: bytes) -> int:
        raise ValueError("a bug")

    bad, channel, peer = pairs[1]
    bad.eat = fall
    loop.until(lambda: give(peer, PIECE) < 0 or loop.errors)
    assert [each for each, _ in loop.errors] == [channel]
    bad.eat = len
    loop.until(lambda: not loop.poller.napping)
    for recorder, channel, peer in pairs:
        assert not channel.asleep, "its events are switched off"
        before = channel.events_heard
        peer.send(b"next")
        loop.until(lambda recorder=recorder: recorder.data.endswith(b"next"))
        assert channel.events_heard == before + 1


# -- time


class Restless(Watched):
    """Goes on, with naps or at once, until `run` has returned; or for so long that it never will."""

    SECONDS = 10

    def __init__(self, loop: Loop, napping: bool) -> None:
        self.ours, self.theirs = socket.socketpair()
        super().__init__(self.ours.fileno())
        self.poller = loop.poller
        self.again = self.poller.nap if napping else self.poller.defer
        self.called = 0
        self.waking = 0
        self.too_long = time.monotonic() + self.SECONDS
        self.poller.watch(self, 0)
        self.again(self)

    def on_nap(self) -> None:
        self.called += 1
        if self.called == self.waking:
            self.poller.woken = True
        if time.monotonic() < self.too_long:
            self.again(self)

    def on_deferred(self) -> None:
        self.on_nap()

    def close(self) -> None:
        self.poller.forget(self)
        self.ours.close()
        self.theirs.close()


@pytest.mark.parametrize("napping", [True, False])
@pytest.mark.parametrize("timeout_ms", [0, 1, 20])
def test_run_keeps_its_timeout(loop: Loop, timeout_ms: int, napping: bool) -> None:
    """asyncio's timers depend on it."""
    restless = Restless(loop, napping)
    loop.poller.run(timeout_ms)
    assert time.monotonic() < restless.too_long, "it never returned"
    assert restless.called or not timeout_ms
    restless.close()


@pytest.mark.parametrize("napping", [True, False])
@pytest.mark.parametrize("timeout_ms", [-1, 60_000])
def test_run_returns_when_it_is_woken(loop: Loop, timeout_ms: int, napping: bool) -> None:
    restless = Restless(loop, napping)
    restless.waking = 5
    loop.poller.run(timeout_ms)
    assert restless.called == 5
    restless.close()


def test_nobody_naps_in_a_quiet_worker(loop: Loop) -> None:
    """When the last nap is over, waits are not cut short any more."""
    _, channel, peer = counting(loop)
    doze(loop, channel, peer)
    wake(loop, channel)
    loop.turn(3)
    before = loop.poller.wakeups
    loop.poller.run(20)
    assert loop.poller.wakeups - before <= 2


@pytest.mark.skipif(not COMPILED or os.uname().machine != "x86_64", reason="numbers of system calls")
@pytest.mark.parametrize("errno", ["ENOSYS", "EPERM"])
def test_a_kernel_without_short_waits(errno: str) -> None:
    """They are a millisecond then."""
    run_refused(
        f"""
import errno
poller = Poller(open_outbox())
refuse(errno.{errno}, 441)
ours, theirs = socket.socketpair()
kept = Kept()
channel = Channel(poller, ours.detach(), kept)
sent = naps = 0
for _ in range(100):
    sent += theirs.send(bytes(16384))
    poller.run(0)
    naps += channel.napping
    poller.run(2)
assert naps
while len(kept.data) < sent or channel.napping:
    poller.run(5)
channel.close()
works(poller)
"""
    )
