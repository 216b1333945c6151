"""The configuration as plain values: what the supervisor tells its workers, and what every room reads.

A `Snapshot` is complete and immutable; a change of configuration is a new snapshot with a higher version.
Parameter values are native: durations are integer milliseconds, sizes integer bytes, booleans bool, lists and
masks tuples of strings, unset references and paths None, passwords decrypted text.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class ServerDef(Struct, frozen=True):
    """`[name] type=server`. `slot` is its place on the status board, fixed for the life of the object."""

    name: str
    slot: int
    params: dict[str, Any]

    @property
    def address(self) -> str:
        """What the object reaches: `host:port`, or the path of a socket."""
        if self.params.get("socket"):
            return str(self.params["socket"])
        return f"{self.params['address']}:{self.params['port']}"


class ServiceDef(Struct, frozen=True):
    """`[name] type=service`. `servers` are the direct servers, also those that come from a monitor
    (`cluster`).
    """

    name: str
    slot: int
    router: str
    params: dict[str, Any]
    servers: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    cluster: str | None = None
    stopped: bool = False


class ListenerDef(Struct, frozen=True):
    """`[name] type=listener`."""

    name: str
    service: str
    params: dict[str, Any]
    stopped: bool = False


class FilterDef(Struct, frozen=True):
    """`[name] type=filter`."""

    name: str
    module: str
    params: dict[str, Any]


class MonitorDef(Struct, frozen=True):
    """`[name] type=monitor`. `servers` are in the order of the configuration, which breaks ties."""

    name: str
    module: str
    servers: tuple[str, ...]
    params: dict[str, Any]
    stopped: bool = False


class Snapshot(Struct, frozen=True):
    """The whole configuration at one moment."""

    version: int
    globals: dict[str, Any]
    servers: tuple[ServerDef, ...] = ()
    services: tuple[ServiceDef, ...] = ()
    listeners: tuple[ListenerDef, ...] = ()
    filters: tuple[FilterDef, ...] = ()
    monitors: tuple[MonitorDef, ...] = ()


class ServerFacts(Struct, frozen=True):
    """What has been learned of a server by connecting to it.

    `version`: as in its handshake (a leading `5.5.5-` removed). `capabilities`: 64 bits, MariaDB's extended
    ones in the upper half. `charset`: collation id of its greeting. `variables`: global variables by
    lower-case name, for connection_metadata.
    """

    name: str
    version: str = ""
    capabilities: int = 0
    charset: int = 8
    variables: dict[str, str] = {}
