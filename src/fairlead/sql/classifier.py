"""From the text of a statement to its classification, by way of the cache. Never raises; what it cannot
tell is a write."""

from __future__ import annotations

import re

from fairlead.sql.cache import Cache
from fairlead.sql.digest import Digest
from fairlead.sql.fields import Collected, FieldCollector
from fairlead.sql.info import KillInfo, QueryInfo
from fairlead.sql.statements import StatementParser
from fairlead.sql.tokens import T_END, T_SEMI
from fairlead.sql.types import (
    MODE_ANSI_QUOTES,
    MODE_BRACKETS,
    MODE_MULTIBYTE,
    MODE_NO_BACKSLASH_ESCAPES,
    MODE_ORACLE,
    OP_CREATE,
    OP_EXPLAIN,
    OP_SELECT,
    OP_SHOW,
    RESULT_INVALID,
    RESULT_PARSED,
    RESULT_TOKENIZED,
    TYPE_GSYSVAR_READ,
    TYPE_MASTER_READ,
    TYPE_READ,
    TYPE_READONLY,
    TYPE_READWRITE,
    TYPE_SYSVAR_READ,
    TYPE_USERVAR_READ,
    TYPE_WRITE,
    transaction_mask,
)

__all__ = ["Classifier", "KillInfo", "QueryInfo"]


