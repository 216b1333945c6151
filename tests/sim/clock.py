"""The simulated clock: everything that will happen, in order of its time.

Invariant: what is due at the same time happens in the order in which it was asked for, so a seed decides
everything.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable


class Event:
    """Something that will happen, unless it is cancelled."""

    __slots__ = ("callback", "cancelled")

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        """It will not."""
        self.cancelled = True


class Clock:
    """`now`: microseconds since the beginning of the simulation."""

    def __init__(self) -> None:
        self.now = 1_000_000
        self._queue: list[tuple[int, int, Event]] = []
        self._count = 0

    def after(self, microseconds: int, callback: Callable[[], object]) -> Event:
        """Call a function later."""
        event = Event(callback)
        self._count += 1
        heapq.heappush(self._queue, (self.now + microseconds, self._count, event))
        return event

    def step(self) -> bool:
        """Let the next thing happen; False when nothing is left."""
        while self._queue:
            when, _, event = heapq.heappop(self._queue)
            if not event.cancelled:
                self.now = when
                event.callback()
                return True
        return False

    def next_time(self) -> int:
        """When the next thing happens; -1: never."""
        while self._queue and self._queue[0][2].cancelled:
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else -1
