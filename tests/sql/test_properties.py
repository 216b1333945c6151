"""For any bytes: no exception; case, blanks and comments change nothing; compiled and pure Python agree."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.sql.classifier import Classifier

SQL = Path(__file__).parents[2] / "src"

STATEMENTS = [
    "select a, count(b) from t where c = 'x' and d in (1, 2) order by e limit 5",
    "select * from (select f(1) from t for update) x join u using (a)",
    "select @a := 1, @@global.b, last_insert_id(), `q`.`r` from t",
    "select next value for s",
    "insert into d.t (a) values ('x', 1), (-2, null) on duplicate key update a = values(a)",
    "update t, u set t.a = u.b where c = 1",
    "delete from t where a = 1",
    "with x as (select 1) select * from x",
    "set session a = 1, @b = 'c', global d = 2",
    "set autocommit = 0",
    "set transaction isolation level serializable, read only",
    "set names utf8",
    "start transaction read only",
    "begin not atomic select 1 ; end",
    "commit and chain no release",
    "rollback to savepoint a",
    "prepare a from 'select 1'",
    "execute a using @b",
    "kill soft query id 5",
    "kill connection_id ( )",
    "show full columns from t from d",
    "show master status",
    "create temporary table if not exists d.t ( a int )",
    "drop table if exists a , b",
    "explain select 1",
    "analyze update t set a = 1",
    "load data local infile 'x' into table t",
    "select 1 ; select 2",
    "values ( 1 )",
    "use d",
    "xa end 'a'",
]
WORDS = sorted(
    {word for statement in STATEMENTS for word in statement.split()}
    | {
        "'",
        '"',
        "`",
        "\\",
        "/*",
        "*/",
        "/*!",
        "/*!99999",
        "/*M!100100",
        "-- ",
        "--",
        "#",
        "\n",
        ";",
        "(",
        ")",
        ",",
        ".",
        "@",
        "@@",
        ":=",
        "=",
        "0",
        "1e5",
        "0x",
        "union",
        "into",
        "outfile",
        "lock in share mode",
        "for",
        "as",
        "\xff",
        "{",
    }
)

ANY_TEXT = st.one_of(
    st.binary(max_size=120),
    st.lists(st.sampled_from(WORDS), max_size=14).map(lambda words: " ".join(words).encode("latin-1")),
    st.lists(st.sampled_from(WORDS), max_size=14).map(lambda words: "".join(words).encode("latin-1")),
)


def facts(classifier: Classifier, text: bytes, mode: int = 0) -> list[object]:
    buf = bytearray(text)
    info = classifier.classify(buf, 0, len(buf), False, mode)
    return [
        info.type_mask,
        info.trx_mask,
        info.operation,
        info.parse_result,
        info.multi,
        info.relates_to_previous,
        info.tables,
        info.databases,
        info.functions,
        info.canonical.decode("latin-1"),
        info.prepare_name,
        repr(info.kill),
        info.is_load_local,
        info.set_sql_mode,
        info.sql_mode_flags,
        info.changes_charset,
        info.use_database,
        info.set_role,
        info.trx_scope,
        info.trx_access,
        info.trx_isolation,
        info.temp_table,
        info.dropped_tables,
        info.chain,
        info.release,
        info.unsafe_to_reconnect,
        info.cacheable,
        info.proxy_variables,
        info.prepared.type_mask if info.prepared else None,
        info.called,
        info.reading.type_mask if info.reading else None,
        info.hides_use,
    ]


@settings(max_examples=400, deadline=None)
@given(ANY_TEXT, st.integers(0, 7))
def test_never_raises_and_the_cache_changes_nothing(text: bytes, mode: int) -> None:
    cached = Classifier(1 << 20)
    first = facts(cached, text, mode)
    assert facts(cached, text, mode) == first
    assert facts(Classifier(0), text, mode) == first


def blank_out(statement: str, source: random.Random, mixed: bool) -> str:
    """The statement with other blanks and comments between its words, and other case."""
    blanks = [" ", "\n", "\t ", " /* x ; ' */ ", "/**/", " -- y'\n", " # z\n"]
    out = []
    quoted = False
    for word in statement.split(" "):
        if not quoted and mixed and "'" not in word and "`" not in word:
            word = "".join(source.choice((c.upper(), c.lower())) for c in word)
        quoted ^= word.count("'") % 2 == 1
        out.append(word + (" " if quoted else source.choice(blanks)))
    return "".join(out)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_case_blanks_and_comments_change_nothing(statement: str) -> None:
    classifier = Classifier(0)
    source = random.Random(statement)
    expected = facts(classifier, statement.encode())
    for _ in range(30):
        varied = blank_out(statement, source, True)
        got = facts(classifier, varied.encode())
        assert got[:6] == expected[:6], varied
        assert str(got[6:9]).lower() == str(expected[6:9]).lower()
        assert str(got[13:16]) == str(expected[13:16])


PURE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from test_properties import facts
from fairlead.sql import classifier
assert classifier.__file__.endswith(".py")
one = classifier.Classifier(1 << 20)
for line in sys.stdin:
    text, mode = json.loads(line)
    print(json.dumps(facts(one, text.encode("latin-1"), mode)))
"""


def test_compiled_and_pure_agree() -> None:
    source = random.Random(20)
    cases: list[tuple[str, int]] = [(statement, 0) for statement in STATEMENTS]
    for _ in range(1500):
        glue = source.choice((" ", "", " "))
        words = [source.choice(WORDS) for _ in range(source.randrange(14))]
        cases.append((glue.join(words), source.choice((0, 0, 0, 1, 2, 4, 7))))
    for _ in range(300):
        cases.append(("".join(chr(source.randrange(256)) for _ in range(source.randrange(50))), 0))
    environment = dict(os.environ, FAIRLEAD_PURE="1", PYTHONPATH=str(SQL))
    answer = subprocess.run(
        [sys.executable, "-c", PURE, str(Path(__file__).parent)],
        input="\n".join(json.dumps(case) for case in cases),
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    classifier = Classifier(1 << 20)
    lines = answer.stdout.splitlines()
    assert len(lines) == len(cases)
    for case, line in zip(cases, lines, strict=True):
        expected = json.loads(json.dumps(facts(classifier, case[0].encode("latin-1"), case[1])))
        assert json.loads(line) == expected, case
