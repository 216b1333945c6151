"""A listener as its connections see it: its service, its parameters, and what was made of them."""

from __future__ import annotations

from typing import Any

from fairlead.accounts.authenticators import AuthOptions, parse_options
from fairlead.accounts.files import UserMapping
from fairlead.cluster.defs import ListenerDef
from fairlead.net.proxyproto import Networks
from fairlead.session.service import ServiceRuntime

# Reported at every login unless the configuration names them itself.
ALWAYS_REPORTED = ("threads_connected", "connection_id")


class ListenerRuntime:
    """One configured listener in a worker; connections keep the object that was current when they were accepted."""

    def __init__(self, definition: ListenerDef, service: ServiceRuntime) -> None:
        self.name = definition.name
        self.definition = definition
        self.service = service
        self.params: dict[str, Any] = definition.params
        self.tls: Any = None
        self.networks: Networks | None = None
        if definition.params.get("proxy_protocol_networks"):
            self.networks = Networks(definition.params["proxy_protocol_networks"])
        self.options: AuthOptions = parse_options(definition.params.get("authenticator_options") or "")
        self.mapping: UserMapping | None = None
        # (name, value) of what is reported at the login; the value None stands for the server's.
        self.metadata: list[tuple[str, str | None]] = []
        for item in definition.params.get("connection_metadata") or ():
            name, _, value = item.partition("=")
            self.metadata.append((name.strip(), None if value == "auto" else value))

    @property
    def demands_tls(self) -> bool:
        """Clients must use TLS."""
        return bool(self.params.get("ssl"))
