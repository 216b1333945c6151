"""Matching of clients with accounts, and databases with privileges."""

from __future__ import annotations

import time

import pytest

from fairlead.accounts.directory import AccountDirectory, DirectoryOptions
from fairlead.accounts.model import Account, AccountSet, DatabaseGrant, RoleGrant


def directory(
    *accounts: Account, grants=(), roles=(), databases=("test", "cp_db"), **options
) -> AccountDirectory:
    return AccountDirectory(
        AccountSet(tuple(accounts), tuple(grants), tuple(roles), tuple(databases)),
        DirectoryOptions(**options),
    )


def host_found(tested: AccountDirectory, user: str, address: str, name: str | None = None) -> str | None:
    account = tested.find(user, address, name)
    return None if account is None else account.host


def test_most_specific_host_wins():
    hosts = ["%", "127.%", "127.0.0.1", "10.0.0.1"]
    tested = directory(*[Account("multi", host) for host in hosts])
    assert host_found(tested, "multi", "127.0.0.1") == "127.0.0.1"
    assert host_found(tested, "multi", "127.0.0.2") == "127.%"
    assert host_found(tested, "multi", "11.0.0.2") == "%"
    assert host_found(tested, "multi", "::ffff:10.0.0.1") == "10.0.0.1"


def test_users_are_compared_exactly():
    tested = directory(Account("pw", "%"))
    assert host_found(tested, "PW", "10.0.0.1") is None
    assert host_found(tested, "nobody", "10.0.0.1") is None
    assert host_found(tested, "", "10.0.0.1") is None
    assert tested.has_user("pw") and not tested.has_user("PW")


def test_host_is_not_matched_on_request():
    account = Account("far", "10.9.8.7")
    assert directory(account).find("far", "127.0.0.1") is None
    assert directory(account, match_host=False).find("far", "127.0.0.1") is account


def test_host_names():
    tested = directory(
        Account("n", "localhost"), Account("m", "%"), Account("m", "%.lan"), Account("m", "10.0.0.1")
    )
    assert tested.needs_name("n") and tested.needs_name("n", "127.0.0.1")
    assert host_found(tested, "n", "127.0.0.1") is None
    assert host_found(tested, "n", "127.0.0.1", "LOCALHOST") == "localhost"
    assert not tested.needs_name("n", "localhost")
    assert host_found(tested, "n", "localhost") == "localhost"
    assert not tested.needs_name("m", "10.0.0.1")
    assert not tested.needs_name(
        "m", "10.0.0.2"
    )  # % stands before %.lan: wildcards at the same place, by name
    assert not tested.needs_name("nobody", "10.0.0.2")
    assert not directory(Account("n", "localhost"), match_host=False).needs_name("n")


def test_name_is_needed_when_it_comes_first():
    tested = directory(Account("m", "%"), Account("m", "db.lan"))
    assert tested.needs_name("m", "10.0.0.2")
    assert host_found(tested, "m", "10.0.0.2", "db.lan") == "db.lan"
    assert host_found(tested, "m", "10.0.0.2", "other.lan") == "%"
    assert host_found(tested, "m", "10.0.0.2") == "%"


def test_root_and_roles():
    tested = directory(Account("root", "%"), Account("r", "", is_role=True))
    assert tested.find("root", "10.0.0.1") is None
    assert tested.find("r", "10.0.0.1") is None
    assert directory(Account("root", "%"), enable_root_user=True).find("root", "10.0.0.1") is not None


def test_anonymous_accounts():
    accounts = (Account("", "%", proxy_priv=True), Account("", "10.%"), Account("u", "11.%"))
    assert directory(*accounts).find("who", "10.0.0.1") is None
    tested = directory(*accounts, anonymous=True)
    assert host_found(tested, "who", "10.0.0.1") == "%"
    assert host_found(tested, "u", "11.0.0.1") == "11.%"
    assert host_found(tested, "u", "10.0.0.1") == "%"


# -- databases

WHO = Account("who", "%")


def grant(database: str, user: str = "who", host: str = "%", pattern: bool = False) -> DatabaseGrant:
    return DatabaseGrant(user, host, database, pattern)


