"""The two JSON files about users: accounts beside those of the servers, and the mapping of clients to
server users.

Invariant: a file as a whole is taken or refused (ValueError, naming it); a bad entry of the accounts file
is left out with a warning, a bad entry of the mapping file refuses it. Source: spec core.md c3, "User
files".
"""

from __future__ import annotations

import grp
import json
import os
import pwd
from collections.abc import Callable, Iterator
from hashlib import sha1
from pathlib import Path
from typing import Any

from msgspec import Struct

from fairlead.accounts.authenticators import NATIVE_PLUGIN
from fairlead.accounts.model import Account, AccountSet, DatabaseGrant, RoleGrant
from fairlead.accounts.patterns import first_wildcard, unescape

# A file larger than this is refused, in bytes.
FILE_BYTES_MAX = 64 * 1024 * 1024
# Of the groups of a user so many are looked at.
GROUPS_MAX = 100

Warn = Callable[[str], None]


def _read_object(path: str | Path, parameter: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ValueError(f"{parameter}={path}: the file cannot be read: {error.strerror}") from None
    if len(raw) > FILE_BYTES_MAX:
        raise ValueError(f"{parameter}={path}: the file is larger than {FILE_BYTES_MAX >> 20} MiB")
    try:
        content = json.loads(raw)
    except json.JSONDecodeError as error:
        place = f"{path}:{error.lineno}:{error.colno}"
        raise ValueError(f"{parameter}={place}: no valid JSON: {error.msg}") from None
    except (UnicodeDecodeError, RecursionError):
        raise ValueError(f"{parameter}={path}: no valid JSON") from None
    if not isinstance(content, dict):
        raise ValueError(f"{parameter}={path}: a JSON object is needed, found {_kind(content)}")
    return content


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _entries(content: dict[str, Any], key: str, where: str) -> Iterator[tuple[str, Any]]:
    """The entries of an array with words that say where they stand."""
    entries = content.get(key, [])
    if not isinstance(entries, list):
        raise ValueError(f"{where}: '{key}' has to be an array, found {_kind(entries)}")
    for number, entry in enumerate(entries):
        yield f"{where}: {key}[{number}]", entry


def _text(entry: dict[str, Any], key: str, default: str | None = None) -> str:
    value = entry.get(key, default)
    if value is None:
        raise ValueError(f"'{key}' is missing")
    if not isinstance(value, str):
        raise ValueError(f"'{key}' has to be a string, found {_kind(value)}")
    return value


def _flag(entry: dict[str, Any], key: str) -> bool:
    value = entry.get(key, False)
    if not isinstance(value, bool):
        raise ValueError(f"'{key}' has to be a boolean, found {_kind(value)}")
    return value


def _object(entry: object) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise ValueError(f"an object is needed, found {_kind(entry)}")
    return entry


# -- user_accounts_file


def load_accounts_file(path: str | Path, warn: Warn) -> AccountSet:
    """The accounts in a user_accounts_file. Grants are LIKE patterns; databases without wildcard exist."""
    content = _read_object(path, "user_accounts_file")
    where = f"user_accounts_file={path}"
    accounts: list[Account] = []
    grants: list[DatabaseGrant] = []
    roles: list[RoleGrant] = []
    for key in ("user", "db", "roles_mapping"):
        for place, entry in _entries(content, key, where):
            try:
                given = _object(entry)
                if key == "user":
                    accounts.append(_account(given))
                elif key == "db":
                    grants.append(_grant(given))
                else:
                    roles.append(_role(given))
            except ValueError as error:
                warn(f"{place} is left out: {error}")
    names = dict.fromkeys(unescape(grant.db) for grant in grants if first_wildcard(grant.db) < 0)
    return AccountSet(tuple(accounts), tuple(grants), tuple(roles), tuple(names))


def _account(entry: dict[str, Any]) -> Account:
    plugin = _text(entry, "plugin", "").lower()
    auth_string = _text(entry, "authentication_string", "")
    password = _text(entry, "password", "")
    if plugin in ("", NATIVE_PLUGIN):
        password = password or auth_string
    return Account(
        user=_text(entry, "user"),
        host=_text(entry, "host"),
        plugin=plugin,
        password=password.removeprefix("*"),
        auth_string=auth_string,
        super_priv=_flag(entry, "super_priv"),
        global_db_priv=_flag(entry, "global_db_priv"),
        proxy_priv=_flag(entry, "proxy_priv"),
        is_role=_flag(entry, "is_role"),
        default_role=_text(entry, "default_role", ""),
    )


def _grant(entry: dict[str, Any]) -> DatabaseGrant:
    return DatabaseGrant(_text(entry, "user"), _text(entry, "host"), _text(entry, "db"), True)


def _role(entry: dict[str, Any]) -> RoleGrant:
    return RoleGrant(_text(entry, "user"), _text(entry, "host"), _text(entry, "role"))


# -- user_mapping_file


class MappedUser(Struct, frozen=True):
    """Who a client is on the servers. `sha1`: SHA1 of the password, empty without one."""

    user: str
    password: str = ""
    plugin: str = NATIVE_PLUGIN

    @property
    def sha1(self) -> bytes:
        """What mysql_native_password needs for the login."""
        return sha1(self.password.encode()).digest() if self.password else b""


class UserMapping:
    """The rules of a user_mapping_file: users by name first, then by the groups they have on this machine."""

    def __init__(
        self, users: dict[str, str], groups: dict[str, str], credentials: dict[str, MappedUser]
    ) -> None:
        self._users = users
        self._groups = groups
        self._credentials = credentials

    def map_user(self, user: str, groups_of: Callable[[str], list[str]] | None = None) -> MappedUser | None:
        """As whom this client acts on the servers; None: as itself."""
        mapped = self._users.get(user)
        if mapped is None and self._groups:
            names = (groups_of or linux_groups)(user)
            mapped = next((self._groups[name] for name in names if name in self._groups), None)
        if mapped is None:
            return None
        return self._credentials.get(mapped) or MappedUser(mapped)


def linux_groups(user: str) -> list[str]:
    """Names of the groups of a user of this machine; none if there is no such user."""
    try:
        ids = os.getgrouplist(user, pwd.getpwnam(user).pw_gid)[:GROUPS_MAX]
    except (KeyError, ValueError, OSError):
        return []
    names = []
    for number in ids:
        try:
            names.append(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return names


def load_mapping(path: str | Path, decrypt: Callable[[str], str] | None = None) -> UserMapping:
    """The rules in a user_mapping_file. `decrypt` turns passwords as they are written into plain ones."""
    content = _read_object(path, "user_mapping_file")
    where = f"user_mapping_file={path}"
    users = dict(_pairs(content, "user_map", "original_user", where))
    groups = dict(_pairs(content, "group_map", "original_group", where))
    credentials: dict[str, MappedUser] = {}
    for place, entry in _entries(content, "server_credentials", where):
        try:
            given = _object(entry)
            password = _text(given, "password", "")
            plugin = _text(given, "plugin", "") or NATIVE_PLUGIN
            if plugin != NATIVE_PLUGIN:
                raise ValueError(f"plugin '{plugin}' is not supported, only '{NATIVE_PLUGIN}' is")
            name = _text(given, "mapped_user")
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
        plain = decrypt(password) if decrypt is not None and password else password
        credentials[name] = MappedUser(name, plain, plugin)
    return UserMapping(users, groups, credentials)


def _pairs(content: dict[str, Any], key: str, original: str, where: str) -> Iterator[tuple[str, str]]:
    for place, entry in _entries(content, key, where):
        try:
            given = _object(entry)
            yield _text(given, original), _text(given, "mapped_user")
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
