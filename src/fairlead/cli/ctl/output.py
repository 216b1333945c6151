"""What commands show: tables, two-column sheets, text, JSON; drawn for people, as TSV or as JSON."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_STATE_COLOURS = (
    (re.compile(r"\b(Down|Failed|Auth Error)\b"), "31"),
    (re.compile(r"\b(Maintenance|Drain\w+)\b"), "33"),
    (re.compile(r"\b(Running|Started|Active)\b"), "32"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Table:
    """One row per object."""

    headers: Sequence[str]
    rows: Sequence[Sequence[Any]]
    raw: Any = None


@dataclass(frozen=True)
class Sheets:
    """One two-column table per object."""

    sheets: Sequence[Sequence[tuple[str, Any]]]
    raw: Any = None


@dataclass(frozen=True)
class Text:
    """Plain text; `OK` for a request without an answer."""

    text: str
    raw: Any = None


@dataclass(frozen=True)
class Document:
    """A value that is JSON anyway."""

    raw: Any
    pretty: bool = True


Outcome = Table | Sheets | Text | Document
OK = Text("OK")


def as_json(value: Any, pretty: bool = True) -> str:
    return json.dumps(value, indent=4 if pretty else None, ensure_ascii=False, sort_keys=False)


def cell(value: Any, flat: bool) -> str:
    """One value as text; `flat`: on one line (TSV)."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple) and all(isinstance(item, str | int) for item in value):
        return (", " if flat else "\n").join(str(item) for item in value)
    if isinstance(value, dict | list | tuple):
        return as_json(value, pretty=not flat) if value else ("" if isinstance(value, list | tuple) else "{}")
    text = str(value)
    if flat:
        return (
            text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
            if "\t" in text or "\n" in text
            else text
        )
    return _CONTROL.sub("?", text.replace("\t", "    "))


def width(text: str) -> int:
    """Columns of a terminal that the text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def draw(headers: Sequence[str] | None, rows: Sequence[Sequence[str]], colour: bool = False) -> str:
    """A table in box-drawing characters; cells may have several lines."""
    table = [[text.split("\n") for text in row] for row in rows]
    columns = len(headers) if headers is not None else max((len(row) for row in rows), default=0)
    widths = [
        max([width(headers[i]) if headers else 0, *(width(line) for row in table for line in row[i])])
        for i in range(columns)
    ]

    def rule(left: str, middle: str, right: str) -> str:
        return left + middle.join("─" * (w + 2) for w in widths) + right

    def line(cells: Sequence[str], paint: bool) -> str:
        parts = []
        for text, w in zip(cells, widths, strict=True):
            padded = text + " " * (w - width(text))
            parts.append(_paint(padded) if paint else padded)
        return "│ " + " │ ".join(parts) + " │"

    lines = [rule("┌", "┬", "┐")]
    blocks: list[list[str]] = []
    if headers is not None:
        blocks.append([line(list(headers), False)])
    for row in table:
        height = max(len(parts) for parts in row)
        blocks.append(
            [line([parts[i] if i < len(parts) else "" for parts in row], colour) for i in range(height)]
        )
    for number, block in enumerate(blocks):
        if number:
            lines.append(rule("├", "┼", "┤"))
        lines.extend(block)
    lines.append(rule("└", "┴", "┘"))
    return "\n".join(lines)


def _paint(text: str) -> str:
    for pattern, code in _STATE_COLOURS:
        if pattern.search(text):
            return f"\x1b[{code}m{text}\x1b[0m"
    return text


def document_of(outcome: Outcome) -> Any:
    """What `--json` prints."""
    if isinstance(outcome, Text) and outcome.raw is None:
        return {"result": outcome.text}
    return outcome.raw


def render(outcome: Outcome, *, tsv: bool = False, as_document: bool = False, colour: bool = False) -> str:
    """The text to print."""
    if as_document:
        return as_json(document_of(outcome))
    if isinstance(outcome, Text):
        return outcome.text
    if isinstance(outcome, Document):
        if isinstance(outcome.raw, str):
            return outcome.raw
        return as_json(outcome.raw, outcome.pretty)
    if isinstance(outcome, Table):
        rows = [[cell(value, tsv) for value in row] for row in outcome.rows]
        if tsv:
            return "\n".join("\t".join(row) for row in rows)
        return draw(outcome.headers, rows, colour)
    blocks = []
    for sheet in outcome.sheets:
        rows = [[title, cell(value, tsv)] for title, value in sheet]
        blocks.append("\n".join("\t".join(row) for row in rows) if tsv else draw(None, rows, colour))
    return ("\n\n" if tsv else "\n").join(blocks)
