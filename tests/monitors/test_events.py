"""Which change of a status is which event, and when connections end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.cluster.status import AUTH_ERROR, DRAINING, JOINED, MAINT, MASTER, RELAY, RUNNING, SLAVE
from fairlead.monitors.events import event_of, must_hang_up

UP = RUNNING


@pytest.mark.parametrize(
    "old, new, event",
    [
        (0, UP | MASTER, "master_up"),
        (0, UP | SLAVE, "slave_up"),
        (0, UP | JOINED, "synced_up"),
        (0, UP, "server_up"),
        (UP | MASTER, 0, "master_down"),
        (UP | SLAVE | RELAY, 0, "slave_down"),
        (UP, 0, "server_down"),
        (UP | MASTER, UP, "lost_master"),
        (UP | SLAVE, UP, "lost_slave"),
        (UP | JOINED, UP, "lost_synced"),
        (UP | SLAVE, UP | SLAVE | RELAY, "lost_slave"),
        (UP | MASTER, UP | SLAVE, "new_slave"),
        (UP | SLAVE, UP | MASTER, "new_master"),
        (UP, UP | SLAVE, "new_slave"),
        (UP, UP | JOINED, "new_synced"),
        # No events:
        (UP | SLAVE, UP | SLAVE, None),
        (UP | SLAVE, UP | SLAVE | DRAINING, None),
        (0, AUTH_ERROR, None),
        (0, 0, None),
        (UP | SLAVE, UP | SLAVE | MAINT, None),
        (MAINT | UP, UP | SLAVE, None),
        (MAINT | UP, MAINT, None),
    ],
)
def test_events(old: int, new: int, event: str | None) -> None:
    assert event_of(old, new) == event


@pytest.mark.parametrize(
    "old, new, ends",
    [
        (UP | SLAVE, 0, True),
        (UP, 0, True),
        (UP | SLAVE, UP, True),
        (UP | MASTER, UP, True),
        (UP | MASTER, UP | SLAVE, False),
        (UP | SLAVE, UP | SLAVE | MAINT, False),
        (UP | SLAVE | MAINT, MAINT, True),
        (UP | SLAVE, UP | SLAVE | DRAINING, False),
        (0, UP, False),
        (UP, UP, False),
        (0, 0, False),
    ],
)
def test_hang_ups(old: int, new: int, ends: bool) -> None:
    assert bool(must_hang_up(old, new)) is ends


STATUSES = st.integers(0, (1 << 21) - 1)


@given(STATUSES, STATUSES)
def test_maintenance_is_never_an_event(old: int, new: int) -> None:
    assert event_of(old | MAINT, new) is None
    assert event_of(old, new | MAINT) is None
