"""Server status bits and their text, in the words and order that the compatible surface prints.

Source: spec core.md b1, routers_monitors.md C.1.1. Pure functions; nothing here knows who sets the bits.
"""

from __future__ import annotations

RUNNING = 1 << 0
MAINT = 1 << 1
AUTH_ERROR = 1 << 2
MASTER = 1 << 3
SLAVE = 1 << 4
DRAINING = 1 << 5
DISK_SPACE_EXHAUSTED = 1 << 6
NEED_DNS = 1 << 7
RELAY = 1 << 11
BLR = 1 << 12
JOINED = 1 << 20
# Draining has reached its deadline: connections that are open end as soon as they are in nothing. Our own.
OVERDUE = 1 << 30

# Of these bits a server has only RUNNING while its open connections may be used for something new.
FOR_NEW_WORK = RUNNING | MAINT | OVERDUE
# And of these while new connections may be opened.
FOR_CONNECTING = RUNNING | MAINT | DRAINING | NEED_DNS

ROLE_BITS = MASTER | SLAVE | RELAY | BLR | JOINED
# What a server loses when it goes down.
CLEARED_WHEN_DOWN = RUNNING | AUTH_ERROR | ROLE_BITS

# Names accepted by PUT /servers/:name/set and clear.
SETTABLE: dict[str, int] = {
    "running": RUNNING,
    "master": MASTER,
    "slave": SLAVE,
    "synced": JOINED,
    "maintenance": MAINT,
    "maint": MAINT,
    "drain": DRAINING,
    "blr": BLR,
    "binlogrouter": BLR,
}


def is_usable(status: int) -> bool:
    """Running and not in maintenance: open connections may be used."""
    return status & (RUNNING | MAINT) == RUNNING


def is_connectable(status: int) -> bool:
    """New connections may be opened."""
    return status & FOR_CONNECTING == RUNNING


def status_text(status: int, connections: int = 0) -> str:
    """The `state` of a server, e.g. `Master, Running`; `connections` decides Draining or Drained."""
    words: list[str] = []
    if status & MAINT:
        words.append("Maintenance")
    if status & DRAINING:
        words.append("Draining" if connections > 0 else "Drained")
    if is_usable(status):
        if status & MASTER:
            words.append("Master")
        else:
            if status & RELAY:
                words.append("Relay Master")
            if status & SLAVE:
                words.append("Slave")
            if status & BLR:
                words.append("Binlog Relay")
        if status & JOINED:
            words.append("Synced")
    if status & AUTH_ERROR:
        words.append("Auth Error")
    if status & NEED_DNS:
        words.append("Need DNS lookup")
    words.append("Running" if status & RUNNING else "Down")
    return ", ".join(words)
