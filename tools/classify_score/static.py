"""What can be judged without a server: labels, canonical forms, variants, the cache."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable

from classify_score import mutate
from classify_score.canonical import canonical
from classify_score.fields import expected_fields
from classify_score.labels import label
from classify_score.score import Score, group_of
from fairlead.sql import types
from fairlead.sql.classifier import Classifier
from fairlead.sql.info import QueryInfo

PURE = types.TYPE_READ | types.TYPE_SYSVAR_READ | types.TYPE_GSYSVAR_READ | types.TYPE_USERVAR_READ
_SELECT = re.compile(r"\bSELECT\b", re.I)
_CACHE = 64 << 20  # bytes
# One of so many queries and changes is read by sqlglot, which takes its time.
_COMPARED_ONE_IN = 4
_WITH_COLUMNS = ("SELECT, VALUES, WITH", "INSERT, REPLACE", "UPDATE, DELETE")


def is_pure(info: QueryInfo) -> bool:
    """True for what a router may send to a replica."""
    return not info.multi and info.type_mask & ~PURE == 0 and info.type_mask != 0


def classify(classifier: Classifier, sql: str, mode: int = 0) -> QueryInfo:
    """Classify text of which one character is one byte."""
    raw = bytearray(sql, "latin-1")
    return classifier.classify(raw, 0, len(raw), False, mode)


def outcome(info: QueryInfo) -> tuple[int, int, list[tuple[str, str]]]:
    """What must be the same in variants that mean the same."""
    tables = sorted({(database.lower(), table.lower()) for database, table in info.tables})
    return info.type_mask, info.operation, tables


def _as_utf8(name: str) -> str:
    """A name of which one character is one byte, as the classifier reads it."""
    return name.encode("latin-1", "replace").decode("utf-8", "replace")


def names(mask: int) -> frozenset[str]:
    return frozenset(name for bit, name in types.TYPE_NAMES if mask & bit)


class Static:
    """Judges statements one by one into a score."""

    def __init__(self, score: Score, seed: int) -> None:
        self.score = score
        self.source = random.Random(seed)
        self.cold = Classifier(0)
        self.cached = Classifier(_CACHE)
        self.chosen = random.Random(seed)

    def judge(self, statements: Iterable[str]) -> None:
        for sql in statements:
            self.one(sql)

    def one(self, sql: str) -> None:
        """Everything about one statement."""
        row = self.score.rows[group_of(sql)]
        row.statements += 1
        info = self.attempt(sql)
        if info is None:
            return
        row.pure += is_pure(info)
        if outcome(info) != outcome(classify(self.cached, sql)):
            self.score.note("cache", sql)
        self.compare_label(sql, info)
        raw = sql.encode("latin-1")
        if canonical(raw) == info.canonical:
            row.canonical += 1
        else:
            self.score.note("canonical", sql)
        if group_of(sql) in _WITH_COLUMNS and self.chosen.randrange(_COMPARED_ONE_IN) == 0:
            self.compare_columns(sql)
        self.variants(sql, info)

    def compare_columns(self, sql: str) -> None:
        """Columns and functions against those that sqlglot finds."""
        expected = expected_fields(sql)
        if expected is None:
            return
        raw = bytearray(sql, "latin-1")
        found = self.cold.collect(raw, 0, len(raw))
        columns = {f"{each.table}.{each.column}" if each.table else each.column for each in found.fields}
        row = self.score.rows[group_of(sql)]
        row.compared += 1
        for kind, ours, theirs in (
            ("fields", {each.lower() for each in columns}, {_as_utf8(each).lower() for each in expected[0]}),
            (
                "functions",
                {each.name.rpartition(".")[2].lower() for each in found.functions},
                {_as_utf8(each).rpartition(".")[2] for each in expected[1]},
            ),
        ):
            if ours == theirs:
                setattr(row, kind, getattr(row, kind) + 1)
            else:
                more, less = sorted(ours - theirs)[:5], sorted(theirs - ours)[:5]
                self.score.note(f"{kind} differ from sqlglot's", f"more {more}, less {less}: {sql}")

    def attempt(self, sql: str) -> QueryInfo | None:
        """Classify it; whatever it is, it has a canonical form that is its own canonical form."""
        try:
            info = classify(self.cold, sql)
        except Exception as failure:
            self.score.note("exception", f"{failure!r}: {sql}")
            return None
        again = bytearray(info.canonical)
        if self.cold.canonical(again, 0, len(again)) != info.canonical:
            self.score.note("idempotence", sql)
        return info

    def compare_label(self, sql: str, info: QueryInfo) -> None:
        expected = label(sql)
        if expected is None:
            return
        row = self.score.rows[group_of(sql)]
        row.labelled += 1
        mask = names(info.type_mask)
        operation = types.OP_NAMES[info.operation]
        row.mask += mask == expected[0]
        row.operation += operation == expected[1]
        if is_pure(info) and not expected[0] <= names(PURE):
            row.wrong += 1
            self.score.note("wrong read", f"label {'|'.join(sorted(expected[0]))}: {sql}")
        if (mask, operation) != expected:
            more = "|".join(sorted(mask - expected[0])) or "-"
            less = "|".join(sorted(expected[0] - mask)) or "-"
            result = "" if info.parse_result == types.RESULT_PARSED else " (not parsed)"
            other = "" if operation == expected[1] else f", label {expected[1]}"
            self.score.note(f"label: {operation}{other}: more {more}, less {less}{result}", sql)

    def writing(self, sql: str) -> None:
        """A pure read that is made to write is none."""
        for change in mutate.WRITING:
            variant = change(sql, self.source)
            self.score.writing += 1
            got = self.attempt(variant)
            if got is not None and is_pure(got):
                self.score.rows[group_of(sql)].wrong += 1
                self.score.note("wrong read", f"{change.__name__}: {variant}")

    def variants(self, sql: str, info: QueryInfo) -> None:
        if mutate.certain(sql):
            wanted = outcome(info)
            for change in mutate.SAME:
                variant = change(sql, self.source)
                self.score.variants += 1
                got = self.attempt(variant)
                if got is not None and outcome(got) != wanted:
                    self.score.note("variant", f"{change.__name__}: {variant}")
            if is_pure(info) and info.operation == types.OP_SELECT and _SELECT.search(sql):
                self.writing(sql)
        for change in mutate.SPOILED:
            self.score.spoiled += 1
            self.attempt(change(sql, self.source))
