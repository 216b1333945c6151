"""The parameters of a listener and of the client protocol."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fairlead.cluster.params import TLS_COMMON, check_tls_pair
from fairlead.config.params import REQUIRED, Finding, Param
from fairlead.config.values import (
    Bool,
    Count,
    Enum,
    Path,
    Reference,
    String,
    StringList,
    did_you_mean,
    split_list,
)

SQL_MODE = Param(
    "sql_mode",
    Enum(("default", "oracle")),
    "default",
    "SQL mode that statements are understood in.",
    dynamic=True,
)

TLS: tuple[Param, ...] = (
    *TLS_COMMON,
    Param("ssl_crl", Path("r"), "", "List of revoked client certificates (PEM).", dynamic=True),
)

CONNECTION_METADATA = (
    "character_set_client=auto,character_set_connection=auto,character_set_results=auto,max_allowed_packet=auto,"
    "system_time_zone=auto,time_zone=auto,tx_isolation=auto,maxscale=auto"
)

LISTENER_PARAMS: tuple[Param, ...] = (
    Param("service", Reference("service"), REQUIRED, "The service that sessions go to."),
    Param("protocol", Reference("module"), "mariadb", "The protocol of the clients."),
    Param("address", String(), "::", "Address to listen on; :: is every address, IPv4 included."),
    Param("port", Count(0, 65535), "0", "Port to listen on; exactly one of port and socket."),
    Param("socket", Path(), "", "Unix socket to listen on, instead of a port."),
    Param("authenticator", StringList(), "", "Modules that authenticate clients; empty: mariadbauth."),
    Param("authenticator_options", String(), "", "Options of the authenticators: key=value,key=value."),
    SQL_MODE,
    Param(
        "proxy_protocol_networks",
        String(),
        "",
        "From whom PROXY headers are taken: networks, localhost, or *.",
        dynamic=True,
    ),
    Param(
        "connection_init_sql_file",
        Path("r"),
        "",
        "Statements run on every new server connection, one per line.",
        dynamic=True,
    ),
    Param(
        "user_mapping_file",
        Path("r"),
        "",
        "JSON file that maps client users to users of the servers.",
        dynamic=True,
    ),
    Param(
        "connection_metadata",
        StringList(),
        CONNECTION_METADATA,
        "Variables told to the client when it has logged in; auto: the value of the servers.",
        dynamic=True,
    ),
    *TLS,
)

# Parameters of the protocol module; the file and the REST API write them with the module's name before a dot.
MARIADB_PROTOCOL_PARAMS: tuple[Param, ...] = (
    Param("allow_replication", Bool(), "true", "Let clients ask for the binary log.", dynamic=True),
)

_COMMON_OPTIONS = ("skip_authentication", "match_host", "lower_case_table_names")
_IGNORED_OPTIONS = ("cache_dir", "inject_service_user")
_MARIADBAUTH_OPTIONS = ("clear_pw_passthrough", "log_password_mismatch")
AUTHENTICATOR_OPTIONS = (*_COMMON_OPTIONS, *_MARIADBAUTH_OPTIONS, *_IGNORED_OPTIONS)


def check_listener(params: dict[str, Any]) -> Iterable[Finding]:
    """What is wrong with the parameters of one listener."""
    if bool(params["port"]) == bool(params["socket"]):
        what = "both port and socket are given" if params["port"] else "neither port nor socket is given"
        yield "port", f"{what}; allowed: exactly one of them"
    if params["ssl"]:
        for name in ("ssl_cert", "ssl_key"):
            if not params[name]:
                yield name, "is not given; allowed: a PEM file, which ssl=true demands"
    else:
        yield from check_tls_pair(params)
    for piece in split_list(params["authenticator_options"], ","):
        yield from _check_option(piece)
    for piece in params["connection_metadata"]:
        if not piece.partition("=")[0] or "=" not in piece:
            text = f"'{piece}' is no pair; allowed: variable=value or variable=auto"
            yield "connection_metadata", text


def _check_option(piece: str) -> Iterable[Finding]:
    key, equals, value = (part.strip() for part in piece.partition("="))
    where = "authenticator_options"
    if key not in AUTHENTICATOR_OPTIONS:
        allowed = ", ".join(AUTHENTICATOR_OPTIONS)
        yield where, f"'{key}' is unknown; allowed: {allowed}{did_you_mean(key, AUTHENTICATOR_OPTIONS)}"
    elif not equals:
        yield where, f"'{key}' has no value; allowed: {key}=value"
    elif key == "lower_case_table_names":
        if value not in ("0", "1", "2"):
            yield where, f"'{value}' is no value of {key}; allowed: 0, 1, 2"
    elif key not in _IGNORED_OPTIONS:
        try:
            Bool().parse(value)
        except ValueError as error:
            yield where, f"{key}: {error}"


def ignored_options(params: dict[str, Any]) -> list[str]:
    """Warnings about authenticator options that are taken without effect."""
    keys = [piece.partition("=")[0].strip() for piece in split_list(params["authenticator_options"], ",")]
    return [f"authenticator_options: {key} has no effect" for key in keys if key in _IGNORED_OPTIONS]
