"""A channel: one connected descriptor, its unread remainder and its unsent rest.

Data is received into the poller's one buffer and handed to the handler in place; what the handler does not
consume (an incomplete packet) is kept and presented again with more bytes behind it. Sending goes straight
to the kernel, or, if it is little, there at the end of the turn (the poller's outbox); only what it does not
take is queued, and above `high_water` the handler is told to stop its source (`on_blocked`) until the queue
has drained below `low_water` (`on_unblocked`), so that memory stays flat. A descriptor that brings much is
read every now and then instead of at every arrival, which costs half and is faster (the poller's naps).

Invariant: the handler hears `on_closed` exactly once, never from within its own call to the channel, and
nothing after it.
"""

from __future__ import annotations

import errno
import os

from fairlead.net.poller import EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP, Poller, Watched
from fairlead.net.syscalls import (
    sys_close,
    sys_error_of,
    sys_is_quiet,
    sys_recv,
    sys_send,
    sys_send_last,
    sys_shutdown_write,
)

# A read is made only if at least this much room is left in the buffer, in bytes.
READ_HEADROOM_BYTES = 16 * 1024
# What goes through the outbox at most, in bytes: more is worth a call of its own, and no copy.
POSTED_BYTES = 4096
# A stream is read in naps once it has brought so many bytes in reads of so many each, in bytes.
STREAM_BYTES = 256 * 1024
STREAM_READ_BYTES = 8 * 1024
# Default water marks of the queue of unsent data, in bytes.
HIGH_WATER_BYTES = 65536
LOW_WATER_BYTES = 1024

_EVENTS = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET
_EPOLLIN = EPOLLIN
_EPOLLOUT = EPOLLOUT
_GONE = EPOLLHUP | EPOLLERR
_HANGUP = EPOLLRDHUP | EPOLLHUP | EPOLLERR
_HEADROOM = READ_HEADROOM_BYTES
_POSTED = POSTED_BYTES
_STREAM = STREAM_BYTES
_STREAM_READ = STREAM_READ_BYTES
_EAGAIN = -errno.EAGAIN


class Handler:
    """Who owns a channel and hears of it."""

    def on_connected(self) -> None:
        """The connection that was being opened is established."""

    def on_data(self, buf: bytearray, start: int, end: int) -> int:
        """Bytes have arrived; returns the position up to which they were consumed.

        The buffer is valid during the call only. With `channel.want` set, the next call comes only when at
        least so many bytes are there (counted from the returned position).
        """
        return end

    def on_closed(self, reason: str) -> None:
        """The connection is gone; the channel is closed already."""

    def on_blocked(self) -> None:
        """The queue of unsent data is above the high-water mark."""

    def on_unblocked(self) -> None:
        """The queue has drained below the low-water mark."""


