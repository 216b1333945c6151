"""Which stored functions only read, as a server describes them (`learn_read_functions`).

Invariant: a function is named only if a call of that name can mean nothing else on the server. What the user
of the service may not see is not guessed: a warning names the missing privilege.
"""

from __future__ import annotations

from collections.abc import Iterable

from fairlead.accounts.loader import ER_NO_SUCH_TABLE, QUERY_TIMEOUT, Warn
from fairlead.accounts.model import LearnedFunctions
from fairlead.net.sqlclient import SqlClient, SqlError
from fairlead.sql.functions import NEVER_READS, READ_FUNCTIONS

ER_UNKNOWN_TABLE = 1109

# Somebody who may not read mysql.proc is shown only a part of the routines, without an error.
_PROBE = "SELECT 1 FROM mysql.proc LIMIT 0"
_ROUTINES = (
    "SELECT ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_TYPE, SQL_DATA_ACCESS FROM information_schema.ROUTINES"
    " WHERE ROUTINE_TYPE IN ('FUNCTION', 'PACKAGE')"
)
# A call without a database means one of these before it means a stored function.
_LOADED = "SELECT name FROM mysql.func"
_NATIVE = "SELECT `FUNCTION` FROM information_schema.SQL_FUNCTIONS"
_READS = ("NO SQL", "READS SQL DATA")


async def load_functions(client: SqlClient, warn: Warn) -> LearnedFunctions:
    """The functions of a server that are declared to it as reads. Raises SqlError or SqlLost."""
    if not await _sees_all(client, warn):
        return LearnedFunctions()
    rows = await _query(client, _ROUTINES)
    packages = {name.lower() for _, name, kind, _ in rows if kind == "PACKAGE"}
    reads = [
        (database, name.lower())
        for database, name, kind, access in rows
        if kind == "FUNCTION" and access in _READS and _is_plain(database) and _is_plain(name)
    ]
    hidden = await _hiding_names(client, warn)
    return LearnedFunctions(
        # In Oracle mode `a.f()` is the function f of the package a of the default database, if there is one.
        _names(each for each in reads if each[0].lower() not in packages and each[1] not in NEVER_READS),
        _names(each for each in reads if hidden is not None and each[1] not in hidden),
    )


def _names(functions: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(sorted(f"{database}.{name}" for database, name in functions))


def _is_plain(name: str) -> bool:
    """Whether a name is one that the classifier compares, too."""
    return name.isascii() and "." not in name


async def _query(client: SqlClient, sql: str) -> list[tuple[str, ...]]:
    result = await client.query(sql, timeout=QUERY_TIMEOUT)
    return [tuple(value or "" for value in row) for row in result.rows]


async def _sees_all(client: SqlClient, warn: Warn) -> bool:
    """Whether the server shows all routines."""
    ((version,),) = await _query(client, "SELECT VERSION()")
    if "mariadb" not in version.lower():
        return True
    try:
        await _query(client, _PROBE)
    except SqlError as error:
        warn(_missing("proc", error, "no stored function is known to read"))
        return False
    return True


async def _hiding_names(client: SqlClient, warn: Warn) -> set[str] | None:
    """Names that a call without a database means in any database; None if they cannot all be known."""
    try:
        hidden = {name.lower() for (name,) in await _query(client, _LOADED)}
    except SqlError as error:
        warn(_missing("func", error, "calls that do not name the database are not known to read"))
        return None
    try:
        hidden |= {name.lower() for (name,) in await _query(client, _NATIVE)}
    except SqlError as error:
        # Servers before MariaDB 10.6 have no list: then what we know ourselves has to do.
        if error.errno not in (ER_UNKNOWN_TABLE, ER_NO_SUCH_TABLE):
            raise
    return hidden | NEVER_READS | READ_FUNCTIONS


def _missing(table: str, error: SqlError, effect: str) -> str:
    return (
        f"learn_read_functions: mysql.{table} could not be read: {error.message} ({error.errno}); {effect};"
        f" the user of the service needs: GRANT SELECT ON mysql.{table}"
    )