@pytest.mark.parametrize(
    "grants, expected",
    [
        ([], 1044),
        ([grant("cp_db")], 0),
        ([grant("cp_db", pattern=True)], 0),
        ([grant("cp%", pattern=True)], 0),
        ([grant(r"cp\_db", pattern=True)], 0),
        ([grant(r"cp\_db")], 0),
        ([grant("cp%")], 1044),
        ([grant("cpXdb", pattern=True)], 1044),
        ([grant(r"cp\_d\_", pattern=True)], 1044),
        ([grant("cp_db", host="127.0.0.1")], 1044),
        ([grant("cp_db", user="other")], 1044),
        ([grant("cp_db", user="", pattern=True)], 0),
        ([grant("cp_db", user="PUBLIC", host="")], 0),
    ],
)
def test_grants(grants, expected):
    assert directory(WHO, grants=grants).check_database(WHO, "cp_db") == expected


def test_escapes_are_kept_on_request():
    tested = directory(WHO, grants=[grant(r"cp\_db")], strip_db_esc=False)
    assert tested.check_database(WHO, "cp_db") == 1044


def test_existence_comes_before_privileges():
    tested = directory(WHO)
    assert tested.check_database(WHO, "nothing") == 1049
    assert tested.check_database(Account("g", "%", global_db_priv=True), "nothing") == 1049
    assert tested.check_database(Account("g", "%", global_db_priv=True), "cp_db") == 0
    assert tested.check_database(WHO, "information_schema") == 0
    assert tested.check_database(WHO, "INFORMATION_SCHEMA") == 0
    # Where the names of databases could not be read, privileges decide.
    tested = directory(WHO, grants=[grant("cp_db")], databases=())
    assert [tested.check_database(WHO, name) for name in ("cp_db", "nothing")] == [0, 1044]


def test_case_of_databases():
    exact = directory(WHO, grants=[grant("cp_db")])
    assert exact.check_database(WHO, "CP_DB") == 1049
    for value in (1, 2):
        folding = directory(WHO, grants=[grant("Cp_Db", pattern=True)], lower_case_table_names=value)
        assert folding.check_database(WHO, "CP_DB") == 0
        assert folding.check_database(WHO, "TEST") == 1044


def test_default_role_and_roles_of_roles():
    member = Account("who", "%", default_role="outer")
    roles = [
        RoleGrant("who", "%", "outer"), RoleGrant("outer", "", "middle"), RoleGrant("middle", "", "inner"),
        RoleGrant("inner", "", "outer"),
    ]  # fmt: skip
    grants = [grant("cp_db", user="inner", host="")]
    tested = directory(member, grants=grants, roles=roles)
    assert tested.check_database(member, "cp_db") == 0
    assert tested.check_database(member, "test") == 1044
    assert tested.check_database(member, "cp_db", role="") == 1044
    assert tested.check_database(WHO, "cp_db") == 1044
    assert tested.check_database(WHO, "cp_db", role="outer") == 0
    # A default role that has been revoked counts no more.
    assert directory(member, grants=grants, roles=roles[1:]).check_database(member, "cp_db") == 1044


def test_global_privilege_of_a_role():
    member = Account("who", "%", default_role="r")
    tested = directory(
        member, Account("r", "", is_role=True, global_db_priv=True), roles=[RoleGrant("who", "%", "r")]
    )
    assert tested.check_database(member, "cp_db") == 0


def test_large_sets_are_fast():
    accounts = [Account(f"u{number}", "10.%", password="AB" * 20) for number in range(50_000)]
    grants = [DatabaseGrant(f"u{number}", "10.%", f"db{number}", True) for number in range(50_000)]
    started = time.perf_counter()
    tested = directory(*accounts, grants=grants, databases=[f"db{number}" for number in range(50_000)])
    built = time.perf_counter()
    account = tested.find("u777", "10.0.0.1")
    assert account is not None and tested.check_database(account, "db777") == 0
    assert built - started < 5 and time.perf_counter() - built < 0.1
