"""What each kind of statement is: mask, operation and the facts the session needs."""

from __future__ import annotations

import pytest

from fairlead.sql import types
from fairlead.sql.classifier import Classifier, KillInfo, QueryInfo
from fairlead.sql.types import (
    KILL_CONNECTION,
    KILL_QUERY,
    KILL_QUERY_ID,
    MODE_ANSI_QUOTES,
    MODE_BRACKETS,
    MODE_MULTIBYTE,
    MODE_NO_BACKSLASH_ESCAPES,
    MODE_ORACLE,
    OP_NAMES,
    RESULT_INVALID,
    RESULT_PARSED,
    TYPE_NAMES,
)

CLASSIFIER = Classifier(0)


def classify(sql: str, sql_mode: int = 0) -> QueryInfo:
    buf = bytearray(sql.encode())
    return CLASSIFIER.classify(buf, 0, len(buf), False, sql_mode)


def mask(info: QueryInfo) -> str:
    return " ".join(name for bit, name in TYPE_NAMES if info.type_mask & bit)


TABLE = [
    # -- queries
    ("SELECT 1", "READ", "SELECT"),
    ("SELECT * FROM t WHERE a = 1 ORDER BY b LIMIT 1, 2", "READ", "SELECT"),
    ("(SELECT 1)", "READ", "SELECT"),
    ("((SELECT 1) UNION ALL (SELECT 2)) ORDER BY 1", "READ", "SELECT"),
    ("VALUES (1), (2)", "READ", "SELECT"),
    ("WITH x AS (SELECT 1) SELECT * FROM x", "READ", "SELECT"),
    ("SELECT count(*), max(a), now(), sleep(1) FROM t", "READ", "SELECT"),
    ("SELECT count (*) FROM t", "READ", "SELECT"),
    ("SELECT left(a, 1), if(a, b, c), insert(a, 1, 1, 'x'), replace(a, 'b', 'c') FROM t", "READ", "SELECT"),
    (
        "SELECT cast(a AS datetime(6)), convert(a, decimal(10, 2)), cast(a AS nchar(5)) FROM t",
        "READ",
        "SELECT",
    ),
    ("SELECT a FROM t WHERE a IN (1, 2) AND (b) OR (c) XOR (d)", "READ", "SELECT"),
    ("SELECT 1 = ANY (SELECT 1), 1 <> SOME (SELECT 2), 1 > ALL (SELECT 3)", "READ", "SELECT"),
    ("SELECT a FROM t WHERE MATCH (b) AGAINST ('x' WITH QUERY EXPANSION)", "READ", "SELECT"),
    ("SELECT rank() OVER (PARTITION BY a ORDER BY b) FROM t", "READ", "SELECT"),
    ("SELECT lag(a) OVER w FROM t WINDOW w AS (ORDER BY a), v AS (ORDER BY b)", "READ", "SELECT"),
    ("SELECT * FROM t USE INDEX FOR JOIN (i), u IGNORE INDEX (j)", "READ", "SELECT"),
    ("SELECT * FROM t FOR SYSTEM_TIME ALL", "READ", "SELECT"),
    (
        "SELECT substring(a FROM 1 FOR 2), extract(day FROM b), trim(leading 'x' FROM c) FROM t",
        "READ",
        "SELECT",
    ),
    ("SELECT a, count(*) FROM t GROUP BY a WITH ROLLUP", "READ", "SELECT"),
    ("SELECT row(1, 2) = row(a, b), a LIKE 'b' ESCAPE ('c') FROM t", "READ", "SELECT"),
    ("SELECT MATCH a, t.b AGAINST ('x') FROM t", "READ", "SELECT"),
    ("SELECT against(1), escape('a')", "READ WRITE", "SELECT"),
    ("SELECT {fn now()}, {d '2020-01-01'}", "READ", "SELECT"),
    ("SELECT 'FOR UPDATE', `into`, \"f(1)\" FROM t -- FOR UPDATE", "READ", "SELECT"),
    # -- queries that write
    ("SELECT * FROM t FOR UPDATE", "READ WRITE", "SELECT"),
    ("SELECT * FROM t FOR UPDATE SKIP LOCKED", "READ WRITE", "SELECT"),
    ("SELECT * FROM t LOCK IN SHARE MODE", "READ WRITE", "SELECT"),
    ("SELECT * FROM t FOR SHARE", "READ WRITE", "SELECT"),
    ("SELECT * FROM (SELECT * FROM t FOR UPDATE) x", "READ WRITE", "SELECT"),
    (
        "SELECT 1 WHERE a IN (SELECT a FROM t WHERE b IN (SELECT 1 FROM u LOCK IN SHARE MODE))",
        "READ WRITE",
        "SELECT",
    ),
    ("(SELECT 1) UNION (SELECT 2 FOR UPDATE)", "READ WRITE", "SELECT"),
    ("WITH x AS (SELECT * FROM t FOR UPDATE) SELECT * FROM x", "READ WRITE", "SELECT"),
    ("SELECT a INTO OUTFILE '/tmp/x' FROM t", "WRITE", "SELECT"),
    ("SELECT a FROM t INTO DUMPFILE '/tmp/x'", "WRITE", "SELECT"),
    ("(SELECT a FROM t) INTO OUTFILE '/tmp/x'", "WRITE", "SELECT"),
    # words that are no names, or only seem to be none, where a table is expected
    ("SELECT 1 FROM DUAL FOR UPDATE", "READ WRITE", "SELECT"),
    ("SELECT 1 FROM DUAL LOCK IN SHARE MODE", "READ WRITE", "SELECT"),
    ("SELECT 1 FROM DUAL INTO OUTFILE '/tmp/x'", "WRITE", "SELECT"),
    ("SELECT 1 FROM DUAL INTO @a", "USERVAR_WRITE", "SELECT"),
    ("SELECT 1 FROM DUAL PROCEDURE analyse()", "READ WRITE", "SELECT"),
    ("SELECT a FROM text FOR UPDATE", "READ WRITE", "SELECT"),
    ("SELECT a FROM t, text x, bit LOCK IN SHARE MODE", "READ WRITE", "SELECT"),
    ("SELECT a FROM lateral INTO OUTFILE '/tmp/x'", "WRITE", "SELECT"),
    ("SELECT a FROM t JOIN FOR UPDATE", "READ WRITE", "SELECT"),
    ("SELECT NEXT VALUE FOR s", "READ WRITE", "SELECT"),
    ("SELECT PREVIOUS VALUE FOR s", "READ WRITE", "SELECT"),
    ("SELECT nextval(s)", "READ WRITE", "SELECT"),
    ("SELECT lastval(s)", "READ WRITE", "SELECT"),
    ("SELECT setval(s, 1)", "READ WRITE", "SELECT"),
    ("SELECT default(a) FROM t", "READ WRITE", "SELECT"),
    ("SELECT s.nextval", "READ WRITE", "SELECT"),
    ("SELECT f()", "READ WRITE", "SELECT"),
    ("SELECT db.f()", "READ WRITE", "SELECT"),
    ("SELECT db . now()", "READ WRITE", "SELECT"),
    ("SELECT `f`()", "READ WRITE", "SELECT"),
    ('SELECT "f"()', "READ WRITE", "SELECT"),
    ("SELECT 1 FROM t ORDER BY f(a)", "READ WRITE", "SELECT"),
    ("SELECT 1 FROM t WHERE a IN (1, (SELECT f(2)))", "READ WRITE", "SELECT"),
    ("SELECT * FROM f(1)", "READ WRITE", "SELECT"),
    ("VALUES (f())", "READ WRITE", "SELECT"),
    (
        "SELECT * FROM t, JSON_TABLE(t.columns, '$' COLUMNS (a INT PATH '$.a', "
        "NESTED PATH '$.b' COLUMNS (c VARCHAR(10) PATH '$' DEFAULT '1' ON EMPTY))) AS x JOIN u",
        "READ",
        "SELECT",
    ),
    ("SELECT * FROM JSON_TABLE(columns(1), '$' COLUMNS (a INT PATH '$')) x", "READ WRITE", "SELECT"),
    ("SELECT * FROM JSON_TABLE((SELECT f()), '$' COLUMNS (a INT PATH '$')) x", "READ WRITE", "SELECT"),
    ("SELECT * FROM JSON_TABLE('[]', '$') x", "READ WRITE", "SELECT"),
    ("SELECT * FROM JSON_TABLE('[]', '$' COLUMNS (a INT PATH '$') + f()) x", "READ WRITE", "SELECT"),
    ("SELECT * FROM JSON_TABLE('[]', '$' COLUMNS (a INT PATH '$')) x WHERE f()", "READ WRITE", "SELECT"),
    ("SELECT * FROM db.JSON_TABLE('[]', '$' COLUMNS (a INT PATH '$')) x", "READ WRITE", "SELECT"),
    ("SELECT JSON_TABLE('[]', '$' COLUMNS (a INT PATH '$'))", "READ WRITE", "SELECT"),
    ("SELECT get_lock('a', 1)", "READ WRITE", "SELECT"),
    (
        "SELECT release_lock('a'), is_free_lock('a'), is_used_lock('a'), release_all_locks()",
        "READ WRITE",
        "SELECT",
    ),
    # -- variables
    ("SELECT @a", "READ USERVAR_READ", "SELECT"),
    ("SELECT @a := 1", "READ USERVAR_WRITE", "SELECT"),
    ("SELECT @a := @b", "READ USERVAR_WRITE USERVAR_READ", "SELECT"),
    ("SELECT @`a b`:=1, @'c'", "READ USERVAR_WRITE USERVAR_READ", "SELECT"),
    ("SELECT 1 INTO @a", "USERVAR_WRITE", "SELECT"),
    ("SELECT 1, @c INTO @a, @b", "USERVAR_WRITE USERVAR_READ", "SELECT"),
    ("SELECT @@sql_mode", "READ SYSVAR_READ", "SELECT"),
    ("SELECT @@session.sql_mode, @@local.sql_mode", "READ SYSVAR_READ", "SELECT"),
    ("SELECT @@global.sql_mode", "READ GSYSVAR_READ", "SELECT"),
    ("SELECT @@identity", "READ MASTER_READ", "SELECT"),
    ("SELECT @@session.last_insert_id", "READ MASTER_READ", "SELECT"),
    ("SELECT @@LAST_GTID", "READ MASTER_READ", "SELECT"),
    ("SELECT last_insert_id()", "READ MASTER_READ", "SELECT"),
    ("SELECT found_rows()", "READ", "SELECT"),
    # -- changes
    ("INSERT INTO t VALUES (1)", "WRITE", "INSERT"),
    ("INSERT IGNORE t SET a = 1", "WRITE", "INSERT"),
    ("INSERT INTO t (a) SELECT b FROM u ON DUPLICATE KEY UPDATE a = VALUES(a)", "WRITE", "INSERT"),
    ("REPLACE INTO t VALUES (1)", "WRITE", "INSERT"),
    ("UPDATE t SET a = 1", "WRITE", "UPDATE"),
    ("UPDATE t JOIN (SELECT 1 a) x SET t.a = x.a", "READ WRITE", "UPDATE"),
    ("UPDATE t SET a = (SELECT 1)", "WRITE", "UPDATE"),
    ("DELETE FROM t WHERE a = 1", "WRITE", "DELETE"),
    ("DELETE a FROM t a JOIN (SELECT 1) x", "READ WRITE", "DELETE"),
    ("WITH x AS (SELECT 1) UPDATE t SET a = 1", "WRITE", "UPDATE"),
    ("WITH x AS (SELECT 1) DELETE FROM t", "WRITE", "DELETE"),
    ("TRUNCATE t", "WRITE", "TRUNCATE"),
    ("TRUNCATE TABLE t", "WRITE", "TRUNCATE"),
    ("CREATE TABLE t (a INT)", "WRITE", "CREATE_TABLE"),
    ("CREATE OR REPLACE TABLE t LIKE u", "WRITE", "CREATE_TABLE"),
    ("CREATE TEMPORARY TABLE t (a INT)", "WRITE CREATE_TMP_TABLE", "CREATE_TABLE"),
    ("CREATE INDEX i ON t (a)", "WRITE", "CREATE"),
    ("CREATE VIEW v AS SELECT 1", "WRITE", "CREATE"),
    ("CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW SET @a = 1", "WRITE", "CREATE"),
    ("CREATE SEQUENCE s", "WRITE", "CREATE"),
    ("CREATE DATABASE d", "WRITE", "CREATE"),
    ("ALTER TABLE t ADD a INT", "WRITE", "ALTER_TABLE"),
    ("ALTER ONLINE IGNORE TABLE t ADD a INT", "WRITE", "ALTER_TABLE"),
    ("ALTER DATABASE d CHARACTER SET utf8", "WRITE", "ALTER"),
    ("DROP TABLE t", "WRITE", "DROP_TABLE"),
    ("DROP TEMPORARY TABLE IF EXISTS t", "WRITE", "DROP_TABLE"),
    ("DROP VIEW v", "WRITE", "DROP"),
    ("DROP DATABASE d", "WRITE", "DROP"),
    ("RENAME TABLE a TO b", "WRITE", "UNDEFINED"),
    ("LOAD DATA INFILE 'x' INTO TABLE t", "WRITE", "LOAD"),
    ("LOAD DATA LOCAL INFILE 'x' INTO TABLE t", "WRITE", "LOAD_LOCAL"),
    ("GRANT SELECT ON *.* TO a@b", "WRITE", "GRANT"),
    ("REVOKE ALL ON *.* FROM a@b", "WRITE", "REVOKE"),
    ("CALL p(1)", "WRITE", "CALL"),
    ("CALL p(@a)", "WRITE USERVAR_READ", "CALL"),
    ("DO sleep(1)", "READ WRITE", "UNDEFINED"),
    ("HANDLER t OPEN", "WRITE", "UNDEFINED"),
    ("ANALYZE TABLE t", "WRITE", "UNDEFINED"),
    ("ANALYZE LOCAL TABLE t", "WRITE", "UNDEFINED"),
    ("OPTIMIZE TABLE t", "WRITE", "UNDEFINED"),
    ("CHECK TABLE t", "WRITE", "UNDEFINED"),
    ("REPAIR TABLE t", "WRITE", "UNDEFINED"),
    ("FLUSH TABLES", "WRITE", "UNDEFINED"),
    ("LOCK TABLES t READ", "WRITE", "UNDEFINED"),
    ("UNLOCK TABLES", "WRITE", "UNDEFINED"),
    ("SAVEPOINT a", "WRITE", "UNDEFINED"),
    ("RELEASE SAVEPOINT a", "WRITE", "UNDEFINED"),
    ("START SLAVE", "WRITE", "UNDEFINED"),
    ("RESET MASTER", "WRITE", "UNDEFINED"),
    ("RESET QUERY CACHE", "SESSION_WRITE", "UNDEFINED"),
    # -- transactions
    ("BEGIN", "BEGIN_TRX", "UNDEFINED"),
    ("BEGIN WORK", "BEGIN_TRX", "UNDEFINED"),
    ("START TRANSACTION", "BEGIN_TRX", "UNDEFINED"),
    ("START TRANSACTION WITH CONSISTENT SNAPSHOT", "BEGIN_TRX", "UNDEFINED"),
    ("START TRANSACTION READ ONLY", "READ BEGIN_TRX", "UNDEFINED"),
    ("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", "READ BEGIN_TRX", "UNDEFINED"),
    ("START TRANSACTION READ WRITE", "WRITE BEGIN_TRX", "UNDEFINED"),
    ("COMMIT", "COMMIT", "UNDEFINED"),
    ("COMMIT WORK AND NO CHAIN NO RELEASE", "COMMIT", "UNDEFINED"),
    ("ROLLBACK", "ROLLBACK", "UNDEFINED"),
    ("ROLLBACK WORK", "ROLLBACK", "UNDEFINED"),
    ("ROLLBACK TO a", "WRITE", "UNDEFINED"),
    ("ROLLBACK WORK TO SAVEPOINT a", "WRITE", "UNDEFINED"),
    ("XA START 'a'", "BEGIN_TRX", "UNDEFINED"),
    ("XA BEGIN 'a'", "BEGIN_TRX", "UNDEFINED"),
    ("XA END 'a'", "COMMIT", "UNDEFINED"),
    ("XA PREPARE 'a'", "WRITE", "UNDEFINED"),
    ("XA COMMIT 'a'", "WRITE", "UNDEFINED"),
    ("XA RECOVER", "WRITE", "UNDEFINED"),
    # -- session
    ("USE db", "SESSION_WRITE", "CHANGE_DB"),
    ("SET sql_log_bin = 0", "SESSION_WRITE", "SET"),
    ("SET SESSION a = 1, @@b = 2, @@session.c = 3, LOCAL d := 4, @@local.e = 5", "SESSION_WRITE", "SET"),
    ("SET GLOBAL a = 1", "GSYSVAR_WRITE", "SET"),
    ("SET @@global.a = 1", "GSYSVAR_WRITE", "SET"),
    ("SET @a = 1", "SESSION_WRITE USERVAR_WRITE", "SET"),
    ("SET @a := 1, GLOBAL b = 2, SESSION c = ON", "SESSION_WRITE USERVAR_WRITE GSYSVAR_WRITE", "SET"),
    ("SET GLOBAL a = 1, b = 2", "GSYSVAR_WRITE", "SET"),
    ("SET GLOBAL a = 1, @@b = 2", "SESSION_WRITE GSYSVAR_WRITE", "SET"),
    ("SET GLOBAL a = 1, autocommit = 0", "GSYSVAR_WRITE", "SET"),
    ("SET STATEMENT a = 1 FOR ANALYZE TABLE t", "WRITE", "UNDEFINED"),
    ("SET @a = (SELECT max(b) FROM t)", "READ SESSION_WRITE USERVAR_WRITE", "SET"),
    ("SET sql_mode = (SELECT @@sql_mode), @b = 1", "READ SESSION_WRITE USERVAR_WRITE SYSVAR_READ", "SET"),
    ("SET STATEMENT a = (SELECT 1) FOR DELETE FROM t", "WRITE", "DELETE"),
    ("SET @a = f()", "WRITE SESSION_WRITE USERVAR_WRITE", "SET"),
    ("SET @a = @@sql_mode, @b = @a", "SESSION_WRITE USERVAR_WRITE USERVAR_READ SYSVAR_READ", "SET"),
    ("SET NAMES utf8mb4 COLLATE utf8mb4_bin", "SESSION_WRITE", "SET"),
    ("SET NAMES 'utf8', @a = 1", "SESSION_WRITE USERVAR_WRITE", "SET"),
    ("SET CHARACTER SET utf8", "SESSION_WRITE", "SET"),
    ("SET CHARSET DEFAULT", "SESSION_WRITE", "SET"),
    ("SET ROLE r", "SESSION_WRITE", "SET"),
    ("SET DEFAULT ROLE r FOR u", "WRITE", "SET"),
    ("SET PASSWORD = password('a')", "WRITE", "SET"),
    ("SET PASSWORD FOR u@h = 'x'", "WRITE", "SET"),
    ("SET TRANSACTION READ ONLY", "READONLY NEXT_TRX", "SET_TRANSACTION"),
    ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE", "READWRITE NEXT_TRX", "SET_TRANSACTION"),
    ("SET SESSION TRANSACTION READ ONLY", "SESSION_WRITE READONLY", "SET_TRANSACTION"),
    ("SET GLOBAL TRANSACTION READ ONLY", "GSYSVAR_WRITE", "SET_TRANSACTION"),
    ("SET STATEMENT max_statement_time = 1 FOR SELECT 1", "READ", "SELECT"),
    (
        "SET STATEMENT a = (SELECT substring('a' FROM 1 FOR 1)), b = 2 FOR INSERT INTO t VALUES (1)",
        "WRITE",
        "INSERT",
    ),
    ("PREPARE a FROM 'SELECT 1'", "PREPARE_NAMED_STMT", "UNDEFINED"),
    ("EXECUTE a", "WRITE", "EXECUTE"),
    ("EXECUTE a USING @b", "WRITE USERVAR_READ", "EXECUTE"),
    ("EXECUTE IMMEDIATE 'SELECT 1'", "WRITE", "EXECUTE"),
    ("DEALLOCATE PREPARE a", "DEALLOC_PREPARE", "UNDEFINED"),
    ("DROP PREPARE a", "DEALLOC_PREPARE", "UNDEFINED"),
    ("KILL 1", "WRITE", "KILL"),
    # -- questions about the server
    ("SHOW DATABASES", "READ", "SHOW_DATABASES"),
    ("SHOW SCHEMAS LIKE 'a'", "READ", "SHOW_DATABASES"),
    ("SHOW TABLES FROM d", "READ", "SHOW"),
    ("SHOW TABLES WHERE f() = 1", "READ WRITE", "SHOW"),
    ("SHOW FULL COLUMNS FROM t", "READ", "SHOW"),
    ("SHOW CREATE TABLE t", "READ", "SHOW"),
    ("SHOW TABLE STATUS", "READ", "SHOW"),
    ("SHOW GLOBAL STATUS", "READ", "SHOW"),
    ("SHOW SLAVE STATUS", "READ", "SHOW"),
    ("SHOW ALL SLAVES STATUS", "READ", "SHOW"),
    ("SHOW PROCESSLIST", "READ", "SHOW"),
    ("SHOW ERRORS", "READ", "SHOW"),
    ("SHOW GRANTS", "READ", "SHOW"),
    ("SHOW INDEX FROM t", "WRITE", "SHOW"),
    ("SHOW KEYS FROM t", "WRITE", "SHOW"),
    ("SHOW WARNINGS", "WRITE", "SHOW"),
    ("SHOW COUNT(*) WARNINGS", "WRITE", "SHOW"),
    ("SHOW MASTER STATUS", "WRITE", "SHOW"),
    ("SHOW VARIABLES LIKE 'a'", "SYSVAR_READ", "SHOW"),
    ("SHOW SESSION VARIABLES", "SYSVAR_READ", "SHOW"),
    ("SHOW GLOBAL VARIABLES", "GSYSVAR_READ", "SHOW"),
    ("DESCRIBE t", "READ", "SHOW"),
    ("DESC t a", "READ", "SHOW"),
    ("EXPLAIN SELECT 1", "READ", "EXPLAIN"),
    ("EXPLAIN EXTENDED SELECT 1", "READ", "EXPLAIN"),
    ("DESC FORMAT=JSON SELECT 1", "READ", "EXPLAIN"),
    # a read-only server refuses these, and a derived table runs the functions in it
    ("EXPLAIN UPDATE t SET a = 1", "READ MASTER_READ", "EXPLAIN"),
    ("EXPLAIN SELECT * FROM (SELECT f()) x", "READ WRITE", "EXPLAIN"),
    # these run the statement
    ("ANALYZE SELECT 1", "READ", "EXPLAIN"),
    ("ANALYZE FORMAT=JSON SELECT f()", "READ WRITE", "EXPLAIN"),
    ("ANALYZE UPDATE t SET a = 1", "READ WRITE", "EXPLAIN"),
    ("EXPLAIN ANALYZE DELETE FROM t", "READ WRITE", "EXPLAIN"),
    # -- comments
    ("/* only a comment */", "READ", "UNDEFINED"),
    ("-- only a comment", "READ", "UNDEFINED"),
    ("/* a */ SELECT /* b */ 1 -- c", "READ", "SELECT"),
    ("/*!40101 SET NAMES utf8 */", "SESSION_WRITE", "SET"),
    ("SELECT * FROM t /*! FOR UPDATE */", "READ WRITE", "SELECT"),
    ("SELECT /*M!100100 f() */", "READ WRITE", "SELECT"),
    ("/*! DELETE FROM t */", "WRITE", "DELETE"),
    ("/*! SELECT /* not */ 1 */ FROM t FOR UPDATE", "READ WRITE", "SELECT"),
    ("SELECT 1 /* ; DELETE FROM t */", "READ", "SELECT"),
    ("--\tSELECT\nDELETE FROM t", "WRITE", "DELETE"),
    ("SELECT 1--1", "READ", "SELECT"),
    ("SELECT 1 #\n, f()", "READ WRITE", "SELECT"),
]


