"""One client command on its way to a server: the packet where it lies, and what is known of it.

There is one Statement per session and it is reused: its bytes are valid only while it is being routed. Who
keeps it longer copies the bytes (`packet`).
"""

from __future__ import annotations

from typing import Any

from fairlead.session.prepared import Prepared
from fairlead.sql.info import QueryInfo


class Statement:
    """`buf[start:end]` is the packet with its header; `ps_id` the client's statement id (0: none)."""

    def __init__(self) -> None:
        self.buf = bytearray()
        self.start = 0
        self.end = 0
        self.command = 0
        self.info: QueryInfo | None = None
        self.type_mask = 0
        self.ps_id = 0
        # The packet has the maximum size, so the command goes on in the next packet.
        self.continues = False
        # The server will answer.
        self.replies = True
        self.hints: tuple[Any, ...] = ()
        # The prepared statement that ps_id names, and whether this EXECUTE carries parameter types.
        self.prepared: Prepared | None = None
        self.has_types = False

    @staticmethod
    def of(packet: bytearray, command: int, ps_id: int = 0) -> Statement:
        """A command whose packet was kept, to be sent again; the packet is the statement's from now on."""
        statement = Statement()
        statement.buf = packet
        statement.end = len(packet)
        statement.command = command
        statement.ps_id = ps_id
        return statement

    def kept(self) -> Statement:
        """A copy with bytes of its own, which may be kept."""
        copy = Statement()
        copy.buf = self.packet()
        copy.end = len(copy.buf)
        copy.command = self.command
        copy.info = self.info
        copy.type_mask = self.type_mask
        copy.ps_id = self.ps_id
        copy.continues = self.continues
        copy.replies = self.replies
        copy.hints = self.hints
        copy.prepared = self.prepared
        copy.has_types = self.has_types
        return copy

    def packet(self) -> bytearray:
        """A copy of the packet."""
        return self.buf[self.start : self.end]
