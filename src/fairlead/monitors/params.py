"""The parameters that every monitor has, whatever its module."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterable
from typing import Any

from fairlead.config.compound import DiskLimits
from fairlead.config.params import REQUIRED, Finding, Param
from fairlead.config.values import Count, Duration, EnumMask, Password, Reference, ReferenceList, String

EVENTS = (
    "master_down",
    "master_up",
    "slave_down",
    "slave_up",
    "server_down",
    "server_up",
    "synced_down",
    "synced_up",
    "donor_down",
    "donor_up",
    "lost_master",
    "lost_slave",
    "lost_synced",
    "lost_donor",
    "new_master",
    "new_slave",
    "new_synced",
    "new_donor",
    "relay_down",
    "relay_up",
    "lost_relay",
    "new_relay",
    "blr_down",
    "blr_up",
    "lost_blr",
    "new_blr",
)

MONITOR_PARAMS: tuple[Param, ...] = (
    Param("module", Reference("module"), REQUIRED, "The kind of cluster."),
    Param("user", String(), REQUIRED, "User that watches the servers.", dynamic=True),
    Param("password", Password(), REQUIRED, "Password of user.", dynamic=True),
    Param(
        "servers",
        ReferenceList("server"),
        "",
        "The servers; each belongs to one monitor at most.",
        relation=True,
    ),
    Param(
        "monitor_interval", Duration(), "2s", "Time from one look at the servers to the next.", dynamic=True
    ),
    Param("backend_connect_timeout", Duration("s"), "3s", "Limit for connecting to a server.", dynamic=True),
    Param("backend_read_timeout", Duration("s"), "3s", "Limit for the answer of a server.", dynamic=True),
    Param("backend_write_timeout", Duration("s"), "3s", "Limit for sending to a server.", dynamic=True),
    Param(
        "backend_connect_attempts",
        Count(1),
        "1",
        "Attempts to connect before a server counts as down.",
        dynamic=True,
    ),
    Param(
        "disk_space_threshold", DiskLimits(), "", "Disk usage from which a disk counts as full.", dynamic=True
    ),
    Param(
        "disk_space_check_interval",
        Duration(),
        "0s",
        "Time between looks at the disks; 0s: never.",
        dynamic=True,
    ),
    Param("script", String(), "", "Command that is run when the state of a server changes.", dynamic=True),
    Param(
        "script_timeout",
        Duration("s"),
        "90s",
        "How long it may run; it is killed after twice that.",
        dynamic=True,
    ),
    Param("events", EnumMask(EVENTS, everything="all"), "all", "Changes that it is run for.", dynamic=True),
    Param(
        "journal_max_age",
        Duration("s"),
        "28800s",
        "States stored longer ago are not used at the start.",
        dynamic=True,
    ),
)


def check_monitor(params: dict[str, Any]) -> Iterable[Finding]:
    """What is wrong with the parameters of one monitor, apart from what its module says."""
    if params["monitor_interval"] <= 0:
        yield "monitor_interval", "is 0; allowed: a time from 1ms"
    if params["script"]:
        yield from _check_script(params["script"])


def _check_script(command: str) -> Iterable[Finding]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        yield "script", f"'{command}' is not a command line ({error}); allowed: a program and its arguments"
        return
    program = words[0] if words else ""
    if not program:
        yield "script", "is blank; allowed: a program and its arguments"
    elif "/" in program:
        if not os.path.isfile(program):
            yield "script", f"the file '{program}' does not exist; allowed: an executable file"
        elif not os.access(program, os.X_OK):
            yield "script", f"the file '{program}' is not executable; allowed: an executable file"
    elif shutil.which(program) is None:
        yield "script", f"the program '{program}' is not found; allowed: an executable file"
