"""What the signals to the supervisor mean.

SIGTERM and SIGINT ask for an orderly end; the second SIGTERM or the third SIGINT ends the process at once
with status 1. SIGUSR1 opens the log again, SIGHUP reads the configuration again.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

TERMS_UNTIL_EXIT = 2
INTS_UNTIL_EXIT = 3
EXIT_AT_ONCE = 1


class Signals:
    """Connects the signals of this process to the supervisor."""

    def __init__(
        self,
        *,
        stop: Callable[[], None],
        kill: Callable[[], None],
        rotate: Callable[[], None],
        reload: Callable[[], None],
    ) -> None:
        self._stop = stop
        self._kill = kill
        self._rotate = rotate
        self._reload = reload
        self._terms = 0
        self._ints = 0

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take over the signals."""
        loop.add_signal_handler(signal.SIGTERM, self.term)
        loop.add_signal_handler(signal.SIGINT, self.interrupt)
        loop.add_signal_handler(signal.SIGUSR1, self._rotate)
        loop.add_signal_handler(signal.SIGHUP, self._reload)

    def term(self) -> None:
        """SIGTERM has come."""
        self._terms += 1
        self._act(self._terms >= TERMS_UNTIL_EXIT)

    def interrupt(self) -> None:
        """SIGINT has come."""
        self._ints += 1
        self._act(self._ints >= INTS_UNTIL_EXIT)

    def _act(self, at_once: bool) -> None:
        if at_once:
            self._kill()
            os._exit(EXIT_AT_ONCE)
        self._stop()
