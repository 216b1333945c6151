"""A server, or a service as a target of services, as the sessions of a worker know it.

The object lives as long as that is configured; what follows from its parameters is worked out once, when they
change.
"""

from __future__ import annotations

from typing import Any

from fairlead.cluster.defs import ServerDef, ServerFacts


class Server:
    """`slot`: its place on the status board."""

    def __init__(self, definition: ServerDef) -> None:
        self.name = definition.name
        self.slot = definition.slot
        self.facts = ServerFacts(definition.name)
        self.tls: Any = None
        # It is a service: its name.
        self.service = ""
        # When its configuration was changed last: connections from before may lead elsewhere.
        self.changed_us = 0
        self.define(definition)

    def define(self, definition: ServerDef) -> None:
        """Take over the parameters."""
        params = definition.params
        self.definition = definition
        # Connections that nobody uses, kept at most; over all workers.
        self.kept_max = int(params.get("persistpoolmax") or 0) if params.get("persistmaxtime") else 0
        # Connections to it may go from session to session.
        self.pools = bool(self.kept_max or params.get("max_routing_connections"))
        # It is told of the client in front of the login.
        self.introduces = bool(params.get("proxy_protocol"))

    def __repr__(self) -> str:
        return f"<server {self.name}>"
