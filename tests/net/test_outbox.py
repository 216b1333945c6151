"""The outbox by itself, when the kernel fails or refuses it, and channels whose sends go through it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import socket
import struct
from collections.abc import Iterator

import pytest
from pairs import Loop, Recorder, outbox_or_skip, reopen, run_refused

from fairlead.net.channel import HIGH_WATER_BYTES, POSTED_BYTES, Channel
from fairlead.net.outbox import Outbox, open_outbox
from fairlead.net.poller import Watched, WorkerLoop

# Sends that one turn holds; compiled it is a constant of C.
ENTRIES = 32
COMPILED = os.environ.get("FAIRLEAD_PURE") != "1"


class Sockets:
    """Pairs of sockets that do not block; the first end is ours."""

    def __init__(self) -> None:
        self.made: list[socket.socket] = []

    def pair(self) -> tuple[socket.socket, socket.socket]:
        pair = socket.socketpair()
        for each in pair:
            each.setblocking(False)
            self.made.append(each)
        return pair

    def full(self) -> tuple[socket.socket, socket.socket]:
        """A pair of which the kernel takes nothing more; what it has taken is not of interest."""
        ours, theirs = self.pair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        with contextlib.suppress(BlockingIOError):
            while True:
                ours.send(b"." * 100)
        return ours, theirs


@pytest.fixture
def sockets(no_descriptor_left: None) -> Iterator[Sockets]:
    made = Sockets()
    yield made
    for each in made.made:
        each.close()


@pytest.fixture
def box(sockets: Sockets) -> Iterator[Outbox]:
    made = outbox_or_skip()
    yield made
    made.close()


def put(box: Outbox, sock: socket.socket, data: bytes) -> int:
    return box.add(sock.fileno(), bytearray(data), 0, len(data))


def received(sock: socket.socket) -> bytes:
    """All that has arrived."""
    found = bytearray()
    with contextlib.suppress(BlockingIOError):
        while piece := sock.recv(1 << 20):
            found += piece
    return bytes(found)


def ring_of_this_process() -> int:
    """The descriptor of the one io_uring that is open."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if "io_uring" in os.readlink(f"/proc/self/fd/{name}"):
                found.append(int(name))
    assert len(found) == 1
    return found[0]


# -- by itself


@pytest.mark.parametrize("number", [1, 2, ENTRIES])
def test_nothing_leaves_before_submit_and_then_everything(box: Outbox, sockets: Sockets, number: int) -> None:
    pairs = [sockets.pair() for _ in range(number)]
    turn = box.turn
    for at, (ours, _) in enumerate(pairs):
        assert put(box, ours, b"send %d" % at) == at
    assert box.count == number and all(received(theirs) == b"" for _, theirs in pairs)
    assert box.submit() == 0
    assert box.count == 0 and box.turn == turn + 1
    assert [received(theirs) for _, theirs in pairs] == [b"send %d" % at for at in range(number)]
    assert box.submit() == 0
    assert all(received(theirs) == b"" for _, theirs in pairs)


def test_it_takes_a_copy_of_the_part_that_is_named(box: Outbox, sockets: Sockets) -> None:
    ours, theirs = sockets.pair()
    data = bytearray(b"..words..")
    entry = box.add(ours.fileno(), data, 2, 5)
    assert box.extend(entry, bytearray(b"xx and more"), 2, 9)
    data[:] = b"spoiled!!"
    box.submit()
    assert received(theirs) == b"words and more"


def test_only_the_newest_entry_grows(box: Outbox, sockets: Sockets) -> None:
    (first, first_peer), (second, second_peer) = sockets.pair(), sockets.pair()
    one = put(box, first, b"a")
    assert box.extend(one, bytearray(b"b"), 0, 1)
    two = put(box, second, b"c")
    assert not box.extend(one, bytearray(b"x"), 0, 1)
    assert box.extend(two, bytearray(b"d"), 0, 1)
    assert box.submit() == 0
    assert not box.extend(two, bytearray(b"x"), 0, 1), "an entry of another turn"
    assert (received(first_peer), received(second_peer)) == (b"ab", b"cd")


