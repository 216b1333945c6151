"""Reading accounts from a real server, and judging its grants as the server does."""

from __future__ import annotations

import asyncio
from hashlib import sha1

import pymysql
import pytest

from fairlead.accounts import loader
from fairlead.accounts.directory import AccountDirectory
from fairlead.accounts.loader import load_accounts, merge
from fairlead.accounts.model import Account, AccountSet, DatabaseGrant, RoleGrant
from fairlead.net.sqlclient import SqlClient, SqlError

SERVICE_TABLES = ("user", "db", "tables_priv", "columns_priv", "procs_priv", "proxies_priv", "roles_mapping")

GRANTS = {
    "global": ("GRANT SELECT ON *.* TO 'who'@'%'",),
    "database": ("GRANT INSERT ON cp_db.* TO 'who'@'%'",),
    "table": ("GRANT SELECT ON cp_db.t TO 'who'@'%'",),
    "column": ("GRANT SELECT (a) ON cp_db.t TO 'who'@'%'",),
    "procedure": ("GRANT EXECUTE ON PROCEDURE cp_db.p TO 'who'@'%'",),
    "function": ("GRANT EXECUTE ON FUNCTION cp_db.f TO 'who'@'%'",),
    "pattern": ("GRANT SELECT ON `cp%`.* TO 'who'@'%'",),
    "underscore": ("GRANT SELECT ON `cp_db`.* TO 'who'@'%'",),
    "escaped": (r"GRANT SELECT ON `cp\_db`.* TO 'who'@'%'",),
    "role": (
        "CREATE ROLE cp_role", "GRANT SELECT ON cp_db.* TO cp_role", "GRANT cp_role TO 'who'@'%'",
        "SET DEFAULT ROLE cp_role FOR 'who'@'%'",
    ),
    "role_with_table": (
        "CREATE ROLE cp_role", "GRANT SELECT ON cp_db.t TO cp_role", "GRANT cp_role TO 'who'@'%'",
        "SET DEFAULT ROLE cp_role FOR 'who'@'%'",
    ),
    "role_with_global": (
        "CREATE ROLE cp_role", "GRANT SELECT ON *.* TO cp_role", "GRANT cp_role TO 'who'@'%'",
        "SET DEFAULT ROLE cp_role FOR 'who'@'%'",
    ),
    "role_of_role": (
        "CREATE ROLE cp_inner", "CREATE ROLE cp_role", "GRANT SELECT ON cp_db.* TO cp_inner",
        "GRANT cp_inner TO cp_role", "GRANT cp_role TO 'who'@'%'", "SET DEFAULT ROLE cp_role FOR 'who'@'%'",
    ),
    "public": ("GRANT SELECT ON cp_db.* TO PUBLIC",),
    "everybody": ("INSERT INTO mysql.db (Host, Db, User, Select_priv) VALUES ('%', 'cp_db', '', 'Y')",
                  "FLUSH PRIVILEGES"),
}  # fmt: skip

NO_GRANTS = {
    "nothing": (),
    "other_database": ("GRANT ALL ON cpXdb.* TO 'who'@'%'",),
    "escaped_pattern": (r"GRANT ALL ON `cp\_d\_`.* TO 'who'@'%'",),
    "global_without_data": ("GRANT PROCESS, REPLICATION CLIENT ON *.* TO 'who'@'%'",),
    "role_not_default": (
        "CREATE ROLE cp_role", "GRANT SELECT ON cp_db.* TO cp_role", "GRANT cp_role TO 'who'@'%'",
    ),
    "default_role_revoked": (
        "CREATE ROLE cp_role", "GRANT SELECT ON cp_db.* TO cp_role", "GRANT cp_role TO 'who'@'%'",
        "SET DEFAULT ROLE cp_role FOR 'who'@'%'", "REVOKE cp_role FROM 'who'@'%'",
    ),
}  # fmt: skip

