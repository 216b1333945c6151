"""The one error of this room: what the other side sent breaks the protocol."""

from __future__ import annotations


class ProtocolError(Exception):
    """Carries the error packet to answer with: errno, SQLSTATE, message."""

    def __init__(self, errno: int, sqlstate: str, message: str) -> None:
        super().__init__(f"{errno} ({sqlstate}): {message}")
        self.errno = errno
        self.sqlstate = sqlstate
        self.message = message


def malformed(what: str) -> ProtocolError:
    """A packet that cannot be understood."""
    return ProtocolError(1835, "HY000", f"Malformed communication packet: {what}")


def bad_handshake() -> ProtocolError:
    """A login packet that cannot be understood."""
    return ProtocolError(1043, "08S01", "Bad handshake")
