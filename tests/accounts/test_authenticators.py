"""Exchanges of mysql_native_password, and options of authenticators."""

from __future__ import annotations

from hashlib import sha1

import pytest

from fairlead.accounts.authenticators import (
    Accepted,
    AuthenticatorSet,
    AuthOptions,
    NativeAuthenticator,
    Refused,
    SwitchTo,
    access_denied,
    database_denied,
    parse_options,
)
from fairlead.accounts.model import Account

SCRAMBLE = bytes(range(33, 53))


def stored(password: str) -> str:
    return sha1(sha1(password.encode()).digest()).hexdigest() if password else ""


def token(password: str, scramble: bytes = SCRAMBLE) -> bytes:
    if not password:
        return b""
    first = sha1(password.encode()).digest()
    mask = sha1(scramble + sha1(first).digest()).digest()
    return bytes(a ^ b for a, b in zip(first, mask, strict=True))


def begin(account: Account | None, data: bytes, plugin: str = "mysql_native_password", **options):
    authenticator = NativeAuthenticator(AuthOptions(**options))
    return authenticator.start(account, "u", "10.0.0.1", SCRAMBLE).begin(plugin, data)


@pytest.mark.parametrize("password", ["right", "é", "x" * 200])
def test_right_password(password):
    account = Account("u", "%", password=stored(password).upper())
    assert begin(account, token(password)) == Accepted(sha1(password.encode()).digest())


@pytest.mark.parametrize(
    "of_account, of_client, using",
    [("right", "wrong", "YES"), ("right", "", "NO"), ("", "some", "YES")],
)
def test_wrong_password(of_account, of_client, using):
    outcome = begin(Account("u", "%", password=stored(of_account)), token(of_client))
    assert outcome == Refused(
        1045, "28000", f"Access denied for user 'u'@'10.0.0.1' (using password: {using})"
    )


def test_no_password():
    assert begin(Account("u", "%"), b"") == Accepted(b"")


def test_unknown_account():
    assert begin(None, token("x")) == access_denied("u", "10.0.0.1", True)
    assert begin(None, b"") == access_denied("u", "10.0.0.1", False)
    # What a dummy could accidentally be taken for: an all-zero hash.
    assert begin(None, token("x"), skip_authentication=True) == access_denied("u", "10.0.0.1", True)


@pytest.mark.parametrize("hash_text", ["invalid", "AB", "00" * 21])
def test_hash_that_is_none(hash_text):
    account = Account("u", "%", password=hash_text)
    for data in (b"", token("x"), bytes(20)):
        assert isinstance(begin(account, data), Refused)


@pytest.mark.parametrize("length", [1, 19, 21, 255])
def test_token_of_another_length(length):
    assert begin(Account("u", "%", password=stored("x")), bytes(length)) == access_denied(
        "u", "10.0.0.1", True
    )


def test_switch_from_another_plugin():
    for account in (Account("u", "%", password=stored("right")), None):
        exchange = NativeAuthenticator().start(account, "u", "h", SCRAMBLE)
        assert exchange.begin("caching_sha2_password", b"anything") == SwitchTo(
            "mysql_native_password", SCRAMBLE + b"\0"
        )
        outcome = exchange.step(token("right"))
        assert isinstance(outcome, Accepted if account else Refused)


def test_client_without_plugin_name():
    account = Account("u", "%", password=stored("right"))
    assert isinstance(begin(account, token("right"), plugin=""), Accepted)


def test_skip_authentication():
    account = Account("u", "%", password=stored("right"))
    assert begin(account, token("right"), skip_authentication=True) == Accepted(sha1(b"right").digest())
    assert isinstance(begin(account, token("wrong"), skip_authentication=True), Accepted)
    assert begin(account, b"", skip_authentication=True) == Accepted(b"")


def test_mismatch_is_logged_on_request_only():
    account = Account("u", "%", password=stored("right"))
    assert begin(account, token("wrong")).detail == ""
    detail = begin(account, token("wrong"), log_password_mismatch=True).detail
    assert stored("right") in detail and stored("wrong") not in detail


def test_choice_by_plugin_of_the_account():
    tested = AuthenticatorSet((), "")
    for plugin in ("mysql_native_password", ""):
        assert tested.choose(Account("u", "%", plugin=plugin)) is tested.authenticators[0]
    assert tested.choose(None) is tested.authenticators[0]
    assert tested.choose(Account("u", "%", plugin="unix_socket")) == Refused(
        1524, "HY000", "Plugin 'unix_socket' is not loaded"
    )


def test_names_of_authenticators():
    for names in ((), ("",), ("mariadbauth",), ("MySQLAuth", "mariadbauth")):
        assert [one.name for one in AuthenticatorSet(names, "").authenticators] == ["mariadbauth"]
    with pytest.raises(ValueError, match="'pamauth' is not supported yet"):
        AuthenticatorSet(("mariadbauth", "pamauth"), "")
    with pytest.raises(ValueError, match="'x' is unknown"):
        AuthenticatorSet(("x",), "")


def test_options():
    assert parse_options("") == AuthOptions()
    assert parse_options(
        "skip_authentication=true, match_host=NO,lower_case_table_names=2,log_password_mismatch=1"
    ) == AuthOptions(True, False, 2, True)
    options = parse_options("cache_dir=/tmp,clear_pw_passthrough=false")
    assert options.warnings == ("authenticator_options: cache_dir has no effect and is ignored",)
    directory = parse_options("match_host=false,lower_case_table_names=1").directory(enable_root_user=True)
    assert (directory.match_host, directory.lower_case_table_names, directory.enable_root_user) == (
        False,
        1,
        True,
    )


@pytest.mark.parametrize(
    "text, words",
    [
        ("match_hosts=true", "unknown option 'match_hosts'; did you mean 'match_host'?"),
        ("zzz=1", "unknown option 'zzz'; known are: skip_authentication, "),
        ("match_host", "'match_host' has no value; write match_host=VALUE"),
        ("match_host=maybe", "match_host=maybe is not a boolean; use true or false"),
        ("lower_case_table_names=3", "lower_case_table_names=3 is not one of 0, 1, 2"),
        ("clear_pw_passthrough=true", "clear_pw_passthrough=true is not supported yet"),
    ],
)
def test_wrong_options(text, words):
    with pytest.raises(ValueError) as error:
        parse_options(text)
    assert words in str(error.value)


def test_errors_about_databases():
    assert database_denied("u", "h", "d", 1049) == Refused(1049, "42000", "Unknown database 'd'")
    assert database_denied("u", "h", "d", 1044) == Refused(
        1044, "42000", "Access denied for user 'u'@'h' to database 'd'"
    )
