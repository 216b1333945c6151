"""The parameters that every service has, whatever its router."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fairlead.cluster.params import RANK
from fairlead.config.params import PARSED_ONLY, REQUIRED, Finding, Param
from fairlead.config.values import (
    Bool,
    Count,
    Duration,
    Enum,
    Int,
    Password,
    Path,
    Reference,
    ReferenceList,
    String,
)

SERVICE_PARAMS: tuple[Param, ...] = (
    Param("router", Reference("module"), REQUIRED, "The module that decides where statements go."),
    Param("servers", ReferenceList("server"), "", "The servers of the service.", relation=True),
    Param(
        "targets",
        ReferenceList("target"),
        "",
        "Servers and other services, instead of servers.",
        relation=True,
    ),
    Param(
        "cluster",
        Reference("monitor"),
        "",
        "Use the servers of this monitor, and follow their changes.",
        relation=True,
    ),
    Param(
        "filters",
        ReferenceList("filter", "|"),
        "",
        "Filters; the first one sees a statement first.",
        relation=True,
    ),
    Param("user", String(), REQUIRED, "User that reads the accounts from the servers.", dynamic=True),
    Param("password", Password(), REQUIRED, "Password of user.", dynamic=True),
    Param("enable_root_user", Bool(), "false", "Let the user root log in.", dynamic=True),
    Param(
        "version_string",
        String(),
        "",
        "Server version told to clients; empty: the lowest of the servers.",
        dynamic=True,
    ),
    Param("max_connections", Count(), "0", "Most client connections; 0: no limit.", dynamic=True),
    Param(
        "wait_timeout",
        Duration("s"),
        "0s",
        "Close sessions idle for so long; 0s: never.",
        dynamic=True,
        aliases=("connection_timeout",),
    ),
    Param(
        "net_write_timeout",
        Duration("s"),
        "0s",
        "Close sessions whose client takes no data for so long; 0s: never.",
        dynamic=True,
          support=PARSED_ONLY),
    Param(
        "connection_keepalive",
        Duration("s"),
        "300s",
        "Ping server connections that the client, itself active, left idle for so long; 0s: never.",
        dynamic=True,
    ),
    Param("force_connection_keepalive", Bool(), "false", "Ping also while the client is idle.", dynamic=True),
    Param(
        "auth_all_servers",
        Bool(),
        "false",
        "Read the accounts of all servers and unite them.",
        dynamic=True,
        deprecated=True,
    ),
    Param(
        "strip_db_esc",
        Bool(),
        "true",
        "Take backslashes out of database names in grants.",
        dynamic=True,
        deprecated=True,
    ),
    Param("localhost_match_wildcard_host", Bool(), "true", "Ignored.", dynamic=True, deprecated=True),
    Param("log_auth_warnings", Bool(), "true", "Log failed logins.", dynamic=True),
    Param("log_warning", Bool(), "false", "Log warnings of this service even if they are off.", dynamic=True,
          support=PARSED_ONLY),
    Param("log_notice", Bool(), "false", "Log notices of this service even if they are off.", dynamic=True,
          support=PARSED_ONLY),
    Param("log_info", Bool(), "false", "Log information of this service even if it is off.", dynamic=True,
          support=PARSED_ONLY),
    Param(
        "log_debug", Bool(), "false", "Log debug messages of this service even if they are off.",
          dynamic=True,
          support=PARSED_ONLY),
    Param(
        "session_track_trx_state",
        Bool(),
        "false",
        "Follow transactions by what the server reports.",
        dynamic=True,
        deprecated=True,
    ),
    Param(
        "retain_last_statements",
        Int(-1),
        "-1",
        "Statements kept for each session; -1: as many as the global parameter says.",
        dynamic=True,
    ),
    Param("session_trace", Bool(), "false", "Keep the latest log lines of each session.", dynamic=True),
    RANK,
    Param(
        "max_sescmd_history",
        Count(),
        "50",
        "Session commands kept to bring new server connections up to date.",
        dynamic=True,
    ),
    Param(
        "prune_sescmd_history",
        Bool(),
        "true",
        "Drop the oldest when there are more; otherwise the session can no longer open server connections.",
        dynamic=True,
    ),
    Param("disable_sescmd_history", Bool(), "false", "Keep none.", dynamic=True),
    Param("user_accounts_file", Path("r"), "", "JSON file with accounts beside those of the servers."),
    Param(
        "user_accounts_file_usage",
        Enum(("add_when_load_ok", "file_only_always")),
        "add_when_load_ok",
        "Whether the servers are asked as well.",
    ),
    Param(
        "idle_session_pool_time",
        Duration(signed=True),
        "-1s",
        "Idle time after which server connections of a session may serve others; negative: never.",
        dynamic=True,
    ),
    Param(
        "multiplex_timeout",
        Duration("s"),
        "60s",
        "How long a session waits for a free server connection.",
        dynamic=True,
    ),
)


def check_service(params: dict[str, Any]) -> Iterable[Finding]:
    """What is wrong with the parameters of one service, apart from what its router says."""
    given = [name for name in ("servers", "targets", "cluster") if params[name]]
    if len(given) > 1:
        yield given[1], f"{' and '.join(given)} are given; allowed: one of servers, targets, cluster"
    if params["user_accounts_file_usage"] == "file_only_always" and not params["user_accounts_file"]:
        yield "user_accounts_file", "is not given; user_accounts_file_usage=file_only_always demands a file"
