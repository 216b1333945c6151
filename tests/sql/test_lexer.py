"""Tokens: where they begin and end, which words are keywords, what is reported about comments."""

from __future__ import annotations

import pytest

from fairlead.sql import tokens
from fairlead.sql.keywords import KEYWORD_MASK, SELECT
from fairlead.sql.lexer import Lexer

NAMES = {value: name[2:] for name, value in vars(tokens).items() if name.startswith("T_")}


def lex(
    sql: str, oracle: bool = False, ansi: bool = False, plain: bool = False, skip: bool = False
) -> list[str]:
    lexer = Lexer()
    raw = sql.encode()
    buf = bytearray(b"xx" + raw + b"yy")
    count = lexer.run(buf, 2, 2 + len(raw), oracle, ansi, plain, skip)
    assert all(lexer.kind[count + i] == tokens.T_END for i in range(tokens.LOOKAHEAD))
    return [f"{NAMES[lexer.kind[i]]}:{buf[lexer.beg[i] : lexer.fin[i]].decode()}" for i in range(count)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("a1 $b _c é", ["WORD:a1", "WORD:$b", "WORD:_c", "WORD:é"]),
        (
            "1 1.5 .5 1e5 0x1F 0b01 1e",
            ["NUMBER:1", "NUMBER:1.5", "NUMBER:.5", "NUMBER:1e5", "NUMBER:0x1F", "NUMBER:0b01", "WORD:1e"],
        ),
        ("a.1b `a`.2", ["WORD:a", "DOT:.", "WORD:1b", "QUOTED:`a`", "DOT:.", "WORD:2"]),
        ("'a''b\\'' \"c\"", ["STRING:'a''b\\''", 'STRING:"c"']),
        ("`a``b`", ["QUOTED:`a``b`"]),
        (
            "@a @`b c` @'d' @@e @a.b$",
            ["USERVAR:@a", "USERVAR:@`b c`", "USERVAR:@'d'", "SYSVAR:@@", "WORD:e", "USERVAR:@a.b$"],
        ),
        ("a:=1", ["WORD:a", "ASSIGN::=", "NUMBER:1"]),
        ("(,);=*?", ["LPAREN:(", "COMMA:,", "RPAREN:)", "SEMI:;", "EQ:=", "STAR:*", "PARAM:?"]),
        (
            "1 -- a\n2 # b\n3 /* c */ 4 --5",
            ["NUMBER:1", "NUMBER:2", "NUMBER:3", "NUMBER:4", "OP:-", "OP:-", "NUMBER:5"],
        ),
        ("/*! a /* b */ c */ d", ["WORD:a", "WORD:c", "WORD:d"]),
        ("/*!50101 a*/", ["WORD:a"]),
        ("/*M!100100 a*/ /*M a*/", ["WORD:a"]),
        ("'a", ["BAD:'a"]),
    ],
)
def test_tokens(sql: str, expected: list[str]) -> None:
    assert lex(sql) == expected


def test_modes() -> None:
    assert lex(":1 :a", oracle=True) == ["PARAM::1", "PARAM::a"]
    assert lex('"a"', ansi=True) == ['QUOTED:"a"']
    assert lex("'a\\' b", plain=True) == ["STRING:'a\\'", "WORD:b"]
    assert lex("/*!99999 a /* b */ c */ d", skip=True) == ["WORD:d"]


def test_keywords_beside_a_dot_are_names() -> None:
    lexer = Lexer()
    text = b"SELECT select.a, b.select"
    lexer.run(bytearray(text), 0, len(text), False, False, False, False)
    assert [lexer.code[i] & KEYWORD_MASK == SELECT for i in range(lexer.count)] == [True, *[False] * 7]


@pytest.mark.parametrize(
    ("sql", "versioned", "uncertain", "bad", "multi"),
    [
        ("/*!50101 a */", True, False, False, False),
        ("/*!99999 a */", True, True, False, False),
        ("/*! a */", False, False, False, False),
        ("/*! a", False, False, True, False),
        ("/* a", False, False, True, False),
        ("a; b", False, False, False, True),
        ("a; -- b", False, False, False, False),
    ],
)
def test_reports(sql: str, versioned: bool, uncertain: bool, bad: bool, multi: bool) -> None:
    lexer = Lexer()
    lexer.run(bytearray(sql.encode()), 0, len(sql), False, False, False, False)
    assert (lexer.versioned, lexer.uncertain, lexer.bad, lexer.multi) == (versioned, uncertain, bad, multi)


def test_grows_and_shrinks() -> None:
    lexer = Lexer()
    text = bytearray(b"a," * 200_000)
    assert lexer.run(text, 0, len(text), False, False, False, False) == 400_000
    lexer.shrink()
    assert lexer.room <= 1 << 16
