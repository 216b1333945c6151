"""The parameters of the global section."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from fairlead.cluster.params import check_tls_pair, tls_version_type
from fairlead.config.compound import HostPatterns, Throttling, is_address_pattern
from fairlead.config.params import PARSED_ONLY, Finding, Param
from fairlead.config.values import (
    Bool,
    Count,
    Duration,
    Enum,
    EnumList,
    Int,
    Password,
    Path,
    Reference,
    Regex,
    Size,
    String,
    Threads,
)
from fairlead.net.params import SQL_MODE

_FACILITIES = (
    "LOG_AUTH", "LOG_AUTHPRIV", "LOG_CRON", "LOG_DAEMON", "LOG_FTP", "LOG_KERN", "LOG_LOCAL0", "LOG_LOCAL1",
    "LOG_LOCAL2", "LOG_LOCAL3", "LOG_LOCAL4", "LOG_LOCAL5", "LOG_LOCAL6", "LOG_LOCAL7", "LOG_LPR", "LOG_MAIL",
    "LOG_NEWS", "LOG_SYSLOG", "LOG_USER", "LOG_UUCP",
)  # fmt: skip
_LEVELS = (
    "LOG_EMERG", "LOG_ALERT", "LOG_CRIT", "LOG_ERR", "LOG_WARNING", "LOG_NOTICE", "LOG_INFO", "LOG_DEBUG"
)  # fmt: skip
_JWT_ALGORITHMS = (
    "auto", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
    "ES512", "ED25519", "ED448",
)  # fmt: skip
_METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE")


def _cache_bytes() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return str(memory * 15 // 100)


def _directory(name: str, default: str, doc: str) -> Param:
    return Param(name, Path("d"), default, doc)


# Directories; --basedir puts its own path before these defaults.
DIRECTORIES: tuple[Param, ...] = (
    _directory("logdir", "/var/log/maxscale", "Log files."),
    _directory("datadir", "/var/lib/maxscale", "Data: journals, REST users, the key of encrypted passwords."),
    _directory("persistdir", "/var/lib/maxscale/maxscale.cnf.d", "Configuration changed at run time."),
    _directory("cachedir", "/var/cache/maxscale", "Cached data."),
    _directory("piddir", "/var/run/maxscale", "The PID file."),
    _directory("libdir", "/usr/lib64/maxscale", "Modules; without effect."),
    _directory("sharedir", "/usr/share/maxscale", "Shared data."),
    _directory("execdir", "/usr/bin", "Helper programs; without effect."),
    _directory("connector_plugindir", "/usr/lib64/maxscale/plugin", "Connector plugins; without effect."),
    _directory("module_configdir", "/etc/maxscale.modules.d",
               "What relative paths of parameters start from."),
    _directory("language", "/var/lib/maxscale", "Error messages; without effect."),
)
DIRECTORY_NAMES = frozenset(param.name for param in DIRECTORIES)
# Those that are made at the start if they are missing.
MADE_DIRECTORIES = ("logdir", "datadir", "persistdir", "cachedir", "piddir")

GLOBAL_PARAMS: tuple[Param, ...] = (
    Param("threads", Threads(), lambda: "auto", "Worker processes.", dynamic=True, default_doc="auto"),
    Param("threads_max", Count(1), "256", "Highest value that threads may be changed to."),
    Param("rebalance_period", Duration(), "0s", "How often the load of workers is compared; 0s: never.",
          dynamic=True, support=PARSED_ONLY),
    Param("rebalance_threshold", Int(5, 100), "20", "Difference of load from which sessions are moved.",
          dynamic=True, support=PARSED_ONLY),
    Param("rebalance_window", Count(1, 60), "10", "Seconds that the load is averaged over.", dynamic=True,
          support=PARSED_ONLY),
    Param("auto_tune", EnumList(("all", "connection_keepalive", "wait_timeout")), "",
          "Parameters derived from the servers' wait_timeout.", support=PARSED_ONLY),
    Param("auth_connect_timeout", Duration("s"), "10s",
          "Limit for connecting to a server to read its accounts.", dynamic=True),
    Param("auth_read_timeout", Duration("s"), "10s", "Ignored.", dynamic=True, deprecated=True),
    Param("auth_write_timeout", Duration("s"), "10s", "Ignored.", dynamic=True, deprecated=True),
    Param("query_retries", Count(), "1", "How often own queries to the servers are repeated."),
    Param("query_retry_timeout", Duration("s"), "5s", "Limit for repeating them.", dynamic=True),
    Param("passive", Bool(), "false", "Stand by: change nothing in the cluster.", dynamic=True),
    Param("ms_timestamp", Bool(), "false", "Milliseconds in the log.", dynamic=True),
    Param("skip_name_resolve", Bool(), "false", "Never look up the host names of clients.", dynamic=True),
    Param("syslog", Bool(), "false", "Log to syslog too.", dynamic=True),
    Param("maxlog", Bool(), "true", "Log to the file maxscale.log.", dynamic=True),
    Param("log_warning", Bool(), "true", "Log warnings.", dynamic=True),
    Param("log_notice", Bool(), "true", "Log notices.", dynamic=True),
    Param("log_info", Bool(), "false", "Log information, such as every routing decision.", dynamic=True),
    Param("log_debug", Bool(), "false", "Log debug messages.", dynamic=True),
    Param("log_warn_super_user", Bool(), "false", "Warn when a user with SUPER logs in.",
          support=PARSED_ONLY),
    Param("log_augmentation", Count(0, 1), "0", "1: log lines name the function they come from."),
    Param("log_throttling", Throttling(), "10,1000ms,10000ms", "Suppress lines that are repeated too often.",
          dynamic=True),
    *DIRECTORIES,
    Param("secretsdir", Path("d"), "", "Where the key of encrypted passwords is; empty: datadir."),
    Param("query_classifier", String(), "", "Ignored.", deprecated=True),
    Param("query_classifier_args", String(), "", "Ignored.", deprecated=True),
    Param("query_classifier_cache_size", Size(), _cache_bytes,
          "Memory for classified statements, over all workers.", dynamic=True,
          default_doc="15 % of the memory"),
    Param("substitute_variables", Bool(), "false", "Replace values $NAME by environment variables."),
    SQL_MODE,
    Param("local_address", String(), "", "Own address for connections to servers."),
    Param("users_refresh_time", Duration("s", signed=True), "30s",
          "Least time between refreshes of accounts on demand; 0s: none, negative: no such refreshes.",
          dynamic=True),
    Param("users_refresh_interval", Duration("s"), "0s", "Time between regular refreshes; 0s: never.",
          dynamic=True),
    Param("retain_last_statements", Count(), "0", "Statements kept for each session.", dynamic=True),
    Param("dump_last_statements", Enum(("never", "on_close", "on_error")), "never", "When they are logged.",
          dynamic=True, support=PARSED_ONLY),
    Param("session_trace", Count(), "0", "Log lines kept for each session, written when it ends abnormally.",
          dynamic=True),
    Param("session_trace_match", Regex(), "", "Write them at the end if one of them matches.", dynamic=True),
    Param("writeq_high_water", Size(), "64Ki", "Queued bytes from which the other side is no longer read.",
          dynamic=True),
    Param("writeq_low_water", Size(), "1Ki", "Queued bytes below which it is read again.", dynamic=True),
    Param("max_read_amount", Size(), "0", "Most bytes of one read.", support=PARSED_ONLY),
    Param("persist_runtime_changes", Bool(), "true", "Keep run-time changes on disk."),
    Param("load_persisted_configs", Bool(), "true", "Read them at the start."),
    Param("max_auth_errors_until_block", Int(), "10",
          "Failed logins after which a host is blocked for 60 s; 0: never.", dynamic=True),
    Param("core_file", Bool(), "true", "Write a core file after a crash.", support=PARSED_ONLY),
    Param("debug", String(), "", "Debug options.", hidden=True),
    Param("skip_permission_checks", Bool(), "false", "Ignored.", deprecated=True),
    Param("admin_host", String(), "127.0.0.1", "Address of the REST API."),
    Param("admin_port", Int(0, 65535), "8989", "Port of the REST API."),
    Param("admin_auth", Bool(), "true", "The REST API demands a login."),
    Param("admin_enabled", Bool(), "true", "Serve the REST API."),
    Param("admin_gui", Bool(), "true", "Serve the web interface."),
    Param("admin_secure_gui", Bool(), "true", "Serve the web interface over TLS only."),
    Param("admin_ssl_key", Path("r"), "", "Private key of the REST API (PEM).", dynamic=True),
    Param("admin_ssl_cert", Path("r"), "", "Certificate of the REST API (PEM).", dynamic=True),
    Param("admin_ssl_ca", Path("r"), "", "Authorities of client certificates of the REST API.",
          aliases=("admin_ssl_ca_cert",)),
    Param("admin_ssl_version", tls_version_type(), "MAX", "TLS versions of the REST API."),
    Param("admin_log_auth_failures", Bool(), "true", "Log failed logins to the REST API.", dynamic=True),
    Param("admin_pam_readwrite_service", String(), "", "PAM service of administrators.", support=PARSED_ONLY),
    Param("admin_pam_readonly_service", String(), "", "PAM service of other users.", support=PARSED_ONLY),
    Param("admin_readwrite_hosts", HostPatterns(), "%", "Where administrators may come from."),
    Param("admin_readonly_hosts", HostPatterns(), "%", "Where those who only look may come from."),
    Param("admin_jwt_algorithm", Enum(_JWT_ALGORITHMS), "auto", "Signature of login tokens.",
          support=PARSED_ONLY),
    Param("admin_jwt_key", String(), "", "Key that tokens are signed with; empty: a random one."),
    Param("admin_jwt_max_age", Duration("s"), "24h", "Longest life of a token.", dynamic=True),
    Param("admin_jwt_issuer", String(), "maxscale", "The issuer that tokens name."),
    Param("admin_oidc_url", String(), "", "Keys of another issuer of tokens.", dynamic=True,
          support=PARSED_ONLY),
    Param("admin_verify_url", String(), "", "Service that is asked whether a request is allowed.",
          support=PARSED_ONLY),
    Param("admin_audit", Bool(), "false", "Write an audit file of the REST API.", dynamic=True,
          support=PARSED_ONLY),
    Param("admin_audit_file", String(), "/var/log/maxscale/admin_audit.csv", "The audit file.", dynamic=True,
          support=PARSED_ONLY),
    Param("admin_audit_exclude_methods", EnumList(_METHODS), "", "Methods that are not audited.",
          dynamic=True, support=PARSED_ONLY),
    Param("config_sync_cluster", Reference("monitor"), "",
          "Cluster through which instances share their configuration.", dynamic=True, support=PARSED_ONLY),
    Param("config_sync_user", String(), "", "User for that.", dynamic=True, support=PARSED_ONLY),
    Param("config_sync_password", Password(), "", "Password of config_sync_user.", dynamic=True,
          support=PARSED_ONLY),
    Param("config_sync_db", String(), "mysql", "Schema for that.", support=PARSED_ONLY),
    Param("config_sync_interval", Duration(), "5s", "How often the shared configuration is looked at.",
          dynamic=True, support=PARSED_ONLY),
    Param("config_sync_timeout", Duration("s"), "10s", "Limit for SQL of the synchronisation.", dynamic=True,
          support=PARSED_ONLY),
    Param("key_manager", Enum(("none", "file", "kmip", "vault")), "none", "Where encryption keys come from.",
          dynamic=True, support=PARSED_ONLY),
    Param("file.keyfile", Path(), "", "File with encryption keys.", support=PARSED_ONLY),
    Param("kmip.host", String(), "", "KMIP server.", support=PARSED_ONLY),
    Param("kmip.port", Count(0, 65535), "0", "Port of the KMIP server.", support=PARSED_ONLY),
    Param("kmip.cert", Path(), "", "Certificate for the KMIP server.", support=PARSED_ONLY),
    Param("kmip.key", Path(), "", "Private key of that certificate.", support=PARSED_ONLY),
    Param("kmip.ca", Path(), "", "Authority of the KMIP server.", support=PARSED_ONLY),
    Param("vault.token", Password(), "", "Token for the Vault server.", support=PARSED_ONLY),
    Param("vault.host", String(), "localhost", "Vault server.", support=PARSED_ONLY),
    Param("vault.port", Count(0, 65535), "8200", "Port of the Vault server.", support=PARSED_ONLY),
    Param("vault.ca", Path(), "", "Authority of the Vault server.", support=PARSED_ONLY),
    Param("vault.tls", Bool(), "true", "Connect to the Vault server with TLS.", support=PARSED_ONLY),
    Param("vault.mount", String(), "secret", "Mount of the key/value engine.", support=PARSED_ONLY),
    Param("vault.timeout", Duration(), "30s", "Limit for the Vault server.", support=PARSED_ONLY),
    Param("event.authentication_failure.facility", Enum(_FACILITIES), "LOG_USER",
          "Syslog facility of failed client logins.", dynamic=True),
    Param("event.authentication_failure.level", Enum(_LEVELS), "LOG_WARNING",
          "Level of failed client logins.", dynamic=True),
)  # fmt: skip


def check_globals(params: dict[str, Any]) -> Iterable[Finding]:
    """What is wrong with the global parameters."""
    high, low = params["writeq_high_water"], params["writeq_low_water"]
    if (high or low) and low >= high:
        yield "writeq_low_water", f"{low} is not below writeq_high_water={high}; allowed: less, or both 0"
    if params["threads"] > params["threads_max"]:
        limit = params["threads_max"]
        yield "threads", f"{params['threads']} is out of range; allowed: up to threads_max={limit}"
    if params["skip_name_resolve"]:
        for name in ("admin_readwrite_hosts", "admin_readonly_hosts"):
            for pattern in params[name]:
                if not is_address_pattern(pattern):
                    yield name, f"'{pattern}' is a host name; allowed with skip_name_resolve: addresses"
    yield from check_tls_pair(params, "admin_ssl_")
