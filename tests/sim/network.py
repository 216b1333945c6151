"""The simulated network: byte streams with delays, chunks, windows and faults, and Fairlead's end of them.

A `Stream` carries bytes one way. What it delivers, and in which pieces, the seed decides; the sum is always
what was sent, up to the byte at which a fault cuts it. A `Wire` is two streams between two ends. `SimChannel`
keeps the contract of `fairlead.net.channel.Channel` on such an end; a `Peer` is the end of a model.

Invariant: an end hears of the end of its wire exactly once, and of nothing after it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fairlead.net.channel import HIGH_WATER_BYTES, LOW_WATER_BYTES, Channel, Handler
from fairlead.net.poller import Poller

from .clock import Clock

if TYPE_CHECKING:
    from .server import Node

# Bytes that may be under way or unread in one direction, as a socket buffer would take.
WINDOW_BYTES = 20_000
# Delay of a piece, in microseconds; every now and then one takes longer.
DELAY_US = (20, 300)
LONG_DELAY_US = (1_000, 20_000)


class SimPoller(Poller):
    """The clock that sessions read."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.now_us = clock.now


class Stream:
    """One direction of a wire."""

    def __init__(self, network: Network, deliver: Callable[[bytes], None]) -> None:
        self.network = network
        self.deliver = deliver
        self.waiting = bytearray()
        # Bytes given to the receiver that it has not read yet.
        self.unread = 0
        self.delivered = 0
        self.cut_at: int | None = None
        self.on_cut: Callable[[], None] | None = None
        self.on_room: Callable[[], None] | None = None
        self.ended = False
        self.stalled_until = 0
        self._end: Callable[[], None] | None = None
        self._scheduled = False

    def room(self) -> int:
        """How many bytes the sender may hand in now."""
        return max(0, WINDOW_BYTES - len(self.waiting) - self.unread)

    def push(self, data: bytes) -> None:
        """Send bytes (the sender has asked for room)."""
        self.waiting += data
        self._schedule()

    def finish(self, callback: Callable[[], None]) -> None:
        """Tell the receiver, behind all bytes, that no more will come."""
        self._end = callback
        self._schedule()

    def drop(self) -> None:
        """Nothing more arrives."""
        self.ended = True
        self.waiting.clear()
        self._end = None

    def read(self, count: int) -> None:
        """The receiver has read so many bytes: there is room again."""
        had = self.room()
        self.unread -= count
        if self.on_room is not None and had < WINDOW_BYTES // 2 <= self.room():
            self.on_room()

    def _schedule(self) -> None:
        if self._scheduled or self.ended or not (self.waiting or self._end):
            return
        self._scheduled = True
        rng = self.network.rng
        delay = rng.randint(*(LONG_DELAY_US if rng.random() < 0.02 else DELAY_US))
        clock = self.network.clock
        self.network.clock.after(max(delay, self.stalled_until - clock.now), self._arrive)

    def _arrive(self) -> None:
        self._scheduled = False
        if self.ended:
            return
        if self.waiting:
            size = self._piece()
            piece = bytes(self.waiting[:size])
            del self.waiting[:size]
            if self.cut_at is not None and self.delivered + len(piece) >= self.cut_at:
                piece = piece[: max(0, self.cut_at - self.delivered)]
                self.unread += len(piece)
                if piece:
                    self.deliver(piece)
                cut, self.on_cut = self.on_cut, None
                if cut is not None:
                    cut()
                return
            self.delivered += len(piece)
            self.unread += len(piece)
            self.deliver(piece)
            self._schedule()
        elif self._end is not None:
            end, self._end = self._end, None
            self.ended = True
            end()

    def _piece(self) -> int:
        rng = self.network.rng
        roll = rng.random()
        if roll < 0.7:
            return len(self.waiting)
        if roll < 0.8:
            return rng.randint(1, min(6, len(self.waiting)))
        return rng.randint(1, len(self.waiting))


