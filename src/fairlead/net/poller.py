"""The compiled host loop of a worker: it serves the channels itself and runs asyncio as its guest.

`Poller.run` waits on one epoll set and calls the objects behind ready descriptors; it returns only when the
guest (asyncio's own selector, one descriptor of the set) has something to do, so that a statement passes
without asyncio noticing. Descriptors are watched edge-triggered, which only naps ever change: what a channel
could not finish it puts on the deferred list, which is served before the next wait. Small sends wait in the
outbox, if there is one, until the end of the turn. An object whose descriptor never stops bringing data may
take naps: its events are switched off and it is called when its nap is over, so that it does not wake the
worker for every few kilobytes.

Invariant: a `Watched` is in the table exactly while its descriptor is in the epoll set, and its events are
switched off (`asleep`) only while it is on the list of those whose nap ends.
"""

from __future__ import annotations

import asyncio
import logging
import selectors
from collections.abc import Callable
from typing import Any

from fairlead.net.outbox import Outbox, open_outbox
from fairlead.net.syscalls import EpollSet, clock_us

# Bytes received at most by one recv of one channel: one buffer for the whole worker.
RECV_BUFFER_BYTES = 256 * 1024

# How long a nap is, in microseconds.
NAP_US = 100

EPOLLIN = 0x001
EPOLLOUT = 0x004
EPOLLERR = 0x008
EPOLLHUP = 0x010
EPOLLRDHUP = 0x2000
EPOLLET = 1 << 31

_NAP_US = NAP_US
_log = logging.getLogger(__name__)