@pytest.mark.parametrize(("sql", "bits", "operation"), TABLE)
def test_table(sql: str, bits: str, operation: str) -> None:
    info = classify(sql)
    got = mask(info)
    assert (got, OP_NAMES[info.operation]) == (bits, operation)
    assert not info.multi


@pytest.mark.parametrize(
    "sql",
    [
        "",
        " \n",
        ";",
        "FOO BAR",
        "SELEKT 1",
        "TABLE t",
        "(DELETE FROM t)",
        "123",
        "'a'",
        "(",
        ")",
        "WITH",
        "SET STATEMENT a = 1",
        "USE",
        "PREPARE",
        "\x00\xff",
    ],
)
def test_unknown_is_a_write(sql: str) -> None:
    info = classify(sql)
    assert info.type_mask == types.TYPE_WRITE
    assert info.parse_result == RESULT_INVALID


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'a",
        "SELECT `a",
        "SELECT (1",
        "SELECT 1)",
        "SELECT /* a",
        "SELECT a := 1",
        "SELECT " + "(" * 5000 + ")" * 5000,
    ],
)
def test_what_cannot_be_followed_is_a_write(sql: str) -> None:
    info = classify(sql)
    assert info.type_mask & types.TYPE_WRITE
    assert info.parse_result != RESULT_PARSED


