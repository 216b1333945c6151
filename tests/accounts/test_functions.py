"""What a real server says of stored functions, and what of that can be relied on."""

from __future__ import annotations

import asyncio

import pytest

from fairlead.accounts import functions as tested
from fairlead.accounts.functions import load_functions
from fairlead.accounts.loader import merge
from fairlead.accounts.model import AccountSet, LearnedFunctions
from fairlead.net.sqlclient import Result, SqlClient, SqlError

pytestmark = pytest.mark.server

ROUTINES = (
    "CREATE DATABASE fn_a",
    "CREATE DATABASE fn_b",
    "CREATE FUNCTION fn_a.Reads() RETURNS INT READS SQL DATA RETURN 1",
    "CREATE FUNCTION fn_a.computes(x INT) RETURNS INT DETERMINISTIC NO SQL RETURN x",
    "CREATE FUNCTION fn_a.draws() RETURNS DOUBLE NOT DETERMINISTIC NO SQL RETURN RAND()",
    "CREATE FUNCTION fn_a.says_nothing() RETURNS INT DETERMINISTIC RETURN 1",
    "CREATE FUNCTION fn_a.writes() RETURNS INT MODIFIES SQL DATA RETURN 1",
    "CREATE FUNCTION fn_b.reads() RETURNS INT MODIFIES SQL DATA RETURN 1",
    "CREATE PROCEDURE fn_a.p() READS SQL DATA SELECT 1",
    # Names that mean something else when they are called without a database, or cannot be compared.
    "CREATE FUNCTION fn_a.abs(x INT) RETURNS INT NO SQL RETURN x",
    "CREATE FUNCTION fn_a.sformat() RETURNS INT NO SQL RETURN 1",
    "CREATE FUNCTION fn_a.wsrep_last_seen_gtid() RETURNS INT NO SQL RETURN 1",
    "CREATE FUNCTION fn_a.get_lock(x INT) RETURNS INT NO SQL RETURN x",
    "CREATE FUNCTION fn_a.loaded() RETURNS INT NO SQL RETURN 1",
    "CREATE FUNCTION fn_a.`a.b`() RETURNS INT NO SQL RETURN 1",
    "CREATE FUNCTION fn_a.`fé`() RETURNS INT NO SQL RETURN 1",
    "CREATE DATABASE `fn.c`",
    "CREATE FUNCTION `fn.c`.f() RETURNS INT NO SQL RETURN 1",
    "INSERT INTO mysql.func VALUES ('Loaded', 0, 'none.so', 'function')",
)


@pytest.fixture
def server(mariadb):
    mariadb.run(
        "CREATE USER 'learner'@'%' IDENTIFIED BY 'pw'",
        "GRANT SELECT ON mysql.proc TO 'learner'@'%'",
        "GRANT SELECT ON mysql.func TO 'learner'@'%'",
        *ROUTINES,
    )
    yield mariadb
    mariadb.run(
        "DROP USER 'learner'@'%'", "DROP DATABASE fn_a", "DROP DATABASE fn_b", "DROP DATABASE `fn.c`",
        "DELETE FROM mysql.func",
    )  # fmt: skip


def learn(server) -> tuple[LearnedFunctions, list[str]]:
    """What is learned of the functions in the databases of this test, and the warnings."""

    async def read() -> tuple[LearnedFunctions, list[str]]:
        warnings: list[str] = []
        client = await SqlClient.connect(socket=server.socket, user="learner", password="pw")
        try:
            return await load_functions(client, warnings.append), warnings
        finally:
            await client.close()

    found, warnings = asyncio.run(read())
    return LearnedFunctions(_ours(found.qualified), _ours(found.unqualified)), warnings


def _ours(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name.startswith("fn"))


READS = ("fn_a.computes", "fn_a.draws", "fn_a.reads")


def test_what_is_learned(server):
    found, warnings = learn(server)
    assert warnings == []
    expected = {*READS, "fn_a.abs", "fn_a.loaded", "fn_a.wsrep_last_seen_gtid"}
    # The native SFORMAT() came with 10.7.
    assert set(found.qualified) == expected | {"fn_a.sformat"}
    native = server.values("SELECT COUNT(*) FROM information_schema.SQL_FUNCTIONS WHERE FUNCTION = 'SFORMAT'")
    assert set(found.unqualified) == {*READS, *(() if native[0] else ("fn_a.sformat",))}


def test_what_changes_on_the_server_is_followed(server):
    server.run("ALTER FUNCTION fn_a.reads MODIFIES SQL DATA", "DROP FUNCTION fn_a.draws")
    found, _ = learn(server)
    assert set(found.unqualified) - {"fn_a.sformat"} == {"fn_a.computes"}
    assert "fn_a.reads" not in found.qualified and "fn_a.draws" not in found.qualified


def test_a_package_may_be_meant_instead_of_a_database(server):
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = ORACLE")
        cursor.execute("CREATE PACKAGE fn_b.fn_a AS FUNCTION draws RETURN INT; END")
    found, _ = learn(server)
    assert found.qualified == () and set(READS) <= set(found.unqualified)


def test_without_the_list_of_routines_nothing_is_learned(server):
    server.run("REVOKE SELECT ON mysql.proc FROM 'learner'@'%'", "GRANT EXECUTE ON fn_a.* TO 'learner'@'%'")
    found, warnings = learn(server)
    assert found == LearnedFunctions()
    (text,) = warnings
    assert "mysql.proc could not be read" in text and text.endswith("GRANT SELECT ON mysql.proc")


def test_without_the_list_of_loaded_functions_only_calls_with_a_database_count(server):
    server.run("REVOKE SELECT ON mysql.func FROM 'learner'@'%'")
    found, warnings = learn(server)
    assert set(READS) <= set(found.qualified) and found.unqualified == ()
    (text,) = warnings
    assert "mysql.func could not be read" in text and text.endswith("GRANT SELECT ON mysql.func")


def test_servers_without_a_list_of_native_functions(server, monkeypatch):
    monkeypatch.setattr(tested, "_NATIVE", "SELECT `FUNCTION` FROM information_schema.NO_FUNCTIONS")
    found, warnings = learn(server)
    assert set(READS) <= set(found.unqualified) and "fn_a.abs" not in found.unqualified and warnings == []


class OtherServer:
    """MySQL: no mysql.proc, and who may not see routines is not told."""

    async def query(self, sql: str, timeout: float = 0) -> Result:
        if "VERSION()" in sql:
            return Result(columns=("v",), rows=[("8.0.36",)])
        if "ROUTINES" in sql:
            return Result(columns=("a", "b", "c", "d"), rows=[("d", "f", "FUNCTION", "NO SQL")])
        if "mysql.func" in sql:
            return Result(columns=("name",), rows=[])
        if "SQL_FUNCTIONS" in sql:
            raise SqlError(1109, "42S02", "Unknown table 'SQL_FUNCTIONS' in information_schema")
        raise SqlError(1142, "42000", "SELECT command denied")


def test_mysql():
    found = asyncio.run(load_functions(OtherServer(), lambda text: pytest.fail(text)))  # type: ignore[arg-type]
    assert found == LearnedFunctions(("d.f",), ("d.f",))


def test_merge_trusts_what_all_servers_say():
    first = AccountSet(functions=LearnedFunctions(("a.f", "a.g"), ("a.f",)))
    second = AccountSet(functions=LearnedFunctions(("a.f",), ()))
    assert merge((first, second)).functions == LearnedFunctions(("a.f",), ())
    assert merge((first,)).functions == first.functions and merge(()).functions == LearnedFunctions()
