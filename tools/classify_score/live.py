"""Plays test programs on a server and asks it about each statement that is new."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from classify_score import mutate, mysqltest
from classify_score.labels import clean
from classify_score.score import Score, group_of
from classify_score.server import REFUSED, Lost, Oracle, Verdict, harmful
from classify_score.static import classify, is_pure
from cluster import ClusterError
from fairlead.sql import types
from fairlead.sql.classifier import Classifier
from fairlead.sql.info import QueryInfo

_MOST_STATEMENTS = 3000  # of one test program
_MOST_SECONDS = 15.0  # for one test program
_ATTEMPTS = 2  # at a statement that fails
_EXPLAINABLE = (types.OP_SELECT, types.OP_INSERT, types.OP_UPDATE, types.OP_DELETE)
_SETS_UP = types.TYPE_SESSION_WRITE | types.TYPE_USERVAR_WRITE
_MODES = (
    ("ORACLE", types.MODE_ORACLE),
    ("MSSQL", types.MODE_BRACKETS),
    ("ANSI_QUOTES", types.MODE_ANSI_QUOTES),
    ("NO_BACKSLASH_ESCAPES", types.MODE_NO_BACKSLASH_ESCAPES),
)
_CHANGES_READING = re.compile(r"SQL_MODE|NAMES|CHARSET|CHARACTER", re.I)
_NO_TABLES = frozenset(("information_schema", "performance_schema"))


def ascii_name(name: str) -> str:
    """A name without the letters that its character set decides: the classifier knows no character sets."""
    return re.sub(r"[^\x00-\x7f]+", "?", name)


def is_real(database: str) -> bool:
    """False for databases whose tables are no tables."""
    return database.lower() not in _NO_TABLES


class Live:
    """Judges the statements of test programs, in their order, into a score."""

    def __init__(self, score: Score, oracle: Oracle, seed: int) -> None:
        self.score = score
        self.oracle = oracle
        self.source = random.Random(seed)
        self.classifier = Classifier(0)
        self.settled: set[str] = set()
        self.tried: Counter[str] = Counter()
        self.mode = 0

    def play(self, files: list[Path], seconds: float, say: Callable[[str], None]) -> None:
        """All programs that have something new; what they include comes by way of them, or at the end."""
        self.check_oracle()
        files = sorted(files, key=lambda path: (path.suffix != ".test", "/main/" not in str(path), path))
        stop = time.monotonic() + seconds
        for number, path in enumerate(files):
            if time.monotonic() > stop:
                self.score.note("out of time", f"{len(files) - number} files")
                break
            statements = mysqltest.statements(path)[:_MOST_STATEMENTS]
            while statements and not self.is_new(statements[-1]):
                statements.pop()
            if statements:
                self.score.files += 1
                try:
                    self.program(statements)
                except Lost:
                    self.score.note("connection lost", str(path))
            if number % 500 == 499:
                say(f"{number + 1} of {len(files)} files, {self.score.executed} statements executed")
        self.score.restarts = self.oracle.restarts

    def check_oracle(self) -> None:
        """The server must be able to say no."""
        self.oracle.begin_file()
        self.oracle.change("CREATE TABLE t (a INT)", False)
        reading = self.oracle.read("SELECT * FROM t")
        writing = self.oracle.read("INSERT INTO t VALUES (1)")
        ending = self.oracle.read("CREATE TABLE u (a INT)")
        if (
            reading.error
            or reading.opened != {("test", "t")}
            or not writing.error
            or not self.is_write(ending)
        ):
            raise ClusterError(f"the server is no oracle: {reading}, {writing}, {ending}")

    def is_new(self, sql: str) -> bool:
        """True if there is something to ask the server about this statement."""
        if sql in self.settled or self.tried[sql] >= _ATTEMPTS:
            return False
        info = classify(self.classifier, sql)
        return is_pure(info) or info.operation in _EXPLAINABLE

    def program(self, statements: list[str]) -> None:
        self.oracle.begin_file()
        self.mode = 0
        stop = time.monotonic() + _MOST_SECONDS
        for sql in statements:
            if time.monotonic() > stop:
                break
            if harmful(sql):
                continue
            try:
                self.statement(sql)
            except Lost:
                if not self.oracle.alive():
                    raise
                self.score.note("connection lost", sql)
                self.oracle.disconnect()
                self.oracle.connect()
                self.mode = 0

    def statement(self, sql: str) -> None:
        """Ask about one statement and execute it."""
        self.score.executed += 1
        info = classify(self.classifier, sql, self.mode)
        new = sql not in self.settled and self.tried[sql] < _ATTEMPTS
        if is_pure(info):
            if new:
                self.tried[sql] += 1
                self.read(sql, info)
                self.spoil(sql)
            return
        if new and info.operation in _EXPLAINABLE and not info.multi:
            self.tried[sql] += 1
            self.spoil(sql)
            verdict = self.oracle.explain(sql)
            if not verdict.error:
                self.settled.add(sql)
                self.compare_tables(sql, info, verdict)
        both = info.type_mask & _SETS_UP != 0 and info.type_mask & types.TYPE_WRITE == 0
        self.oracle.change(sql, both)
        if both and _CHANGES_READING.search(sql):
            self.follow_modes()

    def follow_modes(self) -> None:
        """Read the text from now on as the server does."""
        sql_mode, charset = self.oracle.modes()
        names = sql_mode.split(",")
        self.mode = sum(bit for name, bit in _MODES if name in names)
        if charset in types.UNSAFE_CHARSETS:
            self.mode |= types.MODE_MULTIBYTE

    def read(self, sql: str, info: QueryInfo) -> None:
        """A pure read must do nothing else."""
        verdict = self.oracle.read(sql)
        row = self.score.rows[group_of(sql)]
        if not verdict.error:
            self.settled.add(sql)
            row.run += 1
        if self.is_write(verdict):
            kind = "write behind a view" if self.names_view(info) else "wrong read"
            row.wrong += kind == "wrong read"
            self.score.note(kind, f"{verdict.error} mode {self.mode}: {sql}")
        elif not verdict.error and info.operation == types.OP_SELECT:
            self.compare_tables(sql, info, verdict)

    def spoil(self, sql: str) -> None:
        """A spoiled variant that is taken for a pure read must be one as well."""
        variant = self.source.choice(mutate.SPOILED)(sql, self.source)
        info = classify(self.classifier, variant, self.mode)
        if not is_pure(info) or harmful(variant):
            return
        self.score.spoiled += 1
        verdict = self.oracle.read(variant)
        if self.is_write(verdict) and not self.names_view(info):
            self.score.rows[group_of(sql)].wrong += 1
            self.score.note("wrong read", f"spoiled, {verdict.error} mode {self.mode}: {variant}")

    def is_write(self, verdict: Verdict) -> bool:
        return verdict.error in REFUSED or verdict.ended or verdict.wrote

    def names_view(self, info: QueryInfo) -> bool:
        """True if the statement reads a view, of which the text does not tell what it does."""
        control = self.oracle.control
        for database, table in info.tables:
            schema, name = (text.replace("'", "''") for text in (database or self.oracle.database, table))
            control.run(
                "SELECT 1 FROM information_schema.views "
                f"WHERE table_schema='{schema}' AND table_name='{name}'"
            )
            if control.rows:
                return True
        return False

    def compare_tables(self, sql: str, info: QueryInfo, verdict: Verdict) -> None:
        """Every table that is named is opened, and every table that is opened is named, unless its name does
        not appear in the statement: then it came by way of a view, a trigger, a foreign key or a function."""
        pairs = [(database or self.oracle.database, name) for database, name in info.tables]
        named = {(ascii_name(database), ascii_name(name)) for database, name in pairs if is_real(database)}
        opened = {(ascii_name(database), ascii_name(name)) for database, name in verdict.opened}
        row = self.score.rows[group_of(sql)]
        row.opened += 1
        missing = [
            f"{database}.{table}"
            for database, table in opened - named
            if is_real(database) and re.search(rf"(?<![\w$]){re.escape(table.upper())}(?![\w$])", clean(sql))
        ]
        extra = [f"{database}.{table}" for database, table in named - opened]
        if not missing and not extra:
            row.tables += 1
        else:
            self.score.note(f"tables: {'too few' if missing else 'too many'}", f"{missing} {extra}: {sql}")
