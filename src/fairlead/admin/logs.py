"""The log file as resources: read backwards from its end in blocks, a page at a time.

Invariant: one request reads at most `SCAN_BYTES_MAX`; a cursor is the offset of the line behind the page, so
that it stays valid while the file grows. Source: spec core.md b7, d3, d4.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

from fairlead.admin.query import BadQuery

Json = Any

PAGE_LINES = 50
PAGE_LINES_MAX = 100_000
# How far one request looks back for lines of the wanted priorities.
SCAN_BYTES_MAX = 32 * 1024 * 1024
_BLOCK_BYTES = 64 * 1024

PRIORITIES = ("alert", "error", "warning", "notice", "info", "debug")
_LINE = re.compile(
    r"(?P<timestamp>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?)\s+(?P<priority>[a-z]+)\s*:\s"
    r"(?:\((?P<session>\d+)\)\s)?(?:\[(?P<module>[^\]]*)\]\s)?(?:\((?P<object>[^)]*)\);\s)?(?P<message>.*)",
    re.DOTALL,
)


def wanted_priorities(text: str | None) -> frozenset[str]:
    """The priorities of the option `priority`; none means all."""
    if not text:
        return frozenset()
    wanted = frozenset(word.strip() for word in text.split(","))
    unknown = wanted - set(PRIORITIES)
    if unknown:
        raise BadQuery(f"Invalid value for 'priority': '{min(unknown)}'; allowed: {', '.join(PRIORITIES)}")
    return wanted


def parse_line(offset: int, line: bytes) -> dict[str, Json] | None:
    """An entry; None if it is no line of the log."""
    match = _LINE.fullmatch(line.decode("utf-8", "replace"))
    if match is None:
        return None
    found = match.groupdict()
    entry: dict[str, Json] = {key: value for key, value in found.items() if value is not None}
    entry["id"] = str(offset)
    entry["unix_timestamp"] = int(time.mktime(time.strptime(entry["timestamp"][:19], "%Y-%m-%d %H:%M:%S")))
    return entry


def read_page(
    path: Path, cursor: int | None, size: int, wanted: frozenset[str]
) -> tuple[list[dict[str, Json]], int]:
    """The `size` entries before `cursor` (None: the end), oldest first, and the cursor of the page before.

    That cursor is 0 if there is nothing before. OSError if the file cannot be read.
    """
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        position = end if cursor is None else min(cursor, end)
        lowest = max(0, position - SCAN_BYTES_MAX)
        entries: list[dict[str, Json]] = []
        tail = b""
        while position > lowest and len(entries) < size:
            start = max(lowest, position - _BLOCK_BYTES)
            file.seek(start)
            block = file.read(position - start) + tail
            lines = block.split(b"\n")
            # What stands before the first line break may be the end of a longer line.
            tail = lines[0] if start > 0 else b""
            offset = start + len(block)
            for index in range(len(lines) - 1, -1, -1):
                line = lines[index]
                offset -= len(line)
                if index == 0 and start > 0:
                    break
                entry = parse_line(offset, line) if line else None
                if entry is not None and (not wanted or entry["priority"] in wanted):
                    entries.append(entry)
                    if len(entries) == size:
                        return entries[::-1], offset
                offset -= 1
            position = start
        return entries[::-1], position
