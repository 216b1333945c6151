"""The accounts of a service as plain values, as they are read from servers or files and sent to the workers.

Source: spec core.md c3.
"""

from __future__ import annotations

from msgspec import Struct


class Account(Struct, frozen=True):
    """One user@host. `password`: SHA1(SHA1(pw)) in hex without `*`, or empty; `plugin` is lower-case."""

    user: str
    host: str
    plugin: str = "mysql_native_password"
    password: str = ""
    auth_string: str = ""
    ssl: bool = False
    super_priv: bool = False
    global_db_priv: bool = False
    proxy_priv: bool = False
    is_role: bool = False
    default_role: str = ""


class DatabaseGrant(Struct, frozen=True):
    """A privilege of user@host (or a role, host empty) in a database; `pattern`: `db` is a LIKE pattern."""

    user: str
    host: str
    db: str
    pattern: bool = False


class RoleGrant(Struct, frozen=True):
    """user@host (or a role, host empty) has been granted a role."""

    user: str
    host: str
    role: str


class LearnedFunctions(Struct, frozen=True):
    """Stored functions that only read, as `db.f`: those called by that name, and those that are also meant
    by `f` alone while the database is the default one.
    """

    qualified: tuple[str, ...] = ()
    unqualified: tuple[str, ...] = ()


class AccountSet(Struct, frozen=True):
    """Everything needed to judge logins: accounts, grants, role memberships, names of the databases; and
    what is learned of stored functions on the same occasion.
    """

    accounts: tuple[Account, ...] = ()
    grants: tuple[DatabaseGrant, ...] = ()
    roles: tuple[RoleGrant, ...] = ()
    databases: tuple[str, ...] = ()
    functions: LearnedFunctions = LearnedFunctions()
