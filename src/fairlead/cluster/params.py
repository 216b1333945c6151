"""The parameters of a server, and the TLS parameters that servers share with listeners."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fairlead.config.compound import DiskLimits
from fairlead.config.params import Finding, Param
from fairlead.config.values import Bool, Count, Duration, Enum, EnumMask, Int, Password, Path, String

TLS_VERSIONS = ("MAX", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_TLS_SYNONYMS = {"TLSv10": "TLSv1.0", "TLSv11": "TLSv1.1", "TLSv12": "TLSv1.2", "TLSv13": "TLSv1.3"}


def tls_version_type() -> EnumMask:
    """The type of every parameter that names TLS versions."""
    return EnumMask(TLS_VERSIONS, synonyms=_TLS_SYNONYMS)


TLS_COMMON: tuple[Param, ...] = (
    Param("ssl", Bool(), "false", "Use TLS; a listener then refuses clients that do not.", dynamic=True),
    Param("ssl_cert", Path("r"), "", "Certificate (PEM).", dynamic=True),
    Param("ssl_key", Path("r"), "", "Private key of the certificate (PEM).", dynamic=True),
    Param("ssl_ca", Path("r"), "",
          "Certificate authorities that the peer's certificate is verified with; empty: those of the system.",
          dynamic=True, aliases=("ssl_ca_cert",)),
    Param("ssl_version", tls_version_type(), "MAX", "The exact set of TLS versions that are allowed.",
          dynamic=True),
    Param("ssl_cipher", String(), "", "Cipher list for TLS 1.2 and older; empty: the library's.",
          dynamic=True),
    Param("ssl_cert_verify_depth", Count(0, 100), "9", "Longest chain of certificates.", dynamic=True),
    Param("ssl_verify_peer_certificate", Bool(), "false", "Demand and verify the peer's certificate.",
          dynamic=True),
    Param("ssl_verify_peer_host", Bool(), "false", "The peer's host must be named in its certificate.",
          dynamic=True),
)  # fmt: skip

TLS_SERVER: tuple[Param, ...] = TLS_COMMON

RANK = Param(
    "rank", Enum(("primary", "secondary")), "primary",
    "secondary: used only while nothing of rank primary is usable.", dynamic=True,
)  # fmt: skip

SERVER_PARAMS: tuple[Param, ...] = (
    Param("address", String(), "", "Address or name of the host; exactly one of address and socket.",
          dynamic=True),
    Param("socket", Path(), "", "Unix socket of the server, instead of an address.", dynamic=True),
    Param("port", Count(1, 65535), "3306", "Port of the server.", dynamic=True),
    Param("private_address", String(), "",
          "Address that the servers use among themselves, as it stands in their replication settings.",
          dynamic=True),
    Param("extra_port", Count(0, 65535), "0", "Port that monitors and account refreshes try first; 0: none.",
          dynamic=True),
    Param("monitoruser", String(), "", "User of the monitor for this server, instead of the monitor's own.",
          dynamic=True, aliases=("monitor_user",)),
    Param("monitorpw", Password(), "", "Password of monitoruser.", dynamic=True,
          aliases=("monitor_password",)),
    Param("persistpoolmax", Count(), "0", "Idle connections kept for reuse, over all workers.", dynamic=True),
    Param("persistmaxtime", Duration("s"), "0s", "How long an idle connection is kept; 0s: pooling is off.",
          dynamic=True),
    Param("max_routing_connections", Count(), "0",
          "Most connections to the server, pooled ones included; 0: no limit.", dynamic=True),
    Param("proxy_protocol", Bool(), "false", "Tell the server the client's address in a PROXY header.",
          dynamic=True),
    Param("disk_space_threshold", DiskLimits(), "", "Disk usage limits, instead of the monitor's.",
          dynamic=True),
    RANK,
    Param("priority", Int(), "0", "Order of choice of cluster monitors; negative: never the primary.",
          dynamic=True),
    Param("replication_custom_options", String(), "", "Text appended to CHANGE MASTER TO for this server.",
          dynamic=True),
    Param("protocol", String(), "", "Ignored; there is one protocol.", deprecated=True, hidden=True),
    Param("authenticator", String(), "", "Ignored; accounts tell how they authenticate.", deprecated=True,
          hidden=True),
    *TLS_SERVER,
)  # fmt: skip


def check_server(params: dict[str, Any]) -> Iterable[Finding]:
    """What is wrong with the parameters of one server."""
    if bool(params["address"]) == bool(params["socket"]):
        what = "both address and socket are" if params["address"] else "neither address nor socket is"
        yield "address", f"{what} given; allowed: exactly one of them"
    elif params["address"].startswith("/"):
        yield "address", f"'{params['address']}' is a path; allowed: a host (use socket for a Unix socket)"
    if bool(params["monitoruser"]) != bool(params["monitorpw"]):
        missing = "monitorpw" if params["monitoruser"] else "monitoruser"
        yield missing, "is not given; allowed: monitoruser and monitorpw together, or neither"
    yield from check_tls_pair(params)


def check_tls_pair(params: dict[str, Any], prefix: str = "ssl_") -> Iterable[Finding]:
    """A certificate without its key is no use, nor the other way round."""
    cert, key = f"{prefix}cert", f"{prefix}key"
    if bool(params[cert]) != bool(params[key]):
        yield (key if params[cert] else cert), f"is not given; allowed: {cert} and {key} together, or neither"