@pytest.mark.parametrize(
    ("sql", "multi"),
    [
        ("SELECT 1;", False),
        ("SELECT 1;;  ; -- x", False),
        ("SELECT 1; /* x */ # y", False),
        ("SELECT ';' FROM `;` /* ; x */ WHERE \";\"", False),
        ("SELECT 1; SELECT 2", True),
        ("SELECT 1;SELECT 2;", True),
        ("; SELECT 1", True),
        ("SELECT 1; /*! SELECT 2 */", True),
        ("BEGIN NOT ATOMIC SELECT 1; END", True),
        ("CREATE PROCEDURE p() BEGIN SELECT 1; END", True),
    ],
)
def test_multi(sql: str, multi: bool) -> None:
    info = classify(sql)
    assert info.multi is multi
    if multi:
        assert info.type_mask & types.TYPE_WRITE
        assert info.trx_mask == 0


def test_multi_collects_from_every_statement() -> None:
    info = classify("SELECT 1 FROM a; SELECT get_lock('x', 1) FROM b")
    assert info.tables == (("", "a"), ("", "b"))
    assert info.unsafe_to_reconnect == "Query uses GET_LOCK()"


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("SELECT * FROM a, b.c AS x JOIN `d e` ON 1 = 1, f", [("", "a"), ("b", "c"), ("", "d e"), ("", "f")]),
        (
            "SELECT * FROM (a CROSS JOIN b) LEFT JOIN (SELECT * FROM c) x USING (i)",
            [("", "a"), ("", "b"), ("", "c")],
        ),
        (
            "SELECT (SELECT 1 FROM a), b FROM c WHERE d IN (SELECT e FROM f)",
            [("", "a"), ("", "c"), ("", "f")],
        ),
        ("SELECT 1 FROM a UNION SELECT 2 FROM b ORDER BY c, d", [("", "a"), ("", "b")]),
        ("WITH x AS (SELECT 1 FROM a), y AS (SELECT * FROM x) SELECT * FROM x, y, b", [("", "a"), ("", "b")]),
        ("WITH a AS (SELECT * FROM a) SELECT * FROM a", [("", "a")]),
        ("WITH RECURSIVE a AS (SELECT 1 UNION SELECT * FROM a) SELECT * FROM a", []),
        (
            "WITH RECURSIVE a (n) AS (SELECT n FROM b), b AS (SELECT n FROM t UNION SELECT n FROM a) "
            "CYCLE n RESTRICT, c AS (WITH d AS (SELECT * FROM b) SELECT * FROM d) SELECT * FROM a, b, c",
            [("", "t")],
        ),
        ("WITH a AS (SELECT * FROM b), b AS (SELECT * FROM t) SELECT * FROM a, b", [("", "b"), ("", "t")]),
        ("SELECT 1 FROM DUAL", []),
        ("SELECT 1 FROM text, DUAL, bit JOIN raw n USING (a)", [("", "text"), ("", "bit"), ("", "raw")]),
        ("SELECT 1 FROM lateral, LATERAL (SELECT 1 FROM t) x", [("", "lateral"), ("", "t")]),
        ("UPDATE text SET a = 1", [("", "text")]),
        ("SELECT * FROM a USE INDEX FOR ORDER BY (i), b", [("", "a"), ("", "b")]),
        ("SELECT * FROM { OJ a LEFT OUTER JOIN b ON 1 = 1 }", [("", "a"), ("", "b")]),
        ("SELECT 1 FROM a LIMIT 1, 2", [("", "a")]),
        ("INSERT INTO a.b (c) SELECT d FROM e", [("a", "b"), ("", "e")]),
        ("SELECT nextval(a), lastval(d.b), setval(`c`, 1), f(e)", [("", "a"), ("d", "b"), ("", "c")]),
        ("INSERT INTO a SELECT 1 FROM b ON DUPLICATE KEY UPDATE c = 1, d = 2", [("", "a"), ("", "b")]),
        ("UPDATE a, b SET a.c = b.c WHERE d IN (SELECT 1 FROM e)", [("", "a"), ("", "b"), ("", "e")]),
        ("DELETE x FROM a AS x JOIN b USING (c)", [("", "a"), ("", "b")]),
        ("DELETE FROM a USING a JOIN b ON 1 = 1", [("", "a"), ("", "b")]),
        ("CREATE TABLE a SELECT * FROM b", [("", "a"), ("", "b")]),
        ("CREATE TABLE a AS (SELECT * FROM b)", [("", "a"), ("", "b")]),
        ("CREATE TABLE a LIKE b", [("", "a"), ("", "b")]),
        ("CREATE TABLE a (i INT, INDEX (i)) ENGINE=InnoDB", [("", "a")]),
        ("TRUNCATE TABLE a.b", [("a", "b")]),
        ("ALTER TABLE a ADD b INT", [("", "a")]),
        ("LOAD DATA INFILE 'x' INTO TABLE a FIELDS TERMINATED BY ','", [("", "a")]),
        ("SHOW COLUMNS FROM a FROM b", [("b", "a")]),
        ("DESCRIBE a.b", [("a", "b")]),
        ("LOCK TABLES a READ, b AS c WRITE", [("", "a"), ("", "b")]),
    ],
)
def test_tables(sql: str, tables: list[tuple[str, str]]) -> None:
    assert list(classify(sql).tables) == tables


