"""Which modules exist: built-in ones, those of plugins, and names that are known but not available."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
from collections.abc import Callable
from functools import cache
from typing import Any

from fairlead.config.params import ModuleSpec
from fairlead.config.values import did_you_mean
from fairlead.monitors.mariadbmon.params import SPEC as MARIADBMON
from fairlead.net.params import MARIADB_PROTOCOL_PARAMS
from fairlead.routers.readconnroute.params import SPEC as READCONNROUTE
from fairlead.routers.readwritesplit.params import SPEC as READWRITESPLIT

_log = logging.getLogger(__name__)

MARIADB_PROTOCOL = ModuleSpec(
    "mariadbprotocol", "Protocol", "The client/server protocol of MariaDB", MARIADB_PROTOCOL_PARAMS,
    aliases=("mariadb", "mariadbclient", "mysqlclient"), extra={"json_name": "MariaDBProtocol"},
)  # fmt: skip
MARIADB_AUTH = ModuleSpec(
    "mariadbauth", "Authenticator", "Passwords of mysql_native_password accounts", aliases=("mysqlauth",)
)
HINTFILTER = ModuleSpec("hintfilter", "Filter", "Takes routing hints from comments")

BUILT_IN: tuple[ModuleSpec, ...] = (
    READWRITESPLIT, READCONNROUTE, MARIADBMON, MARIADB_PROTOCOL, MARIADB_AUTH, HINTFILTER
)  # fmt: skip

# Names of the reference that this release does not have, by kind.
UNAVAILABLE: dict[str, frozenset[str]] = {
    "Router": frozenset((
        "schemarouter", "binlogrouter", "kafkacdc", "kafkaimporter", "mirror", "smartrouter", "avrorouter",
        "cat", "xrouter", "hintrouter", "diff", "exasolrouter", "cli", "maxinfo", "debugcli",
    )),
    "Monitor": frozenset((
        "galeramon", "pgmon", "auroramon", "grmon", "csmon", "xpandmon", "clustrixmon", "mmmon",
        "ndbclustermon",
    )),
    "Protocol": frozenset((
        "cdc", "nosqlprotocol", "postgresprotocol", "postgres", "postgresql", "maxscaled", "httpd",
    )),
    "Authenticator": frozenset((
        "pamauth", "ed25519auth", "gssapiauth", "parsecauth", "pgauth", "cdcplainauth", "httpauth",
        "maxadminauth", "nullauthallow", "nullauthdeny",
    )),
    "Filter": frozenset((
        "qlafilter", "topfilter", "regexfilter", "comment", "commentfilter", "ccrfilter",
        "namedserverfilter", "maxrows", "tee", "throttlefilter", "cache", "masking", "rewritefilter",
        "binlogfilter", "optimistictrx", "psreuse", "ldi", "wcar", "dbfwfilter", "luafilter",
        "insertstream", "tpmfilter", "nullfilter", "mongodbfilter", "workloadcapture", "lagfilter",
        "hintparser", "mqfilter", "testfilter", "hangfilter", "nosqlfilter",
    )),
}  # fmt: skip

_GROUPS = {
    "fairlead.routers": "Router", "fairlead.filters": "Filter", "fairlead.monitors": "Monitor",
    "fairlead.authenticators": "Authenticator",
}  # fmt: skip


@cache
def _plugins() -> tuple[ModuleSpec, ...]:
    built_in = {spec.name for spec in BUILT_IN}
    found: list[ModuleSpec] = []
    for group in _GROUPS:
        for point in importlib.metadata.entry_points(group=group):
            if point.name in built_in:
                continue
            try:
                spec = getattr(point.load(), "SPEC", None)
            except Exception:  # the code of somebody else; without it, everything else goes on
                _log.exception("The plugin %s cannot be loaded and is ignored", point.name)
                continue
            if isinstance(spec, ModuleSpec):
                found.append(spec)
    return tuple(found)


def all_modules() -> tuple[ModuleSpec, ...]:
    """Every module that can be used."""
    return BUILT_IN + _plugins()


def find_module(kind: str, name: str) -> ModuleSpec:
    """The module of this kind and name or alias; ValueError with exact words if there is none."""
    wanted = name.lower()
    for modules in (BUILT_IN, _plugins()):
        for spec in modules:
            if spec.kind == kind and (spec.name == wanted or wanted in spec.aliases):
                return spec
    names = sorted(spec.name for spec in all_modules() if spec.kind == kind)
    allowed = f"allowed: {', '.join(names)}"
    if wanted in UNAVAILABLE[kind]:
        what = f"the {kind.lower()} '{name}'"
        raise ValueError(f"{what} is known but not available in this release yet; {allowed}")
    others = [spec.kind.lower() for spec in all_modules() if wanted in (spec.name, *spec.aliases)]
    if others:
        raise ValueError(f"'{name}' is the name of a {others[0]}, not of a {kind.lower()}; {allowed}")
    every = [*names, *(alias for spec in all_modules() if spec.kind == kind for alias in spec.aliases)]
    raise ValueError(f"there is no {kind.lower()} '{name}'; {allowed}{did_you_mean(name, every)}")


def old_name_warning(name: str) -> str | None:
    """What to say about a spelling that should no longer be used."""
    return "'mysqlclient' is an old name; use mariadbprotocol" if name.lower() == "mysqlclient" else None


_ROUTERS = {
    "readwritesplit": "fairlead.routers.readwritesplit.router",
    "readconnroute": "fairlead.routers.readconnroute.router",
}


def router_entry(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What a worker needs of a router: `make_session(session, service)` and `make_config(params)`."""
    module: Any
    if name in _ROUTERS:
        module = importlib.import_module(_ROUTERS[name])
    else:
        points = importlib.metadata.entry_points(group="fairlead.routers", name=name)
        module = next(iter(points)).load()
    return module.make_session, module.make_config
