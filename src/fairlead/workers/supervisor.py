"""The supervisor: it starts everything, watches it, and ends it in order.

Invariant: the listeners' sessions end before what they depend on (monitors, accounts) does, and the process does
not end before the last worker is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import os
import signal
import time
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from fairlead import __version__
from fairlead.cluster.board import Board
from fairlead.cluster.defs import ServerFacts, Snapshot
from fairlead.cluster.loglevels import ALERT, NOTICE
from fairlead.config.store import ConfigStore
from fairlead.workers import kernel
from fairlead.workers.addresses import ListenerAddresses
from fairlead.workers.inforce import InForce, prepare_slots
from fairlead.workers.kills import KillRounds
from fairlead.workers.logfile import LogFile
from fairlead.workers.loglines import LogSettings, settings_of
from fairlead.workers.messages import (
    Facts,
    ForwardKill,
    HangUp,
    KillDone,
    MaintainServer,
    ReloadAccounts,
    ToSupervisor,
    ToWorker,
)
from fairlead.workers.processes import ProcessTable, WorkersCannotStart
from fairlead.workers.systemd import Notifier
from fairlead.workers.worker import threads_of

logger = logging.getLogger(__name__)

# How long sessions may finish what they are doing when the product stops.
DRAIN_MS = 3000
# What each part may take to stop; then the next one is stopped.
PART_STOP_TIMEOUT_S = 2.0


class Exit(enum.IntEnum):
    """Exit codes of the process (spec core.md b8)."""

    OK = 0
    BAD_CONFIG = 1
    NO_SERVICES = 3
    ALREADY_RUNNING = 4
    BAD_ARGUMENT = 5
    INTERNAL = 6
    RESTART_ME = 75


class Options(Struct, frozen=True):
    """What the command line decides besides the configuration."""

    drain_ms: int = DRAIN_MS
    plane: str = "fairlead.workers.plane:Plane"


class CannotStart(Exception):
    """The product cannot start; `code` is its exit code."""

    def __init__(self, code: Exit, text: str) -> None:
        super().__init__(text)
        self.code = code
