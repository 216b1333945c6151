"""Routing hints: the grammar, the places a comment may stand, and a session's stack."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.sql import hints
from fairlead.sql.hints import (
    BEGIN,
    END,
    PARAMETER,
    PREPARE,
    TO_LAST,
    TO_MASTER,
    TO_SERVER,
    TO_SLAVE,
    Hint,
    HintStack,
)


def parse(sql: str) -> tuple[Hint, ...]:
    buf = bytearray(b"\x03" + sql.encode())
    return hints.parse_hints(buf, 1, len(buf))


@pytest.mark.parametrize(
    ("comment", "hint"),
    [
        ("maxscale route to master", Hint(TO_MASTER)),
        ("maxscale route to slave", Hint(TO_SLAVE)),
        ("maxscale route to last", Hint(TO_LAST)),
        ("maxscale route to server srv-2", Hint(TO_SERVER, server="srv-2")),
        (
            "maxscale max_slave_replication_lag=5",
            Hint(PARAMETER, parameter="max_slave_replication_lag", value="5"),
        ),
        (
            "maxscale max_slave_replication_lag = 5",
            Hint(PARAMETER, parameter="max_slave_replication_lag", value="5"),
        ),
        ("maxscale a prepare route to master", Hint(TO_MASTER, action=PREPARE, name="a")),
        ("maxscale a prepare x=1", Hint(PARAMETER, parameter="x", value="1", action=PREPARE, name="a")),
        ("maxscale a begin", Hint(0, action=BEGIN, name="a")),
        ("maxscale a start route to slave", Hint(TO_SLAVE, action=BEGIN, name="a")),
        ("maxscale begin route to server s1", Hint(TO_SERVER, server="s1", action=BEGIN)),
        ("maxscale start x=1", Hint(PARAMETER, parameter="x", value="1", action=BEGIN)),
        ("maxscale end", Hint(0, action=END)),
        ("maxscale stop", Hint(0, action=END)),
    ],
)
def test_grammar(comment: str, hint: Hint) -> None:
    assert parse(f"SELECT 1 /* {comment} */") == (hint,)
    assert parse(f"SELECT 1 -- {comment}") == (hint,)
    assert parse(f"SELECT 1 #{comment}\n, 2") == (hint,)
    assert parse(f"/*{comment}*/SELECT 1") == (hint,)


@pytest.mark.parametrize(
    "comment",
    [
        "maxscale",
        "maxscale route",
        "maxscale route to",
        "maxscale route to all",
        "maxscale route to server",
        "maxscale route to master now",
        "maxscale route to MASTER",
        "maxscale Route to master",
        "Maxscale route to master",
        "maxscalex route to master",
        "x maxscale route to master",
        "maxscale end now",
        "maxscale begin",
        "maxscale a",
        "maxscale a prepare",
        "maxscale a prepare end",
        "maxscale a=",
        "maxscale =a",
        "maxscale a=b c",
        "maxscale a b c",
        "maxscale a begin b",
    ],
)
def test_not_a_hint(comment: str) -> None:
    assert parse(f"SELECT 1 /* {comment} */") == ()


def test_only_comments_count() -> None:
    assert parse("SELECT '-- maxscale route to master'") == ()
    assert parse('SELECT "a\\" /* maxscale route to master */"') == ()
    assert parse("SELECT `# maxscale route to master`") == ()
    assert parse("SELECT 'a''b' /* maxscale route to master */") == (Hint(TO_MASTER),)
    assert parse("SELECT 'a\\'' /* maxscale route to master */") == (Hint(TO_MASTER),)
    assert parse("SELECT 1 --maxscale route to master") == ()
    assert parse("SELECT 1 /* maxscale route to master") == ()
    assert parse("SELECT 1 /*! maxscale route to master */") == ()


def test_all_comments_in_order() -> None:
    sql = "/* maxscale route to slave */ SELECT 1 -- maxscale route to server a\n # maxscale x=1\n"
    assert [hint.kind for hint in parse(sql)] == [TO_SLAVE, TO_SERVER, PARAMETER]


def test_stack() -> None:
    stack = HintStack()
    assert stack.apply(()) == ()
    assert stack.apply(parse("SELECT 1 -- maxscale route to last")) == (Hint(TO_LAST),)
    assert stack.apply(parse("SELECT 1 -- maxscale a prepare route to master")) == ()
    assert not stack
    assert stack.apply(parse("SELECT 1 -- maxscale a begin"))[0].kind == TO_MASTER
    assert stack.apply(())[0].kind == TO_MASTER
    assert stack.apply(parse("SELECT 1 -- maxscale route to slave")) == (Hint(TO_SLAVE),)
    assert stack.apply(parse("SELECT 1 -- maxscale begin route to server x"))[0].server == "x"
    assert len(stack) == 2
    assert stack.apply(parse("SELECT 1 -- maxscale end"))[0].kind == TO_MASTER
    assert stack.apply(parse("SELECT 1 -- maxscale end")) == ()
    assert stack.apply(parse("SELECT 1 -- maxscale end")) == ()


def test_named_begin_defines_once() -> None:
    stack = HintStack()
    assert stack.apply(parse("SELECT 1 -- maxscale a begin route to slave"))[0].kind == TO_SLAVE
    assert stack.apply(parse("SELECT 1 -- maxscale a begin route to master"))[0].kind == TO_SLAVE
    assert stack.apply(parse("SELECT 1 -- maxscale unknown begin"))[0].kind == TO_SLAVE
    assert len(stack) == 2
    stack.clear()
    assert stack.apply(parse("SELECT 1 -- maxscale a begin")) == ()


@given(st.text(alphabet="maxscale routemprbginsv=-#/*'\"`\\\n!", max_size=80))
def test_never_raises(text: str) -> None:
    stack = HintStack()
    stack.apply(parse("select 1 " + text))
    stack.apply(parse("/* maxscale " + text + "*/"))
