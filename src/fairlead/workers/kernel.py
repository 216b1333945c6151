"""The few things asked of the kernel that the standard library has no word for: names, parents, limits."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
from functools import cache

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
# The kernel keeps this much of a process name, without its terminating zero.
NAME_BYTES_MAX = 15


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> bool:
    """Be killed when the parent process ends; False if it has ended already."""
    _libc().prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    return os.getppid() == parent


def set_process_name(name: str) -> None:
    """The name that `top` and `ps -o comm` show."""
    _libc().prctl(_PR_SET_NAME, name.encode()[:NAME_BYTES_MAX], 0, 0, 0)


def raise_descriptor_limit() -> int:
    """Allow this process, and those it starts, as many descriptors as it may have; returns how many."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
