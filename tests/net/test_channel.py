"""The contract of channels, over real socket pairs and the real poller."""

from __future__ import annotations

import os
import random
import socket
import struct
import time
from collections.abc import Callable

import pytest
from pairs import Loop, Recorder

from fairlead.net.channel import Channel
from fairlead.net.poller import RECV_BUFFER_BYTES

TURNS_MAX = 20_000


# -- receiving


def test_bytes_arrive_in_order_whatever_their_pieces(loop: Loop) -> None:
    recorder, _, peer = loop.pair()
    generator = random.Random(3)
    sent = bytearray()
    for _ in range(300):
        piece = generator.randbytes(generator.choice((1, 7, 100, 5000)))
        peer.send(piece)
        sent += piece
        if generator.random() < 0.7:
            loop.turn()
    loop.until(lambda: len(recorder.data) == len(sent))
    assert recorder.data == sent and not recorder.reasons


def test_what_is_not_consumed_is_shown_again_with_more_behind_it(loop: Loop) -> None:
    recorder, _, peer = loop.pair()
    recorder.eat = lambda piece: len(piece) // 10 * 10
    for number in range(100):
        peer.send(bytes((number,)) * 3)
        loop.turn(2)
    assert bytes(recorder.data) == b"".join(bytes((number,)) * 3 for number in range(100))


def test_want_holds_back_until_so_much_is_there(loop: Loop) -> None:
    recorder, channel, peer = loop.pair()

    def packets_of_100(piece: bytes) -> int:
        if len(piece) < 100:
            channel.want = 100
            return 0
        return 100

    recorder.eat = packets_of_100
    for _ in range(50):
        peer.send(b"x")
        loop.turn(2)
    assert recorder.shown == [1]
    peer.send(b"y" * 60)
    loop.settle()
    assert recorder.shown[:2] == [1, 110]
    assert recorder.data == b"x" * 50 + b"y" * 50


def test_a_want_larger_than_the_buffer(loop: Loop) -> None:
    recorder, channel, peer = loop.pair()
    size = 3 * RECV_BUFFER_BYTES + 17

    def whole(piece: bytes) -> int:
        channel.want = 0 if len(piece) >= size else size
        return size if len(piece) >= size else 0

    recorder.eat = whole
    data = random.Random(1).randbytes(size)
    position = 0
    while position < size:
        try:
            position += peer.send(data[position : position + 50_000])
        except BlockingIOError:
            loop.turn()
    loop.until(lambda: recorder.data)
    assert recorder.data == data
    assert recorder.shown == [recorder.shown[0], size], "it was shown in between"


def _takes(peer: socket.socket, piece: bytes) -> bool:
    """Whether the kernel has room for it."""
    try:
        return peer.send(piece) > 0
    except BlockingIOError:
        return False


