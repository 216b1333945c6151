"""What `make classify-score` is made of, and a sample of its statements, without a server."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from classify_score import mutate, mysqltest
from classify_score.__main__ import quick_statements
from classify_score.canonical import canonical
from classify_score.fields import expected_fields
from classify_score.labels import label
from classify_score.score import Score
from classify_score.static import Static

PROGRAM = """\
# comment; it's one
--source have_something.inc
--echo select 'not a statement';
let $engine= MyISAM;
let $now= `SELECT now()`;
create table t1 (a int,
  b text) -- it is
;
eval create table t2 (a int) engine=$engine;
eval select $now;
if ($now)
{
  insert into t1 values (1, "a;b");
}
--error 1064
select nonsense from; select 2;
--write_file $MYSQLTEST_VARDIR/tmp/x END
select 'not this';
END
perl;
print "or this;";
EOF
delimiter //;
create procedure p() begin select 1; end//
delimiter ;//
query_vertical show tables;
send select 3;
reap;
disconnect con1;
"""


def test_statements_of_a_test_program(tmp_path: Path) -> None:
    (tmp_path / "have_something.inc").write_bytes(b"select '\xff included';\n")
    (tmp_path / "a.test").write_text(PROGRAM)
    assert mysqltest.statements(tmp_path / "a.test", tmp_path) == [
        "select '\xff included'",
        "create table t1 (a int,\n  b text) -- it is",
        "create table t2 (a int) engine=MyISAM",
        'insert into t1 values (1, "a;b")',
        "select nonsense from",
        "select 2",
        "create procedure p() begin select 1; end",
        "show tables",
        "select 3",
    ]


@pytest.mark.parametrize(
    ("sql", "bits", "operation"),
    [
        ("select 1 -- into outfile", "READ", "SELECT"),
        ("SELECT 'for update' FROM t /* x */ FOR UPDATE", "READ WRITE", "SELECT"),
        ("select now(), f (1)", "READ WRITE", "SELECT"),
        ("WITH x (a) AS (SELECT 1) SELECT max(a) FROM x", "READ", "SELECT"),
        ("select 1 into @a", "USERVAR_WRITE", "SELECT"),
        ("SET autocommit=0, @a = 1", "SESSION_WRITE USERVAR_WRITE BEGIN_TRX DISABLE_AUTOCOMMIT", "SET"),
        ("/*!50000 CREATE */ TEMPORARY TABLE t (a INT)", "WRITE CREATE_TMP_TABLE", "CREATE_TABLE"),
        ("ANALYZE TABLE t", "WRITE", "UNDEFINED"),
    ],
)
def test_labels(sql: str, bits: str, operation: str) -> None:
    assert label(sql) == (frozenset(bits.split()), operation)


def test_second_canonical_form() -> None:
    sql = b"SELECT a1, 'x''y', 0x1F, -5, (-5), 1e3 /* c */ FROM `t 1` -- d\nWHERE b=\"z"
    assert canonical(sql) == b'SELECT a1, ?, ?, ?, (?), ?  FROM `t 1` \nWHERE b="z'


def test_variants() -> None:
    source = random.Random(1)
    sql = "select A, 'it''s' from `t` # c\nwhere b = 1"
    for change in mutate.SAME:
        assert len({change(sql, source) for _ in range(20)}) > 1
        assert all("'it''s'" in change(sql, source) for _ in range(5))
    calls = {mutate.with_call(sql, source) for _ in range(200)}
    assert "select f_x(1) ,  A, 'it''s' from `t` # c\nwhere b = 1" in calls
    assert "select A, 'it''s' from `t` # c\nwhere `f_x`(1) AND  b = 1" in calls
    assert mutate.with_lock("select 1;", source).startswith("select 1\n")
    assert mutate.certain(sql)
    assert not mutate.certain("select 1 /*! + 1 */")
    assert not mutate.certain("select 'a")


@pytest.mark.parametrize(
    ("sql", "fields", "functions"),
    [
        (
            "SELECT x.a, count(*) FROM db.t x WHERE b <> 1 GROUP BY c",
            {"t.a", "b", "c"},
            {"count", "<>"},
        ),
        ("SELECT a AS d FROM t WHERE d = 2 HAVING e > 1", {"a"}, {"=", ">"}),
        ("SELECT *, t.* FROM t ORDER BY now()", {"*", "t.*"}, {"current_timestamp"}),
        ("INSERT INTO t (a, b) VALUES (1, nvl(2, 3))", {"a", "b"}, {"ifnull"}),
        ("UPDATE t SET a = b + 1 WHERE c IS NOT NULL", {"a", "b", "c"}, {"+", "isnotnull"}),
    ],
)
def test_expected_fields(sql: str, fields: set[str], functions: set[str]) -> None:
    assert expected_fields(sql) == (fields, functions)


def test_a_missed_bar_is_said() -> None:
    score = Score()
    Static(score, 1).judge(["SELECT 1", "INSERT INTO t VALUES (1)"])
    assert score.missed() == []
    row = score.rows["INSERT, REPLACE"]
    assert (row.statements, row.pure, row.mask, row.canonical) == (1, 0, 1, 1)
    row.mask = 0
    score.note("wrong read", "x")
    assert len(score.missed()) == 2
    assert "| INSERT, REPLACE | 1 | 0 |" in score.table()


@pytest.mark.skipif(not mysqltest.ROOT.is_dir(), reason="mariadb-test-data is not installed")
def test_sample() -> None:
    score = Score()
    statements = quick_statements(7)
    assert len(statements) > 3000
    Static(score, 7).judge(statements)
    assert score.missed() == [], score.details(5)
    assert score.variants > 2 * len(statements)
