"""Statements that the proxy answers itself: EXPLAIN ROUTE, and a PREPARE that it has the answer to.

Each function returns ROUTED, WAIT while replies of servers are owed, or 0 if the statement is not its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fairlead.cluster.board import V_REUSED_PREPARES
from fairlead.protocol import packets
from fairlead.session.prepared import Prepared
from fairlead.session.router import ROUTED, WAIT
from fairlead.session.statement import Statement
from fairlead.sql.types import mask_text, operation_text

if TYPE_CHECKING:
    from fairlead.session.servers import ServerSide
    from fairlead.session.session import Session

# Statements of a session that are prepared once for equal texts, and the largest reply that is kept for that.
REUSED_MAX = 1000
REUSED_REPLY_BYTES_MAX = 64 * 1024


def explain_route(session: Session, statement: Statement, match: re.Match[bytes]) -> int:
    """EXPLAIN ROUTE: where the statement in group 1 would go, and why."""
    if session.expecting:
        return WAIT
    text = bytearray(match.group(1))
    info = session.classifier.classify(text, 0, len(text), False, session.sql_mode)
    info = session.judged(info, session.known_database())
    trx = session.trx
    kind = ("READ ONLY" if trx.read_only else "READ WRITE") if trx.active else "none"
    rows = [
        ("statement", operation_text(info.operation), mask_text(info.type_mask)),
        ("transaction", kind, "" if trx.autocommit else "autocommit is off"),
        *session.router.explain(info),
    ]
    shown: list[list[str | None]] = [list(row) for row in rows]
    session.send_bytes(packets.build_result_set(1, ["what", "value", "why"], shown, session.capabilities))
    return ROUTED


def prepare_again(session: Session, statement: Statement) -> int:
    """The client has prepared just this before (`reuse_prepared_statements`): it gets the same answer."""
    if session.expecting:
        return WAIT
    text = bytes(statement.buf[statement.start + 5 : statement.end])
    known = session.known_prepares.get(text)
    if known is None or not _same_database(session, session.statements[known[0]]):
        session.captured = bytearray()
        return 0
    entry_id, reply = known
    session.statements[entry_id].uses += 1
    session.last_prepared = entry_id
    session.board.add(session.counters + V_REUSED_PREPARES, 1)
    session.send_bytes(reply)
    return ROUTED


def _same_database(session: Session, prepared: Prepared) -> bool:
    """Whether names in a text that was prepared before would mean the same now."""
    known = session.database_known and session.known_database() == session.database
    return known and prepared.database == session.database


def prepared_first(session: ServerSide, prepared: Prepared, packet: bytes) -> None:
    """Remember the answer to a PREPARE, whose packet (without header) this is."""
    captured, session.captured = session.captured, None
    if captured and len(captured) < REUSED_REPLY_BYTES_MAX and len(session.known_prepares) < REUSED_MAX:
        prepared.text = packet[1:]
        session.known_prepares[prepared.text] = prepared.id, bytes(captured)
