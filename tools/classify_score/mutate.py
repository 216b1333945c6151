"""Variants of a statement: some mean the same, some write, some are spoiled.

The random source decides everything.
"""

from __future__ import annotations

import random
import re

_TOKEN = re.compile(
    r"""(?P<string>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`]|``)*`)
      | (?P<comment>/\*.*?\*/|\#[^\n]*\n?|--(?=[\s\x00-\x1f]|$)[^\n]*\n?)
      | (?P<space>[ \t\r\n]+)
      | (?P<word>[A-Za-z_$\x80-\xff][\w$\x80-\xff]*)
      | (?P<other>.)""",
    re.X | re.S,
)
_SPACES = (" ", "\n", "\t", "  ", "\r\n", " \n\t ")
_COMMENTS = ("/* x */", "/**/", "/* it's; DELETE */", "# it's\n", "-- a `b` /*\n", "/* -- */")

_LOCKS = (
    "FOR UPDATE",
    "LOCK IN SHARE MODE",
    "INTO OUTFILE 'x'",
    "INTO @v",
    "/*! FOR UPDATE */",
    "/*M!100100 LOCK /* x */ IN SHARE MODE */",
)
_CALLS = {"SELECT": ",", "WHERE": "AND", "HAVING": "OR"}  # what goes between a call and the rest
_CALL_FORMS = (
    "f_x(1)",
    "`f_x`(1)",
    "test.f_x(1)",
    "f_x /* ( */ (1)",
    "abs(f_x(1))",
    "(SELECT f_x(1))",
    "@v := 1",
)

Tokens = list[tuple[str, str]]


def tokens(sql: str) -> Tokens:
    """(kind, text) of every token, nothing left out."""
    return [(found.lastgroup or "other", found.group()) for found in _TOKEN.finditer(sql)]


def certain(sql: str) -> bool:
    """False for text of which a variant may mean something else: comments with code in them, quotes or
    comments that do not end."""
    return not re.search(r"/\*M?!|/\*M", sql) and not any(
        text in "'\"`" or text == "\\" for kind, text in tokens(sql) if kind == "other"
    )


def other_case(sql: str, source: random.Random) -> str:
    """Words in upper, lower or mixed case."""
    style = source.choice((str.upper, str.lower, str.swapcase, str.title))
    ascii_only = re.compile(r"[A-Za-z]+")
    return "".join(
        ascii_only.sub(lambda found: style(found.group()), text) if kind == "word" else text
        for kind, text in tokens(sql)
    )


def other_space(sql: str, source: random.Random) -> str:
    """Other white space where some is."""
    return "".join(source.choice(_SPACES) if kind == "space" else text for kind, text in tokens(sql))


def with_comments(sql: str, source: random.Random) -> str:
    """Comments where white space is, and around everything."""
    inside = [
        f"{text}{source.choice(_COMMENTS)}{source.choice(_SPACES)}"
        if kind == "space" and source.random() < 0.5
        else text
        for kind, text in tokens(sql)
    ]
    return f"/* a */ {''.join(inside)} /* b */"


def with_lock(sql: str, source: random.Random) -> str:
    """A query that writes or locks: what is said behind it."""
    return f"{sql.rstrip().rstrip(';')}\n{source.choice(_LOCKS)}"


def with_call(sql: str, source: random.Random) -> str:
    """A query that calls a stored function or sets a variable somewhere."""
    parts = tokens(sql)
    places = [i for i, (kind, text) in enumerate(parts) if kind == "word" and text.upper() in _CALLS]
    texts = [text for _, text in parts]
    if places:
        place = source.choice(places)
        texts[place] += f" {source.choice(_CALL_FORMS)} {_CALLS[texts[place].upper()]} "
    return "".join(texts)


def truncated(sql: str, source: random.Random) -> str:
    """The beginning of it."""
    return sql[: source.randrange(len(sql) + 1)]


def flipped(sql: str, source: random.Random) -> str:
    """Up to three bytes are others."""
    raw = bytearray(sql, "latin-1")
    for _ in range(source.randint(1, 3)):
        if raw:
            interesting = source.random() < 0.5
            raw[source.randrange(len(raw))] = (
                source.choice(b"'\"`/*-#!;()@\\ \n,.") if interesting else source.randrange(256)
            )
    return raw.decode("latin-1")


SAME = (other_case, other_space, with_comments)
WRITING = (with_lock, with_call)
SPOILED = (truncated, flipped)