PREPARE = (
    "CREATE DATABASE cp_db",
    "CREATE TABLE cp_db.t (a INT, b INT)",
    "CREATE PROCEDURE cp_db.p() SELECT 1",
    "CREATE FUNCTION cp_db.f() RETURNS INT DETERMINISTIC RETURN 1",
    "CREATE USER 'who'@'%' IDENTIFIED BY 'pw'",
)

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server(mariadb):
    mariadb.run(
        "CREATE USER 'service'@'%' IDENTIFIED BY 'service_pw'",
        *(f"GRANT SELECT ON mysql.{table} TO 'service'@'%'" for table in SERVICE_TABLES),
        "GRANT SHOW DATABASES ON *.* TO 'service'@'%'",
    )
    return mariadb


@pytest.fixture
def clean(server):
    """Afterwards only the service's account is left."""
    yield server
    server.run("DROP DATABASE IF EXISTS cp_db", "DELETE FROM mysql.db WHERE User = ''", "FLUSH PRIVILEGES")
    keep = "User NOT IN ('root', 'mariadb.sys', 'mysql', 'service', 'PUBLIC')"
    roles = server.values(f"SELECT User FROM mysql.user WHERE is_role = 'Y' AND {keep}")
    users = server.values(
        f"SELECT CONCAT(QUOTE(User), '@', QUOTE(Host)) FROM mysql.user WHERE is_role = 'N' AND {keep}"
    )
    server.run(*(f"DROP USER {user}" for user in users), *(f"DROP ROLE {role}" for role in roles))
    if "PUBLIC" in server.values("SELECT User FROM mysql.user"):
        server.run("REVOKE ALL PRIVILEGES, GRANT OPTION FROM PUBLIC")


def load(server, user: str = "service", password: str = "service_pw") -> tuple[AccountSet, list[str]]:
    async def read() -> tuple[AccountSet, list[str]]:
        warnings: list[str] = []
        client = await SqlClient.connect(socket=server.socket, user=user, password=password)
        try:
            return await load_accounts(client, warnings.append), warnings
        finally:
            await client.close()

    return asyncio.run(read())


def account(found: AccountSet, user: str) -> Account:
    (only,) = [one for one in found.accounts if one.user == user]
    return only


def server_says(server, database: str) -> int:
    """What the server itself answers to a login with this default database."""
    try:
        server.connect("who", "pw", database=database).close()
    except pymysql.err.OperationalError as error:
        return int(error.args[0])
    return 0


@pytest.mark.parametrize("grants", [*GRANTS.values(), *NO_GRANTS.values()], ids=[*GRANTS, *NO_GRANTS])
def test_default_database(clean, grants):
    clean.run(*PREPARE, *grants)
    found, warnings = load(clean)
    directory = AccountDirectory(found)
    who = directory.find("who", "127.0.0.1")
    assert who is not None and warnings == []
    expected = 0 if grants in GRANTS.values() else 1044
    assert directory.check_database(who, "cp_db") == expected
    assert server_says(clean, "cp_db") == expected
    assert directory.check_database(who, "no_such_db") == 1049
    assert directory.check_database(who, "information_schema") == 0


