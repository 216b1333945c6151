"""What the supervisor is to its monitors and account managers: clocks, TLS contexts, and the way to the
workers.

Invariant: what was said to the workers is remembered, so that a new worker is told the same.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path

from fairlead.accounts.model import AccountSet
from fairlead.cluster.board import Board
from fairlead.cluster.defs import ServerDef, ServerFacts, Snapshot
from fairlead.workers.messages import Accounts, Facts, HangUp, ToWorker


class SupervisorHost:
    """Implements `MonitorHost` and `AccountHost`. `broadcast` sends to all workers."""

    def __init__(
        self,
        board: Board,
        datadir: Path,
        snapshot: Callable[[], Snapshot],
        broadcast: Callable[[ToWorker], None],
    ) -> None:
        self._board = board
        self._datadir = datadir
        self._snapshot = snapshot
        self._broadcast = broadcast
        self._contexts: dict[str, tuple[ServerDef, ssl.SSLContext]] = {}
        self.server_facts: dict[str, ServerFacts] = {}
        self.accounts: dict[str, Accounts] = {}

    @property
    def board(self) -> Board:
        """The status board."""
        return self._board

    @property
    def datadir(self) -> Path:
        """Where journals are kept."""
        return self._datadir

    def now(self) -> float:
        """Seconds of a clock that never goes back."""
        return time.monotonic()

    def wall_clock(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def snapshot(self) -> Snapshot:
        """The configuration in force."""
        return self._snapshot()

    def tls_context(self, server: ServerDef) -> ssl.SSLContext | None:
        """How to talk TLS with a server; made once per configuration of the server."""
        if not server.params.get("ssl"):
            return None
        known = self._contexts.get(server.name)
        if known is not None and known[0] == server:
            return known[1]
        from fairlead.net.tls import server_context

        context = server_context(server.params)
        self._contexts[server.name] = (server, context)
        return context

    def forget_tls(self) -> None:
        """Read the certificates again when they are needed next."""
        self._contexts.clear()

    # -- to the workers

    def hang_up(self, server: str, reason: str, gently: bool = False) -> None:
        """Close every connection to this server; `gently`: as soon as it is in nothing."""
        self._broadcast(HangUp(server, reason, gently))

    def facts(self, facts: ServerFacts) -> None:
        """Something has been learned about a server."""
        if self.server_facts.get(facts.name) != facts:
            self.server_facts[facts.name] = facts
            self._broadcast(Facts([facts]))

    def publish(self, service: str, version: int, loaded: bool, accounts: AccountSet) -> None:
        """The accounts of a service, or the answer that there is nothing new."""
        known = self.accounts.get(service)
        message = Accounts(service, version, loaded, accounts)
        self.accounts[service] = message
        if known is not None and known.version == version:
            message = Accounts(service, version, loaded, AccountSet())
        self._broadcast(message)
