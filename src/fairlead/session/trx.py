"""The transaction state of a session, from what the client says and from what the servers answer.

States (spec routers_monitors.md A.3.6): inactive; starting (the statement that begins it is on its way);
active; ending (COMMIT or ROLLBACK is on its way). With autocommit off every statement begins a transaction.
The parser's word counts until the reply's status flags correct it.
"""

from __future__ import annotations

from fairlead.sql.types import (
    TYPE_BEGIN_TRX,
    TYPE_COMMIT,
    TYPE_DISABLE_AUTOCOMMIT,
    TYPE_ENABLE_AUTOCOMMIT,
    TYPE_NEXT_TRX,
    TYPE_READONLY,
    TYPE_READWRITE,
    TYPE_ROLLBACK,
    TYPE_SESSION_WRITE,
)

_BEGIN = TYPE_BEGIN_TRX
_COMMIT = TYPE_COMMIT
_ROLLBACK = TYPE_ROLLBACK
_ENABLE = TYPE_ENABLE_AUTOCOMMIT
_DISABLE = TYPE_DISABLE_AUTOCOMMIT
_READONLY = TYPE_READONLY
_READWRITE = TYPE_READWRITE
_NEXT = TYPE_NEXT_TRX
_SESSION = TYPE_SESSION_WRITE

_IN_TRANS = 1
_AUTOCOMMIT = 2
_IN_TRANS_READONLY = 8192

# Access modes for the next transaction.
ACCESS_DEFAULT = 0
ACCESS_READ_ONLY = 1
ACCESS_READ_WRITE = 2

# What a reply did.
TRX_NOTHING = 0
TRX_ENDED = 1


class TrxTracker:
    """`active`: a transaction is open or begins with the present statement."""

    def __init__(self, autocommit: bool = True) -> None:
        self.autocommit = autocommit
        self.default_read_only = False
        self.next_access = ACCESS_DEFAULT
        self.active = False
        self.starting = False
        self.ending = False
        # The present statement commits the open transaction and begins another one.
        self.again = False
        self.read_only = False
        self.only_reads = True
        self.ended_only_reads = True
        # The server has said that the transaction is open.
        self._seen = False

    def abandon(self) -> None:
        """The statement that was to begin a transaction did not reach a server."""
        self._clear()

    def reset(self) -> None:
        """As after a login."""
        self.autocommit = True
        self.default_read_only = False
        self.next_access = ACCESS_DEFAULT
        self._clear()

    def _clear(self) -> None:
        self.active = False
        self.starting = False
        self.ending = False
        self.again = False
        self.read_only = False
        self.only_reads = True
        self._seen = False

    def is_open(self) -> bool:
        """Whether the present statement is inside a transaction that goes on."""
        return self.active

    def on_statement(self, mask: int, is_read: bool, chain: bool) -> None:
        """A statement is about to be routed; `mask` are its type bits, `chain` COMMIT AND CHAIN."""
        if self.ending:
            self._clear()
        self.starting = False
        self.again = False
        if mask & _BEGIN and not mask & _DISABLE:
            again = self.active
            self._begin(mask)
            if again:
                self.starting = False
                self.again = True
        elif mask & _DISABLE:
            self.autocommit = False
            # The next statement begins the transaction; this one is a session command.
            return
        elif mask & _ENABLE:
            self.autocommit = True
            self.ending = self.active
        elif mask & (_COMMIT | _ROLLBACK):
            if self.active and not chain:
                self.ending = True
        elif mask & (_READONLY | _READWRITE):
            access = ACCESS_READ_ONLY if mask & _READONLY else ACCESS_READ_WRITE
            if mask & _NEXT:
                self.next_access = access
            elif mask & _SESSION:
                self.default_read_only = access == ACCESS_READ_ONLY
            return
        elif not self.active and not self.autocommit and not mask & _SESSION:
            self._begin(0)
        if self.active and not is_read and not mask & (_BEGIN | _COMMIT | _ROLLBACK):
            self.only_reads = False

    def _begin(self, mask: int) -> None:
        self.active = True
        self.starting = True
        self.only_reads = True
        if mask & _READONLY:
            self.read_only = True
        elif mask & _READWRITE:
            self.read_only = False
        elif self.next_access != ACCESS_DEFAULT:
            self.read_only = self.next_access == ACCESS_READ_ONLY
        else:
            self.read_only = self.default_read_only

    def on_reply(self, status: int) -> int:
        """The reply to the client ended well, with these server status flags."""
        if not status & _AUTOCOMMIT:
            # Also where the parser did not see it, as in a procedure. The way back needs the parser's word.
            self.autocommit = False
        in_trans = status & (_IN_TRANS | _IN_TRANS_READONLY) != 0
        if in_trans:
            # It has begun: whoever loses its server now loses the transaction.
            self.starting = False
            self._seen = True
        if self.active:
            # Without autocommit not every statement begins a transaction on the server, but it belongs to
            # the one that the client thinks of; when the server was in one its word counts.
            if self.ending or (not in_trans and (self.autocommit or self._seen)):
                self.ended_only_reads = self.only_reads
                self._clear()
                self.next_access = ACCESS_DEFAULT
                return TRX_ENDED
        elif in_trans and status & _AUTOCOMMIT:
            # Begun where the parser could not see it, for example inside of a procedure.
            self._begin(_READONLY if status & _IN_TRANS_READONLY else _READWRITE)
            self.starting = False
            self.only_reads = False
        return TRX_NOTHING
