"""Declarations of parameters."""

from __future__ import annotations

import pytest

from fairlead.config.params import REQUIRED, Param, by_name, defaults
from fairlead.config.values import Duration, Path, String

WAIT = Param("wait", Duration(), "10s", "Wait.", aliases=("old_wait",))
USER = Param("user", String(), REQUIRED, "User.")
FILE = Param("file", Path(), "", "File.")


def test_defaults_are_native() -> None:
    assert defaults((WAIT, USER), (FILE,)) == {"wait": 10_000, "file": None}
    assert USER.required and USER.default_value() is None and USER.default_text() == ""
    assert Param("n", String(), lambda: "made", "N.").default_value() == "made"


def test_names_and_aliases() -> None:
    assert by_name((WAIT, USER)) == {"wait": WAIT, "old_wait": WAIT, "user": USER}
    with pytest.raises(AssertionError, match="declared twice"):
        by_name((WAIT, WAIT))
