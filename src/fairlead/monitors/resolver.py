"""Addresses of host names, remembered for a while, so that a server is recognised under any of its names."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable

# How long an answer is good, in seconds; also that there is none.
CACHE_S = 300.0
# How long one look-up may take, in seconds.
LOOKUP_TIMEOUT_S = 2.0


class Resolver:
    """A cache over the resolver of the system."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, frozenset[str]]] = {}

    async def resolve(self, hosts: Iterable[str]) -> dict[str, frozenset[str]]:
        """The addresses of these hosts; empty sets where nothing was found in time."""
        now = asyncio.get_running_loop().time()
        wanted = sorted(set(hosts))
        missing = [host for host in wanted if host not in self._known or now - self._known[host][0] > CACHE_S]
        answers = await asyncio.gather(*(self._look_up(host) for host in missing))
        for host, found in zip(missing, answers, strict=True):
            self._known[host] = (now, found)
        return {host: self._known[host][1] for host in wanted}

    async def _look_up(self, host: str) -> frozenset[str]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_S):
                found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError, UnicodeError):
            return frozenset()
        return frozenset(str(entry[4][0]) for entry in found)
