"""The session commands of a session: what a new server connection has to repeat to be in the same state.

Entries are in the order in which they were first executed; ids are the session's own, 1 ... 2^32-2, and are
also the ids of prepared statements that the client sees. Invariants: at most `limit` prunable entries;
identical prunable entries stand once, at their newest place, where that makes no difference; outcomes are
known only for entries whose reply was delivered. Source: spec routers_monitors.md A.7.
"""

from __future__ import annotations

import re

# Largest id, after which numbering starts again at 1.
ID_MAX = 0xFFFFFFFE
# Outcomes remembered of commands that are no longer in the history, for replies of slow servers.
RESPONSES_MAX = 50
# Text that means the same with every sql_mode and character set.
_PLAIN_TEXT = re.compile(rb"[^|\"\\\\\x80-\xff]*", re.DOTALL)


class Entry:
    """One session command. `ok` is None until the reply has been delivered to the client; `database` is the
    default database in which it was executed, empty if that is not known; `moves_to` is the one afterwards,
    of a command that changes it.
    """

    def __init__(self, entry_id: int, command: int, packet: bytes, is_prepare: bool) -> None:
        self.id = entry_id
        self.command = command
        self.packet = packet
        self.is_prepare = is_prepare
        self.ok: bool | None = None
        self.database = ""
        self.moves_to = ""


def steps(entries: list[Entry], database: str) -> list[tuple[str, Entry | None]]:
    """What a connection has to do whose login named this database: (database to change to first, entry).

    Each command means what it meant when it was first executed, also if the database was another one then and
    the command that changed it stands elsewhere or is forgotten. At the end the database is the session's.
    """
    found: list[tuple[str, Entry | None]] = []
    # With a change among the entries nobody knows what the session's database was at the login.
    current = "" if any(entry.moves_to for entry in entries) else database
    last = database
    changed = False
    for entry in entries:
        change = ""
        if entry.database and entry.database != current:
            change = current = entry.database
            changed = True
        found.append((change, entry))
        if entry.moves_to and entry.ok is not False:
            current = last = entry.moves_to
    if changed and last and current != last:
        found.append((last, None))
    return found


# Of sessions without session commands, so that they share them; never written to.
_NO_ENTRIES: dict[int, Entry] = {}
_NO_RESPONSES: dict[int, bool] = {}
_NO_PACKETS: dict[bytes, int] = {}


class History:
    """`limit` 0 keeps nothing; `prune` False gives the history up for good when it is full."""

    def __init__(self, limit: int, prune: bool, disabled: bool) -> None:
        self.limit = 0 if disabled else limit
        self.prune = prune and not disabled
        self.entries: dict[int, Entry] = _NO_ENTRIES
        # Outcome of every recent command by id: True for OK.
        self.responses: dict[int, bool] = _NO_RESPONSES
        self.pruned = False
        self._by_packet: dict[bytes, int] = _NO_PACKETS
        self._last_id = 0
        self._prunable = 0
        # The last command that depends on the state of the session.
        self._last_reading = 0

    def next_id(self) -> int:
        """A new id."""
        self._last_id = self._last_id % ID_MAX + 1
        return self._last_id

    def can_recover(self) -> bool:
        """Whether a new connection can be brought to the state of the session."""
        if self.prune or not self.pruned:
            return True
        return not self.responses and not self.entries

    def is_full(self) -> bool:
        """Whether the next command may push others out."""
        return self._prunable >= self.limit

    def add(
        self,
        entry_id: int,
        command: int,
        packet: bytes,
        is_prepare: bool,
        reads: bool = False,
        rereads: bool = False,
    ) -> Entry | None:
        """Record a command that is on its way; None if nothing is kept. `reads`: what it does depends on the
        session's state; `rereads`: it changes how the text of others is read (sql_mode, character set).
        """
        if self.limit == 0 and not is_prepare:
            self.pruned = True
            return None
        if self.pruned and not self.prune and not is_prepare:
            return None
        if self.entries is _NO_ENTRIES:
            self.entries, self._by_packet = {}, {}
        entry = Entry(entry_id, command, packet, is_prepare)
        if not is_prepare and self.prune:
            earlier = self._by_packet.pop(packet, None)
            if earlier is not None and self._is_void(earlier, reads, rereads):
                if self.entries.pop(earlier, None) is not None:
                    self._prunable -= 1
        if reads:
            self._last_reading = entry_id
        self.entries[entry_id] = entry
        if not is_prepare:
            self._by_packet[packet] = entry_id
            self._prunable += 1
            if self._prunable > self.limit:
                self._overflow()
        return entry

    def _is_void(self, earlier: int, reads: bool, rereads: bool) -> bool:
        """Whether the earlier one of two equal commands need not be repeated, because the later one makes the
        same of every state, and nothing between them depends on it.
        """
        if reads or earlier <= self._last_reading:
            return False
        return not rereads or not self._is_worded_since(earlier)

    def _is_worded_since(self, earlier: int) -> bool:
        """Whether a command behind this one depends on how its text is read."""
        for entry in reversed(self.entries.values()):
            if entry.id <= earlier:
                return False
            if entry.is_prepare or not _PLAIN_TEXT.fullmatch(entry.packet):
                return True
        return False

    def _overflow(self) -> None:
        self.pruned = True
        if not self.prune:
            for entry in [entry for entry in self.entries.values() if not entry.is_prepare]:
                del self.entries[entry.id]
            self._by_packet.clear()
            self._prunable = 0
            return
        for entry in self.entries.values():
            if not entry.is_prepare:
                self._remove(entry)
                return

    def _remove(self, entry: Entry) -> None:
        del self.entries[entry.id]
        if not entry.is_prepare:
            self._prunable -= 1
            if self._by_packet.get(entry.packet) == entry.id:
                del self._by_packet[entry.packet]

    def delivered(self, entry_id: int, ok: bool) -> None:
        """The client has got the reply to this command."""
        entry = self.entries.get(entry_id)
        if entry is not None:
            entry.ok = ok
            if entry.is_prepare and not ok:
                self._remove(entry)
        if self.responses is _NO_RESPONSES:
            self.responses = {}
        self.responses[entry_id] = ok
        while len(self.responses) > RESPONSES_MAX:
            del self.responses[next(iter(self.responses))]

    def expected(self, entry_id: int) -> bool | None:
        """What the client was told of this command; None if that is not known (yet)."""
        return self.responses.get(entry_id)

    def forget(self, entry_id: int) -> None:
        """Remove a command that can be taken back: it failed on its way, or its statement was closed."""
        entry = self.entries.get(entry_id)
        if entry is not None:
            self._remove(entry)
        self.responses.pop(entry_id, None)

    def clear(self) -> None:
        """Forget everything: the client changed its user or reset the connection. Ids go on."""
        self.entries.clear()
        self.responses.clear()
        self._by_packet.clear()
        self._prunable = 0
        self.pruned = False

    def __len__(self) -> int:
        return len(self.entries)
