"""Value types: what is taken, what is refused with which words, and what comes back unchanged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.config.values import (
    Bool,
    Count,
    Duration,
    Enum,
    EnumList,
    EnumMask,
    Int,
    Password,
    Path,
    PathList,
    Percent,
    Reference,
    ReferenceList,
    Regex,
    Size,
    String,
    StringList,
    Threads,
    ValueType,
    cores,
    nearest,
)

MASK = EnumMask(("a", "b", "c"), everything="all", nothing="none")


@pytest.mark.parametrize(
    ("kind", "text", "native"),
    [
        (Bool(), "TRUE", True),
        (Bool(), "0", False),
        (Count(), "12", 12),
        (Int(-1), "-1", -1),
        (Threads(), "auto", cores()),
        (String(), "'quoted'", "quoted"),
        (String(), "it's", "it's"),
        (Duration(), "10ms", 10),
        (Duration(), "2M", 120_000),
        (Duration(), "3min", 180_000),
        (Duration("s"), "1h", 3_600_000),
        (Duration("s"), "1500ms", 1000),
        (Duration("s", signed=True), "-1500ms", -1000),
        (Duration("s"), "0ms", 0),
        (Size(), "1k", 1000),
        (Size(), "1Ki", 1024),
        (Size(), "2gI", 2 * 1024**3),
        (Percent(), "42%", 42),
        (Enum(("a", "b"), {"B": "b"}), "B", "b"),
        (EnumList(("a", "b")), "b, a", ("b", "a")),
        (MASK, "c,a", ("a", "c")),
        (MASK, "all", ("a", "b", "c")),
        (MASK, "none", ()),
        (Regex(), "/a.*b/", "a.*b"),
        (Regex(), "", None),
        (Path(), "", None),
        (Path(), "'/a b'", "/a b"),
        (PathList(), "/a:/b", ("/a", "/b")),
        (StringList(), " a , b ", ("a", "b")),
        (Reference("server"), "x", "x"),
        (ReferenceList("filter", "|"), "F|G", ("F", "G")),
    ],
)
def test_text_becomes_native(kind: ValueType, text: str, native: Any) -> None:
    assert kind.parse(text) == native
    assert kind.parse(kind.to_text(native)) == native


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (Bool(), "maybe", "allowed: true, yes, on, 1, false, no, off, 0"),
        (Count(), "-1", "allowed: a whole number from 0"),
        (Count(0, 255), "256", "allowed: a whole number from 0 to 255"),
        (Int(), "1.5", "is not a whole number"),
        (Duration(), "0", "did you mean 0s?"),
        (Duration(), "10", "did you mean 10s?"),
        (Duration(), "-1s", "is negative"),
        (Duration(), "1d", "is not a duration"),
        (Duration("s"), "999ms", "less than a second"),
        (Size(), "1MB", "is not a size"),
        (Size(), "-1", "is not a size"),
        (Percent(), "42", "is not a percentage"),
        (Enum(("all", "master")), "ALL", "did you mean all?"),
        (EnumList(("GET", "PUT")), "GET,GOT", "'GOT' is unknown"),
        (MASK, "a,d", "'d' is unknown; allowed: a list of: none, all, a, b, c"),
        (MASK, "none,a", "'none' is unknown"),
        (Regex(), "/(/", "is not a regular expression"),
    ],
)
def test_refused_text_is_explained(kind: ValueType, text: str, words: str) -> None:
    with pytest.raises(ValueError) as error:
        kind.parse(text)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Duration(), 10),
        (Bool(), 1),
        (Count(), True),
        (Count(), 1.5),
        (Size(), None),
        (String(), 5),
        (StringList(), [1]),
        (MASK, 3),
    ],
)
def test_refused_json(kind: ValueType, value: Any) -> None:
    with pytest.raises(ValueError, match="allowed"):
        kind.from_json(value)


@pytest.mark.parametrize(
    ("kind", "value", "native", "shown"),
    [
        (Bool(), "on", True, True),
        (Bool(), False, False, False),
        (Duration("s"), "10s", 10_000, "10000ms"),
        (Size(), "1Ki", 1024, 1024),
        (Size(), 5, 5, 5),
        (String(), "", "", None),
        (Password(), "secret", "secret", "*****"),
        (Password(), "", "", None),
        (StringList(), ["a", "b"], ("a", "b"), ["a", "b"]),
        (MASK, ["a"], ("a",), "a"),
        (MASK, "all", ("a", "b", "c"), "all"),
        (Regex(), "/x/", "x", "/x/"),
        (Enum(("none",), {"false": "none"}), False, "none", "none"),
    ],
)
def test_json_becomes_native_and_is_shown(kind: ValueType, value: Any, native: Any, shown: Any) -> None:
    assert kind.from_json(value) == native
    assert kind.to_json(native) == shown


def test_odd_but_valid_text_is_warned_about() -> None:
    assert "shortened to 1s" in str(Duration("s").warning("1500ms"))
    assert Duration("s").warning("15s") is None
    assert "/a.b/" in str(Regex().warning("a.b"))


def test_path_check(tmp_path: Any) -> None:
    file = tmp_path / "f"
    with pytest.raises(ValueError, match="does not exist"):
        Path("r").verify(str(file))
    file.touch()
    Path("r").verify(str(file))
    with pytest.raises(ValueError, match="cannot be read"):
        Path("r").verify(str(tmp_path))
    with pytest.raises(ValueError, match="is not a directory"):
        Path("d").verify(str(file))


@given(st.text())
def test_any_text_is_parsed_or_refused_with_words(text: str) -> None:
    for kind in (Bool(), Count(), Duration("s", signed=True), Size(), Percent(), MASK, Regex(), Threads()):
        try:
            native = kind.parse(text)
        except ValueError as error:
            assert "allowed" in str(error)
        else:
            assert kind.parse(kind.to_text(native)) == native


@given(st.text(st.characters(exclude_characters="\n\r")).map(str.strip))
def test_strings_survive_the_file(text: str) -> None:
    written = String().to_text(text)
    assert String().parse(written.strip()) == text


def test_nearest() -> None:
    assert nearest("adress", ["address", "port"]) == "address"
    assert nearest("Address", ["address", "port"]) == "address"
    assert nearest("zzz", ["address", "port"]) is None
