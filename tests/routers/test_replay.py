"""Which statements of a transaction leave it open: a replay after any other would execute it twice."""

from __future__ import annotations

import pytest

from fairlead.routers.readwritesplit.replay import _UNREPEATABLE, _may_commit
from fairlead.sql.classifier import Classifier

OPEN = [
    "SELECT 1",
    "(SELECT 1) UNION (SELECT 2)",
    "/* c */ insert into t values (1)",
    "UPDATE t SET a = 1",
    "DELETE FROM t",
    "REPLACE INTO t VALUES (1)",
    "WITH a AS (SELECT 1) SELECT * FROM a",
    "SAVEPOINT a",
    "ROLLBACK TO SAVEPOINT a",
    "RELEASE SAVEPOINT a",
    "SET @a = 1",
    "SET SESSION sql_mode = ''",
    "USE d",
    "SHOW TABLES",
    "EXPLAIN SELECT 1",
    "DO 1",
    "PREPARE p FROM 'SELECT 1'",
    "CREATE TEMPORARY TABLE t (id INT)",
    "LOAD DATA INFILE 'x' INTO TABLE t",
    "START TRANSACTION",
]
COMMITTING = [
    "CREATE TABLE t (id INT)",
    "ALTER TABLE t ADD c INT",
    "DROP TABLE t",
    "TRUNCATE t",
    "RENAME TABLE a TO b",
    "LOCK TABLES t WRITE",
    "UNLOCK TABLES",
    "GRANT SELECT ON *.* TO a",
    "SET PASSWORD = 'x'",
    "SET DEFAULT ROLE r",
    "ANALYZE TABLE t",
    "OPTIMIZE TABLE t",
    "FLUSH TABLES",
    "START SLAVE",
    "STOP SLAVE",
    "CREATE USER a",
    "EXECUTE p",
    "BACKUP STAGE START",
    "SOMETHING NEW",
]


@pytest.mark.parametrize("sql", OPEN)
def test_what_leaves_it_open(sql: str) -> None:
    assert not _may_commit(Classifier(0).classify_text(sql))


@pytest.mark.parametrize("sql", COMMITTING)
def test_what_may_commit(sql: str) -> None:
    assert _may_commit(Classifier(0).classify_text(sql))


@pytest.mark.parametrize("sql", ["CALL p()", "/* x */ call p()", "XA START 'a'"])
def test_what_is_never_repeated(sql: str) -> None:
    assert _UNREPEATABLE.match(Classifier(0).classify_text(sql).canonical)
