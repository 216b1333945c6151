"""The journal: what is written is read again, if it still fits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fairlead.monitors import journal
from fairlead.monitors.journal import Entry, Journal

CONTENT = Journal(
    "mariadbmon", 1000, [Entry("server1", 9), Entry("server2", 19)], fields={"master_server": "server1"}
)
NAMES = ["server1", "server2"]


def test_written_and_read(tmp_path: Path) -> None:
    path = journal.journal_path(tmp_path, "M")
    assert path == tmp_path / "M_journal.json"
    journal.write(path, CONTENT)
    assert journal.read(path, "mariadbmon", NAMES, 1010, 60) == CONTENT
    content = json.loads(path.read_text())
    assert content["master_server"] == "server1" and content["servers"][1] == {
        "name": "server2",
        "status": 19,
    }
    assert [file.name for file in tmp_path.iterdir()] == ["M_journal.json"]


def test_none_is_none(tmp_path: Path) -> None:
    assert journal.read(tmp_path / "none", "mariadbmon", NAMES, 0, 60) is None


@pytest.mark.parametrize(
    "module, names, now, why",
    [
        ("galeramon", NAMES, 1000, "module"),
        ("mariadbmon", ["server1"], 1000, "other servers"),
        ("mariadbmon", ["server2", "server1"], 1000, "other servers"),
        ("mariadbmon", NAMES, 1061, "61 s old"),
    ],
)
def test_what_does_not_fit_is_not_used(
    tmp_path: Path, module: str, names: list[str], now: int, why: str
) -> None:
    path = tmp_path / "j"
    journal.write(path, CONTENT)
    found = journal.read(path, module, names, now, 60)
    assert isinstance(found, str) and why in found


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\xfe", b'{"module": 1}', b"null"])
def test_damage_is_no_failure(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "j"
    path.write_bytes(damage)
    assert isinstance(journal.read(path, "mariadbmon", NAMES, 1000, 60), str)


def test_another_version_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal.write(path, CONTENT)
    path.write_text(path.read_text().replace(CONTENT.maxscale_version, "0.0.1"))
    assert "version 0.0.1" in str(journal.read(path, "mariadbmon", NAMES, 1000, 60))


def test_failed_write_leaves_the_old_one(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        journal.write(tmp_path / "no" / "such" / "directory", CONTENT)
