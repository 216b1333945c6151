"""Literals taken from a statement and put back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.sql.arguments import Argument, extract, recombine
from fairlead.sql.types import MODE_ANSI_QUOTES


def texts(sql: str, sql_mode: int = 0) -> list[str]:
    buf = sql.encode()
    return [argument.text.decode() for argument in extract(bytearray(buf), 0, len(buf), sql_mode)[1]]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT a FROM t", []),
        ("SELECT 1, 'b', \"c\" FROM t WHERE d = 0x1F", ["1", "'b'", '"c"', "0x1F"]),
        ("SELECT a WHERE x < -16 AND y IN (+1, - 2, 1.5e3)", ["-16", "+1", "2", "1.5e3"]),
        ("SELECT ? , 5 , ?", ["5"]),
        ("INSERT INTO t VALUES ('it''s', 'a\\'b', NULL)", ["'it''s'", "'a\\'b'"]),
        ("SELECT /* 1 */ 2 # 3", ["2"]),
        ("SELECT `1`, a1, _utf8'x', X'7E'", ["'x'", "'7E'"]),
    ],
)
def test_extraction(sql: str, expected: list[str]) -> None:
    assert texts(sql) == expected


def test_quoted_names_are_no_literals() -> None:
    assert texts("SELECT \"a\", 'b'", MODE_ANSI_QUOTES) == ["'b'"]


def test_without_comments_the_text_comes_back() -> None:
    sql = b"INSERT INTO t (a, b) VALUES (1, 'x'), (-2, ?), (0x10, \"y\")"
    canonical, arguments = extract(bytearray(sql), 0, len(sql))
    assert canonical == b"INSERT INTO t (a, b) VALUES (?, ?), (?, ?), (?, ?)"
    assert recombine(canonical, arguments) == sql


def test_other_arguments_can_be_put_in() -> None:
    canonical, arguments = extract(bytearray(b"SELECT 1, 'a'"), 0, 13)
    changed = (arguments[0]._replace(text=b"-5"), arguments[1]._replace(text=b"NULL"))
    assert recombine(canonical, changed) == b"SELECT -5, NULL"


def test_a_lost_comment_leaves_a_blank_where_tokens_would_meet() -> None:
    sql = b"SELECT 1/* */AS a, 'b'/* */'c', 2/* */+ 3"
    canonical, arguments = extract(bytearray(sql), 0, len(sql))
    assert canonical == b"SELECT ?AS a, ??, ?+ ?"
    assert recombine(canonical, arguments) == b"SELECT 1 AS a, 'b' 'c', 2+ 3"


@pytest.mark.parametrize("positions", [(0,), (100,), (9, 7), (7, 7)])
def test_arguments_without_a_place(positions: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="byte"):
        recombine(b"SELECT ?, ?", tuple(Argument(position, b"1") for position in positions))


PIECES = [
    "select", "a", "1", "-2", "'x'", '"y"', "?", "(", ")", ",", "=", "+", "-", "/* 1 */", "# c\n", "-- d\n",
    "`1`", " ", "\n", "1e5", "0x1f", "t.1", "_utf8", "--", "/**/", "/*! 5 */", "é", "\\",
]  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_recombination_keeps_the_form(pieces: list[str]) -> None:
    # A digit at the very beginning is no literal, also when a comment in front of it is gone.
    sql = ("select " + "".join(pieces)).encode()
    canonical, arguments = extract(bytearray(sql), 0, len(sql))
    again = recombine(canonical, arguments)
    assert extract(bytearray(again), 0, len(again))[0].replace(b" ", b"") == canonical.replace(b" ", b"")
    if not any(mark in sql for mark in (b"/*", b"#", b"-- ")):
        assert again == sql
