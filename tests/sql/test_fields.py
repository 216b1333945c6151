"""Which columns and functions a statement uses, and with which context; and that no text stops the walk."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.sql.classifier import Classifier
from fairlead.sql.fields import Collected
from fairlead.sql.types import MODE_ANSI_QUOTES, MODE_ORACLE
from fairlead.sql.uses import STRING_ARG_AS_FIELD, STRING_AS_FIELD

CLASSIFIER = Classifier(0)
MARKS = {0: "", 1: "/union", 2: "/sub", 3: "/union/sub"}


def collect(sql: str, sql_mode: int = 0, options: int = 0) -> Collected:
    buf = bytearray(sql.encode())
    return CLASSIFIER.collect(buf, 0, len(buf), sql_mode, options)


def fields(found: Collected) -> str:
    return " ".join(f"{field}{MARKS[field.context]}" for field in found.fields)


def functions(found: Collected) -> str:
    return " ".join(
        f"{each.name}({','.join(str(field) for field in each.fields)})" for each in found.functions
    )


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        # -- where columns are looked for
        ("SELECT 1", ""),
        (
            "SELECT a, t.b, d.t.c FROM d.t WHERE e = f GROUP BY g ORDER BY h DESC LIMIT 3",
            "a d.t.b d.t.c e f g h",
        ),
        ("SELECT *, t.*, d.u.* FROM t, d.u", "* t.* d.u.*"),
        ("SELECT a FROM t JOIN u ON b = c LEFT JOIN v USING (z)", "a b c"),
        ("SELECT a FROM t GROUP BY b HAVING max(c) > d", "a b"),
        ("SELECT count(*) FROM t", ""),
        ("INSERT INTO t (a, b) VALUES (1, c) ON DUPLICATE KEY UPDATE d = e", "a b c d e"),
        ("INSERT INTO t SET a = 1, b = c RETURNING d AS e", "a b c d"),
        ("INSERT INTO t (a) SELECT b FROM u", "a b"),
        ("INSERT INTO t (SELECT b FROM u)", "b"),
        ("INSERT INTO t SELECT b FROM u ON DUPLICATE KEY UPDATE c = u.d + 1", "b c u.d"),
        ("REPLACE t VALUES (1, 'a')", ""),
        ("UPDATE t SET a = b WHERE c ORDER BY d LIMIT 1", "a b c d"),
        ("DELETE FROM t WHERE a = 1 RETURNING b", "a b"),
        ("DELETE t FROM t JOIN u ON t.a = u.b WHERE c", "t.a u.b c"),
        ("DELETE FROM t USING t, u WHERE t.a = u.b", "t.a u.b"),
        ("SET @x = a, y = b, z = (SELECT c FROM t)", "c/sub"),
        ("SET sql_mode = ANSI, autocommit = ON", ""),
        ("SET STATEMENT a = 1 FOR SELECT b FROM t", "b"),
        ("CREATE TABLE t (a INT, b INT) SELECT c FROM u", "c"),
        ("CREATE VIEW v AS SELECT a FROM t", "a"),
        ("CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW SET @a = b", ""),
        ("EXPLAIN FORMAT=JSON SELECT a FROM t", "a"),
        ("DESCRIBE t a", ""),
        ("DO a, f(b)", "a b"),
        ("CALL p(a)", "a"),
        ("ALTER TABLE t ADD a INT", ""),
        ("SELECT a FROM t; SELECT b FROM u", "a b"),
        # -- whose they are
        ("SELECT x.a FROM d.t AS x", "d.t.a"),
        ("SELECT X.a FROM t x", "t.a"),
        ("SELECT a.x FROM t a WHERE EXISTS (SELECT 1 FROM u WHERE u.y = a.z)", "t.x u.y/sub t.z/sub"),
        ("SELECT t.a FROM t WHERE b IN (SELECT t.c FROM u t)", "t.a b u.c/sub"),
        ("UPDATE d.t x, u y SET x.a = y.b", "d.t.a u.b"),
        ("DELETE FROM x USING d.t x WHERE x.a = 1", "d.t.a"),
        ("SELECT j.a FROM t, JSON_TABLE(t.b, '$' COLUMNS (a INT PATH '$')) AS j", "j.a t.b"),
        # -- aliases of the select list
        ("SELECT a AS d FROM t WHERE d = 2 ORDER BY d", "a"),
        ("SELECT a d, d FROM t", "a d"),
        ("SELECT a 'd' FROM t WHERE `D` = 2 AND t.d = 3", "a t.d"),
        # -- contexts
        ("SELECT a FROM t WHERE b IN ((SELECT c FROM u) UNION SELECT d FROM v)", "a b c/sub d/union/sub"),
        ("SELECT a FROM (SELECT b FROM t) x", "a b/sub"),
        ("WITH x (z) AS (SELECT a FROM t) SELECT b FROM x", "a/sub b"),
        ("SELECT a FROM t UNION SELECT b FROM u UNION SELECT c FROM v", "a b/union c/union"),
        ("SELECT a FROM t UNION SELECT b FROM u ORDER BY c", "a b/union c"),
        ("(SELECT a FROM t) EXCEPT (SELECT b FROM u) ORDER BY c", "a b/union c"),
        ("SELECT 1 FROM (SELECT a FROM t UNION SELECT b FROM u) x", "a/sub b/union/sub"),
        ("((SELECT a FROM t)) UNION ((SELECT a FROM t))", "a a/union"),
        ("SELECT (SELECT a FROM t) + (b), ((SELECT c FROM t))", "a/sub b c/sub"),
        # -- what looks like a column and is none
        ("SELECT true, FALSE, NULL, @a, @@b, @@global.c, DEFAULT, 'd', 1e5, ?", ""),
        ("SELECT s.nextval, NEXT VALUE FOR s, nextval(s), lastval(d.s)", ""),
        ("SELECT _utf8'a', N'b', X'61', DATE '2020-01-01', {d '2020-01-01'}", ""),
        ("SELECT _utf8 0x61, _utf8mb4 X'61', _latin1 b'1', x FROM t", "x"),
        ("SELECT INTERVAL 1 DAY + a, a - INTERVAL b MONTH, INTERVAL(c, 1) FROM t", "a b c"),
        ("SELECT EXTRACT(year FROM a), TIMESTAMPDIFF(month, b, c), GET_FORMAT(DATE, 'EUR') FROM t", "a b c"),
        ("SELECT CAST(a AS CHAR(5) CHARACTER SET utf8), CONVERT(b, CHAR(5)), CONVERT(c USING utf8)", "a b c"),
        ("SELECT a COLLATE utf8_bin, BINARY b FROM t PARTITION (p0, p1) USE INDEX (i) IGNORE KEY (j)", "a b"),
        ("SELECT COLUMN_CREATE('a', b AS INT, 'c', d), JSON_VALUE(e, '$' RETURNING INT)", "b d e"),
        ("SELECT a INTO @b, @c FROM t FOR UPDATE SKIP LOCKED", "a"),
        ("SELECT a INTO OUTFILE 'f' FIELDS TERMINATED BY ',' FROM t", "a"),
        ("SELECT a FROM t FOR SYSTEM_TIME BETWEEN b AND c x WHERE x.d", "a b c t.d"),
        ("SELECT a FROM t LIMIT 5 PROCEDURE analyse(10)", "a"),
        # -- windows
        ("SELECT sum(a) OVER (PARTITION BY b ORDER BY c ROWS 1 PRECEDING) FROM t", "a b c"),
        ("SELECT rank() OVER w FROM t WINDOW w AS (ORDER BY a), x AS (w)", "a"),
        ("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) OVER (PARTITION BY b) FROM t", "a b"),
        ("SELECT group_concat(DISTINCT a ORDER BY b SEPARATOR '-') FROM t", "a b"),
    ],
)  # fmt: skip
def test_fields(sql: str, expected: str) -> None:
    assert fields(collect(sql)) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT concat(a, upper(b), 'x', 1) FROM t", "concat(a) upper(b)"),
        ("SELECT Concat(a), CONCAT(b) FROM t", "Concat(a,b)"),
        ("SELECT max(x.a) FROM d.t x", "max(d.t.a)"),
        ("SELECT now(), current_date, CURRENT_TIMESTAMP(6)", "current_timestamp() current_date()"),
        ("SELECT d.f(a), `g` (b)", "d.f(a) g(b)"),
        ("SELECT a + b * c - -d FROM t", "+(a) *(b,c) -()"),
        ("SELECT (a) = (b), a = (b + 1)", "=(a,b) +(b)"),
        ("SELECT a < 1, b <= 1, c <> 1, d != 1, e <=> 1, f >= 1, g > 1",
         "<(a) <=(b) <>(c) !=(d) <=>(e) >=(f) >(g)"),
        ("SELECT a % 1, b / 2, c DIV 3, d MOD 4, mod(e, 5)", "%(a) /(b) div(c) mod(d,e)"),
        ("SELECT a & b | c, d << 1, e ^ 1, ~f, !g", "&(a,b) |(c)"),
        ("SELECT a AND b OR NOT c XOR d", ""),
        ("SELECT a LIKE b ESCAPE '|', c NOT LIKE 'x'", "like(a,b,c)"),
        ("SELECT a BETWEEN b AND c AND d = 1, e NOT BETWEEN 1 AND 2", "between(a,b,c,e) =(d)"),
        ("SELECT a IN (1, b), c NOT IN (SELECT d FROM t), (e, f) IN ((1, 2))", "in(a,b,c)"),
        ("SELECT a IS NULL, b IS NOT NULL, c IS TRUE, d IS NOT FALSE", "isnull(a) isnotnull(b)"),
        ("SELECT CASE WHEN a > 1 THEN b ELSE c END", "case(b,c) >(a)"),
        ("SELECT CASE a WHEN b THEN 1 END", "case(a,b)"),
        ("SELECT CAST(a AS INT)", "CAST(a)"),
        ("SELECT ROW(a, b) = ROW(1, 2)", "=()"),
        ("SELECT MATCH (a, b) AGAINST ('x' IN BOOLEAN MODE)", "MATCH(a,b)"),
        ("SELECT POSITION('x' IN a), TRIM(BOTH 'x' FROM b), SUBSTRING(c FROM 1 FOR 2)",
         "POSITION(a) TRIM(b) SUBSTRING(c)"),
        ("SELECT IF(a, b, c), LEFT(d, 1), REPLACE(e, 'x', 'y'), INSERT(f, 1, 2, 'z')",
         "IF(a,b,c) LEFT(d) REPLACE(e) INSERT(f)"),
        ("SELECT count(DISTINCT a), count(*)", "count(a)"),
        ("SELECT lag(a, 1) OVER (ORDER BY b)", "lag(a)"),
        ("SELECT f((SELECT max(a) FROM t))", "f() max(a)"),
        ("INSERT INTO t SET a = 1, b = f(c)", "f(c)"),
        ("INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = VALUES(a)", "VALUES(a)"),
        ("UPDATE t SET a = b + 1 WHERE c = 2", "+(b) =(c)"),
        ("SELECT a FROM t GROUP BY b HAVING max(c) > 1", "max(c) >()"),
        ("SELECT next_day, nextval(s)", "nextval()"),
        ("SELECT nvl(a, 1)", "nvl(a)"),
        ("SELECT a FROM t JOIN u ON t.x = u.y WHERE EXISTS (SELECT 1)", "=(t.x,u.y)"),
    ],
)  # fmt: skip
def test_functions(sql: str, expected: str) -> None:
    assert functions(collect(sql)) == expected


def test_oracle_names() -> None:
    assert functions(collect("SELECT nvl(a, 1) FROM t", MODE_ORACLE)) == "ifnull(a)"
    assert fields(collect("SELECT s.currval, :1, :b FROM dual", MODE_ORACLE)) == ""


def test_ansi_quotes_make_columns() -> None:
    assert fields(collect('SELECT "a" FROM "t"')) == ""
    assert fields(collect('SELECT "a" FROM "t"', MODE_ANSI_QUOTES)) == "a"


def test_strings_as_fields() -> None:
    sql = "SELECT concat(a, 'b'), 'c' FROM t WHERE d = 'e'"
    assert fields(collect(sql)) == "a d"
    assert fields(collect(sql, 0, STRING_ARG_AS_FIELD)) == "a b d"
    assert functions(collect(sql, 0, STRING_ARG_AS_FIELD)) == "concat(a,b) =(d)"
    assert fields(collect(sql, 0, STRING_AS_FIELD)) == "a b c d e"


@pytest.mark.parametrize(
    "sql",
    [
        "",
        ";;",
        "SELECT",
        "SELECT (",
        "SELECT a FROM (((((",
        "SELECT a BETWEEN",
        "SELECT CASE",
        "INSERT",
        "UPDATE t SET a",
        "DELETE FROM",
        "WITH",
        "WITH x AS (",
        "SELECT " + "(" * 5000 + "a",
        "SELECT " + "a + (" * 5000,
        "SELECT * FROM " + "(SELECT * FROM " * 3000,
        "SELECT " + "f(" * 3000,
        "SELECT " + "- " * 3000 + "a",
        "SELECT " + "NOT " * 3000 + "a",
        "SELECT " + "CASE " * 3000,
        "(" * 3000 + "SELECT a",
        "EXPLAIN " * 3000 + "SELECT a",
        "SET STATEMENT a = 1 FOR " * 3000 + "SELECT a",
        "SELECT a" + " = a" * 3000,
    ],
)
def test_unfinished_and_endless_text(sql: str) -> None:
    collect(sql)


WORDS = [
    "select", "from", "where", "a", "b", "t.c", "d", ".", "*", "(", ")", ",", ";", "=", "<", ">",
    "+", "-", "case", "when", "then", "else", "end", "in", "between", "and", "or", "not", "like",
    "is", "null", "group", "order", "by", "having", "union", "with", "as", "values", "insert",
    "into", "set", "update", "delete", "join", "on", "using", "'x'", "@v", ":=", "@@", "if(",
    "cast(", "interval", "day", "limit", "for", "exists", "over", "window", "partition", "{", "}",
    "->", '"', "`", "/*", "*/", "convert(", "position(", "match", "against", "lateral", "next",
    "value", "for", "any(", "distinct", "row(", "all", "position", "explain", "analyze", "format",
    "create", "table", "view", "on", "duplicate", "key",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=40))
def test_any_words_are_walked(words: list[str]) -> None:
    first = collect(" ".join(words))
    if "`" not in words:
        assert first == collect("  ".join(words))
    for field in first.fields:
        assert field.context in MARKS


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_walked(text: bytes) -> None:
    CLASSIFIER.collect(bytearray(b"SELECT " + text), 0, len(text) + 7)
