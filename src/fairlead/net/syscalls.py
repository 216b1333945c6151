"""The system calls of the hot path on bare descriptors: the Python twin of `syscalls.pyx`, for uncompiled
runs.

Results are counts, or the negated errno: no exception is made for a socket that has nothing to say.
"""

from __future__ import annotations

import errno
import os
import select
import socket
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


def sys_send_bytes(fd: int, data: bytes) -> int:
    """Send the bytes; the count or -errno."""
    try:
        return os.write(fd, data)
    except OSError as error:
        return -(error.errno or errno.EIO)


def sys_send_last(fd: int, data: bytes) -> int:
    """Send the last words before the descriptor is closed: they leave together with the goodbye of TCP."""
    try:
        with socket.socket(fileno=os.dup(fd)) as sock:
            return sock.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL | socket.MSG_MORE)
    except OSError as error:
        return -(error.errno or errno.EIO)


def sys_error_of(fd: int) -> int:
    """The pending error (SO_ERROR) of a socket; 0: none."""
    try:
        with socket.socket(fileno=os.dup(fd)) as sock:
            return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    except OSError as error:
        return error.errno or errno.EIO


def sys_shutdown_write(fd: int) -> None:
    """Say that nothing more will be sent."""
    try:
        with socket.socket(fileno=os.dup(fd)) as sock:
            sock.shutdown(socket.SHUT_WR)
    except OSError:
        return


def sys_is_quiet(fd: int) -> bool:
    """Whether the peer of a connection has neither said anything that is unread nor gone."""
    try:
        with socket.socket(fileno=os.dup(fd)) as sock:
            sock.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK)
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def sys_close(fd: int) -> None:
    """Close a descriptor; what may go wrong with that is of no interest any more."""
    try:
        os.close(fd)
    except OSError:
        return


def sys_accept(listener: int) -> tuple[int, str, int]:
    """Accept a connection without blocking: (descriptor or -errno, address, port); a client of a Unix socket
    has the address "".
    """
    try:
        with socket.socket(fileno=os.dup(listener)) as sock:
            accepted, address = sock.accept()
    except OSError as error:
        return -(error.errno or errno.EIO), "", 0
    accepted.setblocking(False)
    if accepted.family == socket.AF_UNIX:
        return accepted.detach(), "", 0
    return accepted.detach(), str(address[0]), int(address[1])


def sys_connect(family: int, host: str, port: int, local: str) -> int:
    """Begin a TCP connection (no delay, keepalive) to a numeric address, from a local one unless that is
    empty; the descriptor or -errno.
    """
    sock = None
    try:
        socket.inet_pton(family, host)
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if local:
            sock.bind((local, 0))
        sock.connect((host, port))
    except BlockingIOError:
        pass
    except OSError as error:
        if sock is not None:
            sock.close()
        return -(error.errno or errno.EINVAL)
    assert sock is not None
    return sock.detach()


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
        self._events: list[tuple[int, int, int]] = []
        self._tags: dict[int, int] = {}
        self._capacity = capacity
        self.fd = self._epoll.fileno()

    def add(self, fd: int, events: int, tag: int) -> None:
        """Watch a descriptor; its events carry the tag."""
        self._epoll.register(fd, events)
        self._tags[fd] = tag

    def change(self, fd: int, events: int, tag: int) -> None:
        """Watch a descriptor for other events."""
        self._epoll.modify(fd, events)
        self._tags[fd] = tag

    def remove(self, fd: int) -> None:
        """Forget a descriptor; one that is not watched is ignored."""
        try:
            self._tags.pop(fd, None)
            self._epoll.unregister(fd)
        except (OSError, ValueError):
            return

    def wait(self, timeout_ms: int) -> int:
        """Wait for events; how many there are. -1: without limit."""
        timeout = None if timeout_ms < 0 else timeout_ms / 1000
        found = self._epoll.poll(timeout, self._capacity)
        self._events = [(fd, events, self._tags[fd]) for fd, events in found]
        return len(self._events)

    def wait_us(self, timeout_us: int) -> int:
        """Wait with a limit in microseconds; kernels before 5.11, and Python, round up to milliseconds."""
        return self.wait((timeout_us + 999) // 1000)

    def fd_at(self, index: int) -> int:
        """Descriptor of an event of the last wait."""
        return self._events[index][0]

    def tag_at(self, index: int) -> int:
        """Tag of an event of the last wait."""
        return self._events[index][2]

    def events_at(self, index: int) -> int:
        """Event mask of an event of the last wait."""
        return self._events[index][1]

    def close(self) -> None:
        """Close the epoll descriptor."""
        if self.fd >= 0:
            self._epoll.close()
            self.fd = -1
