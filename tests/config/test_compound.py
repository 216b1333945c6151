"""Value types with parts."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.config.compound import DiskLimits, Host, HostPatterns, Throttling, is_address_pattern
from fairlead.config.values import ValueType

THROTTLING = {"count": 10, "window": 1000, "suppress": 10_000}


@pytest.mark.parametrize(
    ("kind", "text", "native"),
    [
        (Throttling(), "10, 1000ms, 10s", THROTTLING),
        (Throttling(), "0,0ms,0ms", {"count": 0, "window": 0, "suppress": 0}),
        (DiskLimits(), "/data:80, *:90", {"/data": 80, "*": 90}),
        (DiskLimits(), "", {}),
        (Host(), "[::1]:3306", "[::1]:3306"),
        (Host(4000), "db.example.com", "db.example.com:4000"),
        (HostPatterns(), "10.0.0.0/8, 192.168.%.%, %.example.com, ::1", (
            "10.0.0.0/8", "192.168.%.%", "%.example.com", "::1")),
    ],
)  # fmt: skip
def test_text_becomes_native(kind: ValueType, text: str, native: Any) -> None:
    assert kind.parse(text) == native
    assert kind.parse(kind.to_text(native)) == native


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Throttling(), "10"),
        (Throttling(), "10,1000,10000"),
        (DiskLimits(), "/data"),
        (DiskLimits(), "/data:101"),
        (DiskLimits(), "data:10"),
        (Host(), "host"),
        (Host(), "a:b:c"),
        (HostPatterns(), "10.0.0.0/99"),
        (HostPatterns(), "a b"),
    ],
)
def test_refused(kind: ValueType, text: str) -> None:
    with pytest.raises(ValueError, match="allowed"):
        kind.parse(text)


def test_json() -> None:
    assert Throttling().from_json({"count": 10, "window": 1000, "suppress": "10s"}) == THROTTLING
    assert Throttling().to_json(THROTTLING) == THROTTLING
    assert DiskLimits().from_json({"/data": 80}) == {"/data": 80}
    for kind in (Throttling(), DiskLimits()):
        with pytest.raises(ValueError):
            kind.from_json({"x": "y"})


def test_address_patterns() -> None:
    assert all(is_address_pattern(each) for each in ("%", "10.%", "10.0.0.0/8", "fe80::1"))
    assert not is_address_pattern("%.example.com")
