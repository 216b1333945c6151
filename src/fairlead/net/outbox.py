"""The small sends of one turn, made together at its end: the Python twin of `outbox.pyx`, for uncompiled
runs.

It sends them one after the other, which saves nothing; what an owner of a channel sees is the same.
"""

from __future__ import annotations

import errno
import os

from fairlead.net.syscalls import sys_send_bytes

# Sends of one turn, and bytes of all of them together.
ENTRIES = 32
ARENA_BYTES = 128 * 1024


class Outbox:
    """Sends that wait for `submit`, in the order in which they were added."""

    def __init__(self) -> None:
        self.count = 0
        # Changes with every `submit`: entries of another turn are gone.
        self.turn = 1
        self._waiting: list[tuple[int, bytearray]] = []
        self._left: list[tuple[int, int, bytearray]] = []
        self._used = 0

    def add(self, fd: int, buf: bytearray, start: int, size: int) -> int:
        """Take over a copy of the bytes; the number of the entry, -1: there is no room before `submit`."""
        if self.count == ENTRIES or self._used + size > ARENA_BYTES:
            return -1
        self._waiting.append((fd, buf[start : start + size]))
        self._used += size
        self.count += 1
        return self.count - 1

    def extend(self, entry: int, buf: bytearray, start: int, size: int) -> bool:
        """Put more bytes behind those of the newest entry; False: it is not that one, or there is no room."""
        if entry != self.count - 1 or self._used + size > ARENA_BYTES:
            return False
        self._waiting[entry][1].extend(buf[start : start + size])
        self._used += size
        return True

    def submit(self) -> int:
        """Send all; how many entries the kernel has not taken whole: `fd_at`, `error_at` and `rest_at` tell
        of them until the next `add`.
        """
        self._left = []
        for fd, data in self._waiting:
            n = sys_send_bytes(fd, bytes(data))
            if n != len(data):
                error = -n if n < 0 and n != -errno.EAGAIN else 0
                self._left.append((fd, error, data[max(0, n) :]))
        self._waiting = []
        self.count = 0
        self._used = 0
        self.turn += 1
        return len(self._left)

    def fd_at(self, index: int) -> int:
        """Descriptor of an entry that was not taken whole."""
        return self._left[index][0]

    def error_at(self, index: int) -> int:
        """The errno that it failed with; 0: the kernel had no room."""
        return self._left[index][1]

    def rest_at(self, index: int) -> bytearray:
        """What was not sent of it."""
        return self._left[index][2]

    def close(self) -> None:
        """Give back what belongs to the kernel."""


def open_outbox() -> Outbox | None:
    """Made anew; None with `FAIRLEAD_IO_URING=0`, or where the kernel does not allow io_uring."""
    return Outbox() if os.environ.get("FAIRLEAD_IO_URING") != "0" else None
