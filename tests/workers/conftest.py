"""Workers of tests run the fake data plane, found through PYTHONPATH."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCE = HERE.parent.parent / "src"


@pytest.fixture(autouse=True)
def _fake_plane_is_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(SOURCE), str(HERE)]))
    if str(HERE) not in sys.path:
        monkeypatch.syspath_prepend(str(HERE))
