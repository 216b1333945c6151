"""The modules of this folder find each other by their plain names."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)


@pytest.fixture(autouse=True)
def _clean_board() -> Iterator[None]:
    """All worlds share one board: what a test that failed has left must not fail the next ones."""
    yield
    from harness import World

    if World._board is not None:
        World._board.clear_gauges(0)