def test_functions_and_databases() -> None:
    info = classify("SELECT COUNT(*), f(1), d.g(2), count(a) FROM d.t, e.u")
    assert info.functions == ("count", "f", "d.g")
    assert info.databases == ("d", "e")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("KILL 5", KillInfo("5", False, False, KILL_CONNECTION)),
        ("KILL CONNECTION 5", KillInfo("5", False, False, KILL_CONNECTION)),
        ("KILL HARD QUERY 5", KillInfo("5", False, False, KILL_QUERY)),
        ("KILL SOFT QUERY ID 5", KillInfo("5", False, True, KILL_QUERY_ID)),
        ("KILL USER bob", KillInfo("bob", True, False, KILL_CONNECTION)),
        ("KILL SOFT QUERY USER 'bob'@'%'", KillInfo("bob@%", True, True, KILL_QUERY)),
        ("KILL CONNECTION_ID()", KillInfo("CONNECTION_ID()", False, False, KILL_CONNECTION)),
        ("KILL CONNECTION CONNECTION_ID( )", KillInfo("CONNECTION_ID( )", False, False, KILL_CONNECTION)),
        ("KILL /* x */ @a;", KillInfo("@a", False, False, KILL_CONNECTION)),
    ],
)
def test_kill(sql: str, expected: KillInfo) -> None:
    assert classify(sql).kill == expected


