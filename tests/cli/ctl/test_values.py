"""What becomes a number, a boolean, a list, and what stays text."""

from __future__ import annotations

import pytest

from fairlead.cli.ctl.options import CtlError
from fairlead.cli.ctl.values import pairs, parameters, pick, typed_value


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("port", "3306", 3306),
        ("x", "-1", -1),
        ("x", "1.5", 1.5),
        ("x", "true", True),
        ("x", "false", False),
        ("x", "yes", "yes"),
        ("x", "007", "007"),
        ("x", "10.10", "10.10"),
        ("x", "1e5", "1e5"),
        ("x", "", ""),
        ("x", '{"a": 1}', {"a": 1}),
        ("x", "[1, 2]", [1, 2]),
        ("x", "[1,", "[1,"),
        ("x", "5s", "5s"),
        ("password", "1234", "1234"),
        ("replication_password", "true", "true"),
        ("user", "1", "1"),
        ("version_string", "10", "10"),
        ("monitor.password", "1", "1"),
    ],
)
def test_typed_value(key, text, value):
    result = typed_value(key, text)
    assert result == value and type(result) is type(value)


def test_pairs():
    assert pairs(["a=1", "b=x=y"]) == [("a", "1"), ("b", "x=y")]
    assert pairs(["a", "1", "b", "2"]) == [("a", "1"), ("b", "2")]
    for wrong in (["a=1", "b"], ["a"], ["=1"]):
        with pytest.raises(CtlError):
            pairs(wrong)


def test_nested_parameters():
    assert parameters([("a.b", "1"), ("a.c", "2"), ("d", "3")]) == {"a": {"b": 1, "c": 2}, "d": 3}
    with pytest.raises(CtlError):
        parameters([("a", "1"), ("a.b", "2")])


def test_pick():
    document = {"data": [{"id": "a", "n": [1]}, {"id": "b"}]}
    assert pick(document, "data[].id") == ["a", "b"]
    assert pick(document, "data[0].n[0]") == 1
    assert pick(document, "data.1.id") == "b"
    assert pick(document, "data[7].id") is None
    assert pick(document, "x.y") is None