class Channel(Watched):
    """One descriptor, owned: it is closed with the channel."""

    def __init__(self, poller: Poller, fd: int, handler: Handler, connecting: bool = False) -> None:
        super().__init__(fd)
        self.poller = poller
        self.handler = handler
        self.closed = False
        self.connecting = connecting
        self.paused = False
        self.blocked = False
        # How many bytes the handler needs before it can go on; 0: any.
        self.want = 0
        self._readable = False
        self._ended = False
        self._deferred = False
        # Bytes that came in large reads, one after the other.
        self._streak = 0
        # Set by close_gracefully: everything that arrives is thrown away.
        self.finishing = False
        self._failure: str | None = None
        self._kept: bytearray | None = None
        self._out: bytearray | None = None
        self._out_start = 0
        # The entry in the outbox, while it is of this turn. Nothing is queued in `_out` then.
        self._entry = 0
        self._entry_turn = 0
        self.high_water = HIGH_WATER_BYTES
        self.low_water = LOW_WATER_BYTES
        poller.watch(self, _EVENTS)

    # -- called by the poller

    def on_event(self, events: int) -> None:
        """The descriptor is readable, writable, or its peer has gone."""
        if self.closed:
            return
        if self.connecting:
            if not events & (_EPOLLOUT | _GONE):
                return
            self._finish_connect(events)
            # The peer's first words may have come with the same event, and no other will tell of them.
            if self.closed:
                return
        if events & _EPOLLOUT and self._out is not None:
            self.flush()
        if events & _HANGUP:
            self._ended = True
        if events & (_EPOLLIN | _HANGUP):
            self._readable = True
            if not self.paused:
                self.read()
            elif events & _GONE:
                self._lost("connection reset by peer")

    def on_deferred(self) -> None:
        """Go on with what could not be done at once."""
        self._deferred = False
        if self.closed:
            return
        if self._failure is not None:
            self._lost(self._failure)
            return
        if not self.paused and not self.connecting:
            self.read()

    def on_nap(self) -> None:
        """Read what has gathered."""
        if self.closed:
            return
        self._readable = True
        if not self.paused:
            self.read()
        if not self.napping:
            self._streak = 0

    def _took(self, n: int) -> None:
        self._streak = self._streak + n if n >= _STREAM_READ else 0

    def _after_read(self) -> None:
        """Go on with what is left in the kernel, or with what a stream will have brought in a moment."""
        if self.paused:
            return
        if self._readable:
            self._later()
        elif self._streak >= _STREAM and self._out is None:
            self.poller.nap(self)

    def _finish_connect(self, events: int) -> None:
        if events & _GONE:
            error = sys_error_of(self.fd)
            if error:
                self._lost(os.strerror(error))
                return
        self.connecting = False
        self.handler.on_connected()
        if not self.closed and self._out is not None:
            self.flush()

    # -- receiving

    def read(self) -> None:
        """Hand the kept remainder and what the kernel has to the handler, at most one buffer full."""
        poller = self.poller
        buf = poller.buffer
        used = 0
        kept = self._kept
        if kept is not None:
            used = len(kept)
            if used < self.want:
                self._gather(kept)
                return
            need = used + _HEADROOM
            if need > len(buf):
                buf = bytearray(need)
            buf[0:used] = kept
            self._kept = None
        n = 0
        if self._readable:
            room = len(buf) - used
            n = sys_recv(self.fd, buf, used, room)
            if n <= 0:
                if n == _EAGAIN:
                    self._readable = False
                    n = 0
                else:
                    self._lost("connection closed by peer" if n == 0 else os.strerror(-n))
                    return
            elif n < room and not self._ended:
                self._readable = False
            self._took(n)
        used += n
        if used == 0:
            return
        position = 0
        if self.finishing:
            position = used
        elif used >= self.want:
            self.want = 0
            position = self.handler.on_data(buf, 0, used)
            if self.closed:
                return
        if position < used:
            self._keep(buf, position, used)
        self._after_read()

    def _gather(self, kept: bytearray) -> None:
        """Add to a packet that is not whole yet; one that comes slowly must not be copied each time."""
        if not self._readable:
            return
        buf = self.poller.buffer
        n = sys_recv(self.fd, buf, 0, len(buf))
        if n == _EAGAIN:
            self._readable = False
            return
        if n <= 0:
            self._lost("connection closed by peer" if n == 0 else os.strerror(-n))
            return
        if n < len(buf) and not self._ended:
            self._readable = False
        self._took(n)
        kept += buf[0:n]
        used = len(kept)
        if used >= self.want:
            self.want = 0
            self._kept = None
            position = self.handler.on_data(kept, 0, used)
            if self.closed:
                return
            # What came in the meantime by close_gracefully is not wanted any more.
            if position < used and not self.finishing:
                self._keep(kept, position, used)
        self._after_read()

    def _keep(self, buf: bytearray, start: int, end: int) -> None:
        self._kept = buf[start:end]

    def take_kept(self) -> bytearray | None:
        """Take over the remainder that the handler has not consumed."""
        kept, self._kept = self._kept, None
        return kept

    def pause(self) -> None:
        """Stop handing data over."""
        self.paused = True

    def resume(self) -> None:
        """Hand data over again, from the next turn on."""
        if self.paused:
            self.paused = False
            self._later()

    def _later(self) -> None:
        if not self._deferred:
            self._deferred = True
            self.poller.defer(self)

    def is_quiet(self) -> bool:
        """Whether the peer has neither said anything that is unread nor gone."""
        return not self.closed and sys_is_quiet(self.fd)

    # -- sending

    def send(self, buf: bytearray, start: int, end: int) -> None:
        """Send bytes, or queue what the kernel does not take. A failure is reported later by `on_closed`."""
        if self.closed or start >= end or self.finishing:
            return
        # Whoever is spoken to may answer, which is no part of what streamed before.
        self._streak = 0
        if self.asleep:
            self.poller.wake(self)
        if self._out is None and not self.connecting and self._post(buf, start, end - start):
            return
        # What is in the outbox goes first, and may have had to be queued.
        if self._out is None and not self.connecting:
            n = sys_send(self.fd, buf, start, end - start)
            if n == end - start:
                return
            if n < 0:
                if n != _EAGAIN:
                    self.fail_soon(os.strerror(-n))
                    return
                n = 0
            start += n
        self._queue(buf, start, end)

    def _post(self, buf: bytearray, start: int, size: int) -> bool:
        """Put it into the outbox; False: it has to be sent, or queued, otherwise."""
        outbox = self.poller.outbox
        if outbox is None:
            return False
        if self._entry_turn == outbox.turn:
            if size <= _POSTED and outbox.extend(self._entry, buf, start, size):
                return True
            self.poller.submit()
        if size > _POSTED or self._out is not None:
            return False
        entry = outbox.add(self.fd, buf, start, size)
        if entry < 0:
            self.poller.submit()
            entry = outbox.add(self.fd, buf, start, size)
        self._entry = entry
        self._entry_turn = outbox.turn
        return True

    def on_unsent(self, rest: bytearray, error: int) -> None:
        """Queue what the kernel had no room for at the end of the turn."""
        if error:
            self.fail_soon(os.strerror(error))
            return
        self._out = rest
        self._out_start = 0
        self.flush()

    def _settle(self) -> None:
        """Send what is still in the outbox."""
        outbox = self.poller.outbox
        if outbox is not None and self._entry_turn == outbox.turn:
            self.poller.submit()

    def _queue(self, buf: bytearray, start: int, end: int) -> None:
        if self._out is None:
            self._out = buf[start:end]
            self._out_start = 0
        else:
            self._out += buf[start:end]
        if not self.blocked and len(self._out) - self._out_start > self.high_water:
            self.blocked = True
            self.handler.on_blocked()

    def flush(self) -> None:
        """Send what is queued as far as the kernel takes it."""
        while self._out is not None:
            size = len(self._out) - self._out_start
            n = sys_send(self.fd, self._out, self._out_start, size)
            if n < 0:
                if n != _EAGAIN:
                    self.fail_soon(os.strerror(-n))
                return
            if n == size:
                self._out = None
                self._out_start = 0
                if self.finishing:
                    sys_shutdown_write(self.fd)
            else:
                self._out_start += n
                if self._out_start > self.high_water:
                    del self._out[: self._out_start]
                    self._out_start = 0
            if self.blocked and self.unsent() <= self.low_water:
                self.blocked = False
                self.handler.on_unblocked()
                if self.closed:
                    return

    def unsent(self) -> int:
        """Bytes queued; what is in the outbox may have to be, and is sent first."""
        self._settle()
        return 0 if self._out is None else len(self._out) - self._out_start

    # -- ending

    def fail_soon(self, reason: str) -> None:
        """Report the connection as lost in the next turn."""
        if self._failure is None:
            self._failure = reason
            self._later()

    def _lost(self, reason: str) -> None:
        if not self.closed:
            handler = self.handler
            self.close()
            handler.on_closed(reason)

    def close(self) -> None:
        """Close at once; the handler hears nothing more."""
        if not self.closed:
            self._settle()
            self.closed = True
            self.poller.closing(self)
            sys_close(self.fd)
            self.fd = -1
            self._kept = None
            self._out = None

    def close_with(self, words: bytes) -> None:
        """Close at once, but send these few last words if nothing else waits to be sent."""
        if not self.closed:
            self._settle()
            if self._out is None and not self.connecting:
                sys_send_last(self.fd, words)
            self.close()

    def close_gracefully(self) -> None:
        """Send what is queued, say goodbye, and read until the peer has closed too.

        Without that, data of the peer that is still unread would make the kernel throw away the last words
        sent. The owner closes the channel for good if the peer does not do it.
        """
        if self.closed or self.finishing:
            return
        self.finishing = True
        self._kept = None
        self.want = 0
        if self.connecting:
            self.fail_soon("closed")
            return
        self._settle()
        if self._out is None:
            sys_shutdown_write(self.fd)
        self.paused = False
        self._readable = True
        self._later()
