"""Names and addresses: resolved in threads, remembered for a while, so that no session ever waits for DNS.

Invariant: both tables are bounded and their entries expire.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any

# How long an answer counts, in seconds.
ANSWER_SECONDS = 60.0
ENTRIES_MAX = 1024
# A look-up that takes longer counts as without result, in seconds.
LOOKUP_SECONDS = 5.0


class NameResolver:
    """Reverse look-ups of clients, forward look-ups of servers."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._hosts: dict[str, tuple[float, str | None]] = {}
        self._addresses: dict[tuple[str, int], tuple[float, tuple[Any, Any]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def resolve(self, address: str, callback: Callable[[str | None], None]) -> None:
        """Tell the host name of an address; None if it has none."""
        known = self._hosts.get(address)
        if known is not None and known[0] > time.monotonic():
            self._loop.call_soon(callback, known[1])
            return
        task = self._loop.create_task(self._look_up(address, callback))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_up(self, address: str, callback: Callable[[str | None], None]) -> None:
        name: str | None = None
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                found, _ = await self._loop.getnameinfo((address, 0), socket.NI_NAMEREQD)
                name = found
        except (OSError, TimeoutError):
            name = None
        if len(self._hosts) >= ENTRIES_MAX:
            self._hosts.clear()
        self._hosts[address] = (time.monotonic() + ANSWER_SECONDS, name)
        callback(name)

    def address_of(self, host: str, port: int) -> tuple[Any, Any]:
        """(family, socket address) of a server. A name is looked up at once the first time, then once a
        minute.
        """
        key = (host, port)
        known = self._addresses.get(key)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        info = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = (info[0], info[4])
        if len(self._addresses) >= ENTRIES_MAX:
            self._addresses.clear()
        self._addresses[key] = (time.monotonic() + ANSWER_SECONDS, found)
        return found
