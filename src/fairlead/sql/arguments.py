"""The literals that a canonical form leaves out: taken from a statement, and put back into the form.

Invariant: what `recombine` makes of both means what the statement meant. Comments stay lost; a blank stands
for one that kept two tokens apart.
Source: spec classifier.md, section 4.
"""

from __future__ import annotations

from typing import NamedTuple

from fairlead.sql.digest import Digest
from fairlead.sql.tokens import CLASSES
from fairlead.sql.types import MODE_ANSI_QUOTES, MODE_NO_BACKSLASH_ESCAPES


class Argument(NamedTuple):
    """A literal: the position of its `?` in the canonical form, in bytes, and its text as written."""

    position: int
    text: bytes


def extract(buf: bytearray, start: int, end: int, sql_mode: int = 0) -> tuple[bytes, tuple[Argument, ...]]:
    """The canonical form of `buf[start:end]` and its literals in order; `sql_mode`: MODE_* bits."""
    digest = Digest()
    digest.spans = []
    ansi = sql_mode & MODE_ANSI_QUOTES != 0
    digest.run(buf, start, end, ansi, sql_mode & MODE_NO_BACKSLASH_ESCAPES != 0, 0)
    found = tuple(
        Argument(position, (chr(sign).encode() if sign else b"") + bytes(buf[begin:stop]))
        for position, sign, begin, stop in digest.spans
    )
    return digest.canonical(), found


def recombine(canonical: bytes, arguments: tuple[Argument, ...]) -> bytes:
    """The canonical form with the literals in their places. Raises ValueError if one has no place there."""
    out = bytearray()
    done = 0
    literal = False  # the end of `out` is a literal
    for argument in arguments:
        if argument.position < done or canonical[argument.position : argument.position + 1] != b"?":
            raise ValueError(f"no literal belongs at byte {argument.position} of the canonical form")
        if argument.position > done:
            _append(out, canonical[done : argument.position], literal)
            literal = False
        _append(out, argument.text, literal)
        literal = True
        done = argument.position + 1
    _append(out, canonical[done:], literal)
    return bytes(out)


def _append(out: bytearray, piece: bytes, behind_literal: bool) -> None:
    """Add a piece, behind a blank if its beginning would be read as one token with what is there."""
    if out and piece:
        last, first = out[-1], piece[0]
        quotes = last in b"'\"" and first == last
        if quotes or (behind_literal and CLASSES[last] in _OF_WORDS and CLASSES[first] in _OF_WORDS):
            out += b" "
    out += piece


# letters and digits
_OF_WORDS = (2, 3)