class Peer:
    """The end of a wire that belongs to a model; models derive from it."""

    wire: Wire
    side: int

    def connected(self) -> None:
        """The wire is there."""

    def received(self, data: bytes) -> None:
        """Bytes have arrived; they count as read when `consumed` says so."""

    def ended(self, reason: str) -> None:
        """The wire is gone."""

    def send(self, data: bytes) -> None:
        """Send bytes; models have room without limit, their patience is not what is tested."""
        if not self.wire.closed:
            self.wire.streams[self.side].push(data)

    def consumed(self, count: int) -> None:
        """So many bytes have been read."""
        self.wire.streams[1 - self.side].read(count)

    def hang_up(self) -> None:
        """Close this end: the other one reads what was sent, and then the end."""
        self.wire.close(self.side)


class Wire:
    """A connection between end 0, which opened it, and end 1."""

    def __init__(self, network: Network, name: str) -> None:
        self.network = network
        self.name = name
        self.ends: list[Any] = [None, None]
        self.closed = False
        self._gone = [False, False]
        self.streams = [
            Stream(network, lambda data: self._deliver(1, data)),
            Stream(network, lambda data: self._deliver(0, data)),
        ]

    def _deliver(self, side: int, data: bytes) -> None:
        if not self._gone[side]:
            self.ends[side].received(data)

    def shutdown(self, side: int) -> None:
        """This end sends nothing more."""
        self.streams[side].finish(lambda: self._tell(1 - side, "connection closed by peer"))

    def close(self, side: int) -> None:
        """This end is closed: it hears nothing more, and the other end hears of it."""
        if self._gone[side]:
            return
        self._gone[side] = True
        self.streams[1 - side].drop()
        if not self._gone[1 - side]:
            self.shutdown(side)
        self._settle()

    def reset(self, reason: str = "connection reset by peer") -> None:
        """The connection breaks for both ends."""
        for stream in self.streams:
            stream.drop()
        for side in (0, 1):
            self._tell(side, reason)

    def _tell(self, side: int, reason: str) -> None:
        if not self._gone[side]:
            self._gone[side] = True
            end = self.ends[side]
            self.network.clock.after(0, lambda: self._told(side, end, reason))
        self._settle()

    def _told(self, side: int, end: Any, reason: str) -> None:
        end.ended(reason)
        # A model that hears of the end closes its own side too.
        if isinstance(end, Peer) and not self._gone[1 - side]:
            self.shutdown(side)

    def _settle(self) -> None:
        if self._gone[0] and self._gone[1] and not self.closed:
            self.closed = True
            self.network.wires.pop(self, None)