def test_what_an_account_has(clean):
    clean.run(
        "CREATE ROLE r",
        "CREATE USER 'é'@'10.%' IDENTIFIED BY 'ü'",
        "CREATE USER open@localhost",
        "CREATE USER tls@'%' REQUIRE SSL",
        "CREATE USER x509@'%' REQUIRE X509",
        "CREATE USER sock@'%' IDENTIFIED VIA unix_socket",
        "CREATE USER super@'%'", "GRANT SUPER ON *.* TO super@'%'",
        "CREATE USER data@'%'", "GRANT DELETE ON *.* TO data@'%'",
        "CREATE USER proxy@'%'", "GRANT PROXY ON open@localhost TO proxy@'%'",
        "CREATE USER member@'%'", "GRANT r TO member@'%'", "SET DEFAULT ROLE r FOR member@'%'",
    )  # fmt: skip
    found, warnings = load(clean)
    assert warnings == []
    hashed = sha1(sha1("ü".encode()).digest()).hexdigest().upper()
    one = account(found, "é")
    assert (one.host, one.plugin, one.password) == ("10.%", "mysql_native_password", hashed)
    assert account(found, "open") == Account("open", "localhost")
    assert account(found, "tls").ssl and account(found, "x509").ssl and not account(found, "open").ssl
    assert account(found, "sock").plugin == "unix_socket" and account(found, "sock").password == ""
    assert account(found, "super").super_priv and not account(found, "super").global_db_priv
    assert account(found, "data").global_db_priv and not account(found, "data").super_priv
    assert account(found, "proxy").proxy_priv and not account(found, "data").proxy_priv
    assert account(found, "r").is_role and account(found, "member").default_role == "r"
    assert RoleGrant("member", "%", "r") in found.roles
    assert {"mysql", "information_schema"} <= set(found.databases)


@pytest.mark.parametrize(
    "table", ["procs_priv", "tables_priv", "columns_priv", "proxies_priv", "roles_mapping"]
)
def test_missing_privileges_are_told(clean, table):
    clean.run(*PREPARE, "GRANT SELECT ON cp_db.t TO who@'%'", "GRANT EXECUTE ON PROCEDURE cp_db.p TO who@'%'")
    clean.run(f"REVOKE SELECT ON mysql.{table} FROM 'service'@'%'")
    try:
        found, warnings = load(clean)
    finally:
        clean.run(f"GRANT SELECT ON mysql.{table} TO 'service'@'%'")
    (text,) = warnings
    assert text.startswith(f"mysql.{table} could not be read: SELECT command denied")
    assert text.endswith(f"the user of the service needs: GRANT SELECT ON mysql.{table}")
    assert DatabaseGrant("who", "%", "cp_db") in found.grants


@pytest.mark.parametrize("table", ["user", "db"])
def test_without_these_nothing_works(clean, table):
    clean.run(f"REVOKE SELECT ON mysql.{table} FROM 'service'@'%'")
    try:
        with pytest.raises(SqlError) as error:
            load(clean)
    finally:
        clean.run(f"GRANT SELECT ON mysql.{table} TO 'service'@'%'")
    assert error.value.errno == 1142


def test_servers_with_other_columns(clean, monkeypatch):
    clean.run("CREATE USER who@'%' IDENTIFIED BY 'pw'")
    expected, _ = load(clean)
    monkeypatch.setattr(
        loader, "_USERS", ("SELECT no_such_column FROM mysql.user", "SELECT * FROM mysql.user")
    )
    assert load(clean) == (expected, [])


def test_a_hostile_session_default(clean):
    """sql_mode and character sets of the server do not matter."""
    clean.run("CREATE USER 'é'@'%'", "SET GLOBAL sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,ORACLE'")
    try:
        assert account(load(clean)[0], "é").host == "%"
    finally:
        clean.run("SET GLOBAL sql_mode = DEFAULT")


def test_merge():
    first = AccountSet((Account("a", "%", password="1"),), (DatabaseGrant("a", "%", "d"),), (), ("d",))
    second = AccountSet(
        (Account("a", "%", password="2"), Account("b", "%")),
        (DatabaseGrant("a", "%", "d"), DatabaseGrant("b", "%", "e", True)),
        (RoleGrant("b", "%", "r"),),
        ("e", "d"),
    )
    assert merge((first, second)) == AccountSet(
        (Account("a", "%", password="1"), Account("b", "%")),
        (DatabaseGrant("a", "%", "d"), DatabaseGrant("b", "%", "e", True)),
        (RoleGrant("b", "%", "r"),),
        ("d", "e"),
    )
    assert merge(()) == AccountSet()
