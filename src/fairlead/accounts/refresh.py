"""When the accounts of a service may be read, and when they have to be: rules without a clock of their own.

Source: spec core.md c3. All times are in seconds of a clock that never goes back.
"""

from __future__ import annotations

# Loads that are not held back by users_refresh_time.
FREE_SUCCESSES = 5
FREE_FAILURES = 10
# Before the accounts have been read once.
RETRY_SECONDS = 1.0
# The longest time between two loads if no interval is configured.
LONGEST_SECONDS = 24 * 3600.0


class RefreshRules:
    """The memory of one service: how often and when its accounts were read."""

    def __init__(self) -> None:
        self.successes = 0
        self.failures = 0
        self.last_load: float | None = None

    @property
    def loaded(self) -> bool:
        """Whether the accounts have ever been read."""
        return self.successes > 0

    def done(self, now: float, success: bool) -> None:
        """A load has ended. Failures are counted in a row."""
        self.last_load = now
        if success:
            self.successes += 1
            self.failures = 0
        else:
            self.failures += 1

    def may_load(self, now: float, refresh_time: float) -> bool:
        """Whether a login miss may cause a load. `refresh_time`: 0 always, negative only the free ones."""
        free = self.successes < FREE_SUCCESSES and self.failures < FREE_FAILURES
        if free or self.last_load is None or refresh_time == 0:
            return True
        return refresh_time > 0 and now - self.last_load >= refresh_time

    def next_load(self, interval: float) -> float:
        """When the accounts have to be read without anybody asking."""
        if self.last_load is None:
            return 0.0
        if not self.loaded:
            return self.last_load + RETRY_SECONDS
        return self.last_load + (interval if interval > 0 else LONGEST_SECONDS)
