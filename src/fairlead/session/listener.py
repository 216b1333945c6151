"""A listener as its connections see it: its service, its parameters, and what was made of them."""

from __future__ import annotations

from typing import Any

from fairlead.accounts.authenticators import AuthenticatorSet
from fairlead.accounts.directory import AccountDirectory
from fairlead.cluster.defs import ListenerDef
from fairlead.net.proxyproto import Networks
from fairlead.session.service import ServiceRuntime

# Reported at every login unless the configuration names them itself.
ALWAYS_REPORTED = ("threads_connected", "connection_id")


class ListenerRuntime:
    """One configured listener in a worker; connections keep the object that was current when they were
    accepted.
    """

    def __init__(self, definition: ListenerDef, service: ServiceRuntime) -> None:
        self.name = definition.name
        self.definition = definition
        self.service = service
        self.params: dict[str, Any] = definition.params
        self.tls: Any = None
        self.networks: Networks | None = None
        if definition.params.get("proxy_protocol_networks"):
            self.networks = Networks(definition.params["proxy_protocol_networks"])
        self.authenticators = AuthenticatorSet(
            definition.params.get("authenticator") or (), definition.params.get("authenticator_options") or ""
        )
        # Accounts on the servers that stand for the clients' (user_mapping_file).
        self.mapping: Any = None
        self.directory = AccountDirectory(service.accounts)
        self.accounts_changed()
        # (name, value) of what is reported at the login; the value None stands for the server's.
        self.metadata: list[tuple[str, str | None]] = []
        for item in definition.params.get("connection_metadata") or ():
            name, _, value = item.partition("=")
            self.metadata.append((name.strip(), None if value == "auto" else value))

    def accounts_changed(self) -> None:
        """The service has new accounts."""
        params = self.service.params
        options = self.authenticators.options.directory(
            bool(params.get("enable_root_user")), bool(params.get("strip_db_esc", True))
        )
        self.directory = AccountDirectory(self.service.accounts, options)

    @property
    def demands_tls(self) -> bool:
        """Clients must use TLS."""
        return bool(self.params.get("ssl"))
