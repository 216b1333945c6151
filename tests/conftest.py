"""What holds after every test."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

# Empty containers that sessions share as long as they have nothing to put there, by module.
SHARED = {
    "fairlead.session.state": ("NONE_NAMED", "NONE_PREPARED", "NOTHING_TO_VERIFY", "_NOWHERE", "_NONE_KNOWN"),
    "fairlead.session.history": ("_NO_ENTRIES", "_NO_RESPONSES", "_NO_PACKETS"),
    "fairlead.session.backend": ("_NONE_OWED", "_NO_BACKLOG", "_NO_IDS", "_NONE_PREPARING"),
    "fairlead.routers.readwritesplit.targets": ("NONE_TRIED", "NO_TABLES"),
}


@pytest.fixture(autouse=True)
def nobody_writes_to_what_all_share() -> Iterator[None]:
    """It would be a leak from one session into all others."""
    yield
    for module, names in SHARED.items():
        if module in sys.modules:
            for name in names:
                assert not getattr(sys.modules[module], name), f"somebody wrote to {module}.{name}"
