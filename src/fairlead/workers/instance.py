"""One instance per data directory: the lock that says so, and the PID file.

Invariant: both locks are held from before the product serves anybody until the process ends; the kernel lets
go of them however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

LOCK_NAME = "maxscale.lock"
PID_NAME = "maxscale.pid"


class AlreadyRunning(Exception):
    """Another process holds a lock; the text says which and who."""


class Instance:
    """The locks of this process."""

    def __init__(self, datadir: Path, piddir: Path) -> None:
        self._lock_path = datadir / LOCK_NAME
        self._pid_path = piddir / PID_NAME
        self._descriptors: list[int] = []

    def acquire(self) -> None:
        """Take both locks and write the PID file; raises AlreadyRunning or OSError."""
        try:
            for path in (self._lock_path, self._pid_path):
                descriptor = _lock(path)
                self._descriptors.append(descriptor)
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            self._close()
            raise

    def release(self) -> None:
        """Remove the PID file and let go of the locks."""
        if self._descriptors:
            with contextlib.suppress(OSError):
                self._pid_path.unlink()
        self._close()

    def _close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        process = f"process {owner}" if owner else "another process"
        raise AlreadyRunning(f"Already running: {path} is locked by {process}") from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
