"""The system calls of the hot path on bare descriptors: the Python twin of `syscalls.pyx`, for uncompiled
runs.

Results are counts, or the negated errno: no exception is made for a socket that has nothing to say.
"""

from __future__ import annotations

import os
import select
import time


def sys_recv(fd: int, buf: bytearray, start: int, size: int) -> int:
    """Receive up to `size` bytes into `buf` at `start`; the count, 0 at end of stream, or -errno."""
    try:
        with memoryview(buf) as whole, whole[start : start + size] as view:
            return os.readv(fd, [view])
    except OSError as error:
        return -(error.errno or 5)


def sys_send(fd: int, buf: bytearray, start: int, size: int) -> int:
    """Send up to `size` bytes of `buf` from `start`; the count or -errno."""
    try:
        with memoryview(buf) as whole, whole[start : start + size] as view:
            return os.writev(fd, [view])
    except OSError as error:
        return -(error.errno or 5)


def copy_bytes(target: bytearray, source: bytearray, start: int, end: int) -> None:
    """Make `target` a copy of a part of `source`, in the memory it has if that suffices."""
    target[:] = source[start:end]


def clock_us() -> int:
    """The monotonic clock in microseconds."""
    return time.monotonic_ns() // 1000


class EpollSet:
    """An epoll descriptor and the events of its last wait."""

    def __init__(self, capacity: int = 256) -> None:
        self._epoll = select.epoll()
        self._events: list[tuple[int, int]] = []
        self._capacity = capacity
        self.fd = self._epoll.fileno()

    def add(self, fd: int, events: int) -> None:
        """Watch a descriptor."""
        self._epoll.register(fd, events)

    def remove(self, fd: int) -> None:
        """Forget a descriptor; one that is not watched is ignored."""
        try:
            self._epoll.unregister(fd)
        except (OSError, ValueError):
            return

    def wait(self, timeout_ms: int) -> int:
        """Wait for events; how many there are. -1: without limit."""
        timeout = None if timeout_ms < 0 else timeout_ms / 1000
        self._events = self._epoll.poll(timeout, self._capacity)
        return len(self._events)

    def fd_at(self, index: int) -> int:
        """Descriptor of an event of the last wait."""
        return self._events[index][0]

    def events_at(self, index: int) -> int:
        """Event mask of an event of the last wait."""
        return self._events[index][1]

    def close(self) -> None:
        """Close the epoll descriptor."""
        if self.fd >= 0:
            self._epoll.close()
            self.fd = -1
