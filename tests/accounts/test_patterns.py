"""LIKE patterns and host parts of accounts."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.accounts.patterns import HostRule, first_wildcard, like, reduce_address, unescape


@pytest.mark.parametrize(
    "pattern, text, expected",
    [
        ("", "", True),
        ("", "a", False),
        ("%", "", True),
        ("%", "anything", True),
        ("a%", "abc", True),
        ("a%c", "abc", True),
        ("a%c", "abd", False),
        ("%b%", "abc", True),
        ("a_c", "abc", True),
        ("a_c", "ac", False),
        (r"a\_c", "abc", False),
        (r"a\_c", "a_c", True),
        (r"a\%", "a%", True),
        (r"a\%", "ab", False),
        ("a\\", "a\\", True),
        ("%%%", "x", True),
        ("%a_b%c", "xxaybzzc", True),
    ],
)
def test_like(pattern, text, expected):
    assert like(pattern, text) is expected


@given(st.text(alphabet="ab%_\\", max_size=8), st.text(alphabet="ab%_", max_size=8))
def test_like_equals_a_regular_expression(pattern, text):
    parts = re.findall(r"\\.|.", pattern)
    special = {"%": ".*", "_": "."}
    regex = "".join(special.get(part) or re.escape(part[-1]) for part in parts)
    assert like(pattern, text) is (re.fullmatch(regex, text) is not None)


def test_like_does_not_explode():
    assert not like("%a" * 200 + "b", "a" * 2000)


def test_first_wildcard_and_unescape():
    assert first_wildcard("abc") == -1
    assert first_wildcard("a_b%") == 1
    assert first_wildcard(r"a\_b%") == 4
    assert unescape(r"a\_b\\c") == r"a_b\c"
    assert unescape("a\\") == "a\\"


@pytest.mark.parametrize(
    "address, reduced",
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::FFFF:0A00:0001", "10.0.0.1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("localhost", "localhost"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_reduce_address(address, reduced):
    assert reduce_address(address) == reduced


@pytest.mark.parametrize(
    "host, address, name, expected",
    [
        ("127.0.0.1", "127.0.0.1", None, True),
        ("%", "10.1.1.1", None, True),
        ("", "10.1.1.1", None, True),
        ("127.%", "127.0.0.1", None, True),
        ("127.%.%.%", "127.0.0.1", None, True),
        ("127.0.0._", "127.0.0.1", None, True),
        ("___.0.0.1", "127.0.0.1", None, True),
        ("127.0.0.0/255.255.255.0", "127.0.0.1", None, True),
        ("127.0.0.1/255.255.255.255", "127.0.0.1", None, True),
        ("127.0.1.0/255.255.255.0", "127.0.0.1", None, False),
        ("127.0.0.0/255.255.255.0", "::1", None, False),
        ("10.%", "127.0.0.1", None, False),
        ("127.0.0.2", "127.0.0.1", None, False),
        ("127.0.0", "127.0.0.1", None, False),
        ("%.example.com", "127.0.0.1", None, False),
        ("%.example.com", "127.0.0.1", "db.example.com", True),
        ("%.Example.com", "127.0.0.1", "db.example.com", True),
        ("localhost", "localhost", None, True),
        ("localhost", "127.0.0.1", None, False),
        ("localhost", "127.0.0.1", "localhost", True),
        ("_", "127.0.0.1", "localhost", False),
        ("10.0.0.0/notamask", "10.0.0.1", None, False),
    ],
)
def test_host_rule(host, address, name, expected):
    assert HostRule(host).matches(address, name) is expected


def test_which_hosts_may_be_names():
    names = ["localhost", "%.example.com", "db1", "db_.lan"]
    addresses = ["%", "", "127.0.0.1", "127.%", "10.0.0.0/255.0.0.0", "fe80::1", "fe80::%", "_"]
    assert [host for host in names + addresses if HostRule(host).may_be_name] == names


def test_order_of_hosts():
    hosts = ["%", "127.%", "10.0.0.1", "127.0.%", "a%", "127.0.0.1", "", "127.0.0.0/255.255.255.0"]
    assert sorted(hosts, key=lambda host: HostRule(host).sort_key) == [
        "10.0.0.1", "127.0.0.0/255.255.255.0", "127.0.0.1", "127.0.%", "127.%", "a%", "", "%",
    ]  # fmt: skip
