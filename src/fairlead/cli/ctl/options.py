"""Global options of the admin client: command line over configuration file over defaults."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8989
DEFAULT_FILES = (("~/.fairctl.cnf", "fairctl"), ("~/.maxctrl.cnf", "maxctrl"))
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BOOLEANS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


class CtlError(Exception):
    """A message for the user; the command ends with exit code 1."""


@dataclass(frozen=True)
class Options:
    """What applies to every request and every output of one command."""

    user: str = "admin"
    password: str = "mariadb"
    hosts: tuple[str, ...] = (f"{DEFAULT_HOST}:{DEFAULT_PORT}",)
    timeout: float = 10.0
    quiet: bool = False
    tsv: bool = False
    json: bool = False
    secure: bool = False
    tls_key: str = ""
    tls_cert: str = ""
    tls_passphrase: str = field(default="", repr=False)
    tls_ca_cert: str = ""
    tls_verify_server_cert: bool = True
    skip_sync: bool = False


def timeout_seconds(text: str) -> float:
    """`10000` is milliseconds; a suffix h, m, s or ms says otherwise."""
    match = re.fullmatch(r"(\d+)(h|m|s|ms)?", text.strip().lower())
    if match is None:
        raise CtlError(f"`{text}` is not a duration: write milliseconds, or a number with h, m, s or ms")
    return int(match[1]) * _UNITS[match[2] or "ms"]


def split_host(host: str) -> tuple[str, int]:
    """`name`, `name:port`, `[v6]:port` -> name and port."""
    text = re.sub(r"^https?://", "", host.strip()).rstrip("/")
    match = re.fullmatch(r"\[([^\]]+)\](?::(\d+))?|([^:]+)(?::(\d+))?", text)
    if match is None:
        raise CtlError(f"`{host}` is not a host: write NAME, NAME:PORT or [ADDRESS]:PORT")
    port = match[2] or match[4] or str(DEFAULT_PORT)
    if not 0 < int(port) < 65536:
        raise CtlError(f"`{host}`: {port} is not a port number")
    return match[1] or match[3], int(port)


def read_file(path: Path, section: str | None = None) -> dict[str, str]:
    """Options of a configuration file; refuses one that others may read, since it may hold a password."""
    import configparser

    if path.suffix != ".cnf":
        raise CtlError(f"{path}: the name of a configuration file must end in .cnf")
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text()
    except OSError as error:
        raise CtlError(f"{path}: cannot be read: {error.strerror}") from None
    if mode & 0o077:
        raise CtlError(
            f"{path}: has mode {mode:04o}; group and others must have no rights (chmod 600 {path})"
        )
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(text, str(path))
    except configparser.Error as error:
        raise CtlError(f"{path}: {error}") from None
    for name in (section,) if section else ("fairctl", "maxctrl"):
        if parser.has_section(name):
            return {key.replace("_", "-"): value or "" for key, value in parser.items(name)}
    raise CtlError(f"{path}: has no section [{section or 'maxctrl'}]")


def _typed(name: str, text: str, where: str) -> Any:
    if name == "hosts":
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if name == "timeout":
        return timeout_seconds(text)
    if isinstance(getattr(Options, name), bool):
        if text.strip().lower() not in _BOOLEANS:
            raise CtlError(f"{where}: {name.replace('_', '-')}: `{text}` is neither true nor false")
        return _BOOLEANS[text.strip().lower()]
    return text


def resolve(given: dict[str, Any]) -> Options:
    """Merge: `given` holds what the command line said (strings, flags; None when not said)."""
    options = Options()
    chosen = given.get("config")
    sources: list[tuple[Path, str | None]] = []
    if chosen:
        sources.append((Path(chosen).expanduser(), None))
    else:
        found = [(Path(os.path.expanduser(name)), section) for name, section in DEFAULT_FILES]
        sources.extend([(path, section) for path, section in found if path.is_file()][:1])
    known = set(Options.__dataclass_fields__)
    for path, section in sources:
        values: dict[str, Any] = {}
        for key, text in read_file(path, section).items():
            name = key.replace("-", "_")
            if name not in known:
                raise CtlError(f"{path}: unknown option `{key}`; known: {', '.join(sorted(known))}")
            values[name] = _typed(name, text, str(path))
        options = replace(options, **values)
    changes: dict[str, Any] = {}
    for name, value in given.items():
        if name in known and value is not None:
            changes[name] = _typed(name, value, "command line") if isinstance(value, str) else value
    options = replace(options, **changes)
    if not options.hosts:
        raise CtlError("no hosts given")
    return options
