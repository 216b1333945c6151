"""The canonical form: the rules, and that it is a fixed point."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fairlead.sql.digest import Digest

DIGEST = Digest()


def canonical(sql: bytes | str, ansi: bool = False, no_escapes: bool = False) -> str:
    raw = sql.encode() if isinstance(sql, str) else sql
    buf = bytearray(b"\x03" + raw)
    DIGEST.run(buf, 1, len(buf), ansi, no_escapes, 0)
    return DIGEST.canonical().decode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ('select  md5("200000foo") =10', "select  md5(?) =?"),
        ('insert into t values ("a",null)', "insert into t values (?,null)"),
        ("select 1;# c", "select ?;"),
        ("create table t(a varchar(30))", "create table t(a varchar(?))"),
        ("SELECT a$1 FROM x.$t1", "SELECT a$1 FROM x.$t1"),
        ("select _utf8'a', X'7E', B'01', N'x'", "select _utf8?, X?, B?, N?"),
        (r"select 'a\'b', 'a''b', ''", "select ?, ?, ?"),
        ("select 'abc from t 1", "select 'abc from t 1"),
        ("select `a 1`, `a``2`", "select `a 1`, `a``2`"),
        ("select 1., 1.5, .5, 0x1F, 1e5, 1.5e-3, 1E+2", "select ?, ?, .?, ?, ?, ?, ?"),
        ("select 1ea10, 1e+, 2a, a2", "select 1ea10, 1e+, 2a, a2"),
        ("for i in 0..0x1F, 1.0x5, 1.5abc, 1.2.3", "for i in ?..?, ?.?, ?.5abc, ?"),
        ("where x < -16", "where x < ?"),
        ("select 42-42e42", "select ?-?"),
        ("in (1, -2, +3)", "in (?, ?, ?)"),
        ("SELECT -1", "SELECT -?"),
        ("select a-1, a - -1", "select a-?, a - ?"),
        ("1 2", "1 ?"),
        ("select /* x 1 */ 2", "select  ?"),
        ("select/**/1", "select ?"),
        ("select 1 -- x 2\n, 3", "select ? \n, ?"),
        ("select 1 --2", "select ? -?"),
        ("select 1 # x\n+ 2", "select ? \n+ ?"),
        ("select 1 /* x", "select ? "),
        ("select /*!50101 +1 */", "select /*!? +? */"),
        ("select /*M!100100 'a' */ 1", "select /*M!? ? */ ?"),
        ("select NULL, TRUE, @a1, @@b", "select NULL, TRUE, @a1, @@b"),
        ("select 'a' 'b' \"c\"", "select ? ? ?"),
        ("select '-- x', '/* y */'", "select ?, ?"),
        ("", ""),
    ],
)
def test_rules(sql: str, expected: str) -> None:
    assert canonical(sql) == expected
    assert canonical(expected) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "//*a*/* b */",
        "-/*a*/- b",
        "--/*a*/ b",
        "--/**/x",
        "-#a\n- b",
        "(-/*a*/1",
        "0/**/x1",
        "1/*a*/e5",
        "/*a*/1 2",
        "/*!/*a*/*/",
    ],
)
def test_no_new_comment_where_a_comment_was(sql: str) -> None:
    once = canonical(sql)
    assert canonical(once) == once


def test_modes() -> None:
    assert canonical('select "a" from t', ansi=True) == 'select "a" from t'
    assert canonical(r"select 'a\', 1", no_escapes=True) == "select ?, ?"
    assert canonical(r"select 'a\', 1") == r"select 'a\', 1"


@pytest.mark.parametrize("sql", ["select 1 --\t'\n", "select é1()", "/*M ' */ select 1", "select 1 --"])
def test_ambiguous(sql: str) -> None:
    canonical(sql)
    assert DIGEST.ambiguous


def test_hash_depends_on_text_and_seed() -> None:
    seen = set()
    for text in (b"select a", b"select b", b"select a ", b"select 1", b"", b"a", b"\0", b"\0\0"):
        for seed in (0, 1, 2):
            DIGEST.run(bytearray(text), 0, len(text), False, False, seed)
            seen.add(DIGEST.hash)
    assert len(seen) == 24
    DIGEST.run(bytearray(b"select 12"), 0, 9, False, False, 0)
    twelve = DIGEST.hash
    DIGEST.run(bytearray(b"select 4711"), 0, 11, False, False, 0)
    assert DIGEST.hash == twelve


def test_memory_is_given_back() -> None:
    canonical("select '" + "x" * 3_000_000 + "'")
    DIGEST.shrink()
    assert len(DIGEST.scratch) <= 1 << 20
    assert canonical("select 1") == "select ?"


PIECES = st.sampled_from(
    [
        b"a",
        b"1",
        b" ",
        b"-",
        b"--",
        b"-- ",
        b"/",
        b"*",
        b"/*",
        b"*/",
        b"/**/",
        b"/*!",
        b"/*M",
        b"#",
        b"\n",
        b"'",
        b'"',
        b"`",
        b"\\",
        b"+",
        b"(",
        b",",
        b".",
        b"e",
        b"0x",
        b"=",
        b"?",
        b"@",
        b":",
        b"$",
        b"\xff",
        b"\t",
        b"''",
        b"!",
        b"M",
    ]
)


@given(
    st.one_of(st.binary(max_size=60), st.lists(PIECES, max_size=16).map(b"".join)),
    st.booleans(),
    st.booleans(),
)
@example(b"---/**/", False, False)
@example(b"a-----/* b */ c", False, False)
def test_idempotent(text: bytes, ansi: bool, no_escapes: bool) -> None:
    once = canonical(text, ansi, no_escapes).encode("utf-8", "surrogateescape")
    assert canonical(once, ansi, no_escapes).encode("utf-8", "surrogateescape") == once
    assert len(once) <= len(text)
