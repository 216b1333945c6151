"""What sees the bytes of a reply before the client does, and may keep them from it."""

from __future__ import annotations


class ReplyTap:
    """`hidden`: the present replies are not the client's; the session takes no notice of them either."""

    def __init__(self) -> None:
        self.hidden = False

    def passing(self, buf: bytearray, start: int, end: int) -> int:
        """Bytes of the reply; returns where in them the client's part begins."""
        return start

    def has_part(self) -> bool:
        """The client has a part of the reply under way: nothing but its rest may follow."""
        return False

    def asks_for_data(self) -> None:
        """The reply asks the client for the data of LOAD DATA LOCAL."""
