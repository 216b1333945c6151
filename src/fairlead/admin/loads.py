"""How busy the workers have been in the last second, minute and hour: a history of the board's busy times.

Pure: the caller brings time and counters. Memory is bounded by the rings of samples.
"""

from __future__ import annotations

from collections import deque

_SECONDS = 60
_MINUTES = 60


class LoadHistory:
    """Samples of one worker: about one per second for a minute, one per minute for an hour."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[float, int]] = deque(maxlen=_SECONDS + 1)
        self._minutes: deque[tuple[float, int]] = deque(maxlen=_MINUTES + 1)

    def sample(self, now_s: float, busy_us: int) -> None:
        """Take the worker's counter at this time. A counter that went back belongs to a new process."""
        if self._seconds and busy_us < self._seconds[-1][1]:
            self._seconds.clear()
            self._minutes.clear()
        self._seconds.append((now_s, busy_us))
        if not self._minutes or now_s - self._minutes[-1][0] >= 60:
            self._minutes.append((now_s, busy_us))

    def load(self) -> tuple[int, int, int]:
        """Percent busy in the last second, minute and hour."""
        if len(self._seconds) < 2:
            return 0, 0, 0
        newest = self._seconds[-1]
        hour = _percent(self._minutes[0], newest)
        return _percent(self._seconds[-2], newest), _percent(self._seconds[0], newest), hour


def _percent(old: tuple[float, int], new: tuple[float, int]) -> int:
    elapsed_us = (new[0] - old[0]) * 1e6
    return max(0, min(100, round((new[1] - old[1]) * 100 / elapsed_us))) if elapsed_us > 0 else 0
