"""Pages of the log file."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead.admin import logs
from fairlead.admin.logs import parse_line, read_page

LINE = "2026-11-20 10:00:00   notice : [workers] %s\n"


def everything(path: Path, size: int) -> list[str]:
    """All messages, page by page from the end."""
    found: list[str] = []
    cursor: int | None = None
    while cursor != 0:
        entries, cursor = read_page(path, cursor, size, frozenset())
        found = [entry["message"] for entry in entries] + found
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=40), max_size=30),
    st.integers(1, 7),
    st.integers(1, 100),
)
def test_pages_cover_the_file(tmp_path: Path, messages: list[str], size: int, block: int) -> None:
    """Whatever the sizes of lines, pages and blocks, every line is on exactly one page."""
    path = tmp_path / "log"
    path.write_bytes("".join(LINE % message for message in messages).encode())
    before, logs._BLOCK_BYTES = logs._BLOCK_BYTES, block
    try:
        assert everything(path, size) == messages
    finally:
        logs._BLOCK_BYTES = before


def test_entries_keep_their_ids(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(LINE % "one" + LINE % "two")
    first = read_page(path, None, 10, frozenset())[0]
    with path.open("a") as file:
        file.write(LINE % "three")
    assert read_page(path, None, 10, frozenset())[0][:2] == first


def test_milliseconds_and_sessions() -> None:
    entry = parse_line(5, b"2026-11-20 10:00:00.123   error  : (12) [x] (server1); it (really) failed")
    assert entry is not None
    assert entry["timestamp"] == "2026-11-20 10:00:00.123"
    assert (entry["id"], entry["session"], entry["object"]) == ("5", "12", "server1")
    assert entry["message"] == "it (really) failed"


def test_the_scan_is_limited(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(LINE % number for number in range(1000)))
    before, logs.SCAN_BYTES_MAX = logs.SCAN_BYTES_MAX, 1000
    try:
        entries, cursor = read_page(path, None, 10, frozenset({"error"}))
    finally:
        logs.SCAN_BYTES_MAX = before
    assert entries == []
    assert cursor == path.stat().st_size - 1000
