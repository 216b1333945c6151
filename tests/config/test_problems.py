"""How a problem reads."""

from __future__ import annotations

import pytest

from fairlead.config.problems import ConfigErrors, ConfigProblem, refuse


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (ConfigProblem("bad", "S", "p", "/f.cnf", 3), "/f.cnf:3: [S] p: bad"),
        (ConfigProblem("bad", "S", "p"), "[S] p: bad"),
        (ConfigProblem("bad", file="/f.cnf"), "/f.cnf: bad"),
        (ConfigProblem("bad"), "bad"),
    ],
)
def test_text(problem: ConfigProblem, text: str) -> None:
    assert str(problem) == text


def test_every_problem_is_told() -> None:
    errors = ConfigErrors([ConfigProblem("one"), ConfigProblem("two")])
    assert str(errors) == "one\ntwo"
    assert refuse("no", "S", "p").problems == [ConfigProblem("no", "S", "p")]
