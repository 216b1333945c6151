"""Calls of functions that are not built in: their names, and what a statement is if they only read."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.sql.cache import Cache
from fairlead.sql.classifier import Classifier, QueryInfo
from fairlead.sql.functions import NEVER_READS
from fairlead.sql.types import (
    MODE_ANSI_QUOTES,
    MODE_MULTIBYTE,
    MODE_ORACLE,
    TYPE_GSYSVAR_READ,
    TYPE_MASTER_READ,
    TYPE_READ,
    TYPE_SYSVAR_READ,
    TYPE_USERVAR_READ,
    TYPE_WRITE,
    mask_text,
)

READS = TYPE_READ | TYPE_MASTER_READ | TYPE_USERVAR_READ | TYPE_SYSVAR_READ | TYPE_GSYSVAR_READ


def classify(sql: str, mode: int = 0) -> QueryInfo:
    buf = bytearray(sql.encode())
    return Classifier(1 << 20).classify(buf, 0, len(buf), sql_mode=mode)


def bits(info: QueryInfo | None) -> str:
    return "" if info is None else mask_text(info.type_mask).replace("sql::TYPE_", "")


@pytest.mark.parametrize(
    ("sql", "called"),
    [
        ("SELECT f(1)", ("f",)),
        ("SELECT F(1), `f`(2), DB.F(3), `DB`.`f`(4), db . f (5)", ("f", "DB.f", "db.f")),
        ("SELECT g(f(1)) FROM t WHERE h(x) IN (SELECT i(1))", ("g", "f", "h", "i")),
        ("SELECT db.abs(1), abs(2), `abs`(3)", ("db.abs", "abs")),
        ("SELECT now(), count(*), if(a, b, c)", ()),
        ("INSERT INTO t VALUES (f(1))", ("f",)),
        ("EXPLAIN UPDATE t SET a = f()", ("f",)),
    ],
)
def test_called(sql: str, called: tuple[str, ...]) -> None:
    assert classify(sql).called == called


@pytest.mark.parametrize(
    ("sql", "reading"),
    [
        ("SELECT f(1)", "READ"),
        ("SELECT db.f(1) FROM t WHERE `g`(a)", "READ"),
        ("(SELECT f(1)) UNION SELECT 2", "READ"),
        ("WITH x AS (SELECT f()) SELECT * FROM x", "READ"),
        ("VALUES (f())", "READ"),
        ("SELECT @a, f()", "READ|USERVAR_READ"),
        ("SELECT @@version, f()", "READ|SYSVAR_READ"),
        ("SELECT last_insert_id(), f()", "READ|MASTER_READ"),
        ("EXPLAIN SELECT * FROM (SELECT f()) x", "READ"),
        ("ANALYZE SELECT f()", "READ"),
        ("SHOW TABLES WHERE f()", "READ"),
        ("SET STATEMENT max_statement_time = 1 FOR SELECT f()", "READ"),
    ],
)
def test_a_read_but_for_its_calls(sql: str, reading: str) -> None:
    info = classify(sql)
    assert info.type_mask & TYPE_WRITE
    assert bits(info.reading) == reading
    assert info.reading is not None and info.reading.reading is None
    assert info.reading.called == info.called and info.reading.tables == info.tables
    assert info.reading.canonical == info.canonical and info.reading.operation == info.operation


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT now()",
        "INSERT INTO t VALUES (f())",
        "UPDATE t SET a = f()",
        "DELETE FROM t WHERE f()",
        "CALL f()",
        "DO f()",
        "SET @a = f()",
        "SET autocommit = f()",
        "KILL f()",
        "EXECUTE IMMEDIATE f()",
        "CREATE TABLE t AS SELECT f()",
        "EXPLAIN UPDATE t SET a = f()",
        "ANALYZE DELETE FROM t WHERE f()",
        "SELECT f() FOR UPDATE",
        "SELECT f() FROM t LOCK IN SHARE MODE",
        "SELECT * FROM (SELECT f() FROM t FOR UPDATE) x",
        "SELECT f() INTO @a",
        "SELECT f() INTO OUTFILE 'x'",
        "SELECT @a := f()",
        "SELECT f(), NEXT VALUE FOR s",
        "SELECT f(), PREVIOUS VALUE FOR s",
        "SELECT f(), s.nextval",
        "SELECT f(); SELECT 1",
        "SELECT 1; SELECT f()",
        "SELECT f(",
        "SELECT f())",
        "SELECT 'x, f()",
        "SELECT /*!50000 f() */",
        "SELECT /*!110000 1, */ f()",
        "PREPARE s FROM f()",
        "BEGIN NOT ATOMIC SELECT f(); END",
        # Names that are not safe to compare.
        "SELECT `a.b`(1)",
        "SELECT `a.b`.f(1)",
        "SELECT a.b.f(1)",
        "SELECT 'f'(1)",
        "SELECT 1f(1)",
        "SELECT 1d.f(1)",
        "SELECT fé(1)",
        "SELECT `dé`.f(1)",
    ],
)
def test_no_read_whatever_is_known_of_functions(sql: str) -> None:
    assert classify(sql).reading is None


@pytest.mark.parametrize("name", sorted(NEVER_READS))
def test_locks_and_sequences_are_never_reads(name: str) -> None:
    for call in (name, name.upper(), f"`{name}`", f"db.{name}", f"`db`.`{name.upper()}`"):
        info = classify(f"SELECT f(1), {call}(1)")
        assert info.type_mask & TYPE_WRITE and info.reading is None, call


def test_modes() -> None:
    assert classify('SELECT "f"(1)').reading is None
    quoted = classify('SELECT "f"(1)', MODE_ANSI_QUOTES)
    assert quoted.called == ("f",) and bits(quoted.reading) == "READ"
    assert classify("SELECT f(1), s.currval", MODE_ORACLE).reading is None
    assert bits(classify("SELECT f(1), s.currval").reading) == "READ"
    split = Classifier(1 << 20)
    buf = bytearray(b"SELECT f(1), '\x81\\'")
    info = split.classify(buf, 0, len(buf), sql_mode=MODE_MULTIBYTE)
    assert info.type_mask & TYPE_WRITE and info.reading is None and info.hides_use


def test_prepared_texts() -> None:
    inner = classify("PREPARE s FROM 'SELECT f(1)'").prepared
    assert inner is not None and bits(inner.reading) == "READ" and inner.called == ("f",)
    buf = bytearray(b"SELECT f(?)")
    assert bits(Classifier(1 << 20).classify(buf, 0, len(buf), True).reading) == "READ"


def test_from_the_cache() -> None:
    classifier = Classifier(1 << 20)
    first = classifier.classify_text("SELECT a.f(1)")
    assert classifier.classify_text("SELECT a.f(2)") is first and first.reading is not None
    other = classifier.classify_text("SELECT b.f(1)")
    assert other.called == ("b.f",)
    plain = Cache(1 << 20)
    plain.insert(classifier.classify_text("SELECT 1"), 1, 0)
    double = Cache(1 << 20)
    double.insert(first, 1, 0)
    assert double.used > plain.used * 3 // 2


@pytest.mark.parametrize(
    ("sql", "hides"),
    [
        ("USE a", False),
        ("SELECT f()", False),
        ("PREPARE s FROM 'USE a'", False),
        ("EXECUTE s", True),
        ("EXECUTE IMMEDIATE 'USE a'", True),
        ("CALL p()", True),
        ("SELECT 1; USE a", True),
        ("USE a; USE b", True),
        ("BEGIN NOT ATOMIC EXECUTE IMMEDIATE 'USE a'; END", True),
        ("/*!110000 USE a */", True),
    ],
)
def test_what_may_change_the_database_unseen(sql: str, hides: bool) -> None:
    assert classify(sql).hides_use is hides


PIECES = [
    "SELECT", "FROM", "WHERE", "(", ")", ",", ";", "t", "a", "UPDATE", "SET", "=", "1", "'x'", "INSERT",
    "INTO", "VALUES", "FOR", "LOCK IN SHARE MODE", "@a", ":=", "@@b", "WITH x AS (", "UNION", "EXPLAIN",
    "ANALYZE", "SHOW", "TABLES", "LIKE", "CALL abs(1)", "DO", "NEXT VALUE FOR s", "s.nextval",
    "get_lock('a', 1)", "nextval(s)", "last_insert_id()", "found_rows()", "DELETE", "JOIN", "USING",
    "CREATE TABLE u AS", "OUTFILE 'f'", "/*!", "*/", "/*!99999", "`", "'", "-- ", "\n", ".", "db.",
    "EXECUTE", "PREPARE q FROM", "SET STATEMENT a = 1 FOR", "KILL",
]  # fmt: skip
STATEMENTS = [
    "SELECT {} FROM t",
    "SELECT a FROM t WHERE {} IN (SELECT b FROM u) LIMIT 1",
    "SELECT * FROM (SELECT {} FROM t FOR UPDATE) x",
    "INSERT INTO t VALUES ({})",
    "UPDATE t SET a = {}",
    "WITH x AS (SELECT {}) SELECT * FROM x",
    "EXPLAIN SELECT {}",
    "SET @a = {}",
    "DO {}",
    "SELECT {} INTO @a",
]


def same_but_for_the_call(template: str) -> None:
    """If all functions only read, a statement is what it is with a built-in function in their place."""
    info = classify(template.replace("{}", "f(1)"))
    builtin = classify(template.replace("{}", "abs(1)"))
    if info.reading is None:
        return
    assert info.type_mask == info.reading.type_mask | TYPE_WRITE
    # Behind "db." the other one is not built in either.
    other = builtin.reading if builtin.called else builtin
    assert other is not None and not other.type_mask & ~READS, "a read was made of what writes otherwise"
    assert info.reading.type_mask == other.type_mask


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_declared_function_hides_no_write(data: st.DataObject) -> None:
    """Statements with a call somewhere, mixed with pieces that write, lock, count or make no sense."""
    template = data.draw(st.sampled_from(STATEMENTS)).split()
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(template)))
        template.insert(at, data.draw(st.sampled_from([*PIECES, "{}"])))
    same_but_for_the_call(" ".join(template))


def test_many_statements_with_calls() -> None:
    """The same without the search, for more of them."""
    chance = random.Random(4)
    reads = 0
    for _ in range(5000):
        words = chance.choice(STATEMENTS).split()
        for _ in range(chance.randrange(4)):
            words.insert(chance.randrange(len(words) + 1), chance.choice([*PIECES, "{}"]))
        template = " ".join(words)
        same_but_for_the_call(template)
        reads += classify(template.replace("{}", "f(1)")).reading is not None
    assert reads > 300
