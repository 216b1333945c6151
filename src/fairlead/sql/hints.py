"""Routing hints: what comments that begin with `maxscale` ask for, and a session's stack of hints that
stay in force.

A hint that is not complete, or has text behind it, is ignored and logged: a statement never fails because
of its comments.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass

_log = logging.getLogger(__name__)

TO_MASTER = 1
TO_SLAVE = 2
TO_LAST = 3
TO_SERVER = 4
PARAMETER = 5

ONCE = 0
PREPARE = 1
BEGIN = 2
END = 3

_MOST_NAMED = 256
_DEEPEST = 64
_TOKEN = re.compile(rb"=|[^\s=]+")
_TARGETS = {b"master": TO_MASTER, b"slave": TO_SLAVE, b"last": TO_LAST}
_BEGINS = (b"begin", b"start")
_ENDS = (b"end", b"stop")


@dataclass(frozen=True, slots=True)
class Hint:
    """One hint. `action` says when it applies: to this statement (`ONCE`), or what it does to the
    session's stack.

    `kind` 0 is a directive without a target of its own: `NAME begin` and `end`.
    """

    kind: int
    server: str = ""
    parameter: str = ""
    value: str = ""
    action: int = ONCE
    name: str = ""


def comments(buf: bytearray, start: int, end: int) -> Iterator[bytes]:
    """The text of every comment of a statement, without its delimiters; executable comments are code, not
    comments."""
    i = start
    while i < end:
        c = buf[i]
        if c == 39 or c == 34 or c == 96:
            i += 1
            while i < end and buf[i] != c:
                i += 2 if buf[i] == 92 and c != 96 else 1
            i += 1
        elif c == 35 or (c == 45 and buf[i : i + 3] == b"-- " and i + 3 <= end):
            begin = i + 1 if c == 35 else i + 3
            stop = buf.find(b"\n", begin, end)
            stop = end if stop < 0 else stop
            yield bytes(buf[begin:stop])
            i = stop
        elif c == 47 and i + 1 < end and buf[i + 1] == 42:
            if buf[i + 2 : i + 3] == b"!" or buf[i + 2 : i + 4] == b"M!":
                i += 3
                continue
            stop = buf.find(b"*/", i + 2, end)
            if stop < 0:
                return
            yield bytes(buf[i + 2 : stop])
            i = stop + 2
        else:
            i += 1


def parse_hints(buf: bytearray, start: int, end: int) -> tuple[Hint, ...]:
    """The hints in the comments of `buf[start:end]`, in order of appearance."""
    if start < 0 or end > len(buf) or buf.find(b"maxscale", start, end) < 0:
        return ()
    found: list[Hint] = []
    for text in comments(buf, start, end):
        tokens = _TOKEN.findall(text)
        if not tokens or tokens[0] != b"maxscale":
            continue
        hint = _parse(tokens[1:])
        if hint is None:
            _log.warning(
                "Ignoring a routing hint that is not understood: %s", text.decode("utf-8", "replace").strip()
            )
        else:
            found.append(hint)
    return tuple(found)


def _text(token: bytes) -> str:
    return token.decode("utf-8", "replace")


def _parse(tokens: list[bytes]) -> Hint | None:
    """One hint, without the leading `maxscale`."""
    if not tokens:
        return None
    first = tokens[0]
    if first in _ENDS:
        return Hint(0, action=END) if len(tokens) == 1 else None
    if first in _BEGINS:
        return _target(tokens[1:], BEGIN, "")
    if first == b"route" or tokens[1:2] == [b"="]:
        return _target(tokens, ONCE, "")
    name = _text(first)
    if first == b"=" or len(tokens) < 2:
        return None
    if tokens[1] == b"prepare":
        return _target(tokens[2:], PREPARE, name)
    if tokens[1] in _BEGINS:
        if len(tokens) == 2:
            return Hint(0, action=BEGIN, name=name)
        return _target(tokens[2:], BEGIN, name)
    return None


def _target(tokens: list[bytes], action: int, name: str) -> Hint | None:
    """`route to ...` or `key=value`."""
    if tokens[:2] == [b"route", b"to"]:
        if len(tokens) == 3 and tokens[2] in _TARGETS:
            return Hint(_TARGETS[tokens[2]], action=action, name=name)
        if len(tokens) == 4 and tokens[2] == b"server" and tokens[3] != b"=":
            return Hint(TO_SERVER, server=_text(tokens[3]), action=action, name=name)
        return None
    if len(tokens) == 3 and tokens[1] == b"=" and tokens[0] != b"=" and tokens[2] != b"=":
        return Hint(PARAMETER, parameter=_text(tokens[0]), value=_text(tokens[2]), action=action, name=name)
    return None


class HintStack:
    """The named hints of a session and the stack of those in force."""

    __slots__ = ("_named", "_stack")

    def __init__(self) -> None:
        self._named: dict[str, Hint] = {}
        self._stack: list[Hint] = []

    def __bool__(self) -> bool:
        return bool(self._stack)

    def __len__(self) -> int:
        return len(self._stack)

    def apply(self, hints: tuple[Hint, ...]) -> tuple[Hint, ...]:
        """Obey the hints of a statement. Returns those that route it: its own, else the top of the stack."""
        own: list[Hint] = []
        for hint in hints:
            if hint.action == ONCE:
                own.append(hint)
            elif hint.action == END:
                if self._stack:
                    self._stack.pop()
            elif hint.action == PREPARE:
                self._define(hint)
            else:
                self._begin(hint)
        if own:
            return tuple(own)
        return (self._stack[-1],) if self._stack else ()

    def clear(self) -> None:
        """Forget everything, as when the session is reset."""
        self._named.clear()
        self._stack.clear()

    def _define(self, hint: Hint) -> None:
        if hint.name not in self._named and len(self._named) >= _MOST_NAMED:
            _log.warning("Ignoring named hint '%s': a session may have %d of them", hint.name, _MOST_NAMED)
            return
        self._named[hint.name] = hint

    def _begin(self, hint: Hint) -> None:
        if hint.name:
            if hint.kind and hint.name not in self._named:
                self._define(hint)
            known = self._named.get(hint.name)
            if known is None:
                _log.warning("Ignoring the beginning of named hint '%s': it is not defined", hint.name)
                return
            hint = known
        if len(self._stack) >= _DEEPEST:
            _log.warning("Ignoring the beginning of a hint: %d are in force already", _DEEPEST)
            return
        self._stack.append(hint)
