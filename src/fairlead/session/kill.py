"""KILL: from the statement of a client to a message for all workers, and from there to what each server is
told.

The message carries copies of the issuer's credentials, so nobody holds on to the session that issued it.
Source: spec core.md b6, routers_monitors.md A.14.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from fairlead.sql.info import KillInfo
from fairlead.sql.types import KILL_QUERY

if TYPE_CHECKING:
    from fairlead.session.session import Session


class KillOrder(Struct, frozen=True):
    """What is to be killed and in whose name. `kind`: connection, query, user, query_user; `hard`: "" or
    "SOFT ".
    """

    kind: str
    hard: str
    session: int
    user: str
    issuer: int
    issuer_user: str
    issuer_password: bytes


def kill_message(info: KillInfo | None, session: Session, target: int = 0) -> KillOrder | None:
    """The order for this statement (or for COM_PROCESS_KILL of `target`); None: the session means itself."""
    kind, hard, user = "connection", "", ""
    if info is not None:
        text = info.target.strip()
        if info.soft:
            hard = "SOFT "
        is_query = info.kind == KILL_QUERY
        if info.is_user:
            kind, user = ("query_user" if is_query else "user"), text.strip("'`\"")
        else:
            kind = "query" if is_query else "connection"
            if not text.isdigit():
                return None
            target = int(text)
    return KillOrder(kind, hard, target, user, session.id, session.backend_user, session.backend_password)


def matches(order: KillOrder, session: Session) -> bool:
    """Whether the order concerns this session."""
    if order.user:
        return session.user.lower() == order.user.lower()
    return session.id == order.session


def statements_for(order: KillOrder, sessions: list[Session]) -> list[tuple[Any, str]]:
    """(server, KILL statement) for every server connection of the sessions; for a user one statement per
    server.
    """
    query = "QUERY " if order.kind in ("query", "query_user") else ""
    found: list[tuple[Any, str]] = []
    seen: set[str] = set()
    for session in sessions:
        for backend in session.backends:
            if not backend.in_use() or backend.server.service:
                continue
            if order.user:
                if backend.server.name not in seen:
                    seen.add(backend.server.name)
                    name = order.user.replace("'", "''")
                    found.append((backend.server, f"KILL {order.hard}{query}USER '{name}'"))
            elif backend.thread_id:
                found.append((backend.server, f"KILL {order.hard}{query}{backend.thread_id}"))
    return found