def test_it_is_full_by_entries_and_empty_again(box: Outbox, sockets: Sockets) -> None:
    ours, theirs = sockets.pair()
    for _ in range(3):
        number = 0
        while put(box, ours, b"x") >= 0:
            number += 1
        assert number == box.count == ENTRIES
        assert put(box, ours, b"x") == -1
        assert box.extend(ENTRIES - 1, bytearray(b"y"), 0, 1), "there is room for bytes still"
        assert box.submit() == 0
        assert received(theirs) == b"x" * ENTRIES + b"y"


def test_it_is_full_by_bytes_and_empty_again(box: Outbox, sockets: Sockets) -> None:
    ours, theirs = sockets.pair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    sent = random.Random(1).randbytes(128 * 1024)
    for _ in range(3):
        assert put(box, ours, sent[:100_000]) == 0
        assert put(box, ours, sent[100_000:] + b"x") == -1
        assert not box.extend(0, bytearray(sent[100_000:] + b"x"), 0, len(sent) - 99_999)
        assert box.extend(0, bytearray(sent), 100_000, len(sent) - 100_001)
        assert put(box, ours, sent[-1:]) == 1 and put(box, ours, b"x") == -1
        box.submit()
        # A Unix socket may take less at once; then the rest is told.
        assert sent.startswith(received(theirs))
    assert put(box, ours, sent + b"x") == -1, "more than there ever is room for"