def test_prepare() -> None:
    info = classify(r"PREPARE `p` FROM 'SELECT ''a\\\'b'' FROM t FOR UPDATE'")
    assert info.prepare_name == "p"
    assert info.prepared is not None
    assert mask(info.prepared) == "READ WRITE"
    assert info.prepared.tables == (("", "t"),)
    assert classify("PREPARE p FROM @a").prepared is None
    assert classify("PREPARE p FROM concat('a', 'b')").prepared is None
    inner = classify("PREPARE p FROM 'SELECT ' '1'").prepared
    assert inner is not None and mask(inner) == "READ"
    assert classify("EXECUTE p USING @a").prepare_name == "p"
    assert classify("DEALLOCATE PREPARE p").prepare_name == "p"


@pytest.mark.parametrize("value", ["0", "OFF", "false", "'0'", "'off'", '"OFF"', "(0)", "00"])
@pytest.mark.parametrize(
    "target", ["autocommit", "@@autocommit", "SESSION autocommit", "@@session.`autocommit`"]
)
def test_autocommit_off(target: str, value: str) -> None:
    info = classify(f"SET {target} = {value}")
    assert info.type_mask == types.TYPE_SESSION_WRITE | types.TYPE_BEGIN_TRX | types.TYPE_DISABLE_AUTOCOMMIT
    assert info.trx_mask == types.TYPE_BEGIN_TRX | types.TYPE_DISABLE_AUTOCOMMIT


