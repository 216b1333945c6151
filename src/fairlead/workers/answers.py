"""What the supervisor may ask of a worker's data plane, and the answers: one function for each question."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fairlead.protocol.handshake import parse_attributes
from fairlead.routers.readwritesplit.causal import forget_position
from fairlead.session.backend import STATE_NAMES
from fairlead.session.session import Session
from fairlead.sql.types import mask_text, operation_text, result_text
from fairlead.workers.pauses import open_transactions

if TYPE_CHECKING:
    from fairlead.workers.plane import Plane

Args = dict[str, Any]


def answer(plane: Plane, what: str, args: Args) -> Any:
    """The answer to a question; KeyError if nobody knows it, or what it names is not there."""
    return _ANSWERS[what](plane, args)


def _sessions(plane: Plane, args: Args) -> Any:
    return [describe(plane, each) for each in list(plane.sessions.values()) if not each.is_below]


def _session(plane: Plane, args: Args) -> Any:
    session = plane.sessions.get(int(args["id"]))
    return None if session is None else describe(plane, session)


def _close_session(plane: Plane, args: Args) -> bool:
    session = plane.sessions.get(int(args["id"]))
    if session is None:
        return False
    session.close("closed by an administrator", code=1927, message="Connection killed by Fairlead")
    return True


def _pause(plane: Plane, args: Args) -> int:
    service = plane.services[str(args["service"])]
    plane.pauses.pause(service, int(args["timeout_ms"]), int(time.time() * 1000))
    return open_transactions(service)


def _resume(plane: Plane, args: Args) -> bool:
    plane.pauses.resume(plane.services[str(args["service"])])
    return True


def _reset_gtid(plane: Plane, args: Args) -> bool:
    forget_position(plane.board, plane.worker, plane.services[str(args["service"])].slot)
    return True


def _classifier_cache(plane: Plane, args: Args) -> list[dict[str, Any]]:
    """The hottest entries of this worker."""
    return [
        {
            "canonical": info.canonical.decode("utf-8", "replace"),
            "hits": hits,
            "classification": {
                "parse_result": result_text(info.parse_result),
                "type_mask": mask_text(info.type_mask),
                "operation": operation_text(info.operation),
                "size": size,
            },
        }
        for info, hits, size in plane.classifier.cache.top(int(args["top"]))
    ]


def _close_listener_sessions(plane: Plane, args: Args) -> bool:
    service, listener = args.get("service"), args.get("listener")
    for session in list(plane.sessions.values()):
        if service in (None, session.service.name) and listener in (None, session.listener.name):
            session.close("its service was stopped", code=1927, message="The service was stopped")
    return True


def _threads(plane: Plane, args: Args) -> dict[str, Any]:
    return {
        "sessions": len(plane.sessions),
        "listening": bool(plane.acceptors),
        "connections": len(plane.connections),
    }


_ANSWERS: dict[str, Callable[[Plane, Args], Any]] = {
    "sessions": _sessions,
    "session": _session,
    "close_session": _close_session,
    "pause": _pause,
    "resume": _resume,
    "reset_gtid": _reset_gtid,
    "classifier_cache": _classifier_cache,
    "close_listener_sessions": _close_listener_sessions,
    "threads": _threads,
}


def describe(plane: Plane, session: Session) -> dict[str, Any]:
    """What REST shows of a session (spec core.md d4)."""
    now = plane.poller.now_us
    return {
        "id": session.id,
        "service": session.service.name,
        "filters": list(session.service.definition.filters),
        "user": session.user,
        "remote": session.remote,
        "port": session.remote_port,
        "database": session.database,
        "connected": session.created_at,
        "idle": max(0, now - session.active_us) / 1e6,
        "seconds_alive": max(0, now - session.created_us) / 1e6,
        "thread": plane.worker,
        "state": "Session started",
        "connections": [
            {
                "server": backend.server.name,
                "connection_id": backend.thread_id,
                "cipher": getattr(backend.channel, "cipher", ""),
                "state": STATE_NAMES[backend.state],
            }
            for backend in session.backends
            if backend.in_use() and backend.channel is not None
        ],
        "client": {
            "cipher": getattr(session.client, "cipher", ""),
            "connection_attributes": parse_attributes(session.attributes),
            "sescmd_history_len": len(session.history),
            "sescmd_history_stored_responses": len(session.history.responses),
            "sescmd_history_stored_metadata": len(session.statements),
        },
        "queries": list(session.queries or ()),
        "log": list(session.trace.lines) if session.trace is not None else [],
        "trx": {"active": session.trx.active, "read_only": session.trx.read_only},
        "router": session.router.diagnostics(),
    }
