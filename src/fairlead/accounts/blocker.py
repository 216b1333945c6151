"""Which hosts are shut out for a while after too many failed logins: one table per worker, without a clock.

Invariant: the table never holds more than `HOSTS_MAX` hosts, whatever clients do. Source: spec core.md b3.
"""

from __future__ import annotations

BLOCK_SECONDS = 60.0
HOSTS_MAX = 10_000


class AuthBlocker:
    """Counts failures per host. `now` is any clock in seconds that never goes back."""

    def __init__(self) -> None:
        self._failures: dict[str, int] = {}
        self._blocked_until: dict[str, float] = {}

    def failed(self, host: str, now: float, limit: int) -> None:
        """A login from this host failed; at `limit` failures it is blocked. `limit` 0 turns blocking off."""
        if limit <= 0:
            return
        count = self._failures.pop(host, 0) + 1
        if count < limit:
            self._failures[host] = count
            _trim(self._failures)
            return
        self._blocked_until.pop(host, None)
        self._blocked_until[host] = now + BLOCK_SECONDS
        _trim(self._blocked_until)

    def succeeded(self, host: str) -> None:
        """A login from this host worked: earlier failures are forgotten."""
        self._failures.pop(host, None)

    def is_blocked(self, host: str, now: float, limit: int = 1) -> bool:
        """Whether a new client from this host is to be refused."""
        until = self._blocked_until.get(host)
        if until is None:
            return False
        if now < until and limit > 0:
            return True
        del self._blocked_until[host]
        return False

    def __len__(self) -> int:
        return len(self._failures) + len(self._blocked_until)


def _trim(table: dict[str, int] | dict[str, float]) -> None:
    """Forget the host that was added first, if there are too many."""
    if len(table) > HOSTS_MAX:
        del table[next(iter(table))]
