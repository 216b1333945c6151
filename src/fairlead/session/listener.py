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

# A connection_init_sql_file is not larger, in bytes.
INIT_FILE_BYTES_MAX = 64 * 1024


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
        # Statements that every server connection begins with.
        self.init_statements: tuple[bytes, ...] = ()
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


def init_statements(path: str) -> tuple[bytes, ...]:
    """The statements of a `connection_init_sql_file`: one per line, empty lines left out.

    OSError if it cannot be read, ValueError if it is larger than `INIT_FILE_BYTES_MAX`.
    """
    with open(path, "rb") as file:
        text = file.read(INIT_FILE_BYTES_MAX + 1)
    if len(text) > INIT_FILE_BYTES_MAX:
        raise ValueError(f"'{path}' is larger than {INIT_FILE_BYTES_MAX} bytes")
    return tuple(line.strip() for line in text.splitlines() if line.strip())
