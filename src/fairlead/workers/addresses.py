"""Listener addresses: found free before a configuration is applied, and held while it is in force.

The supervisor holds each TCP address by a socket that is bound with SO_REUSEPORT and never listens; the
workers bind theirs beside it. So no other program takes a port while a worker is being replaced, and a
configuration whose addresses are taken is refused before any worker has seen it. A Unix socket has one
listening process only: worker 0 creates it, here it is only checked and, at the end, removed.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Iterable

from msgspec import Struct

from fairlead.cluster.defs import ListenerDef

# sun_path without its terminating zero.
UNIX_PATH_BYTES_MAX = 107
RESOLVE_TIMEOUT_S = 5.0
_PROBE_TIMEOUT_S = 1.0
_ANY_IPV6 = "::"
_ANY_IPV4 = "0.0.0.0"


class Address(Struct, frozen=True):
    """Where a listener listens: `path`, or else `host` and `port`."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class AddressTaken(Exception):
    """An address cannot be listened on; the text says why."""


def address_of(listener: ListenerDef) -> Address:
    """The address in a listener's parameters."""
    path = listener.params.get("socket")
    if path:
        return Address(path=str(path))
    return Address(str(listener.params.get("address") or _ANY_IPV6), int(listener.params.get("port") or 0))


class ListenerAddresses:
    """The addresses of the configuration in force, plus those of one that is being tried."""

    def __init__(self) -> None:
        self._held: dict[Address, socket.socket | None] = {}
        self._tried: dict[Address, socket.socket | None] = {}

    def __len__(self) -> int:
        return len(self._held) + len(self._tried)

    async def take(self, listeners: Iterable[ListenerDef]) -> dict[str, str]:
        """Take what these listeners need beyond what is held already; returns errors by listener name."""
        assert not self._tried, "one configuration at a time"
        errors: dict[str, str] = {}
        for listener in listeners:
            address = address_of(listener)
            if address in self._held or address in self._tried:
                continue
            try:
                self._tried[address] = await hold(address)
            except AddressTaken as error:
                errors[listener.name] = str(error)
        return errors

    def keep(self, listeners: Iterable[ListenerDef]) -> None:
        """The configuration is in force: hold what it needs and nothing else."""
        self._held.update(self._tried)
        self._tried.clear()
        needed = {address_of(listener) for listener in listeners}
        for address in [address for address in self._held if address not in needed]:
            release(address, self._held.pop(address))

    def give_up(self) -> None:
        """The configuration that was tried is not taken."""
        for holder in self._tried.values():
            if holder is not None:
                holder.close()
        self._tried.clear()

    def close(self) -> None:
        """Let go of everything."""
        self.give_up()
        for address, holder in self._held.items():
            release(address, holder)
        self._held.clear()


async def hold(address: Address) -> socket.socket | None:
    """See that nobody uses the address, and hold it as far as it can be held."""
    if address.path:
        check_unix_path(address.path)
        return None
    failure: OSError | None = None
    for family, host in await _candidates(address.host):
        try:
            _bind(family, host, address.port, reuse_port=False).close()
            return _bind(family, host, address.port, reuse_port=True)
        except OSError as error:
            failure = error
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                break
    assert failure is not None
    raise AddressTaken(f"Cannot listen on {address}: {failure.strerror or failure}")


async def _candidates(host: str) -> list[tuple[int, str]]:
    if host in ("", _ANY_IPV6):
        # A machine without IPv6 listens on all of IPv4 instead.
        return [(socket.AF_INET6, _ANY_IPV6), (socket.AF_INET, _ANY_IPV4)]
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except TimeoutError:
        raise AddressTaken(f"Cannot listen on '{host}': the name is not resolved in time") from None
    except OSError as error:
        raise AddressTaken(f"Cannot listen on '{host}': {error.strerror or error}") from None
    family, _type, _protocol, _name, place = found[0]
    return [(family, str(place[0]))]


def _bind(family: int, host: str, port: int, *, reuse_port: bool) -> socket.socket:
    holder = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Without SO_REUSEADDR the closed connections of an earlier run would count as users of the port.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        holder.bind((host, port))
    except BaseException:
        holder.close()
        raise
    return holder


def check_unix_path(path: str) -> None:
    """See that worker 0 will be able to create this socket. A stale one is no obstacle."""
    if len(os.fsencode(path)) > UNIX_PATH_BYTES_MAX:
        raise AddressTaken(
            f"Cannot listen on {path}: a socket's path has at most {UNIX_PATH_BYTES_MAX} bytes"
        )
    directory = os.path.dirname(path) or "."
    if not os.path.isdir(directory):
        raise AddressTaken(f"Cannot listen on {path}: there is no directory {directory}")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise AddressTaken(f"Cannot listen on {path}: {directory} cannot be written")
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise AddressTaken(f"Cannot listen on {path}: there is a file of this name that is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_TIMEOUT_S)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except OSError:
            pass
    raise AddressTaken(f"Cannot listen on {path}: {os.strerror(errno.EADDRINUSE)}")


def release(address: Address, holder: socket.socket | None) -> None:
    """Let go of one address."""
    if holder is not None:
        holder.close()
    elif address.path:
        try:
            if stat.S_ISSOCK(os.lstat(address.path).st_mode):
                os.unlink(address.path)
        except OSError:
            return