class Watched:
    """Something with a descriptor that the poller calls."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.events = 0
        # Its events are switched off, and it is on the list of those whose nap ends.
        self.asleep = False
        self.napping = False
        # Tells the events of this object from late ones of an object that had the same descriptor.
        self.tag = 0

    def on_event(self, events: int) -> None:
        """The descriptor is ready: `events` is the epoll mask."""

    def on_deferred(self) -> None:
        """Called once, in the next turn, after `Poller.defer`."""

    def on_nap(self) -> None:
        """The nap is over; the descriptor is watched again unless the object takes the next one."""

    def on_unsent(self, rest: bytearray, error: int) -> None:
        """The kernel has not taken this of what was put into the outbox; errno, 0: it had no room."""


class Poller:
    """One epoll set, the objects behind it, the worker's receive buffer and its clock (microseconds).

    With an outbox small sends leave together at the end of a turn, without one each on its own.
    """

    def __init__(self, outbox: Outbox | None = None) -> None:
        self.outbox = outbox
        self.epoll = EpollSet(256)
        self.table: list[Watched | None] = [None] * 1024
        self.deferred: list[Watched] = []
        self.napping: list[Watched] = []
        self._naps_end_us = 0
        self.buffer = bytearray(RECV_BUFFER_BYTES)
        self.woken = False
        self.guest_ready = False
        self.guest_fd = -1
        self._last_tag = 0
        self.now_us = clock_us()
        self.wakeups = 0
        # Called with the object and the exception when a handler raised; the object is expected to end.
        self.on_error: Callable[[Watched, Exception], None] | None = None

    def watch(self, watched: Watched, events: int) -> None:
        """Serve the descriptor of this object from now on."""
        fd = watched.fd
        while fd >= len(self.table):
            self.table.extend([None] * len(self.table))
        self.table[fd] = watched
        self._last_tag = self._last_tag + 1 & 0xFFFFFFFF
        watched.tag = self._last_tag
        watched.events = events
        try:
            self.epoll.add(fd, events, watched.tag)
        except OSError:
            self.table[fd] = None
            raise

    def forget(self, watched: Watched) -> None:
        """Stop serving it; to be called before its descriptor is closed."""
        if self._knows(watched):
            self.table[watched.fd] = None
            self.epoll.remove(watched.fd)

    def closing(self, watched: Watched) -> None:
        """Stop serving an object whose descriptor is closed next, with which the kernel forgets it too."""
        if self._knows(watched):
            self.table[watched.fd] = None

    def defer(self, watched: Watched) -> None:
        """Call `on_deferred` of this object before the next wait."""
        self.deferred.append(watched)

    def nap(self, watched: Watched) -> None:
        """Call `on_nap` in a moment, and let no event of the descriptor be heard before."""
        if watched.napping:
            return
        if not self.napping:
            self._naps_end_us = self.now_us + _NAP_US
        watched.napping = True
        self.napping.append(watched)
        if not watched.asleep:
            watched.asleep = True
            self.epoll.change(watched.fd, EPOLLET, watched.tag)

    def wake(self, watched: Watched) -> None:
        """Watch the descriptor of an object that naps again now."""
        watched.asleep = False
        self.epoll.change(watched.fd, watched.events, watched.tag)

    def watch_guest(self, fd: int) -> None:
        """Return from `run` whenever this descriptor is readable."""
        self.guest_fd = fd
        self.epoll.add(fd, EPOLLIN, 0)

    def submit(self) -> None:
        """Send what is in the outbox."""
        outbox = self.outbox
        if outbox is None or outbox.count == 0:
            return
        left = outbox.submit()
        index = 0
        while index < left:
            watched = self.table[outbox.fd_at(index)]
            if watched is not None:
                watched.on_unsent(outbox.rest_at(index), outbox.error_at(index))
            index += 1

    def _run_deferred(self) -> None:
        batch = self.deferred
        self.deferred = []
        for watched in batch:
            try:
                watched.on_deferred()
            except Exception as error:
                self._failed(watched, error)

    def _end_naps(self) -> None:
        batch = self.napping
        self.napping = []
        for watched in batch:
            watched.napping = False
            try:
                try:
                    watched.on_nap()
                finally:
                    # What is ready by then makes an event.
                    if watched.asleep and not watched.napping and self._knows(watched):
                        self.wake(watched)
            except Exception as error:
                self._failed(watched, error)

    def _knows(self, watched: Watched) -> bool:
        fd = watched.fd
        return 0 <= fd < len(self.table) and self.table[fd] is watched

    def _failed(self, watched: Watched, error: Exception) -> None:
        if self.on_error is None:
            _log.error("unexpected error in a handler", exc_info=error)
        else:
            self.on_error(watched, error)

    def _dispatch(self, count: int) -> None:
        epoll = self.epoll
        index = 0
        while index < count:
            fd = epoll.fd_at(index)
            events = epoll.events_at(index)
            tag = epoll.tag_at(index)
            index += 1
            if fd == self.guest_fd:
                self.guest_ready = True
                continue
            watched = self.table[fd]
            if watched is not None and watched.tag == tag:
                try:
                    watched.on_event(events)
                except Exception as error:
                    self._failed(watched, error)

    def _wait(self, timeout_ms: int, deadline: int) -> int:
        """Wait for events until there is something else to do; how many there are."""
        now = self.now_us
        until = -1
        if self.woken or self.deferred:
            until = now
        elif timeout_ms >= 0:
            until = deadline
        if self.napping and (until < 0 or until > self._naps_end_us):
            count = self.epoll.wait_us(max(0, self._naps_end_us - now))
        elif until < 0:
            count = self.epoll.wait(-1)
        else:
            count = self.epoll.wait(max(0, (until - now + 999) // 1000))
        self.now_us = clock_us()
        return count

    def run(self, timeout_ms: int) -> None:
        """Serve until the guest is ready, somebody set `woken`, or the time is up (-1: no limit)."""
        self.guest_ready = False
        self.now_us = clock_us()
        deadline = self.now_us + timeout_ms * 1000
        while True:
            if self.deferred:
                self._run_deferred()
            self.submit()
            count = self._wait(timeout_ms, deadline)
            self.wakeups += 1
            self._dispatch(count)
            if self.napping and self.now_us >= self._naps_end_us:
                self._end_naps()
            self.submit()
            if self.guest_ready or self.woken or timeout_ms == 0:
                break
            if timeout_ms > 0 and self.now_us >= deadline:
                break
        self.woken = False

    def close(self) -> None:
        """Give back what the poller itself has opened, when what waits has been sent."""
        self.submit()
        self.epoll.close()
        if self.outbox is not None:
            self.outbox.close()
            self.outbox = None


class _GuestSelector(selectors.BaseSelector):
    """asyncio's selector: its own epoll set hangs in the poller's as one descriptor."""

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._inner = selectors.EpollSelector()
        poller.watch_guest(self._inner.fileno())

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.modify(fileobj, events, data)

    def get_map(self) -> Any:
        return self._inner.get_map()

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.get_key(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            milliseconds = -1
        elif timeout <= 0:
            milliseconds = 0
        else:
            milliseconds = int(timeout * 1000) + 1
        self._poller.run(milliseconds)
        return self._inner.select(0) if self._poller.guest_ready else []

    def close(self) -> None:
        self._inner.close()
        self._poller.close()


class WorkerLoop(asyncio.SelectorEventLoop):
    """An asyncio loop that lives in a poller; whatever is scheduled from a handler wakes it."""

    def __init__(self) -> None:
        self.poller = Poller(open_outbox())
        super().__init__(_GuestSelector(self.poller))

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.Handle:
        self.poller.woken = True
        return super().call_soon(callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        self.poller.woken = True
        return super().call_at(when, callback, *args, context=context)


def new_event_loop() -> WorkerLoop:
    """The event loop of a worker."""
    return WorkerLoop()
