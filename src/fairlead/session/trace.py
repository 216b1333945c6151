"""The story of one session: its latest log lines, whatever the log keeps, and where each statement went.

Shown by REST as `log` of the session, and written to the log when the session ends abnormally, or at its end
if `session_trace_match` fits. Source: spec core.md a4 and b3, `session_trace`.
"""

from __future__ import annotations

import re
from collections import deque
from datetime import datetime

# Longest statement text in a line, in characters.
TEXT_MAX = 200


class Trace:
    """The last `lines` lines; times are wall-clock."""

    def __init__(self, lines: int, match: str) -> None:
        self.lines: deque[str] = deque(maxlen=lines)
        self._match = re.compile(match) if match else None

    def add(self, when: float, text: str) -> None:
        """One more line; `when`: unix seconds."""
        moment = datetime.fromtimestamp(when).isoformat(" ", "milliseconds")
        self.lines.append(f"{moment} {text}")

    def routed(self, when: float, what: str, story: str) -> None:
        """A statement went somewhere, for a reason."""
        shown = what if len(what) <= TEXT_MAX else what[:TEXT_MAX] + "..."
        self.add(when, f"{shown} -> {story}")

    def fits(self) -> bool:
        """Whether a line fits `session_trace_match`."""
        return self._match is not None and any(self._match.search(line) for line in self.lines)
