"""A real server as the judge: it must run what is called a pure read in a READ ONLY transaction."""

from __future__ import annotations

import getpass
import importlib.util
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pymysql  # type: ignore[import-untyped]
import pytest

from fairlead.sql import types
from fairlead.sql.classifier import Classifier
from fairlead.sql.functions import READ_FUNCTIONS
from fairlead.sql.keywords import WORDS

pytestmark = pytest.mark.server

REFUSED = (1290, 1792)
NO_SUCH_FUNCTION = (1305, 1630)
PURE = types.TYPE_READ | types.TYPE_SYSVAR_READ | types.TYPE_GSYSVAR_READ | types.TYPE_USERVAR_READ
SETUP = [
    "CREATE DATABASE db",
    "USE db",
    "CREATE TABLE t (a INT PRIMARY KEY, b INT)",
    "CREATE TABLE u (a INT, b INT)",
    "CREATE TABLE log (a INT)",
    "CREATE SEQUENCE s",
    "CREATE TABLE numbered (a INT DEFAULT (NEXT VALUE FOR s), b INT)",
    "INSERT INTO numbered VALUES (1, 1)",
    "CREATE FUNCTION f() RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO log VALUES (1); RETURN 1; END",
]
MORE = [
    "SELECT * FROM (SELECT f() x) y",
    "SELECT default(a) FROM numbered",
    "SELECT b FROM numbered WHERE default(a) > 0",
    "EXPLAIN SELECT * FROM (SELECT f() x) y",
    "EXPLAIN DELETE FROM t",
    "ANALYZE INSERT INTO log VALUES (1)",
    "/*!99999 EXPLAIN */ INSERT INTO log VALUES (1)",
    "/*!50701 EXPLAIN */ INSERT INTO log VALUES (1)",
    "/*! SELECT */ /*!99999 1 -- */ f()",
    "SET STATEMENT max_statement_time = 1 FOR INSERT INTO log VALUES (1)",
    "SELECT 1 --\tx\n, f()",
    "SELECT 1 /* /*! */, f() -- */",
    "SELECT `db`.`f`()",
    "SELECT 'a' 'b', (f())",
    "SHOW TABLES WHERE f() = 1",
    "VALUES (f())",
    "WITH x AS (SELECT f()) SELECT * FROM x",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    base = tmp_path_factory.mktemp("db")
    user = getpass.getuser()
    subprocess.run(
        [
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={base}/data",
            f"--user={user}",
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
        ],
        check=True,
        capture_output=True,
    )
    process = subprocess.Popen(
        [
            "mariadbd",
            "--no-defaults",
            f"--datadir={base}/data",
            f"--socket={base}/s",
            f"--user={user}",
            "--skip-networking",
            f"--pid-file={base}/pid",
            "--innodb-buffer-pool-size=16M",
            "--max-statement-time=2",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            if (base / "s").exists():
                break
            time.sleep(0.1)
        with (
            pymysql.connect(unix_socket=f"{base}/s", user="root") as connection,
            connection.cursor() as cursor,
        ):
            for sql in SETUP:
                cursor.execute(sql)
        yield base / "s"
    finally:
        process.terminate()
        process.wait(30)


def connect(server: Path) -> pymysql.Connection:
    return pymysql.connect(unix_socket=str(server), user="root", database="db", autocommit=True)


def error(cursor: pymysql.cursors.Cursor, sql: str) -> int:
    try:
        cursor.execute(sql)
        cursor.fetchall()
    except pymysql.Error as failure:
        return int(failure.args[0])
    return 0


def statements() -> list[str]:
    spec = importlib.util.spec_from_file_location("table", Path(__file__).with_name("test_classifier.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [sql for sql, _, _ in module.TABLE] + MORE


def test_pure_reads_are_accepted_in_a_read_only_transaction(server: Path) -> None:
    classifier = Classifier(0)
    pure = 0
    for sql in statements():
        info = classifier.classify_text(sql)
        if info.multi or info.type_mask & ~PURE:
            continue
        pure += 1
        with connect(server) as connection, connection.cursor() as cursor:
            cursor.execute("START TRANSACTION READ ONLY")
            assert error(cursor, sql) not in REFUSED, sql
            cursor.execute("ROLLBACK")
            cursor.execute("SELECT count(*) FROM log")
            assert cursor.fetchone() == (0,), sql
    assert pure > 50


def test_words_that_name_tables(server: Path) -> None:
    """Whatever word the server takes for a table is one, and hides nothing behind it."""
    classifier = Classifier(0)
    wrong = []
    legal = 0
    with connect(server) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE words")
        cursor.execute("USE words")
        for word in (name.decode() for name in sorted(WORDS)):
            if error(cursor, f"CREATE TABLE {word} (a INT)") or error(cursor, f"SELECT a FROM {word}"):
                continue
            legal += 1
            for sql in (f"SELECT a FROM {word} WHERE a = 1", f"SELECT 1 FROM x, {word} JOIN y"):
                if word not in [table for _, table in classifier.classify_text(sql).tables]:
                    wrong.append(sql)
            for place in (f"{word}", f"t {word}", f"t AS {word}", f"t, {word}", f"t JOIN {word} ON 1 = 1"):
                for locking in ("FOR UPDATE", "LOCK IN SHARE MODE", "INTO OUTFILE 'x'", "INTO @a"):
                    sql = f"SELECT a FROM {place} {locking}"
                    if not classifier.classify_text(sql).type_mask & ~PURE:
                        wrong.append(sql)
    assert wrong == []
    assert legal > 300


def test_read_functions_are_built_in(server: Path) -> None:
    """No stored function can take the place of one of these names."""
    missing = []
    arguments = ("", "1", "1, 1", "1, 1, 1")
    with connect(server) as connection, connection.cursor() as cursor:
        for name in sorted(READ_FUNCTIONS):
            codes = {error(cursor, f"EXPLAIN SELECT {name}({text})") for text in arguments}
            if codes & set(NO_SUCH_FUNCTION) and not codes - {*NO_SUCH_FUNCTION, 1064, 1054}:
                missing.append(name)
    assert missing == []
