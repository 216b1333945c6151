"""Reading the accounts of a server into an `AccountSet`.

It knows the system tables of MariaDB 10.0 and later and of MySQL 5.7 and later. Invariant: what could not
be read is either an error (the accounts themselves) or a warning that names the missing privilege; nothing
is guessed. Source: spec core.md c3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fairlead.accounts.model import Account, AccountSet, DatabaseGrant, LearnedFunctions, RoleGrant
from fairlead.net.sqlclient import Result, SqlClient, SqlError

# How long one query of the account tables may take, in seconds.
QUERY_TIMEOUT = 60.0

ER_TABLEACCESS_DENIED = 1142
ER_BAD_FIELD = 1054
ER_NO_SUCH_TABLE = 1146

# The session is put into a known state, whatever the server's defaults are.
_PREPARE = "SET NAMES utf8mb4"
_PREPARE_MODE = "SET SESSION sql_mode = ''"

_USER_COLUMNS = (
    "User, Host, plugin, Password, authentication_string, ssl_type, Super_priv, Select_priv, Insert_priv,"
    " Update_priv, Delete_priv, is_role, default_role"
)
# Servers without one of these columns are asked for all they have.
_USERS = (f"SELECT {_USER_COLUMNS} FROM mysql.user", "SELECT * FROM mysql.user")
_DATABASES = "SHOW DATABASES"
_DATABASE_GRANTS = "SELECT DISTINCT User, Host, Db FROM mysql.db"
_ROLES = "SELECT User, Host, Role FROM mysql.roles_mapping"
_PROXIES = "SELECT DISTINCT User, Host FROM mysql.proxies_priv WHERE Proxied_user <> '' OR Proxied_host <> ''"
# Tables with privileges on parts of a database.
_PART_TABLES = ("tables_priv", "columns_priv", "procs_priv")

Warn = Callable[[str], None]


async def load_accounts(client: SqlClient, warn: Warn) -> AccountSet:
    """All accounts of a server. Raises SqlError or SqlLost if the accounts themselves cannot be read."""
    await _query(client, _PREPARE)
    await _query(client, _PREPARE_MODE)
    users = await _users(client)
    grants = [
        DatabaseGrant(row["user"], row["host"], row["db"], True)
        for row in _rows(await _query(client, _DATABASE_GRANTS))
    ]
    grants += await _part_grants(client, warn)
    roles = [
        RoleGrant(row["user"], row["host"], row["role"])
        for row in await _optional(client, _ROLES, "roles_mapping", warn)
    ]
    proxies = {(row["user"], row["host"]) for row in await _optional(client, _PROXIES, "proxies_priv", warn)}
    return AccountSet(
        tuple(_account(row, (row["user"], row["host"]) in proxies) for row in users),
        tuple(grants),
        tuple(roles),
        await _database_names(client, warn),
    )


async def _query(client: SqlClient, sql: str) -> Result:
    return await client.query(sql, timeout=QUERY_TIMEOUT)


def _rows(result: Result) -> Iterable[dict[str, str]]:
    """The rows by lower-case column name, NULL as empty."""
    names = [name.lower() for name in result.columns]
    for row in result.rows:
        yield dict(zip(names, (value or "" for value in row), strict=True))


async def _users(client: SqlClient) -> list[dict[str, str]]:
    known_columns, all_columns = _USERS
    try:
        result = await _query(client, known_columns)
    except SqlError as error:
        if error.errno != ER_BAD_FIELD:
            raise
        result = await _query(client, all_columns)
    return list(_rows(result))


def _account(row: dict[str, str], proxy: bool) -> Account:
    """An account from its row of mysql.user, where versions differ in columns."""
    plugin = row.get("plugin", "").lower()
    auth_string = row.get("authentication_string", "")
    password = ""
    if plugin in ("", "mysql_native_password"):
        password = (row.get("password") or auth_string).removeprefix("*")
    global_columns = ("select_priv", "insert_priv", "update_priv", "delete_priv")
    return Account(
        user=row["user"],
        host=row["host"],
        plugin=plugin,
        password=password,
        auth_string=auth_string,
        ssl=row.get("ssl_type", "") != "",
        super_priv=_yes(row.get("super_priv")),
        global_db_priv=any(_yes(row.get(name)) for name in global_columns),
        proxy_priv=proxy,
        is_role=_yes(row.get("is_role")),
        default_role=row.get("default_role", ""),
    )


def _yes(value: str | None) -> bool:
    return value is not None and value.upper() in ("Y", "1")


def _missing(table: str, error: SqlError) -> str:
    return (
        f"mysql.{table} could not be read: {error.message} ({error.errno});"
        f" the user of the service needs: GRANT SELECT ON mysql.{table}"
    )


async def _part_grants(client: SqlClient, warn: Warn) -> list[DatabaseGrant]:
    """Privileges on tables, columns and routines; they count for the database as a whole."""
    try:
        rows = await _parts(client, _PART_TABLES)
    except SqlError:
        rows = set()
        for table in _PART_TABLES:
            try:
                rows |= await _parts(client, (table,))
            except SqlError as error:
                warn(_missing(table, error))
    return [DatabaseGrant(user, host, db) for user, host, db in sorted(rows)]


async def _parts(client: SqlClient, tables: tuple[str, ...]) -> set[tuple[str, str, str]]:
    # One statement for all; equal rows of different tables are joined here, where collations do not matter.
    sql = " UNION ALL ".join(f"SELECT DISTINCT User, Host, Db FROM mysql.{table}" for table in tables)
    return {(row["user"], row["host"], row["db"]) for row in _rows(await _query(client, sql))}


async def _optional(client: SqlClient, sql: str, table: str, warn: Warn) -> list[dict[str, str]]:
    try:
        return list(_rows(await _query(client, sql)))
    except SqlError as error:
        # MySQL has no roles_mapping.
        if error.errno != ER_NO_SUCH_TABLE:
            warn(_missing(table, error))
        return []


async def _database_names(client: SqlClient, warn: Warn) -> tuple[str, ...]:
    """Names of all databases; none if they are not shown: then the existence of databases is not judged."""
    try:
        result = await _query(client, _DATABASES)
    except SqlError as error:
        warn(f"the databases could not be listed: {error.message}; the service needs: GRANT SHOW DATABASES")
        return ()
    return tuple(row[0] for row in result.rows if row[0])


def merge(sets: Iterable[AccountSet]) -> AccountSet:
    """The union of several sets; of a user@host that stands in several the first counts, with all grants.

    Functions only read if all sets say so.
    """
    sets = tuple(sets)
    accounts: dict[tuple[str, str], Account] = {}
    grants: dict[DatabaseGrant, None] = {}
    roles: dict[RoleGrant, None] = {}
    databases: dict[str, None] = {}
    for one in sets:
        for account in one.accounts:
            accounts.setdefault((account.user, account.host), account)
        grants.update(dict.fromkeys(one.grants))
        roles.update(dict.fromkeys(one.roles))
        databases.update(dict.fromkeys(one.databases))
    functions = LearnedFunctions(
        _in_all(one.functions.qualified for one in sets), _in_all(one.functions.unqualified for one in sets)
    )
    return AccountSet(tuple(accounts.values()), tuple(grants), tuple(roles), tuple(databases), functions)


def _in_all(names: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    lists = [set(each) for each in names]
    return tuple(sorted(set.intersection(*lists))) if lists else ()
