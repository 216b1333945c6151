"""Changes of state as events: their names, and which change is which (spec routers_monitors.md C.1.3).

Pure functions of status bits. Invariant: a change to or from maintenance is never an event.
"""

from __future__ import annotations

from fairlead.cluster.status import BLR, JOINED, MAINT, MASTER, RELAY, ROLE_BITS, RUNNING, SLAVE

RLAG_ABOVE = "rlag_above"
RLAG_BELOW = "rlag_below"

# Bits whose change can be an event; draining and errors of authentication never are.
_WATCHED = RUNNING | MAINT | ROLE_BITS
_NAMES = ((MASTER, "master"), (SLAVE, "slave"), (JOINED, "synced"), (RELAY, "relay"), (BLR, "blr"))


def role_name(status: int) -> str:
    """The role that names an event."""
    return next((name for bit, name in _NAMES if status & bit), "server")


def event_of(old: int, new: int) -> str | None:
    """The event that this change is; None if it is none."""
    old, new = old & _WATCHED, new & _WATCHED
    if old == new or (old | new) & MAINT or not (old | new) & RUNNING:
        return None
    if not old & RUNNING:
        return f"{role_name(new)}_up"
    if not new & RUNNING:
        return f"{role_name(old)}_down"
    before, now = old & (MASTER | SLAVE), new & (MASTER | SLAVE)
    if old & ROLE_BITS and (not before or not now or before == now):
        return f"lost_{role_name(old)}"
    return f"new_{role_name(new)}"


def must_hang_up(old: int, new: int) -> str:
    """Why connections to a server end after this change; empty if they stay. Maintenance is no reason."""
    if old & _WATCHED == new & _WATCHED:
        return ""
    if old & RUNNING and not new & RUNNING:
        return "the server is down"
    if new & RUNNING and old & RUNNING and old & ROLE_BITS and not new & ROLE_BITS:
        return "the server has lost its role"
    return ""