@pytest.mark.parametrize("value", ["1", "ON", "true", "'1'", "'On'"])
def test_autocommit_on(value: str) -> None:
    info = classify(f"SET @a = 1, @@local.autocommit := {value}")
    assert info.trx_mask == types.TYPE_COMMIT | types.TYPE_ENABLE_AUTOCOMMIT


def test_autocommit_elsewhere() -> None:
    assert classify("SET GLOBAL autocommit = 0").trx_mask == 0
    assert classify("SET autocommit = @a").trx_mask == 0
    assert classify("SET autocommit = DEFAULT").trx_mask == 0
    both = classify("SET autocommit = 0, autocommit = 1")
    assert both.trx_mask == types.TYPE_COMMIT | types.TYPE_ENABLE_AUTOCOMMIT


def test_transactions() -> None:
    info = classify("START TRANSACTION READ ONLY")
    assert info.trx_access == "READ ONLY"
    assert info.trx_mask == types.TYPE_BEGIN_TRX | types.TYPE_READ | types.TYPE_READONLY
    info = classify("SET SESSION TRANSACTION READ WRITE, ISOLATION LEVEL READ COMMITTED")
    assert (info.trx_scope, info.trx_access, info.trx_isolation) == (
        "session",
        "READ WRITE",
        "READ COMMITTED",
    )
    info = classify("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
    assert (info.trx_scope, info.trx_access, info.trx_isolation) == ("next", "", "SERIALIZABLE")
    info = classify("SET SESSION tx_isolation = 'repeatable-read', SESSION tx_read_only = ON")
    assert (info.trx_scope, info.trx_access, info.trx_isolation) == (
        "session",
        "READ ONLY",
        "REPEATABLE READ",
    )
    assert classify("SET tx_isolation = 'SERIALIZABLE'").trx_scope == "session"
    assert classify("SET @@tx_isolation = 'SERIALIZABLE'").trx_scope == "next"
    assert classify("SET GLOBAL a = 1, tx_read_only = 1").trx_scope == "global"
    info = classify("COMMIT AND CHAIN")
    assert (info.chain, info.release) == (True, False)
    info = classify("ROLLBACK AND NO CHAIN RELEASE")
    assert (info.chain, info.release) == (False, True)


def test_session_state() -> None:
    assert classify("USE `my db`").use_database == "my db"
    assert classify("SET ROLE r").set_role == "r"
    assert classify("SET ROLE NONE").set_role == ""
    assert classify("SET ROLE 'none'").set_role == "none"
    assert classify("SET @a = 1").set_role is None
    assert classify("SET NAMES utf8").changes_charset
    assert classify("SET character_set_client = latin1").changes_charset
    assert not classify("SET GLOBAL character_set_client = latin1").changes_charset
    assert classify("SET @maxscale.foo.bar = 'on'").proxy_variables == (("maxscale.foo.bar", "on"),)
    assert classify("LOAD DATA LOCAL INFILE 'a' INTO TABLE t").is_load_local
    assert classify("SELECT FOUND_ROWS()").relates_to_previous
    assert classify("SHOW ERRORS").relates_to_previous
    assert not classify("SELECT 1").relates_to_previous


@pytest.mark.parametrize(
    ("sql", "kind", "flags"),
    [
        ("SET sql_mode = DEFAULT", types.SQL_MODE_TO_DEFAULT, 0),
        ("SET sql_mode = ORACLE", types.SQL_MODE_TO_ORACLE, MODE_ORACLE | MODE_ANSI_QUOTES),
        (
            "SET @@session.sql_mode = 'PIPES_AS_CONCAT, oracle'",
            types.SQL_MODE_TO_ORACLE,
            MODE_ORACLE | MODE_ANSI_QUOTES,
        ),
        ("SET sql_mode = 'STRICT_ALL_TABLES'", types.SQL_MODE_TO_OTHER, 0),
        (
            "SET SESSION sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES'",
            types.SQL_MODE_TO_OTHER,
            MODE_ANSI_QUOTES | MODE_NO_BACKSLASH_ESCAPES,
        ),
        ("SET sql_mode = @old", types.SQL_MODE_TO_OTHER, -1),
        ("SET GLOBAL sql_mode = 'ORACLE'", types.SQL_MODE_TO_ORACLE, -1),
        ("SET sql_mode = 'ORACLE', sql_mode = DEFAULT", types.SQL_MODE_TO_DEFAULT, 0),
        ("SET @a = 1", types.SQL_MODE_UNTOUCHED, -1),
    ],
)
def test_sql_mode(sql: str, kind: int, flags: int) -> None:
    info = classify(sql)
    assert (info.set_sql_mode, info.sql_mode_flags) == (kind, flags)


def test_temporary_tables() -> None:
    assert classify("CREATE TEMPORARY TABLE IF NOT EXISTS d.t (a INT)").temp_table == ("d", "t")
    assert classify("CREATE OR REPLACE TEMPORARY TABLE t AS SELECT 1").temp_table == ("", "t")
    assert classify("CREATE TABLE t (a INT)").temp_table is None
    assert classify("DROP TEMPORARY TABLE IF EXISTS a, d.b").dropped_tables == (("", "a"), ("d", "b"))
    assert classify("DROP TABLE a CASCADE").dropped_tables == (("", "a"),)
    assert classify("DROP VIEW a").dropped_tables == ()


def test_modes_change_how_text_is_read() -> None:
    hidden = r"SELECT 'a\', f(), ' '"
    assert not classify(hidden).type_mask & types.TYPE_WRITE or classify(hidden).parse_result != RESULT_PARSED
    assert classify(hidden, MODE_NO_BACKSLASH_ESCAPES).functions == ("f",)
    info = classify('SELECT "a" FROM "d"."t"', MODE_ANSI_QUOTES)
    assert info.tables == (("d", "t"),)
    assert mask(classify("BEGIN SELECT 1; END;", MODE_ORACLE)) == "WRITE"
    assert mask(classify("DECLARE a INT; BEGIN NULL; END", MODE_ORACLE)) == "WRITE"
    assert mask(classify("SELECT :1, s.currval FROM dual", MODE_ORACLE)) == "READ WRITE"
    assert mask(classify("a := 1", MODE_ORACLE)) == "SESSION_WRITE"


def test_backslash_inside_a_character() -> None:
    hidden = b"SELECT '\x95\\', f(), ' '"
    plain = b"SELECT '\x95x', 1"
    one = Classifier(1 << 20)
    for text, written in ((hidden, True), (plain, False)):
        for _ in range(2):
            info = one.classify(bytearray(text), 0, len(text), False, MODE_MULTIBYTE)
            assert bool(info.type_mask & types.TYPE_WRITE) is written
    assert classify("SET NAMES gbk").charset == "gbk"
    assert classify("SET CHARACTER SET 'SJIS'").charset == "sjis"
    assert classify("SET character_set_client = big5").charset == "big5"
    assert classify("SET NAMES DEFAULT").charset == ""


@pytest.mark.parametrize("version", ["99999", "50700", "50999", "101100", "130000"])
def test_comment_that_only_some_servers_execute(version: str) -> None:
    assert classify(f"/*!{version} EXPLAIN */ DELETE FROM t").type_mask & types.TYPE_WRITE
    assert classify(f"SELECT 1 /*!{version} FOR UPDATE */").type_mask & types.TYPE_WRITE
    assert mask(classify(f"SELECT /*!{version} SQL_NO_CACHE */ 1")) == "READ"


def test_arguments_out_of_range_do_not_raise() -> None:
    buf = bytearray(b"SELECT 1")
    for start, end in ((-1, 3), (0, 99), (5, 2), (8, 8), (0, 0)):
        assert CLASSIFIER.classify(buf, start, end).type_mask == types.TYPE_WRITE


def test_text_inside_a_larger_buffer() -> None:
    buf = bytearray(b"\x03SELECT * FROM t FOR UPDATE")
    assert mask(CLASSIFIER.classify(buf, 1, 16)) == "READ"
    assert mask(CLASSIFIER.classify(buf, 1, len(buf))) == "READ WRITE"


def test_long_statement() -> None:
    values = ",".join(f"({number},'x')" for number in range(20000))
    info = classify(f"INSERT INTO t VALUES {values}")
    assert mask(info) == "WRITE"
    assert mask(classify(f"SELECT * FROM t WHERE (a, b) IN ({values})")) == "READ"


def test_rest_names() -> None:
    assert types.mask_text(types.TYPE_READ | types.TYPE_WRITE) == "sql::TYPE_READ|sql::TYPE_WRITE"
    assert types.operation_text(types.OP_SELECT) == "sql::OP_SELECT"
    assert types.result_text(RESULT_PARSED) == "Parser::Result::PARSED"
    assert types.OP_NAMES[types.OP_UPDATE] == "UPDATE"
    assert types.transaction_mask(types.TYPE_WRITE | types.TYPE_COMMIT) == 0


def test_names_in_brackets_are_in_doubt() -> None:
    """In the sql_mode MSSQL a quote in [a name] is none, so what seems to be in a string may be a call."""
    sql = "SELECT [a'], f(1) AS [b'] FROM t"
    assert mask(classify(sql, MODE_BRACKETS | MODE_ANSI_QUOTES)) == "READ WRITE"
    assert mask(classify("SELECT a FROM t", MODE_BRACKETS | MODE_ANSI_QUOTES)) == "READ"
    for value in ("'MSSQL'", "1024", "'STRICT_ALL_TABLES,mssql'"):
        assert classify(f"SET sql_mode = {value}").sql_mode_flags & MODE_BRACKETS
    assert not classify("SET sql_mode = 'ORACLE'").sql_mode_flags & MODE_BRACKETS
