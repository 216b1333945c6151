"""The listening sockets of a worker: each worker has its own on every address (SO_REUSEPORT).

A client connection is complete (session, handler, channel) before its descriptor is watched, so that a
hang-up can only ever reach a whole object.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
from typing import TYPE_CHECKING

from fairlead.net.poller import EPOLLIN, Poller, Watched
from fairlead.net.syscalls import sys_accept

if TYPE_CHECKING:
    from fairlead.session.listener import ListenerRuntime
    from fairlead.workers.plane import Plane

# Connections accepted at most in one turn of the loop.
ACCEPT_BATCH = 64
BACKLOG = 4096
# Pause after running out of descriptors, in milliseconds.
EXHAUSTED_PAUSE_MS = 100

# Failures of accept that concern only the one client that came and went.
_PASSING = (-errno.ECONNABORTED, -errno.EINTR, -errno.EPROTO)

_log = logging.getLogger(__name__)


def listen_on(params: dict[str, object]) -> socket.socket:
    """A listening socket for a listener's address; OSError if it cannot be had."""
    path = params.get("socket")
    if path:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(str(path))
            sock.bind(str(path))
            os.chmod(str(path), 0o777)
            sock.listen(BACKLOG)
        except BaseException:
            sock.close()
            raise
        return sock
    address = str(params.get("address") or "::")
    port = int(str(params["port"]))
    try:
        return _listen_tcp(address, port)
    except OSError as error:
        if address == "::" and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            return _listen_tcp("0.0.0.0", port)
        raise


def _listen_tcp(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    if family == socket.AF_INET and not address.replace(".", "").isdigit():
        info = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        family, address = info[0], str(info[4][0])
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # The sockets of clients inherit it.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((address, port))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


class Acceptor(Watched):
    """One listening socket; `accepting` is False while the listener or its service is stopped."""

    def __init__(self, plane: Plane, poller: Poller, sock: socket.socket, listener: ListenerRuntime) -> None:
        super().__init__(sock.fileno())
        self.plane = plane
        self.poller = poller
        self.sock = sock
        self.listener = listener
        self.accepting = False

    def set_accepting(self, accepting: bool) -> None:
        """Take clients, or leave them in the kernel's backlog."""
        if accepting and not self.accepting:
            self.poller.watch(self, EPOLLIN)
        elif not accepting and self.accepting:
            self.poller.forget(self)
        self.accepting = accepting

    def on_event(self, events: int) -> None:
        for _ in range(ACCEPT_BATCH):
            if not self.accepting:
                return
            fd, address, port = sys_accept(self.fd)
            if fd >= 0:
                self.plane.accepted(fd, address, port, self.listener)
                continue
            if fd in (-errno.EMFILE, -errno.ENFILE):
                self.plane.out_of_descriptors(self)
            elif fd in _PASSING:
                continue
            elif fd != -errno.EAGAIN:
                _log.error(
                    "accept on listener failed: %s", os.strerror(-fd), extra={"object": self.listener.name}
                )
            return

    def close(self) -> None:
        """Stop listening."""
        self.set_accepting(False)
        self.sock.close()
