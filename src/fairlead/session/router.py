"""What a router is to a session: where each statement goes, and what follows when a server is lost.

A router never touches a socket: it names a backend of its session and the session does the rest.
"""

from __future__ import annotations

from typing import Any

from fairlead.session.statement import Statement
from fairlead.sql.info import QueryInfo

# Results of RouterSession.route.
ROUTED = 1  # written to its server, or answered
WAIT = 2  # cannot be taken now: present it again when a reply is complete
FAILED = 3  # the session is ending


class RouterSession:
    """The router's part of one session."""

    def start(self) -> str:
        """Choose and open the first connections; a reason if the session has to be refused, else empty."""
        return ""

    def route(self, statement: Statement) -> int:
        """Send the statement on its way: ROUTED, WAIT or FAILED."""
        return FAILED

    def backend_done(self, backend: Any, kind: int, entry_id: int) -> None:
        """A reply of this backend is complete."""

    def backend_lost(self, backend: Any, kind: int, command: int, reason: str, permanent: bool) -> None:
        """The connection is closed already. `kind`: the reply that was expected from it next (K_NONE:
        none).
        """

    def error_reply(self, backend: Any, code: int, sqlstate: str, message: str) -> bool:
        """The client's reply begins with an error; False keeps it from the client (the router deals with
        it).
        """
        return True

    def reply_begins(self, backend: Any) -> bool:
        """The client's reply begins; False keeps it from the client. Only for backends that are
        `inspected`.
        """
        return True

    def own_done(self, backend: Any, kind: int, ok: bool) -> None:
        """The reply to a statement that the router sent on its own account (K_OWN, K_SYNC, K_PROBE)."""

    def own_bytes(self, backend: Any, buf: bytearray, start: int, end: int) -> None:
        """Bytes of the reply to a K_PROBE."""

    def session_state(self, backend: Any, payload: bytes) -> None:
        """An OK of the client's reply reports session state; only with `Session.watches_state`."""

    def can_resume(self, backend: Any) -> bool:
        """Whether the client's reply, part of which it has, can be completed without this connection."""
        return False

    def backend_ready(self, backend: Any) -> None:
        """A connection is logged in and in the state of the session."""

    def connection_reset(self) -> None:
        """The client reset its connection or changed its user: what the router remembers of it is void."""

    def user_changed(self) -> str:
        """All connections are closed and the session is another user's: begin again. A reason if that
        fails.
        """
        return ""

    def hang_up(self, backend: Any, reason: str) -> None:
        """The monitor says that this server is gone."""

    def leave(self, backend: Any, reason: str) -> None:
        """The connection has to end as soon as it is in no statement and no transaction."""

    def dismantle(self) -> None:
        """The session has ended: let go of what refers back to it."""

    def story(self) -> str:
        """Where the last statement went and why, in a few words."""
        return ""

    def explain(self, info: QueryInfo) -> list[tuple[str, str, str]]:
        """Where a statement would go now, as (what, value, why); nothing is sent and nothing changes."""
        return []

    def diagnostics(self) -> dict[str, Any]:
        """For the REST view of the session."""
        return {}
