"""`fairlead keys` and `fairlead passwd`."""

from __future__ import annotations

import re
import stat

import pytest
from click.testing import CliRunner

pytest.importorskip("fairlead.config.secrets")

from fairlead.cli.passwords import keys, passwd


def run(command, *words, stdin=None):
    return CliRunner().invoke(command, list(map(str, words)), input=stdin)


def test_round_trip(tmp_path):
    assert run(keys, tmp_path).exit_code == 0
    assert stat.S_IMODE((tmp_path / ".secrets").stat().st_mode) == 0o400
    encrypted = run(passwd, tmp_path, "secret").stdout.strip()
    assert re.fullmatch(r"[0-9A-F]{64}", encrypted)
    assert run(passwd, "-d", tmp_path, encrypted).stdout == "secret\n"
    assert run(passwd, tmp_path, "secret").stdout.strip() != encrypted


def test_from_a_pipe(tmp_path):
    run(keys, tmp_path)
    encrypted = run(passwd, "-i", tmp_path, stdin="12 34\n").stdout.strip()
    assert run(passwd, "-d", "-i", tmp_path, stdin=encrypted + "\n").stdout == "12 34\n"


def test_an_existing_key_stays(tmp_path):
    run(keys, tmp_path)
    before = (tmp_path / ".secrets").read_bytes()
    result = run(keys, tmp_path)
    assert result.exit_code == 1 and result.stderr.startswith("Error: ")
    assert (tmp_path / ".secrets").read_bytes() == before


def test_errors(tmp_path):
    assert run(passwd, tmp_path, "x").exit_code == 1
    assert run(passwd).exit_code == 2
    assert run(passwd, "-i", "a", "b").exit_code == 2
    run(keys, tmp_path)
    assert run(passwd, "-d", tmp_path, "AB" * 32).exit_code == 1
    assert run(keys, tmp_path / "none").exit_code == 1
