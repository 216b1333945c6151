"""What the REST API needs from the product: one interface, implemented by the supervisor, faked by the tests.

The API never touches workers, monitors or files behind it. Invariant: whatever changes something is awaited
here, and what it raises (`ProductError`, `ConfigErrors`) is the answer the client gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from fairlead.cluster.board import Board
from fairlead.cluster.defs import ServerFacts, Snapshot
from fairlead.config.store import Change, ConfigStore

# What the API shows as it is given; every value can be encoded as JSON.
Json = Any


class ProductError(Exception):
    """A request is refused or failed; each of `details` is a sentence for the client (status 400)."""

    def __init__(self, *details: str) -> None:
        super().__init__("; ".join(details))
        self.details = list(details)


class UnknownCommand(LookupError):
    """There is no such module command, or not with this verb (status 404)."""


class SessionInfo(Struct, frozen=True):
    """One client session. `attributes`: as in spec core.md d4 `sessions`; `filters`: names of its filters."""

    id: int
    service: str
    attributes: dict[str, Json]
    filters: tuple[str, ...] = ()


class ThreadInfo(Struct, frozen=True):
    """What the board does not tell about a worker; `stats` is laid over what it tells (d4 `threads`).

    `load`: percent busy in the last second, minute and hour; None: the API derives it from the board.
    """

    id: int
    state: str = "Active"
    listening: bool = True
    load: tuple[int, int, int] | None = None
    stats: dict[str, Json] = {}


class AccountList(Struct, frozen=True):
    """The accounts a service has loaded: {user, host, plugin, ssl, super_priv, global_priv, proxy_priv,
    default_role}; `loaded_at`: unix seconds, None if nothing has been loaded yet."""

    users: list[dict[str, Json]]
    loaded_at: float | None = None


class MonitorFacade(Protocol):
    """The monitors, as far as the API knows them."""

    async def set_state(self, server: str, state: str, force: bool, timeout_ms: int = 0) -> None:
        """Set a status bit of a server, monitored or not; waits for the tick. `timeout_ms`: how long draining
        leaves open connections alone (0: for ever). ValueError(text): refused."""

    async def clear_state(self, server: str, state: str) -> None:
        """Clear a status bit of a server; waits for the tick. ValueError(text): refused."""

    def diagnostics(self, monitor: str) -> dict[str, Json]:
        """`monitor_diagnostics` of a monitor."""

    def ticks(self, monitor: str) -> int:
        """How often this monitor has looked since it was started."""

    def state(self, monitor: str) -> str:
        """`Running` or `Stopped`."""

    def server_attributes(self, server: str) -> dict[str, Json]:
        """The attributes of a server that its monitor knows: gtid_current_pos, slave_connections, ..."""


class Product(Protocol):
    """Everything behind the API."""

    @property
    def store(self) -> ConfigStore:
        """The configuration. The API makes changes with it and hands them to `change`."""

    @property
    def board(self) -> Board:
        """Statuses and counters."""

    @property
    def started_at(self) -> float:
        """Unix seconds."""

    @property
    def monitors(self) -> MonitorFacade:
        """The monitors."""

    @property
    def stopping(self) -> bool:
        """The product is shutting down: requests are answered with 503."""

    @property
    def log_path(self) -> Path | None:
        """The log file; None: it goes to standard output."""

    # -- configuration

    async def change(self, change: Change) -> None:
        """Apply a change everywhere, then commit it to the store; if any part refuses, nothing has changed.

        Raises ProductError or ConfigErrors. The API never calls it twice at the same time.
        """

    async def close_cut_off(self, before: Snapshot) -> None:
        """After a change with `force=yes`: close the sessions of services and listeners that ran in `before`
        and are stopped or gone now."""

    async def reload_tls(self) -> None:
        """Read all certificates of servers and listeners again; ProductError if one is not usable."""

    # -- states

    def service_state(self, service: str) -> str:
        """Started, Stopped, Failed or Allocated."""

    def listener_state(self, listener: str) -> str:
        """Running, Stopped, Failed or Created."""

    def facts(self, server: str) -> ServerFacts | None:
        """What is known of a server by connecting to it."""

    def service_started_at(self, service: str) -> float:
        """Unix seconds."""

    def router_diagnostics(self, service: str) -> dict[str, Json]:
        """What the router adds to the counters on the board, e.g. `last_gtid`; may be empty."""

    def filter_diagnostics(self, filter_name: str) -> dict[str, Json] | None:
        """`filter_diagnostics` of a filter; None if it has none."""

    # -- sessions and workers

    async def sessions(self, rdns: bool = False) -> list[SessionInfo]:
        """All sessions, in the order of their ids; `rdns`: with names of the clients' addresses."""

    async def session(self, session_id: int, rdns: bool = False) -> SessionInfo | None:
        """One session."""

    async def close_session(self, session_id: int, ttl_s: float) -> bool:
        """End a session now (0), or when it is idle and after `ttl_s` at the latest; False: there is none."""

    async def alter_session(
        self, session_id: int, parameters: dict[str, Json], filters: Sequence[str] | None
    ) -> bool:
        """Change log levels (`log_info`, ...) or the filters of a session; False: there is none."""

    async def restart_sessions(self, session_id: int | None) -> bool:
        """Build the router's part of one session, or of all, anew; False: there is none."""

    async def threads(self) -> list[ThreadInfo]:
        """The workers, in the order of their ids (`W` of the board)."""

    # -- accounts, log, commands, classifier

    async def pause_service(self, service: str, timeout_ms: int) -> int:
        """Hold back the statements of a service for so long at most; how many sessions are still in the
        middle of something. ProductError if `timeout_ms` is too long.
        """

    async def resume_service(self, service: str) -> None:
        """End the pause."""

    async def reload_accounts(self, service: str) -> None:
        """Read the accounts of a service again; ProductError if that fails."""

    def accounts(self, service: str) -> AccountList:
        """The accounts of a service."""

    def rotate_logs(self) -> None:
        """Open the log files again."""

    async def command(self, module: str, command: str, arguments: Sequence[str], verb: str) -> Json:
        """Run a module command; `verb` is GET or POST. The result, None without one.

        Raises UnknownCommand, or ProductError with the reasons of a failure.
        """

    async def classify(self, sql: str) -> dict[str, Json]:
        """What the classifier says: canonical, fields, functions, operation, parse_result, type_mask."""

    async def classifier_cache(self, top: int) -> list[dict[str, Json]]:
        """The hottest entries: {"canonical", "hits", "classification"}; merged over the workers."""

    async def memory(self) -> dict[str, int]:
        """Bytes: query_classifier, sessions, zombies; the API adds `total`."""
