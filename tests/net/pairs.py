"""Channels over socket pairs and a real poller: what the tests of this room set up and hear."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from fairlead.net.channel import Channel, Handler
from fairlead.net.outbox import Outbox, open_outbox
from fairlead.net.poller import Poller, Watched


def outbox_or_skip() -> Outbox:
    """An outbox, if the kernel allows one."""
    found = open_outbox()
    if found is None:
        pytest.skip("no io_uring here")
    return found


class Recorder(Handler):
    """Writes down what it hears. `eat`: how much of what is shown it consumes; the default is everything."""

    def __init__(self) -> None:
        self.channel: Channel | None = None
        self.data = bytearray()
        self.shown: list[int] = []
        self.heard: list[str] = []
        self.reasons: list[str] = []
        self.eat: Callable[[bytes], int] = len

    def on_connected(self) -> None:
        self.heard.append("connected")

    def on_data(self, buf: bytearray, start: int, end: int) -> int:
        assert not self.reasons, "data after the end"
        self.shown.append(end - start)
        piece = bytes(buf[start:end])
        count = self.eat(piece)
        self.data += piece[:count]
        return start + count

    def on_closed(self, reason: str) -> None:
        assert self.channel is None or self.channel.closed
        self.reasons.append(reason)

    def on_blocked(self) -> None:
        self.heard.append("blocked")

    def on_unblocked(self) -> None:
        self.heard.append("unblocked")


class Loop:
    """A poller whose errors are kept, and the pairs that were made."""

    def __init__(self, outbox: Outbox | None = None) -> None:
        self.poller = Poller(outbox)
        self.errors: list[tuple[Watched, Exception]] = []
        self.poller.on_error = lambda watched, error: self.errors.append((watched, error))
        self.peers: list[socket.socket] = []
        self.channels: list[Channel] = []

    def pair(self) -> tuple[Recorder, Channel, socket.socket]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        return self.own(ours, theirs)

    def own(self, ours: socket.socket, theirs: socket.socket) -> tuple[Recorder, Channel, socket.socket]:
        recorder = Recorder()
        channel = Channel(self.poller, ours.detach(), recorder)
        recorder.channel = channel
        self.peers.append(theirs)
        self.channels.append(channel)
        return recorder, channel, theirs

    def tcp_pair(self) -> tuple[Recorder, Channel, socket.socket]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            theirs = socket.create_connection(listener.getsockname())
            ours, _ = listener.accept()
        ours.setblocking(False)
        theirs.setblocking(False)
        return self.own(ours, theirs)

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.poller.run(0)

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            self.poller.run(1)
            assert time.monotonic() < deadline, "it does not happen"

    def settle(self) -> None:
        """Until a few turns have brought nothing."""
        quiet = 0
        while quiet < 3:
            before = [(len(each.handler.data), len(each.handler.shown)) for each in self._recorders()]
            self.turn()
            after = [(len(each.handler.data), len(each.handler.shown)) for each in self._recorders()]
            quiet = quiet + 1 if before == after and not self.poller.deferred else 0

    def _recorders(self) -> list[Channel]:
        return [channel for channel in self.channels if isinstance(channel.handler, Recorder)]

    def close(self) -> None:
        for channel in self.channels:
            channel.close()
        self.poller.close()
        for peer in self.peers:
            peer.close()


def reopen(loop: Loop, number: int) -> tuple[Recorder, Channel, socket.socket]:
    """A new pair whose first end has this number, which was just given back."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    ours.setblocking(False)
    fd = ours.detach()
    if fd != number:
        other = theirs.detach()
        if other == number:
            fd, other = other, fd
        else:
            os.dup2(fd, number)
            os.close(fd)
            fd = number
        theirs = socket.socket(fileno=other)
    return loop.own(socket.socket(fileno=fd), theirs)


# Before a script of `run_refused`: `refuse` lets system calls fail, `works` tries a poller.
REFUSED = """
import ctypes, os, resource, socket, struct, sys
from fairlead.net.outbox import Outbox, open_outbox
from fairlead.net.poller import Poller
from fairlead.net.channel import Channel, Handler

class Kept(Handler):
    data = b""
    def on_data(self, buf, start, end):
        self.data += buf[start:end]
        return end

def refuse(errno, *numbers):
    "Let these system calls fail from now on."
    def line(code, true, false, value):
        return struct.pack("HBBI", code, true, false, value)
    program = line(0x20, 0, 0, 0)
    for at, number in enumerate(numbers):
        program += line(0x15, len(numbers) - at, 0, number)
    program += line(0x06, 0, 0, 0x7fff0000) + line(0x06, 0, 0, 0x00050000 | errno)
    lines = ctypes.create_string_buffer(program)
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(lines)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, header, 0, 0):
        print("no seccomp")
        sys.exit()

def works(poller):
    pairs = [socket.socketpair() for _ in range(3)]
    for pair in pairs:
        for each in pair:
            each.setblocking(False)
    kept = [Kept() for _ in pairs]
    channels = [Channel(poller, ours.detach(), each) for (ours, _), each in zip(pairs, kept)]
    for channel, (_, theirs) in zip(channels, pairs):
        channel.send(bytearray(b"there"), 0, 5)
        theirs.send(b"back")
    for _ in range(5):
        poller.run(1)
    assert [theirs.recv(10) for _, theirs in pairs] == [b"there"] * 3
    assert [each.data for each in kept] == [b"back"] * 3
    for channel in channels:
        channel.close()
    poller.close()

"""


def run_refused(script: str, **environment: str) -> None:
    """Run a script in a process of its own, whose kernel it may spoil."""
    done = subprocess.run(
        [sys.executable, "-c", REFUSED + script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if "no seccomp" in done.stdout:
        pytest.skip("no seccomp here")