@pytest.mark.parametrize("beside", [0, 1, 20])
def test_what_is_taken_in_part_comes_back(box: Outbox, sockets: Sockets, beside: int) -> None:
    ours, theirs = sockets.pair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    others = [sockets.pair() for _ in range(beside)]
    sent = random.Random(2).randbytes(100_000)
    for other, _ in others[: beside // 2]:
        put(box, other, b"whole")
    put(box, ours, sent)
    for other, _ in others[beside // 2 :]:
        put(box, other, b"whole")
    assert box.submit() == 1
    assert (box.fd_at(0), box.error_at(0)) == (ours.fileno(), 0)
    rest = box.rest_at(0)
    assert 0 < len(rest) < len(sent)
    assert received(theirs) + rest == sent
    assert all(received(other) == b"whole" for _, other in others)


@pytest.mark.parametrize("beside", [0, 1])
def test_what_is_not_taken_at_all_comes_back_whole(box: Outbox, sockets: Sockets, beside: int) -> None:
    ours, theirs = sockets.full()
    other, other_peer = sockets.pair()
    put(box, ours, b"no room")
    if beside:
        put(box, other, b"room")
    assert box.submit() == 1
    assert (box.fd_at(0), box.error_at(0)) == (ours.fileno(), 0)
    assert box.rest_at(0) == b"no room"
    assert received(other_peer) == b"room" * beside and not received(theirs).strip(b".")


def test_failures_are_told_apart_from_each_other_and_from_success(box: Outbox, sockets: Sockets) -> None:
    good, good_peer = sockets.pair()
    gone, gone_peer = sockets.pair()
    gone_peer.close()
    shut, _ = sockets.pair()
    shut.shutdown(socket.SHUT_WR)
    full, _ = sockets.full()
    closed = os.dup(good.fileno())
    os.close(closed)
    put(box, gone, b"1")
    put(box, good, b"2")
    assert box.add(closed, bytearray(b"3"), 0, 1) == 2
    put(box, full, b"4")
    put(box, shut, b"5")
    put(box, good, b"6")
    assert box.submit() == 4
    found = [(box.fd_at(at), box.error_at(at), bytes(box.rest_at(at))) for at in range(4)]
    assert [(fd, os.strerror(error) if error else "") for fd, error, _ in found] == [
        (gone.fileno(), "Broken pipe"),
        (closed, "Bad file descriptor"),
        (full.fileno(), ""),
        (shut.fileno(), "Broken pipe"),
    ]
    assert [rest for _, _, rest in found] == [b"1", b"3", b"4", b"5"]
    assert received(good_peer) == b"26"


@pytest.mark.parametrize("failure", ["gone", "closed"])
def test_a_failure_alone(box: Outbox, sockets: Sockets, failure: str) -> None:
    ours, theirs = sockets.pair()
    number = ours.fileno()
    (theirs if failure == "gone" else ours).close()
    assert box.add(number, bytearray(b"x"), 0, 1) == 0
    assert box.submit() == 1
    assert os.strerror(box.error_at(0)) == ("Broken pipe" if failure == "gone" else "Bad file descriptor")
    good, good_peer = sockets.pair()
    put(box, good, b"the next turn")
    assert box.submit() == 0 and received(good_peer) == b"the next turn"


@pytest.mark.parametrize("number", [1, 5])
def test_a_descriptor_that_is_closed_after_submit_has_said_its_words(
    box: Outbox, sockets: Sockets, number: int
) -> None:
    pairs = [sockets.pair() for _ in range(number)]
    for ours, _ in pairs:
        put(box, ours, b"last words")
    assert box.submit() == 0
    for ours, theirs in pairs:
        ours.close()
        assert theirs.recv(100) == b"last words" and theirs.recv(100) == b"", "the kernel holds it open"


def test_many_turns(box: Outbox, sockets: Sockets) -> None:
    """The places of the ring are taken again and again, whatever their number in a turn."""
    generator = random.Random(4)
    pairs = [sockets.pair() for _ in range(ENTRIES)]
    for _ in range(400):
        chosen = generator.sample(pairs, generator.randint(1, ENTRIES))
        words = [generator.randbytes(generator.randint(1, 300)) for _ in chosen]
        for (ours, _), word in zip(chosen, words, strict=True):
            put(box, ours, word)
        assert box.submit() == 0
        assert [received(theirs) for _, theirs in chosen] == words


def test_one_without_a_ring_sends_all_the_same(sockets: Sockets) -> None:
    """Made without `open_outbox`, or closed: no ring is touched that is not there."""
    closed = outbox_or_skip()
    closed.close()
    for made in (Outbox(), closed):
        pairs = [sockets.pair() for _ in range(3)]
        for ours, _ in pairs:
            put(made, ours, b"x")
        assert made.submit() == 0
        assert [received(theirs) for _, theirs in pairs] == [b"x"] * 3
        made.close()


def test_nothing_is_left_of_many(no_descriptor_left: None) -> None:
    def pages() -> int:
        with open("/proc/self/statm") as found:
            return int(found.read().split()[0])

    for _ in range(20):
        outbox_or_skip().close()
    before = pages()
    for number in range(500):
        made = outbox_or_skip()
        if number % 2:
            made.close()
        del made
    gc.collect()
    assert (pages() - before) * os.sysconf("SC_PAGE_SIZE") < 8 << 20
    with open("/proc/self/maps") as found:
        assert "io_uring" not in found.read()


# -- a kernel that fails or refuses


@pytest.mark.skipif(not COMPILED, reason="the pure one has no ring")
def test_a_ring_that_fails_while_sends_wait(box: Outbox, sockets: Sockets) -> None:
    pairs = [sockets.pair() for _ in range(10)]
    for ours, _ in pairs[:9]:
        put(box, ours, b"first")
    box.submit()
    for ours, _ in pairs[:9]:
        put(box, ours, b", second")
    os.close(ring_of_this_process())
    for _ in range(3):
        assert box.submit() == 0
        put(box, pairs[9][0], b"alone")
        assert box.submit() == 0
        for ours, _ in pairs[:9]:
            put(box, ours, b", next")
    assert box.submit() == 0
    assert [received(theirs) for _, theirs in pairs[:9]] == [b"first, second, next, next, next"] * 9
    assert received(pairs[9][1]) == b"alone" * 3


def test_it_is_switched_off_by_the_environment() -> None:
    run_refused("assert open_outbox() is None; works(Poller(open_outbox()))", FAIRLEAD_IO_URING="0")


@pytest.mark.skipif(not COMPILED, reason="the pure one needs no descriptor")
def test_without_a_descriptor_for_it_there_is_none_and_nothing_is_left() -> None:
    outbox_or_skip().close()
    run_refused(
        """
poller, before = Poller(), len(os.listdir("/proc/self/fd"))
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
# Free numbers below the limit: none, one for the ring, and one of the two for its trial.
lowest = os.dup(0)
os.close(lowest)
for free in range(3):
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + free, hard))
    assert open_outbox() is None, free
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert len(os.listdir("/proc/self/fd")) == before
assert open_outbox() is not None
works(poller)
"""
    )


@pytest.mark.skipif(not COMPILED or os.uname().machine != "x86_64", reason="numbers of system calls")
@pytest.mark.parametrize("errno", ["EPERM", "ENOSYS"])
@pytest.mark.parametrize("numbers", ["425, 426, 427", "425", "426"])
def test_where_io_uring_is_not_allowed_there_is_none(errno: str, numbers: str) -> None:
    """A ring that can be made and not used is none: each turn would ask for it in vain."""
    outbox_or_skip().close()
    run_refused(
        f"""
import errno
poller, before = Poller(), len(os.listdir("/proc/self/fd"))
refuse(errno.{errno}, {numbers})
assert open_outbox() is None
assert len(os.listdir("/proc/self/fd")) == before
works(poller)
"""
    )


@pytest.mark.skipif(not COMPILED or os.uname().machine != "x86_64", reason="numbers of system calls")
@pytest.mark.parametrize("errno", ["EPERM", "EAGAIN", "EBUSY"])
def test_a_ring_that_is_forbidden_later_is_done_without(errno: str) -> None:
    outbox_or_skip().close()
    run_refused(
        f"""
import errno
poller = Poller(open_outbox())
refuse(errno.{errno}, 426)
works(poller)
"""
    )


# -- channels


def send(channel: Channel, data: bytes) -> None:
    """From a buffer that is not the same afterwards."""
    buf = bytearray(b"<" + data + b">")
    channel.send(buf, 1, 1 + len(data))
    buf[:] = bytes(len(buf))


def fill(channel: Channel) -> int:
    """Until the kernel takes nothing more, past the channel; how many bytes."""
    total = 0
    with (
        contextlib.suppress(BlockingIOError),
        socket.socket(fileno=os.dup(channel.fd)) as sock,
    ):
        while True:
            total += sock.send(b"." * 512)
    return total


def test_small_sends_leave_at_the_end_of_the_turn(posting: Loop) -> None:
    pairs = [posting.pair() for _ in range(3)]
    for _, channel, _ in pairs:
        send(channel, b"one, ")
        send(channel, b"two")
    assert received(pairs[2][2]) == b""
    posting.turn()
    assert [received(peer) for _, _, peer in pairs] == [b"one, two"] * 3


def test_a_large_send_does_not_overtake(posting: Loop) -> None:
    _, channel, peer = posting.pair()
    send(channel, b"small, ")
    send(channel, b"l" * (POSTED_BYTES + 1))
    assert received(peer) == b"small, " + b"l" * (POSTED_BYTES + 1)
    send(channel, b", small")
    posting.turn()
    assert received(peer) == b", small"


@pytest.mark.parametrize("seed", range(4))
def test_every_order_of_sends_arrives_as_it_was(loop: Loop, seed: int) -> None:
    """Small, large, posted, queued, on channels whose readers are slow: the bytes arrive in order."""
    generator = random.Random(seed)
    pairs = [loop.tcp_pair() if number % 4 == 0 else loop.pair() for number in range(90)]
    for number, (_, channel, _) in enumerate(pairs):
        if number % 3:
            with socket.socket(fileno=os.dup(channel.fd)) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    sent = [bytearray() for _ in pairs]
    got = [bytearray() for _ in pairs]
    blocked = 0
    for _ in range(60):
        for _ in range(generator.choice((1, 10, 200))):
            at = generator.randrange(len(pairs))
            size = generator.choice((1, 30, 700, 4095, 4096, 4097, 9000, 40_000))
            piece = generator.randbytes(generator.randint(1, size))
            send(pairs[at][1], piece)
            sent[at] += piece
        loop.turn(generator.randrange(3))
        for at in generator.sample(range(len(pairs)), 30):
            with contextlib.suppress(BlockingIOError):
                got[at] += pairs[at][2].recv(generator.choice((1, 1000, 30_000)))
        blocked += sum(channel.blocked for _, channel, _ in pairs)

    def arrived() -> bool:
        for at, (_, _, peer) in enumerate(pairs):
            got[at] += received(peer)
        return all(len(one) >= len(other) for one, other in zip(got, sent, strict=True))

    loop.until(arrived)
    assert got == sent and blocked and not loop.errors
    for recorder, channel, _ in pairs:
        assert channel.unsent() == 0 and not channel.blocked and not recorder.reasons
        assert recorder.heard == ["blocked", "unblocked"] * (len(recorder.heard) // 2)


def test_more_channels_than_entries_in_one_turn(loop: Loop) -> None:
    pairs = [loop.pair() for _ in range(200)]
    for at, (_, channel, _) in enumerate(pairs):
        send(channel, b"first of %d, " % at)
    for at, (_, channel, _) in enumerate(pairs):
        send(channel, b"second of %d" % at)
    loop.turn()
    assert [received(peer) for _, _, peer in pairs] == [
        b"first of %d, second of %d" % (at, at) for at in range(200)
    ]


def test_more_bytes_than_there_is_room_for_in_one_turn(loop: Loop) -> None:
    pairs = [loop.pair() for _ in range(3)]
    sent = random.Random(5).randbytes(POSTED_BYTES * 50)
    for at in range(0, len(sent), POSTED_BYTES):
        for _, channel, _ in pairs:
            send(channel, sent[at : at + POSTED_BYTES])
    got = [bytearray() for _ in pairs]

    def arrived() -> bool:
        for at, (_, _, peer) in enumerate(pairs):
            got[at] += received(peer)
        return all(len(each) == len(sent) for each in got)

    loop.until(arrived)
    assert all(each == sent for each in got)


def test_a_source_hears_by_its_next_send_that_it_is_too_much(posting: Loop) -> None:
    recorder, channel, _ = posting.pair()
    fill(channel)
    while not channel.blocked:
        assert channel.unsent() <= 2 * HIGH_WATER_BYTES, "memory does not stay flat"
        send(channel, b"x" * POSTED_BYTES)
    assert recorder.heard == ["blocked"]


def test_what_is_posted_counts_as_unsent_until_the_kernel_has_it(posting: Loop) -> None:
    """Who asks whether all is sent must not be told so while it still may have to be queued."""
    _, channel, peer = posting.pair()
    send(channel, b"taken")
    assert channel.unsent() == 0 and received(peer) == b"taken"
    filled = fill(channel)
    send(channel, b"waits")
    assert channel.unsent() == 5
    posting.turn()
    got = bytearray()
    while len(got) < filled + 5:
        got += received(peer)
        posting.turn()
    assert got.endswith(b".waits") and channel.unsent() == 0


@pytest.mark.parametrize("beside", [0, 1, 100])
@pytest.mark.parametrize("ending", ["close", "close_with", "close_gracefully", "fail_soon"])
def test_an_end_right_after_a_send(loop: Loop, ending: str, beside: int) -> None:
    others = [loop.pair() for _ in range(beside)]
    recorder, channel, peer = loop.tcp_pair()
    for _, other, _ in others[: beside // 2]:
        send(other, b"before")
    send(channel, b"sent")
    for _, other, _ in others[beside // 2 :]:
        send(other, b"after")
    if ending == "close":
        channel.close()
    elif ending == "close_with":
        channel.close_with(b", words")
    elif ending == "close_gracefully":
        channel.close_gracefully()
    else:
        channel.fail_soon("enough")
    loop.turn(2)
    got = bytearray()

    def ended() -> bool:
        with contextlib.suppress(BlockingIOError):
            while piece := peer.recv(100):
                got.extend(piece)
            return True
        return False

    loop.until(ended)
    assert got == b"sent" + b", words" * (ending == "close_with")
    assert [received(other) for _, _, other in others] == [b"before"] * (beside // 2) + [b"after"] * (
        beside - beside // 2
    )
    assert recorder.reasons == ["enough"] * (ending == "fail_soon")


def test_a_graceful_end_with_a_full_kernel_sends_what_was_posted(loop: Loop) -> None:
    recorder, channel, peer = loop.pair()
    filled = fill(channel)
    send(channel, b"posted")
    channel.close_gracefully()
    got = bytearray()
    while len(got) < filled + 6:
        loop.turn()
        got += received(peer)
    assert got.endswith(b".posted")
    loop.turn()
    assert peer.recv(10) == b"" and not recorder.reasons
    peer.close()
    loop.until(lambda: recorder.reasons)


def test_last_words_do_not_overtake_what_is_queued(loop: Loop) -> None:
    _, channel, peer = loop.pair()
    fill(channel)
    send(channel, b"posted")
    channel.close_with(b"words")
    assert received(peer).strip(b".") == b"", "they would be taken for what was posted"


class Echo(Recorder):
    """Sends on what arrives, as the next thing that the other channel says."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self.loop = loop

    def on_data(self, buf: bytearray, start: int, end: int) -> int:
        self.loop.poller.woken = True
        return super().on_data(buf, start, end)


def hearing(loop: Loop) -> tuple[Channel, Echo]:
    """A channel, and who hears at its other end, both in one poller: what waits there is never heard."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    _, channel, _ = loop.own(ours, socket.socket())
    echo = Echo(loop)
    echo.channel = Channel(loop.poller, theirs.detach(), echo)
    loop.channels.append(echo.channel)
    loop.turn(2)
    return channel, echo


class Later(Watched):
    """Does something in the next turn."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(-1)
        self.channel = channel

    def on_deferred(self) -> None:
        send(self.channel, b"deferred")


# So long would be waited if a send did not leave before the wait, in milliseconds.
FOREVER_MS = 20_000


def test_a_send_from_on_deferred_leaves_before_the_wait(loop: Loop) -> None:
    channel, echo = hearing(loop)
    loop.poller.defer(Later(channel))
    loop.poller.run(FOREVER_MS)
    assert echo.data == b"deferred"


def test_a_send_from_on_closed_leaves_before_the_wait(loop: Loop) -> None:
    channel, echo = hearing(loop)
    for lost in ("by an event", "in the next turn"):
        recorder, other, peer = loop.pair()
        loop.turn(2)
        recorder.on_closed = lambda reason: send(channel, b"closed ")  # type: ignore[method-assign]
        if lost == "by an event":
            peer.close()
        else:
            other.fail_soon("enough")
        before = len(echo.data)
        loop.poller.run(FOREVER_MS)
        assert len(echo.data) == before + 7 and other.closed


def test_a_send_from_outside_leaves_before_the_wait(loop: Loop) -> None:
    channel, echo = hearing(loop)
    send(channel, b"outside")
    loop.poller.run(FOREVER_MS)
    assert echo.data == b"outside"


def test_a_send_from_a_guest_leaves_before_the_wait(no_descriptor_left: None) -> None:
    guest = WorkerLoop()
    heard: asyncio.Future[bytes] = guest.create_future()

    class Hearing(Recorder):
        def on_data(self, buf: bytearray, start: int, end: int) -> int:
            heard.set_result(bytes(buf[start:end]))
            return end

    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    channels = [Channel(guest.poller, each.detach(), Hearing()) for each in (ours, theirs)]

    async def main() -> bytes:
        guest.call_soon(send, channels[0], b"guest")
        return await heard

    # Nothing else would end the wait.
    assert guest.run_until_complete(asyncio.wait_for(main(), FOREVER_MS / 1000)) == b"guest"
    for channel in channels:
        channel.close()
    guest.close()


def test_what_the_guest_sends_last_is_sent_before_all_is_closed(no_descriptor_left: None) -> None:
    """The last callbacks run after the last turn."""
    guest = WorkerLoop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    channel = Channel(guest.poller, ours.detach(), Recorder())

    async def main() -> None:
        send(channel, b"last words")

    guest.run_until_complete(main())
    guest.close()
    with theirs:
        theirs.setblocking(False)
        assert received(theirs) == b"last words"
    channel.close()


@pytest.mark.parametrize("beside", [0, 1, 70])
def test_a_peer_that_is_gone_is_reported_once_and_later(loop: Loop, beside: int) -> None:
    others = [loop.pair() for _ in range(beside)]
    recorder, channel, peer = loop.tcp_pair()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    for _ in range(3):
        for _, other, _ in others:
            send(other, b"x")
        send(channel, b"hello")
        assert recorder.reasons == [], "from within its own call"
    loop.until(lambda: recorder.reasons)
    loop.turn(5)
    assert len(recorder.reasons) == 1 and channel.closed and not loop.errors
    assert [received(other) for _, _, other in others] == [b"xxx"] * beside


def test_a_failure_within_a_turn_is_not_reported_to_others(posting: Loop) -> None:
    gone, gone_channel, gone_peer = posting.pair()
    good, good_channel, good_peer = posting.pair()
    gone_channel.pause()
    gone_peer.close()
    send(gone_channel, b"x")
    send(good_channel, b"y")
    posting.until(lambda: gone.reasons)
    assert not good.reasons and not good_channel.closed and received(good_peer) == b"y"


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("beside", [0, 1])
def test_who_has_the_number_of_another_has_not_its_bytes(loop: Loop, full: bool, beside: int) -> None:
    """Also not if the kernel has not taken them."""
    _, other, other_peer = loop.pair()
    if beside:
        send(other, b"other")
    _, channel, peer = loop.pair()
    if full:
        fill(channel)
    send(channel, b"old")
    number = channel.fd
    channel.close()
    recorder, channel, new_peer = reopen(loop, number)
    assert channel.fd == number
    send(channel, b"new")
    send(channel, b"er")
    loop.turn(3)
    assert received(peer).strip(b".") == b"old" * (not full)
    assert received(new_peer) == b"newer"
    assert received(other_peer) == b"other" * beside and not recorder.reasons


@pytest.mark.parametrize("seed", range(3))
def test_numbers_that_go_around_within_a_turn(loop: Loop, seed: int) -> None:
    generator = random.Random(seed)
    pairs = [loop.pair() for _ in range(20)]
    sent = [b""] * 20
    for _ in range(40):
        for _ in range(60):
            at = generator.randrange(20)
            recorder, channel, peer = pairs[at]
            if generator.random() < 0.8:
                piece = generator.randbytes(generator.choice((1, 50, 5000)))
                send(channel, piece)
                sent[at] += piece
                continue
            number = channel.fd
            if generator.random() < 0.5:
                channel.close()
            else:
                channel.close_with(b"words")
                sent[at] += b"words"
            assert received(peer) == sent[at] and not recorder.reasons
            peer.close()
            pairs[at] = reopen(loop, number)
            sent[at] = b""
        loop.turn()
        for at, (_, _, peer) in enumerate(pairs):
            assert received(peer) == sent[at]
            sent[at] = b""
    assert not loop.errors


def test_a_poller_that_is_closed_leaves_channels_that_can_be_closed(posting: Loop) -> None:
    _, channel, peer = posting.pair()
    send(channel, b"posted, ")
    posting.poller.close()
    send(channel, b"sent")
    channel.close()
    assert received(peer) == b"posted, sent"


def test_the_environment_does_not_matter_later(box: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRLEAD_IO_URING", "0")
    assert open_outbox() is None
    assert box.submit() == 0
