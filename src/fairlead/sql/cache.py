"""Classifications by canonical form: bounded in bytes, never wrong on a hash collision, not flushed by a
scan.

S3-FIFO: a new entry waits in a small queue and only one that was asked for again moves to the main queue.
Hashes of entries that were dropped from the small queue are remembered for a while; if one returns it goes
straight to the main queue. A hit only raises a counter, so that the hot path allocates and moves nothing.
"""

from __future__ import annotations

from collections import deque

from fairlead.sql.info import QueryInfo

_ENTRY_BYTES = 1200  # an entry's objects apart from its canonical form, measured roughly
_TOP_USE = 3
_LONGEST_CHAIN = 16


class Entry:
    """One cached classification."""

    __slots__ = ("canonical", "hash", "hits", "info", "kind", "next", "size", "use")

    def __init__(self, canonical: bytes, hash_value: int, kind: int, info: QueryInfo) -> None:
        self.canonical = canonical
        self.hash = hash_value
        self.kind = kind
        self.info = info
        self.next: Entry | None = None
        self.use = 0
        self.hits = 0
        self.size = _ENTRY_BYTES + 2 * len(canonical)
        if info.reading is not None:
            self.size += _ENTRY_BYTES


class Cache:
    """`limit` bytes of entries; `kind` separates entries of equal text that are read in different ways."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.count = 0
        self.hits = 0
        self.misses = 0
        self.inserts = 0
        self.evictions = 0
        self._buckets: list[Entry | None] = [None] * 256
        self._small: deque[Entry] = deque()
        self._main: deque[Entry] = deque()
        self._small_used = 0
        self._ghosts: dict[int, None] = {}

    def lookup(self, text: bytearray, length: int, hash_value: int, kind: int) -> QueryInfo | None:
        """The classification of the canonical form `text[:length]`, if it is known."""
        entry = self._buckets[hash_value & (len(self._buckets) - 1)]
        while entry is not None:
            if entry.hash == hash_value and entry.kind == kind and self._same(entry.canonical, text, length):
                self.hits += 1
                entry.hits += 1
                if entry.use < _TOP_USE:
                    entry.use += 1
                return entry.info
            entry = entry.next
        self.misses += 1
        return None

    def _same(self, canonical: bytes, text: bytearray, length: int) -> bool:
        if len(canonical) != length:
            return False
        a = canonical
        b = text
        different = 0
        for i in range(length):
            different |= a[i] ^ b[i]
        return different == 0

    def insert(self, info: QueryInfo, hash_value: int, kind: int) -> None:
        """Keep a classification under its canonical form."""
        entry = Entry(info.canonical, hash_value, kind, info)
        if entry.size > self.limit // 4:
            return
        while self.used + entry.size > self.limit:
            self._evict()
        slot = hash_value & (len(self._buckets) - 1)
        length = 0
        link = self._buckets[slot]
        while link is not None:
            length += 1
            link = link.next
        if length >= _LONGEST_CHAIN:
            return
        entry.next = self._buckets[slot]
        self._buckets[slot] = entry
        self.count += 1
        self.used += entry.size
        self.inserts += 1
        if hash_value in self._ghosts:
            del self._ghosts[hash_value]
            self._main.append(entry)
        else:
            self._small.append(entry)
            self._small_used += entry.size
        if self.count > len(self._buckets):
            self._spread()

    def resize(self, limit: int) -> None:
        """Change the bound; what is too much goes at once."""
        self.limit = limit
        while self.used > limit:
            self._evict()

    def clear(self) -> None:
        """Forget every entry; the counters go on."""
        limit = self.limit
        self.resize(0)
        self._ghosts.clear()
        self.limit = limit

    def top(self, number: int) -> list[tuple[QueryInfo, int, int]]:
        """The entries with most hits: (classification, hits, size)."""
        entries = sorted([*self._small, *self._main], key=lambda entry: -entry.hits)
        return [(entry.info, entry.hits, entry.size) for entry in entries[:number]]

    def _evict(self) -> None:
        """Drop one entry."""
        while True:
            if self._small and (self._small_used * 10 > self.limit or not self._main):
                entry = self._small.popleft()
                self._small_used -= entry.size
                if entry.use > 0:
                    entry.use = 0
                    self._main.append(entry)
                    continue
                self._ghosts[entry.hash] = None
                if len(self._ghosts) > self.count:
                    del self._ghosts[next(iter(self._ghosts))]
            else:
                entry = self._main.popleft()
                if entry.use > 0:
                    entry.use -= 1
                    self._main.append(entry)
                    continue
            self._unlink(entry)
            return

    def _unlink(self, entry: Entry) -> None:
        slot = entry.hash & (len(self._buckets) - 1)
        link = self._buckets[slot]
        if link is entry:
            self._buckets[slot] = entry.next
        else:
            while link is not None:
                if link.next is entry:
                    link.next = entry.next
                    break
                link = link.next
        entry.next = None
        self.count -= 1
        self.used -= entry.size
        self.evictions += 1

    def _spread(self) -> None:
        entries = [*self._small, *self._main]
        self._buckets = [None] * (len(self._buckets) * 4)
        for entry in entries:
            slot = entry.hash & (len(self._buckets) - 1)
            entry.next = self._buckets[slot]
            self._buckets[slot] = entry
