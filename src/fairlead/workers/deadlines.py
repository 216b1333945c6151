"""What a worker ends because time is up: logins, connections to servers, goodbyes, idle sessions; and the
pings that keep server connections alive.

Once a second only those are looked at that wait for something; the sessions themselves are visited as
rarely as their shortest limit allows, so that ten thousand idle ones cost next to nothing.
"""

from __future__ import annotations

from typing import Any

from fairlead.session.backend import B_CONNECTING, B_LOGIN, B_REPLAY, Backend
from fairlead.session.client import ClientConnection
from fairlead.session.login import LOGIN_TIMEOUT_MS
from fairlead.session.session import Session

# A connection to a server has to be established and logged in within this time, in milliseconds.
BACKEND_CONNECT_TIMEOUT_MS = 10_000
# How long a client that was told goodbye may take to close, in milliseconds.
GOODBYE_TIMEOUT_MS = 2_000
TICK_SECONDS = 1.0
# All sessions are visited so often within the shortest of their limits, but not more rarely than every so
# many ticks.
VISITS_PER_LIMIT = 10
VISIT_TICKS_MAX = 30

_OPENING = (B_CONNECTING, B_LOGIN, B_REPLAY)


class Deadlines:
    """The waiting connections of a worker; `tick` is called once a second."""

    def __init__(self) -> None:
        self._logins: set[ClientConnection] = set()
        self._opening: dict[Backend, Session] = {}
        # Clients that were told goodbye, and since when (microseconds).
        self._leaving: dict[ClientConnection, int] = {}
        self._ticks = 0
        self._next_visit = 0

    # -- what begins and ends

    def login_begins(self, connection: ClientConnection) -> None:
        """A client has connected."""
        self._logins.add(connection)

    def login_ends(self, connection: ClientConnection) -> None:
        """It has logged in."""
        self._logins.discard(connection)

    def opening(self, session: Session, backend: Backend) -> None:
        """A connection to a server is being opened."""
        self._opening[backend] = session

    def backend_closed(self, backend: Backend) -> None:
        """It is closed."""
        self._opening.pop(backend, None)

    def goodbye(self, connection: ClientConnection, now: int) -> None:
        """The client should close its connection now."""
        self._leaving[connection] = now

    def client_gone(self, connection: ClientConnection) -> None:
        """It has."""
        self._logins.discard(connection)
        self._leaving.pop(connection, None)

    def configured(self) -> None:
        """There are new limits."""
        self._next_visit = 0

    # -- time passes

    def tick(self, sessions: dict[int, Session], now: int) -> None:
        """End what has taken too long. `now`: microseconds."""
        for connection in [each for each in self._logins if _older(each, now)]:
            self._logins.discard(connection)
            if connection.session is not None:
                connection.session.close("the login took too long")
        for backend, session in list(self._opening.items()):
            self._check_opening(backend, session, now)
        for connection, since in list(self._leaving.items()):
            if now - since > GOODBYE_TIMEOUT_MS * 1000:
                del self._leaving[connection]
                if connection.channel is not None:
                    connection.channel.close()
                connection.on_closed("did not close in time")
        self._ticks += 1
        if self._ticks >= self._next_visit:
            self._visit(sessions, now)

    def _check_opening(self, backend: Backend, session: Session, now: int) -> None:
        if session.closed or backend.state not in _OPENING:
            self._opening.pop(backend, None)
        elif now - backend.opened_us > BACKEND_CONNECT_TIMEOUT_MS * 1000:
            self._opening.pop(backend, None)
            session.backend_gone(backend, "the connection was not established in time")

    def _visit(self, sessions: dict[int, Session], now: int) -> None:
        """Look at every session, and decide when to do so again."""
        shortest_ms = int(VISIT_TICKS_MAX * VISITS_PER_LIMIT * TICK_SECONDS * 1000)
        for session in list(sessions.values()):
            params = session.service.params
            wait_ms = int(params.get("wait_timeout") or 0)
            keepalive_ms = int(params.get("connection_keepalive") or 0)
            shortest_ms = min(shortest_ms, wait_ms or shortest_ms, keepalive_ms or shortest_ms)
            _check_idle(session, params, wait_ms, keepalive_ms, now)
        ticks = int(shortest_ms / VISITS_PER_LIMIT / (TICK_SECONDS * 1000))
        # Without sessions there is no limit to know: the first one may have a short one.
        self._next_visit = self._ticks + (max(1, ticks) if sessions else 1)


def _older(connection: ClientConnection, now: int) -> bool:
    return now - connection.accepted_us > LOGIN_TIMEOUT_MS * 1000


def _check_idle(session: Session, params: dict[str, Any], wait_ms: int, keepalive_ms: int, now: int) -> None:
    """Close a session that was idle for too long; ping its servers before they do the same."""
    idle_ms = (now - session.active_us) // 1000
    if wait_ms and idle_ms > wait_ms and not session.expecting and not session.held_back:
        session.log_warning(
            f"Session of {session.user}@{session.remote} was idle for {idle_ms // 1000} s: closing"
        )
        session.close("Timed out", code=1927, message="Connection killed by Fairlead: Timed out")
        return
    if keepalive_ms and (
        idle_ms < keepalive_ms or session.expecting or params.get("force_connection_keepalive")
    ):
        session.keep_alive(keepalive_ms, now)
