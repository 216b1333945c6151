"""What the monitors need of their surroundings; the supervisor implements it."""

from __future__ import annotations

import os
import ssl
from typing import Protocol

from fairlead.cluster.defs import ServerDef, ServerFacts


class MonitorHost(Protocol):
    """The supervisor, as the monitors see it. Nothing here blocks."""

    @property
    def datadir(self) -> str | os.PathLike[str]:
        """Where journals are kept."""

    def wall_clock(self) -> float:
        """Seconds since 1970."""

    def hang_up(self, server: str, reason: str, gently: bool = False) -> None:
        """Close every connection to this server, in all workers; `gently`: as soon as it is in nothing."""

    def facts(self, facts: ServerFacts) -> None:
        """Something has been learned about a server; tell the workers."""

    def tls_context(self, server: ServerDef) -> ssl.SSLContext | None:
        """The context for connections to this server; None without TLS. ValueError if it cannot be made."""
