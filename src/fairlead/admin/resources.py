"""The objects of the configuration as JSON:API resources, with what is known about them at this moment.

Reads the product, changes nothing. Source: spec core.md d1 (shapes), d4 (attributes).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from email.utils import formatdate
from typing import Any

from fairlead.admin import numbers
from fairlead.admin.http import Call
from fairlead.cluster import board as cells
from fairlead.cluster.defs import ServerDef, ServiceDef, Snapshot
from fairlead.cluster.status import status_text
from fairlead.config.store import ConfigStore
from fairlead.workers.ports import Product, SessionInfo

Json = Any
Resource = dict[str, Json]

# Attributes of a server that only a monitor knows, as they are shown without one.
_UNMONITORED: dict[str, Json] = {
    "state_details": None,
    "uptime": 0,
    "node_id": -1,
    "master_id": -1,
    "master_group": None,
    "read_only": None,
    "gtid_binlog_pos": None,
    "gtid_current_pos": None,
    "last_event": None,
    "triggered_at": None,
    "lock_held": None,
    "slave_connections": [],
}


def date_text(unix_seconds: float | None) -> str | None:
    """A moment as `Wed, 23 Oct 2024 14:02:52 GMT`."""
    return formatdate(unix_seconds, usegmt=True) if unix_seconds is not None else None


def resource(
    call: Call,
    kind: str,
    name: str,
    attributes: dict[str, Json],
    relationships: Mapping[str, Sequence[str]] | None = None,
    path: tuple[str, ...] = (),
) -> Resource:
    """A resource; `path`: where it is if not at `kind/name`."""
    where = path or (kind, name)
    shown: Resource = {
        "id": name,
        "type": kind,
        "attributes": attributes,
        "links": {"self": call.link(*where)},
    }
    related = {
        each: relationship(call, where, each, names) for each, names in (relationships or {}).items() if names
    }
    shown["relationships"] = related
    return shown


def relationship(call: Call, where: tuple[str, ...], kind: str, names: Iterable[str]) -> Resource:
    """The members of a relationship with its links."""
    return {
        "data": [{"id": name, "type": kind} for name in names],
        "links": {"related": call.link(kind), "self": call.link(*where, "relationships", kind)},
    }


class Objects:
    """Makes resources of the configured objects."""

    def __init__(self, product: Product) -> None:
        self._product = product

    @property
    def _store(self) -> ConfigStore:
        return self._product.store

    def all(self, call: Call, kind: str) -> list[Resource]:
        """All objects of a kind, in the order of the configuration."""
        return [self.one(call, kind, name) for name in self._store.names(kind)]

    def one(self, call: Call, kind: str, name: str) -> Resource:
        """One object; KeyError if there is none."""
        definition = self._store.get(kind, name)
        snapshot = self._store.snapshot()
        shown: dict[str, Json]
        if isinstance(definition, ServerDef):
            shown = self._server(definition)
        elif isinstance(definition, ServiceDef):
            shown = self._service(call, snapshot, definition)
        elif kind == "listeners":
            shown = {"state": self._product.listener_state(name)}
        elif kind == "monitors":
            monitors = self._product.monitors
            shown = {
                "module": definition.module,  # type: ignore[union-attr]
                "state": monitors.state(name),
                "ticks": monitors.ticks(name),
                "monitor_diagnostics": monitors.diagnostics(name),
            }
        else:
            shown = {
                "module": definition.module,  # type: ignore[union-attr]
                "filter_diagnostics": self._product.filter_diagnostics(name),
            }
        shown["parameters"] = self._store.parameters_json(kind, name)
        shown["source"] = self._store.source(kind, name)
        return resource(call, kind, name, shown, self.relationships(kind, name))

    def relationships(self, kind: str, name: str) -> dict[str, list[str]]:
        """Related objects by kind; a service that follows a monitor shows no servers of its own."""
        found = self._store.relationships(kind, name)
        if kind == "services" and found.get("monitors"):
            found.pop("servers", None)
        return found

    def _server(self, server: ServerDef) -> dict[str, Json]:
        board = self._product.board
        slot = server.slot
        facts = self._product.facts(server.name)
        shown: dict[str, Json] = {
            **_UNMONITORED,
            "version_string": facts.version if facts and facts.version else None,
            "replication_lag": board.server(slot, cells.LAG),
            "server_id": board.server(slot, cells.SERVER_ID) or -1,
            "triggered_at": date_text(board.server(slot, cells.TRIGGERED_AT) or None),
        }
        shown.update(self._product.monitors.server_attributes(server.name))
        connections = board.sum_server(slot, cells.S_CONNECTIONS)
        shown["state"] = status_text(board.server(slot, cells.STATUS), connections)
        shown["statistics"] = numbers.server_statistics(board, server)
        return shown

    def _service(self, call: Call, snapshot: Snapshot, service: ServiceDef) -> dict[str, Json]:
        board, name = self._product.board, service.name
        statistics = numbers.service_statistics(board, service)
        accounts = self._product.accounts(name)
        diagnostics = numbers.router_diagnostics(board, snapshot, service)
        diagnostics.update(self._product.router_diagnostics(name))
        return {
            "router": service.router,
            "state": self._product.service_state(name),
            "started": date_text(self._product.service_started_at(name)),
            "connections": statistics["connections"],
            "total_connections": statistics["total_connections"],
            "statistics": statistics,
            "router_diagnostics": diagnostics,
            "listeners": [self.one(call, "listeners", each) for each in self._store.listeners_of(name)],
            "users": accounts.users,
            "users_last_update": date_text(accounts.loaded_at),
        }


def session_resource(call: Call, session: SessionInfo) -> Resource:
    """A client session."""
    related = {"services": [session.service] if session.service else [], "filters": session.filters}
    return resource(call, "sessions", str(session.id), session.attributes, related)
