"""`fairlead explain`: the decision for a statement from a configuration alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from fairlead.cli.explaining import explain

CONFIG = """
[server1]
type=server
address=127.0.0.1

[Monitor]
type=monitor
module=mariadbmon
servers=server1
user=m
password=m

[Split]
type=service
router=readwritesplit
servers=server1
user=u
password=p
use_sql_variables_in=master

[One]
type=service
router=readconnroute
servers=server1
user=u
password=p
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "fairlead.cnf"
    file.write_text(CONFIG)
    return file


def said(config: Path, *words: str) -> str:
    result = CliRunner().invoke(explain, ["--config", str(config), *words])
    return result.output


@pytest.mark.parametrize(
    ("statement", "target"),
    [
        ("SELECT 1", "replica"),
        ("SELECT 1 FOR UPDATE", "primary"),
        ("SELECT some_function()", "primary"),
        ("SET NAMES utf8mb4", "all servers"),
        ("START TRANSACTION READ ONLY", "replica"),
        ("BEGIN", "primary"),
        ("SELECT @a := 1", "primary"),
    ],
)
def test_targets(config: Path, statement: str, target: str) -> None:
    lines = said(config, statement).splitlines()
    assert f"target       {target}" in lines
    assert lines[-1].startswith("why ") and len(lines[-1]) > 20


def test_a_service_by_name(config: Path) -> None:
    assert "the one server of the session" in said(config, "--service", "One", "SELECT 1")
    assert "there is no service 'Two'; there are: Split, One" in said(config, "--service", "Two", "SELECT 1")


def test_a_wrong_configuration(config: Path) -> None:
    config.write_text(CONFIG + "\n[broken]\ntype=nothing\n")
    result = CliRunner().invoke(explain, ["--config", str(config), "SELECT 1"])
    assert result.exit_code == 1 and "nothing" in result.output


def test_declared_functions_are_reads(config: Path) -> None:
    assert "primary" in said(config, "--service", "Split", "SELECT f()")
    config.write_text(CONFIG.replace("use_sql_variables_in=master", "read_functions=f"))
    found = said(config, "--service", "Split", "SELECT f()")
    assert "replica" in found and "WRITE" not in found
    assert "primary" in said(config, "--service", "Split", "SELECT g()")
