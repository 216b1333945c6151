"""Files with accounts and with the mapping of users."""

from __future__ import annotations

import json
from hashlib import sha1

import pytest

from fairlead.accounts.files import MappedUser, linux_groups, load_accounts_file, load_mapping
from fairlead.accounts.model import Account, AccountSet, DatabaseGrant, RoleGrant


@pytest.fixture
def write(tmp_path):
    def write_it(content) -> str:
        path = tmp_path / "file.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write_it


def test_accounts(write):
    path = write(
        {
            "user": [
                {"user": "a", "host": "%", "password": "*AB12", "plugin": "MySQL_native_password"},
                {"user": "b", "host": "10.%", "authentication_string": "CD", "global_db_priv": True},
                {
                    "user": "c",
                    "host": "%",
                    "plugin": "pam",
                    "authentication_string": "svc",
                    "proxy_priv": True,
                },
                {"user": "r", "host": "", "is_role": True, "super_priv": True, "default_role": "x"},
            ],
            "db": [{"user": "a", "host": "%", "db": "some%"}, {"user": "a", "host": "%", "db": r"other\_db"}],
            "roles_mapping": [{"user": "a", "host": "%", "role": "r"}],
        }
    )
    warnings: list[str] = []
    assert load_accounts_file(path, warnings.append) == AccountSet(
        (
            Account("a", "%", password="AB12"),
            Account("b", "10.%", plugin="", password="CD", auth_string="CD", global_db_priv=True),
            Account("c", "%", plugin="pam", auth_string="svc", proxy_priv=True),
            Account("r", "", plugin="", is_role=True, super_priv=True, default_role="x"),
        ),
        (DatabaseGrant("a", "%", "some%", True), DatabaseGrant("a", "%", r"other\_db", True)),
        (RoleGrant("a", "%", "r"),),
        ("other_db",),
    )
    assert warnings == []


def test_bad_entries_are_left_out(write):
    path = write(
        {
            "user": [{"host": "%"}, 7, {"user": 5, "host": "%"}, {"user": "a", "host": "%"},
                     {"user": "b", "host": "%", "super_priv": "Y"}],
            "db": [{"user": "a", "host": "%"}],
            "roles_mapping": [None],
        }
    )  # fmt: skip
    warnings: list[str] = []
    found = load_accounts_file(path, warnings.append)
    assert [account.user for account in found.accounts] == ["a"]
    assert found.grants == () and found.roles == ()
    assert [text.removeprefix(f"user_accounts_file={path}: ") for text in warnings] == [
        "user[0] is left out: 'user' is missing",
        "user[1] is left out: an object is needed, found a number",
        "user[2] is left out: 'user' has to be a string, found a number",
        "user[4] is left out: 'super_priv' has to be a boolean, found a string",
        "db[0] is left out: 'db' is missing",
        "roles_mapping[0] is left out: an object is needed, found null",
    ]


@pytest.mark.parametrize(
    "content, words",
    [
        ("{", ":1:2: no valid JSON: "),
        ("[]", ": a JSON object is needed, found an array"),
        ('{"user": {}}', ": 'user' has to be an array, found an object"),
    ],
)
def test_useless_files(write, content, words):
    path = write(content)
    with pytest.raises(ValueError) as error:
        load_accounts_file(path, print)
    assert str(error.value).startswith(f"user_accounts_file={path}{words}")


def test_missing_file():
    with pytest.raises(
        ValueError, match="user_accounts_file=/no/file: the file cannot be read: No such file"
    ):
        load_accounts_file("/no/file", print)


# -- mapping


def test_mapping(write):
    path = write(
        {
            "user_map": [
                {"original_user": "outside", "mapped_user": "inside"},
                {"original_user": "other", "mapped_user": "plain"},
            ],
            "group_map": [{"original_group": "staff", "mapped_user": "inside"}],
            "server_credentials": [{"mapped_user": "inside", "password": "secret"}],
        }
    )
    mapping = load_mapping(path)
    inside = mapping.map_user("outside")
    assert inside == MappedUser("inside", "secret")
    assert inside.sha1 == sha1(b"secret").digest()
    plain = mapping.map_user("other")
    assert plain is not None and plain.user == "plain" and plain.sha1 == b""
    assert mapping.map_user("no_such_user_here") is None
    assert mapping.map_user("somebody", lambda user: ["users", "staff"]) == inside
    assert mapping.map_user("somebody", lambda user: ["users"]) is None
    # Rules for users come before those for groups.
    assert mapping.map_user("other", lambda user: ["staff"]) == plain


def test_encrypted_passwords(write):
    path = write({"user_map": [{"original_user": "a", "mapped_user": "b"}],
                  "server_credentials": [{"mapped_user": "b", "password": "ENCRYPTED"}]})  # fmt: skip
    mapped = load_mapping(path, decrypt=str.lower).map_user("a")
    assert mapped is not None and mapped.password == "encrypted"


@pytest.mark.parametrize(
    "content, words",
    [
        ({"user_map": [{"original_user": "a"}]}, "user_map[0]: 'mapped_user' is missing"),
        ({"group_map": [{"mapped_user": "a"}]}, "group_map[0]: 'original_group' is missing"),
        ({"server_credentials": [{"password": "x"}]}, "server_credentials[0]: 'mapped_user' is missing"),
        (
            {"server_credentials": [{"mapped_user": "a", "plugin": "pam"}]},
            "server_credentials[0]: plugin 'pam' is not supported, only 'mysql_native_password' is",
        ),
    ],
)
def test_wrong_mappings(write, content, words):
    path = write(content)
    with pytest.raises(ValueError) as error:
        load_mapping(path)
    assert str(error.value) == f"user_mapping_file={path}: {words}"


def test_groups_of_this_machine():
    assert "root" in linux_groups("root")
    assert linux_groups("no_such_user_here") == []
