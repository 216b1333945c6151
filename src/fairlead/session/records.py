"""What a session keeps of its statements for people: the last texts, and the story of where they went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairlead.protocol.constants import COM_QUERY, COM_STMT_PREPARE
from fairlead.session.statement import Statement

if TYPE_CHECKING:
    from fairlead.session.session import Session

# Longest statement text kept for the diagnostics, in bytes.
RETAINED_TEXT_BYTES_MAX = 4096


def retain(session: Session, statement: Statement) -> None:
    """Keep the text of a statement (`retain_last_statements`)."""
    end = min(statement.end, statement.start + RETAINED_TEXT_BYTES_MAX)
    text = bytes(statement.buf[statement.start + 5 : end])
    if session.queries is not None and statement.command in (COM_QUERY, COM_STMT_PREPARE):
        session.queries.appendleft(
            {
                "command": statement.command,
                "statement": text.decode("utf-8", "replace"),
                "at": session.host.wall_clock(),
            }
        )


def tell(session: Session, statement: Statement) -> None:
    """Add the statement, and where it went, to the story (`session_trace`)."""
    assert session.trace is not None
    if statement.command in (COM_QUERY, COM_STMT_PREPARE):
        what = bytes(statement.buf[statement.start + 5 : statement.end]).decode("utf-8", "replace")
    else:
        what = f"command {statement.command}" + (f" of {statement.ps_id}" if statement.ps_id else "")
    session.trace.routed(session.host.wall_clock(), what, session.router.story())
