"""`fairlead serve` and `fairlead check`: from the command line to the calls."""

from __future__ import annotations

import stat
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fairlead.cli import process


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Calls of the server's entry point."""
    calls: list[Any] = []

    def serve(path: Path, **given: Any) -> int:
        calls.append((path, given))
        return 3

    module = types.ModuleType("fairlead.workers.main")
    module.serve = serve  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fairlead.workers.main", module)
    return calls


def test_serve_passes_what_the_command_line_decides(started):
    words = [
        "--config",
        "x.cnf",
        "--basedir",
        "/b",
        "-L",
        "/logs",
        "-s",
        "yes",
        "-S",
        "no",
        "-p",
        "-l",
        "stdout",
        "-G",
        "1",
        "-g",
        "enable-cors",
    ]
    result = CliRunner().invoke(process.serve, words)
    assert result.exit_code == 3
    assert started[0][1].pop("start_rest") is process.start_rest
    assert started == [
        (
            Path("x.cnf"),
            {
                "basedir": Path("/b"),
                "log_to_stdout": True,
                "overrides": {
                    "logdir": "/logs",
                    "syslog": "true",
                    "maxlog": "false",
                    "passive": "true",
                    "log_augmentation": "1",
                    "debug": "enable-cors",
                },
            },
        )
    ]


def test_relative_directories_become_absolute(started, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    CliRunner().invoke(process.serve, ["-f", "x.cnf", "-D", "data"])
    assert started[0][1]["overrides"] == {"datadir": str(tmp_path / "data")}


def test_configuration_file(tmp_path, monkeypatch):
    monkeypatch.setattr(
        process, "DEFAULT_FILES", (str(tmp_path / "fairlead.cnf"), str(tmp_path / "maxscale.cnf"))
    )
    assert process.configuration_file(None, None) == tmp_path / "maxscale.cnf"
    (tmp_path / "fairlead.cnf").touch()
    assert process.configuration_file(None, None) == tmp_path / "fairlead.cnf"
    assert process.configuration_file(None, str(tmp_path)) == tmp_path / "fairlead.cnf"
    assert process.configuration_file("y", str(tmp_path)) == Path("y")


def test_unknown_user(started):
    result = CliRunner().invoke(process.serve, ["-f", "x", "--user", "nobody-of-this-name"])
    assert result.exit_code == process.EXIT_BAD_ARGUMENT
    assert started == []


def test_export(started, tmp_path):
    pytest.importorskip("fairlead.config.store")
    config, target = tmp_path / "x.cnf", tmp_path / "all.cnf"
    config.write_text("[maxscale]\nthreads=1\n[s1]\ntype=server\naddress=127.0.0.1\n")
    words = ["-f", str(config), "--basedir", str(tmp_path / "b"), "-e", str(target)]
    assert CliRunner().invoke(process.serve, words).exit_code == 0
    assert "[s1]" in target.read_text()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert CliRunner().invoke(process.serve, words).exit_code == 1
    config.write_text("[s1]\ntype=servr\n")
    assert CliRunner().invoke(process.serve, [*words[:-1], str(tmp_path / "other")]).exit_code == 1
    assert started == []