def test_a_large_packet_in_small_pieces_costs_no_more_per_byte(loop: Loop) -> None:
    """What is kept is not copied with every piece: whoever sends 16 MiB slowly would stop everybody else."""

    def cost(size: int) -> float:
        recorder, channel, peer = loop.pair()

        def whole(piece: bytes) -> int:
            channel.want = 0 if len(piece) >= size else size
            return size if len(piece) >= size else 0

        recorder.eat = whole
        piece = b"z" * 8192
        started = time.process_time()
        for _ in range(size // len(piece)):
            # What comes all the time is read every now and then.
            while not _takes(peer, piece):
                loop.poller.run(1)
            loop.turn()
        spent = time.process_time() - started
        loop.until(lambda: recorder.data)
        channel.close()
        return spent / size

    small = cost(256 * 1024)
    assert cost(8 * 1024 * 1024) < 6 * small


def test_nothing_is_read_while_paused(loop: Loop) -> None:
    recorder, channel, peer = loop.pair()
    channel.pause()
    peer.send(b"abc")
    loop.turn(5)
    assert recorder.shown == []
    channel.resume()
    loop.settle()
    assert recorder.data == b"abc"


def test_pause_in_the_middle_keeps_the_rest(loop: Loop) -> None:
    recorder, channel, peer = loop.pair()

    def one(piece: bytes) -> int:
        channel.pause()
        return 1

    recorder.eat = one
    peer.send(b"abcdef")
    loop.settle()
    for count in range(2, 7):
        assert recorder.data == b"abcdef"[: count - 1]
        channel.resume()
        loop.settle()
    assert recorder.data == b"abcdef"


def test_data_before_the_end_is_not_lost(loop: Loop) -> None:
    recorder, _, peer = loop.pair()
    data = b"d" * 150_000
    peer.setblocking(True)
    peer.send(data[:100_000])
    peer.send(data[100_000:])
    peer.close()
    loop.until(lambda: recorder.reasons)
    assert recorder.data == data
    assert recorder.reasons == ["connection closed by peer"]


def test_data_before_the_end_is_not_lost_while_paused(loop: Loop) -> None:
    recorder, channel, peer = loop.tcp_pair()
    channel.pause()
    peer.send(b"last words")
    peer.shutdown(socket.SHUT_WR)
    loop.turn(5)
    assert recorder.reasons == []
    channel.resume()
    loop.until(lambda: recorder.reasons)
    assert recorder.data == b"last words"


def test_a_half_closed_peer_still_hears(loop: Loop) -> None:
    recorder, channel, peer = loop.pair()
    recorder.eat = lambda piece: channel.send(bytearray(b"answer"), 0, 6) or len(piece)
    peer.send(b"question")
    peer.shutdown(socket.SHUT_WR)
    loop.until(lambda: recorder.reasons)
    assert peer.recv(100) == b"answer"


def test_a_reset(loop: Loop) -> None:
    recorder, _, peer = loop.tcp_pair()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    loop.until(lambda: recorder.reasons)
    assert recorder.reasons == ["Connection reset by peer"]


def test_a_reset_while_paused_is_heard(loop: Loop) -> None:
    recorder, channel, peer = loop.tcp_pair()
    channel.pause()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    loop.until(lambda: recorder.reasons)
    assert len(recorder.reasons) == 1


# -- sending


def fill(channel: Channel, size: int) -> bytes:
    data = random.Random(9).randbytes(size)
    channel.send(bytearray(data), 0, size)
    return data


def test_what_the_kernel_does_not_take_follows_in_order(loop: Loop) -> None:
    recorder, channel, peer = loop.pair()
    sent = b"".join(fill(channel, 300_000) for _ in range(8))
    assert channel.blocked and recorder.heard == ["blocked"]
    got = bytearray()
    while len(got) < len(sent):
        loop.turn()
        try:
            got += peer.recv(70_000)
        except BlockingIOError:
            continue
    assert got == sent
    assert recorder.heard == ["blocked", "unblocked"] and channel.unsent() == 0


def test_water_marks(loop: Loop) -> None:
    recorder, channel, peer = loop.pair()
    channel.high_water, channel.low_water = 1_000_000, 10
    while not channel.unsent():
        channel.send(bytearray(10_000), 0, 10_000)
    assert recorder.heard == []
    while channel.unsent() <= 1_000_000:
        assert recorder.heard == []
        channel.send(bytearray(100_000), 0, 100_000)
    assert recorder.heard == ["blocked"]
    while channel.blocked:
        assert recorder.heard == ["blocked"]
        peer.recv(50_000)
        loop.turn()
    assert recorder.heard == ["blocked", "unblocked"] and channel.unsent() <= 10


def test_the_sent_part_of_a_long_queue_is_given_back(loop: Loop) -> None:
    _, channel, peer = loop.pair()
    channel.high_water = 100_000
    fill(channel, 4_000_000)
    for _ in range(20):
        peer.recv(100_000)
        loop.turn()
        channel.send(bytearray(100_000), 0, 100_000)
    assert channel.unsent() < 4_500_000


def test_a_send_to_a_peer_that_is_gone_is_reported_once_and_later(loop: Loop) -> None:
    recorder, channel, peer = loop.tcp_pair()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    for _ in range(5):
        channel.send(bytearray(b"hello"), 0, 5)
        assert recorder.reasons == [], "from within its own call"
    loop.until(lambda: recorder.reasons)
    loop.turn(5)
    assert len(recorder.reasons) == 1
    channel.send(bytearray(b"hello"), 0, 5)
    loop.turn(5)
    assert len(recorder.reasons) == 1


# -- ending


def test_close_is_silent_and_final(loop: Loop) -> None:
    recorder, channel, peer = loop.pair()
    channel.close()
    channel.close()
    channel.pause()
    channel.resume()
    channel.send(bytearray(b"x"), 0, 1)
    channel.close_gracefully()
    loop.turn(5)
    assert recorder.shown == [] and recorder.reasons == []
    assert peer.recv(10) == b""


@pytest.mark.parametrize("queued", [0, 3_000_000])
def test_a_graceful_end_delivers_everything_and_reads_on(loop: Loop, queued: int) -> None:
    recorder, channel, peer = loop.tcp_pair()
    sent = fill(channel, queued) if queued else b""
    channel.send(bytearray(b"goodbye"), 0, 7)
    channel.close_gracefully()
    channel.close_gracefully()
    channel.send(bytearray(b"ignored"), 0, 7)
    got = bytearray()
    ended = False
    while not ended:
        loop.turn()
        try:
            piece = peer.recv(200_000)
            got += piece
            ended = not piece
        except BlockingIOError:
            continue
        if len(got) < 1_000_000:
            peer.send(b"more of the client's that nobody reads")
    assert got == sent + b"goodbye"
    assert recorder.reasons == [] and not channel.closed
    peer.close()
    loop.until(lambda: recorder.reasons)
    loop.turn(3)
    assert recorder.shown == [] and len(recorder.reasons) == 1


def test_a_graceful_end_while_paused_and_with_something_kept(loop: Loop) -> None:
    recorder, channel, peer = loop.pair()
    recorder.eat = lambda piece: channel.pause() or 0
    peer.send(b"command")
    loop.settle()
    channel.close_gracefully()
    peer.send(b"another")
    loop.turn(5)
    assert recorder.shown == [7]
    peer.close()
    loop.until(lambda: recorder.reasons)
    assert len(recorder.reasons) == 1


# -- calls from within calls


def test_close_within_on_data(loop: Loop) -> None:
    recorder, channel, peer = loop.pair()
    recorder.eat = lambda piece: channel.close() or len(piece)
    peer.send(b"abc")
    loop.turn(5)
    assert channel.closed and recorder.reasons == []


def test_graceful_close_within_on_data(loop: Loop) -> None:
    recorder, channel, peer = loop.pair()
    recorder.eat = lambda piece: channel.close_gracefully() or 1
    peer.send(b"abc")
    loop.turn(5)
    assert recorder.shown == [3] and recorder.reasons == []
    assert peer.recv(10) == b""
    peer.close()
    loop.until(lambda: recorder.reasons)
    assert recorder.shown == [3] and len(recorder.reasons) == 1


def test_close_within_on_blocked_and_on_unblocked(loop: Loop) -> None:
    recorder, channel, _ = loop.pair()
    recorder.on_blocked = channel.close  # type: ignore[method-assign]
    fill(channel, 3_000_000)
    assert channel.closed
    recorder, channel, peer = loop.pair()
    recorder.on_unblocked = channel.close  # type: ignore[method-assign]
    fill(channel, 3_000_000)
    while not channel.closed:
        try:
            peer.recv(1_000_000)
        except BlockingIOError:
            loop.turn()
    assert recorder.reasons == []


def test_fail_soon_twice_is_one_end(loop: Loop) -> None:
    recorder, channel, _ = loop.pair()
    channel.fail_soon("first")
    channel.fail_soon("second")
    assert recorder.reasons == []
    loop.turn(3)
    assert recorder.reasons == ["first"]


def test_a_handler_that_raises_is_reported_and_others_go_on(loop: Loop) -> None:
    bad, bad_channel, bad_peer = loop.pair()
    good, _, good_peer = loop.pair()

    def fall(piece: bytes) -> int:
        raise ValueError("a bug")

    bad.eat = fall
    bad_peer.send(b"x")
    good_peer.send(b"y")
    loop.until(lambda: good.data and loop.errors)
    assert [(watched is bad_channel, str(error)) for watched, error in loop.errors] == [(True, "a bug")]
    assert good.data == b"y"


def test_one_that_closes_another_of_the_same_turn(loop: Loop) -> None:
    first, first_channel, first_peer = loop.pair()
    second, second_channel, second_peer = loop.pair()
    first.eat = lambda piece: second_channel.close() or len(piece)
    second.eat = lambda piece: first_channel.close() or len(piece)
    first_peer.send(b"x")
    second_peer.send(b"x")
    loop.turn(5)
    assert len(first.shown) + len(second.shown) == 1
    assert not first.reasons and not second.reasons and not loop.errors


def test_an_event_of_a_descriptor_that_was_given_anew_is_not_the_new_ones(loop: Loop) -> None:
    """Two are ready; the first closes the second, whose number goes to a new connection that is opening."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        opened: list[tuple[Recorder, Channel]] = []

        def reopen(other: Channel) -> Callable[[bytes], int]:
            def eat(piece: bytes) -> int:
                if not opened:
                    number = other.fd
                    other.close()
                    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                    assert os.dup2(sock.fileno(), number) == number
                    sock.close()
                    recorder = Recorder()
                    channel = Channel(loop.poller, number, recorder, connecting=True)
                    recorder.channel = channel
                    loop.channels.append(channel)
                    opened.append((recorder, channel))
                return len(piece)

            return eat

        first, first_channel, first_peer = loop.pair()
        second, second_channel, second_peer = loop.pair()
        first.eat, second.eat = reopen(second_channel), reopen(first_channel)
        for peer in (first_peer, second_peer):
            peer.send(b"x")
            peer.close()
        loop.poller.run(0)
        recorder, channel = opened[0]
        assert recorder.heard == [] and recorder.reasons == [] and channel.connecting
        assert listener.fileno() >= 0


# -- connecting


def test_a_connection_that_is_refused(loop: Loop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    sock.connect_ex(address)
    recorder = Recorder()
    channel = Channel(loop.poller, sock.detach(), recorder, connecting=True)
    recorder.channel = channel
    channel.send(bytearray(b"preamble"), 0, 8)
    loop.until(lambda: recorder.reasons)
    assert recorder.heard == [] and recorder.reasons == ["Connection refused"]


def test_what_is_sent_while_connecting_is_the_first_that_arrives(loop: Loop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.connect_ex(listener.getsockname())
        recorder = Recorder()
        channel = Channel(loop.poller, sock.detach(), recorder, connecting=True)
        recorder.channel = channel
        loop.channels.append(channel)
        channel.send(bytearray(b"preamble"), 0, 8)
        loop.until(lambda: recorder.heard)
        peer, _ = listener.accept()
        with peer:
            assert peer.recv(100) == b"preamble"


def test_a_connection_that_ends_before_it_is_established(loop: Loop) -> None:
    recorder = Recorder()
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    channel = Channel(loop.poller, sock.detach(), recorder, connecting=True)
    recorder.channel = channel
    channel.close_gracefully()
    loop.until(lambda: recorder.reasons)
    assert channel.closed and len(recorder.reasons) == 1


def test_many_channels_leave_nothing(loop: Loop) -> None:
    before = len(os.listdir("/proc/self/fd"))
    generator = random.Random(11)
    for _ in range(300):
        recorder, channel, peer = loop.pair()
        peer.send(b"abc")
        ending = generator.randrange(4)
        if ending == 0:
            peer.close()
        elif ending == 1:
            channel.close()
        elif ending == 2:
            channel.close_gracefully()
            peer.close()
        else:
            channel.fail_soon("enough")
        loop.turn(2)
        peer.close()
        loop.until(lambda channel=channel: channel.closed)
        assert len(recorder.reasons) == (0 if ending == 1 else 1)
    assert len(os.listdir("/proc/self/fd")) == before
    assert not any(loop.poller.table)