class SimChannel(Channel):
    """Fairlead's end of a wire, behaving as a `Channel` does."""

    def __init__(self, network: Network, handler: Handler, wire: Wire, side: int, connecting: bool) -> None:
        # Not the descriptor's constructor: this channel has a wire.
        self.poller = network.poller
        self.handler = handler
        self.fd = -1
        self.closed = False
        self.connecting = connecting
        self.paused = False
        self.blocked = False
        self.want = 0
        self.finishing = False
        self.high_water = HIGH_WATER_BYTES
        self.low_water = LOW_WATER_BYTES
        self.network = network
        self.wire = wire
        self.side = side
        self.inbox = bytearray()
        self.outbox = bytearray()
        self.failure: str | None = None
        self.end_reason: str | None = None
        self.deferred = False
        # The server at the other end, if it is one.
        self.node: Node | None = None
        wire.ends[side] = self
        wire.streams[side].on_room = self._room
        network.channels.add(self)

    # -- called by the wire

    def opened(self) -> None:
        """The connection is established."""
        if self.closed or not self.connecting:
            return
        self.network.guard(self, self._open)

    def _open(self) -> None:
        self.connecting = False
        self.handler.on_connected()
        if not self.closed:
            self._push()

    def received(self, data: bytes) -> None:
        """Bytes have arrived in the kernel."""
        if self.closed:
            return
        self.inbox += data
        if not self.paused:
            self.network.guard(self, self._read)

    def ended(self, reason: str) -> None:
        """The other end is gone; what has arrived before is read first, unless the connection was reset."""
        if self.closed:
            return
        if reason == "connection closed by peer":
            self.end_reason = reason
            if not self.paused:
                self.network.guard(self, self._read)
        else:
            self.network.guard(self, lambda: self._lose(reason))

    # -- receiving

    def _read(self) -> None:
        if self.closed or self.connecting:
            return
        size = len(self.inbox)
        if self.finishing:
            self._consume(size)
        elif size and size >= self.want:
            self.want = 0
            buf = bytearray(self.inbox)
            position = self.handler.on_data(buf, 0, size)
            assert 0 <= position <= size, f"on_data returned {position} of {size}"
            if self.closed:
                return
            self._consume(position)
        if self.end_reason is not None and not self.paused:
            self._lose(self.end_reason)

    def _consume(self, count: int) -> None:
        del self.inbox[:count]
        self.wire.streams[1 - self.side].read(count)

    def _later(self) -> None:
        if not self.deferred:
            self.deferred = True
            self.network.clock.after(0, lambda: self.network.guard(self, self._go_on))

    def _go_on(self) -> None:
        self.deferred = False
        if self.closed:
            return
        if self.failure is not None:
            self._lose(self.failure)
        elif not self.paused:
            self._read()

    def _lose(self, reason: str) -> None:
        if not self.closed:
            handler = self.handler
            self.close()
            handler.on_closed(reason)

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        if self.paused:
            self.paused = False
            self._later()

    def is_quiet(self) -> bool:
        return not self.closed and not self.inbox and self.end_reason is None

    # -- sending

    def send(self, buf: bytearray, start: int, end: int) -> None:
        if self.closed or start >= end or self.finishing:
            return
        self.outbox += buf[start:end]
        self._push()
        if not self.closed and not self.blocked and len(self.outbox) > self.high_water:
            self.blocked = True
            self.handler.on_blocked()

    def _push(self) -> None:
        if self.connecting or not self.outbox:
            return
        stream = self.wire.streams[self.side]
        size = min(stream.room(), len(self.outbox))
        if size:
            stream.push(bytes(self.outbox[:size]))
            del self.outbox[:size]
        if self.finishing and not self.outbox:
            self.wire.shutdown(self.side)

    def _room(self) -> None:
        if not self.closed:
            self.network.clock.after(0, lambda: self.network.guard(self, self._flush))

    def _flush(self) -> None:
        if self.closed:
            return
        self._push()
        if self.blocked and len(self.outbox) <= self.low_water:
            self.blocked = False
            self.handler.on_unblocked()

    def unsent(self) -> int:
        return len(self.outbox)

    # -- ending

    def fail_soon(self, reason: str) -> None:
        if self.failure is None:
            self.failure = reason
            self._later()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.network.channels.discard(self)
            self.wire.close(self.side)

    def close_with(self, words: bytes) -> None:
        if not self.closed:
            if not self.outbox and not self.connecting:
                self.wire.streams[self.side].push(words)
            self.close()

    def close_gracefully(self) -> None:
        if self.closed or self.finishing:
            return
        self.finishing = True
        self.want = 0
        if self.connecting:
            self.fail_soon("closed")
            return
        if not self.outbox:
            self.wire.shutdown(self.side)
        self.paused = False
        self._later()


class Network:
    """All wires. `guard` runs product code: what it raises is a finding."""

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self.clock = clock
        self.rng = rng
        self.poller = SimPoller(clock)
        # In order of their making, so that a seed picks the same one every time.
        self.wires: dict[Wire, None] = {}
        self.channels: set[SimChannel] = set()
        self.on_exception: Callable[[SimChannel, Exception], None] | None = None

    def guard(self, channel: SimChannel, action: Callable[[], None]) -> None:
        """Run a piece of the product as the poller would."""
        self.poller.now_us = self.clock.now
        try:
            action()
        except Exception as error:
            if self.on_exception is None:
                raise
            self.on_exception(channel, error)

    def wire(self, name: str) -> Wire:
        """A new connection, without its ends."""
        wire = Wire(self, name)
        self.wires[wire] = None
        return wire