class Classifier:
    """Classifies statements and remembers the results in `cache_bytes` of memory; one per worker.

    `sql_mode` (MODE_* bits) is how text is read when a call does not say otherwise.
    """

    def __init__(self, cache_bytes: int, sql_mode: int = 0) -> None:
        self.cache = Cache(cache_bytes)
        self.sql_mode = sql_mode
        self._digest = Digest()
        self._parser = StatementParser()
        self._collector = FieldCollector()

    @property
    def hits(self) -> int:
        """Statements found in the cache."""
        return self.cache.hits

    @property
    def misses(self) -> int:
        """Statements that had to be parsed."""
        return self.cache.misses

    @property
    def inserts(self) -> int:
        """Results put into the cache."""
        return self.cache.inserts

    @property
    def evictions(self) -> int:
        """Results dropped from the cache."""
        return self.cache.evictions

    @property
    def size(self) -> int:
        """Bytes the cache holds."""
        return self.cache.used

    def classify(
        self, buf: bytearray, start: int, end: int, prepare: bool = False, sql_mode: int = -1
    ) -> QueryInfo:
        """Classify the statement `buf[start:end]`; `prepare`: it is the text of a COM_STMT_PREPARE."""
        if start < 0 or end > len(buf) or start > end:
            start = end = 0
        mode = self.sql_mode if sql_mode < 0 else sql_mode
        digest = self._digest
        kind = mode * 2 + (1 if prepare else 0)
        digest.run(buf, start, end, mode & _ANSI != 0, mode & _PLAIN != 0, kind)
        split = (mode & _MULTIBYTE != 0 and _SPLIT.search(buf, start, end) is not None) or (
            mode & _BRACKETS != 0 and buf.find(b"[", start, end) >= 0
        )
        if split or digest.ambiguous or self.cache.limit <= 0:
            self.cache.misses += 1
            info = self._cold(buf, start, end, mode, digest.canonical(), 0)
            if split:
                info.type_mask |= _WRITE
                info.parse_result = min(info.parse_result, RESULT_TOKENIZED)
                info.cacheable = False
                info.reading = None
                info.hides_use = True
        else:
            known = self.cache.lookup(digest.scratch, digest.length, digest.hash, kind)
            if known is not None:
                return known
            info = self._cold(buf, start, end, mode, digest.canonical(), 0)
            if info.cacheable:
                self.cache.insert(info, digest.hash, kind)
        digest.shrink()
        return info

    def classify_text(self, sql: str) -> QueryInfo:
        """Classify a statement given as text."""
        buf = bytearray(sql.encode("utf-8", "surrogateescape"))
        return self.classify(buf, 0, len(buf))

    def collect(
        self, buf: bytearray, start: int, end: int, sql_mode: int = -1, options: int = 0
    ) -> Collected:
        """The columns and functions that `buf[start:end]` uses: the deeper look, not cached. `options`:
        STRING_AS_FIELD, STRING_ARG_AS_FIELD of `uses`."""
        mode = self.sql_mode if sql_mode < 0 else sql_mode
        text = bytearray(buf[start:end])
        return self._collector.collect(
            text, mode & _ORACLE != 0, mode & _ANSI != 0, mode & _PLAIN != 0, options
        )

    def canonical(self, buf: bytearray, start: int, end: int, sql_mode: int = -1) -> bytes:
        """The canonical form alone."""
        mode = self.sql_mode if sql_mode < 0 else sql_mode
        self._digest.run(buf, start, end, mode & _ANSI != 0, mode & _PLAIN != 0, 0)
        return self._digest.canonical()

    def _cold(
        self, buf: bytearray, start: int, end: int, mode: int, canonical: bytes, depth: int
    ) -> QueryInfo:
        """Parse the statement; the result has no relation to the cache."""
        parser = self._parser
        self._parse(buf, start, end, mode, False)
        info = self._build(canonical)
        if parser.pending:
            info.reading = self._reading(canonical)
        if parser.versioned:
            info.cacheable = False
        if parser.uncertain:
            self._parse(buf, start, end, mode, True)
            if parser.count > 0:
                other = self._build(canonical)
                if other.type_mask != info.type_mask or other.operation != info.operation:
                    info.type_mask |= other.type_mask | _WRITE
                    info.trx_mask = 0
            self._parse(buf, start, end, mode, False)
        text = parser.prepare_text
        parser.buf = _NOTHING
        parser.shrink()
        if text is not None and depth == 0:
            inner = bytearray(text.encode("utf-8", "surrogateescape"))
            self._digest.run(inner, 0, len(inner), mode & _ANSI != 0, mode & _PLAIN != 0, 0)
            info.prepared = self._cold(inner, 0, len(inner), mode, self._digest.canonical(), 1)
        return info

    def _parse(self, buf: bytearray, start: int, end: int, mode: int, skip: bool) -> None:
        """Run the parser over the text, leaving what it found in it."""
        parser = self._parser
        parser.oracle = mode & _ORACLE != 0
        parser.run(buf, start, end, parser.oracle, mode & _ANSI != 0, mode & _PLAIN != 0, skip)
        parser.buf = buf
        parser.reset()
        if parser.count == 0:
            parser.mask = _READ if parser.comments and not parser.bad else _WRITE
            parser.result = RESULT_PARSED if parser.comments and not parser.bad else RESULT_INVALID
            parser.cacheable = False
            return
        i = 0
        while parser.kind[i] == T_SEMI:
            i += 1
        if parser.kind[i] == T_END:
            parser.mask = _WRITE
            parser.result = RESULT_INVALID
            return
        i = parser.statement(i, 0)
        if parser.bad or parser.doubt:
            parser.mask |= _WRITE
            parser.cacheable = False
            if parser.result == RESULT_PARSED:
                parser.result = RESULT_TOKENIZED
        if parser.multi:
            self._following(i)

    def _following(self, i: int) -> None:
        """Further statements behind the first: what they name counts, what they are does not: the whole is
        a write."""
        parser = self._parser
        mask = parser.mask
        operation = parser.operation
        result = parser.result
        kill = parser.kill
        if operation != OP_CREATE:
            while parser.kind[i] != T_END:
                if parser.kind[i] == T_SEMI:
                    i += 1
                    continue
                i = parser.statement(i, 0)
        parser.mask = mask | _WRITE
        parser.operation = operation
        parser.result = result
        parser.kill = kill

    def _build(self, canonical: bytes) -> QueryInfo:
        """What the parser found, as a value."""
        parser = self._parser
        info = QueryInfo()
        mask = parser.mask | parser.pending
        info.type_mask = mask
        if not parser.multi:
            trx = transaction_mask(mask)
            if trx and parser.trx_access and not parser.trx_scope:
                trx |= TYPE_READONLY if parser.trx_access == "READ ONLY" else TYPE_READWRITE
            info.trx_mask = trx
        info.operation = parser.operation
        info.parse_result = parser.result
        info.tables = tuple(parser.tables)
        info.databases = tuple(parser.databases)
        info.functions = tuple(parser.functions)
        info.called = parser.called
        info.canonical = canonical
        info.prepare_name = parser.prepare_name
        info.multi = parser.multi
        info.relates_to_previous = parser.relates
        if parser.locks:
            info.unsafe_to_reconnect = "Query uses GET_LOCK()"
        info.kill = parser.kill
        info.is_load_local = parser.load_local
        info.set_sql_mode = parser.set_sql_mode
        info.sql_mode_flags = parser.sql_mode_flags
        info.changes_charset = parser.changes_charset
        info.charset = parser.charset
        info.use_database = parser.use_database
        info.hides_use = parser.hides_use or parser.multi or parser.uncertain
        info.set_role = parser.set_role
        info.trx_scope = parser.trx_scope
        info.trx_access = parser.trx_access
        info.trx_isolation = parser.trx_isolation
        info.temp_table = parser.temp_table
        info.dropped_tables = tuple(parser.dropped)
        info.chain = parser.chain
        info.release = parser.release
        info.proxy_variables = tuple(parser.proxy_variables)
        info.cacheable = parser.cacheable
        return info

    def _reading(self, canonical: bytes) -> QueryInfo | None:
        """The statement as it is if the functions that it calls only read; None if it is no read even then,
        or if that is in any doubt."""
        parser = self._parser
        mask = parser.mask
        if parser.multi or parser.versioned or parser.uncertain or parser.operation not in _QUERIES:
            return None
        if not mask & _READ or mask & ~_READS:
            return None
        parser.pending = 0
        return self._build(canonical)


_NOTHING = bytearray()
# a byte that may swallow the backslash or backtick behind it, so that strings end elsewhere than they seem to
_SPLIT = re.compile(rb"[\x80-\xff][\\`]")
_MULTIBYTE = MODE_MULTIBYTE
_BRACKETS = MODE_BRACKETS
_ANSI = MODE_ANSI_QUOTES
_PLAIN = MODE_NO_BACKSLASH_ESCAPES
_ORACLE = MODE_ORACLE
_READ = TYPE_READ
_WRITE = TYPE_WRITE
# Operations and bits of what a read may be.
_QUERIES = frozenset((OP_SELECT, OP_EXPLAIN, OP_SHOW))
_READS = TYPE_READ | TYPE_MASTER_READ | TYPE_USERVAR_READ | TYPE_SYSVAR_READ | TYPE_GSYSVAR_READ
