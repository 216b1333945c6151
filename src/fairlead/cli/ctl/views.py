"""Which columns every `list` has and which rows every `show` has: tables of (title, how to get it)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .output import Sheets, Table

Resource = dict[str, Any]
Getter = Callable[[Resource], Any]
Column = tuple[str, Getter]


def at(*path: str) -> Getter:
    """Something below `attributes`."""

    def get(resource: Resource) -> Any:
        value: Any = resource.get("attributes")
        for step in path:
            if not isinstance(value, dict):
                return None
            value = value.get(step)
        return value

    return get


def identity(resource: Resource) -> Any:
    return resource.get("id")


def related_ids(resource: Resource, *kinds: str) -> list[str]:
    """Names of the related objects of these kinds, in order."""
    relationships = resource.get("relationships") or {}
    return [item["id"] for kind in kinds for item in (relationships.get(kind) or {}).get("data") or []]


def related(*kinds: str, joined: bool = False) -> Getter:
    """Names of related objects; `joined`: in one line."""

    def get(resource: Resource) -> Any:
        ids = related_ids(resource, *kinds)
        return ", ".join(ids) if joined else ids

    return get


def source(resource: Resource) -> Any:
    value = at("source")(resource)
    if isinstance(value, dict):
        return value.get("file") or value.get("type")
    return value


def _socket_or(name: str) -> Getter:
    def get(resource: Resource) -> Any:
        parameters = at("parameters")(resource) or {}
        if parameters.get("socket"):
            return parameters["socket"] if name == "address" else ""
        return parameters.get(name)

    return get


def _state(resource: Resource) -> str:
    return ", ".join(str(part) for part in (at("state")(resource), at("state_details")(resource)) if part)


def _replica_ids(resource: Resource) -> Any:
    return at("slaves")(resource)


def _each(path: tuple[str, ...], key: str) -> Getter:
    def get(resource: Resource) -> Any:
        return [item.get(key) for item in at(*path)(resource) or [] if isinstance(item, dict)]

    return get


def _io(resource: Resource) -> Any:
    return at("io_activity")(resource)


LISTS: dict[str, tuple[str, tuple[Column, ...]]] = {
    "servers": (
        "servers",
        (
            ("Server", identity),
            ("Address", _socket_or("address")),
            ("Port", _socket_or("port")),
            ("Connections", at("statistics", "connections")),
            ("State", _state),
            ("GTID", at("gtid_current_pos")),
            ("Monitor", related("monitors", joined=True)),
        ),
    ),
    "services": (
        "services",
        (
            ("Service", identity),
            ("Router", at("router")),
            ("Connections", at("connections")),
            ("Total Connections", at("total_connections")),
            ("Targets", related("servers", "services", joined=True)),
        ),
    ),
    "listeners": (
        "listeners",
        (
            ("Name", identity),
            ("Port", _socket_or("port")),
            ("Host", _socket_or("address")),
            ("State", at("state")),
            ("Service", related("services", joined=True)),
        ),
    ),
    "monitors": (
        "monitors",
        (("Monitor", identity), ("State", at("state")), ("Servers", related("servers", joined=True))),
    ),
    "sessions": (
        "sessions",
        (
            ("Id", identity),
            ("User", at("user")),
            ("Host", at("remote")),
            ("Connected", at("connected")),
            ("Idle", at("idle")),
            ("Service", related("services", joined=True)),
            ("Memory", at("memory", "total")),
            ("I/O-Activity", _io),
        ),
    ),
    "filters": (
        "filters",
        (("Filter", identity), ("Service", related("services", joined=True)), ("Module", at("module"))),
    ),
    "users": (
        "users",
        (
            ("Name", identity),
            ("Type", lambda resource: resource.get("type")),
            ("Privileges", at("account")),
            ("Created", at("created")),
            ("Last Updated", at("last_update")),
            ("Last Login", at("last_login")),
        ),
    ),
    "threads": (
        "maxscale/threads",
        (
            ("Id", identity),
            ("Current FDs", at("stats", "current_descriptors")),
            ("Total FDs", at("stats", "total_descriptors")),
            ("Load (1s)", at("stats", "load", "last_second")),
            ("Load (1m)", at("stats", "load", "last_minute")),
            ("Load (1h)", at("stats", "load", "last_hour")),
        ),
    ),
    "modules": (
        "maxscale/modules",
        (("Module", identity), ("Type", at("module_type")), ("Version", at("version"))),
    ),
}

SHOWS: dict[str, tuple[Column, ...]] = {
    "servers": (
        ("Server", identity),
        ("Source", source),
        ("Address", _socket_or("address")),
        ("Port", _socket_or("port")),
        ("State", _state),
        ("Version", at("version_string")),
        ("Uptime", at("uptime")),
        ("Last Event", at("last_event")),
        ("Triggered At", at("triggered_at")),
        ("Services", related("services")),
        ("Monitors", related("monitors")),
        ("Master ID", at("master_id")),
        ("Node ID", at("node_id")),
        ("Slave Server IDs", _replica_ids),
        ("Current Connections", at("statistics", "connections")),
        ("Total Connections", at("statistics", "total_connections")),
        ("Max Connections", at("statistics", "max_connections")),
        ("Statistics", at("statistics")),
        ("Parameters", at("parameters")),
    ),
    "services": (
        ("Service", identity),
        ("Source", source),
        ("Router", at("router")),
        ("State", at("state")),
        ("Started At", at("started")),
        ("Users Loaded At", at("users_last_update")),
        ("Current Connections", at("connections")),
        ("Total Connections", at("total_connections")),
        ("Max Connections", at("statistics", "max_connections")),
        ("Cluster", related("monitors")),
        ("Servers", related("servers")),
        ("Services", related("services")),
        ("Filters", related("filters")),
        ("Parameters", at("parameters")),
        ("Statistics", at("statistics")),
        ("Router Diagnostics", at("router_diagnostics")),
    ),
    "monitors": (
        ("Monitor", identity),
        ("Source", source),
        ("Module", at("module")),
        ("State", at("state")),
        ("Servers", related("servers")),
        ("Parameters", at("parameters")),
        ("Monitor Diagnostics", at("monitor_diagnostics")),
    ),
    "sessions": (
        ("Id", identity),
        ("Service", related("services")),
        ("State", at("state")),
        ("User", at("user")),
        ("Host", at("remote")),
        ("Port", at("port")),
        ("Database", at("database")),
        ("Connected", at("connected")),
        ("Idle", at("idle")),
        ("Parameters", at("parameters")),
        ("Client TLS Cipher", at("client", "cipher")),
        ("Connection attributes", at("client", "connection_attributes")),
        ("Connections", _each(("connections",), "server")),
        ("Connection IDs", _each(("connections",), "connection_id")),
        ("Queries", at("queries")),
        ("Log", at("log")),
        ("Memory", at("memory")),
        ("I/O Activity", _io),
    ),
    "filters": (
        ("Filter", identity),
        ("Source", source),
        ("Module", at("module")),
        ("Services", related("services")),
        ("Parameters", at("parameters")),
        ("Diagnostics", at("filter_diagnostics")),
    ),
    "listeners": (
        ("Name", identity),
        ("Source", source),
        ("Service", related("services")),
        ("Parameters", at("parameters")),
    ),
    "modules": (
        ("Module", identity),
        ("Type", at("module_type")),
        ("Version", at("version")),
        ("Maturity", at("maturity")),
        ("Description", at("description")),
        ("Parameters", at("parameters")),
        ("Commands", at("commands")),
    ),
    "maxscale": (
        ("Version", at("version")),
        ("Commit", at("commit")),
        ("Started At", at("started_at")),
        ("Activated At", at("activated_at")),
        ("Uptime", at("uptime")),
        ("Config Sync", at("config_sync")),
        ("Parameters", at("parameters")),
        ("System", at("system")),
    ),
    "logging": (
        ("Current Log File", at("log_file")),
        ("Enabled Log Levels", at("log_priorities")),
        ("Parameters", at("parameters")),
    ),
}

_THREAD_ROWS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("State", ("state",)),
    ("Listening", ("listening",)),
    ("Accepts", ("accepts",)),
    ("Reads", ("reads",)),
    ("Writes", ("writes",)),
    ("Hangups", ("hangups",)),
    ("Errors", ("errors",)),
    ("Avg event queue length", ("avg_event_queue_length",)),
    ("Max event queue length", ("max_event_queue_length",)),
    ("Max exec time", ("max_exec_time",)),
    ("Max queue time", ("max_queue_time",)),
    ("Current FDs", ("current_descriptors",)),
    ("Total FDs", ("total_descriptors",)),
    ("Load (1s)", ("load", "last_second")),
    ("Load (1m)", ("load", "last_minute")),
    ("Load (1h)", ("load", "last_hour")),
    ("QC cache size", ("query_classifier_cache", "size")),
    ("QC cache inserts", ("query_classifier_cache", "inserts")),
    ("QC cache hits", ("query_classifier_cache", "hits")),
    ("QC cache misses", ("query_classifier_cache", "misses")),
    ("QC cache evictions", ("query_classifier_cache", "evictions")),
    ("Sessions", ("sessions",)),
    ("Zombies", ("zombies",)),
    ("Memory", ("memory",)),
)


def table(columns: Sequence[Column], resources: Sequence[Resource], raw: Any = None) -> Table:
    """One row per resource."""
    rows = [[get(resource) for _, get in columns] for resource in resources]
    return Table([title for title, _ in columns], rows, resources if raw is None else raw)


def sheets(kind: str, data: Any) -> Sheets:
    """One sheet per resource of `data`."""
    resources = data if isinstance(data, list) else [data or {}]
    return Sheets([[(title, get(resource)) for title, get in SHOWS[kind]] for resource in resources], data)


def thread_table(data: Any) -> Table:
    """Threads side by side, one row per statistic."""
    threads = data if isinstance(data, list) else [data]
    rows: list[list[Any]] = []
    for title, path in _THREAD_ROWS:
        rows.append([title, *(at("stats", *path)(thread) for thread in threads)])
    return Table(["Id", *(str(thread.get("id")) for thread in threads)], rows, data)


def command_table(module: Resource) -> Table:
    """The commands of one module with their parameters."""
    rows = []
    for command in at("commands")(module) or []:
        attributes = command.get("attributes") or {}
        given = attributes.get("parameters") or []
        rows.append(
            [
                command.get("id"),
                [f"{p.get('type')}{'' if p.get('required', True) else ' (optional)'}" for p in given],
                [str(p.get("description", "")) for p in given],
                attributes.get("description"),
            ]
        )
    return Table(["Command", "Parameters", "Descriptions", "Purpose"], rows, at("commands")(module))


def replication_table(monitors: Sequence[Resource]) -> Table:
    """Every replication connection that a monitor sees."""
    rows: list[list[Any]] = []
    for monitor in monitors:
        for server in at("monitor_diagnostics", "server_info")(monitor) or []:
            for link in server.get("slave_connections") or []:
                primary = (
                    link.get("master_server_name") or f"{link.get('master_host')}:{link.get('master_port')}"
                )
                rows.append(
                    [
                        server.get("name"),
                        primary,
                        link.get("slave_io_running"),
                        link.get("slave_sql_running"),
                        link.get("gtid_io_pos"),
                        link.get("using_gtid"),
                        link.get("seconds_behind_master"),
                    ]
                )
    return Table(
        ["Replica", "Primary", "IO Running", "SQL Running", "Gtid IO Pos", "Gtid mode", "Lag (s)"], rows, rows
    )


def account_table(service: Resource) -> Table:
    """The database accounts that a service has loaded."""
    keys = ("user", "host", "plugin", "ssl", "super_priv", "global_priv", "proxy_priv", "default_role")
    users = at("users")(service) or []
    return Table(
        ["User", "Host", "Plugin", "TLS", "Super", "Global", "Proxy", "Role"],
        [[user.get(key) for key in keys] for user in users],
        users,
    )
