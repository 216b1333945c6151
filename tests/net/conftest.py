"""What the tests of this room share: `pairs.py` beside them, and loops with and without an outbox."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.net.outbox import Outbox

sys.path.insert(0, str(Path(__file__).parent))

from pairs import Loop, outbox_or_skip


@pytest.fixture
def no_descriptor_left() -> Iterator[None]:
    """To be asked for before whatever opens some."""
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    yield
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before, "a descriptor was left open"


@pytest.fixture(params=["outbox", "direct"])
def outbox(request: pytest.FixtureRequest, no_descriptor_left: None) -> Outbox | None:
    """What sends go through: an outbox of the poller, or each by a call of its own."""
    return outbox_or_skip() if request.param == "outbox" else None


@pytest.fixture
def loop(outbox: Outbox | None) -> Iterator[Loop]:
    """With an outbox and without: what an owner of a channel sees is the same."""
    made = Loop(outbox)
    yield made
    made.close()


@pytest.fixture
def posting(no_descriptor_left: None) -> Iterator[Loop]:
    """With an outbox."""
    made = Loop(outbox_or_skip())
    yield made
    made.close()
