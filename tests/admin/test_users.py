"""The users file."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from fairlead.admin import crypt, users
from fairlead.admin.users import UserError, Users


def login(found: Users, name: str, password: str) -> bool:
    return asyncio.run(found.authenticate(name, password)) is not None


def test_default_user(tmp_path: Path) -> None:
    found = Users(tmp_path)
    assert login(found, "admin", "mariadb")
    assert not login(found, "admin", "other")
    assert not login(found, "nobody", "mariadb")
    (stored,) = json.loads(found.path.read_text())
    assert stored["account"] == "admin"
    assert stored["password"].startswith("$6$MXS$")
    assert found.path.stat().st_mode & 0o777 == 0o600


def test_users_survive(tmp_path: Path) -> None:
    found = Users(tmp_path)
    asyncio.run(found.add("bob", "secret", "basic"))
    again = Users(tmp_path)
    assert again.names() == ["admin", "bob"]
    assert login(again, "bob", "secret")
    assert again.attributes("bob")["account"] == "basic"
    assert again.attributes("bob")["last_login"]


def test_a_known_password_is_not_hashed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Users(tmp_path)
    assert login(found, "admin", "mariadb")
    monkeypatch.setattr(crypt, "verify", lambda *_: pytest.fail("hashed again"))
    assert login(found, "admin", "mariadb")


def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "REMEMBERED_MAX", 2)
    monkeypatch.setattr(crypt, "verify", lambda *_: True)
    found = Users(tmp_path)
    for number in range(5):
        assert login(found, "admin", str(number))
    assert len(found._remembered) == 2


def test_a_changed_password_is_forgotten(tmp_path: Path) -> None:
    found = Users(tmp_path)
    assert login(found, "admin", "mariadb")
    asyncio.run(found.set_password("admin", "other"))
    assert not login(found, "admin", "mariadb")
    assert login(found, "admin", "other")


def test_the_last_user_stays(tmp_path: Path) -> None:
    found = Users(tmp_path)
    with pytest.raises(UserError, match="last user"):
        found.remove("admin")
    asyncio.run(found.add("bob", "secret", "basic"))
    with pytest.raises(UserError, match="last administrator"):
        found.remove("admin")
    found.remove("bob")
    assert Users(tmp_path).names() == ["admin"]


@pytest.mark.parametrize(
    ("name", "password", "account"),
    [("", "x", "basic"), ("a:b", "x", "basic"), ("a\n", "x", "basic"), ("a", "", "basic"), ("a", "x", "root"),
     ("admin", "x", "basic"), ("a", "x" * 2000, "basic")],
)  # fmt: skip
def test_refused_users(tmp_path: Path, name: str, password: str, account: str) -> None:
    found = Users(tmp_path)
    with pytest.raises(UserError):
        asyncio.run(found.add(name, password, account))
    assert found.names() == ["admin"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '[{"account": "admin"}]', "\x00\xff"])
def test_a_broken_file_is_not_replaced(tmp_path: Path, content: str) -> None:
    """A file that cannot be read must not open the door to the default password."""
    (tmp_path / "passwd").write_text(content)
    with pytest.raises(ValueError, match="users file"):
        Users(tmp_path)
    assert (tmp_path / "passwd").read_text() == content
