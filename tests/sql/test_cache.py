"""The cache of classifications: bounds, identity, what is never kept, resistance to scans."""

from __future__ import annotations

import pytest

from fairlead.sql.classifier import Classifier
from fairlead.sql.types import MODE_NO_BACKSLASH_ESCAPES, TYPE_WRITE


def run(classifier: Classifier, sql: str, prepare: bool = False, mode: int = 0) -> object:
    buf = bytearray(sql.encode())
    return classifier.classify(buf, 0, len(buf), prepare, mode)


def test_literals_share_one_entry() -> None:
    classifier = Classifier(1 << 20)
    first = run(classifier, "SELECT * FROM t WHERE a = 1")
    assert run(classifier, "SELECT * FROM t WHERE a = 'other'") is first
    assert (classifier.hits, classifier.misses, classifier.inserts) == (1, 1, 1)
    assert run(classifier, "SELECT * FROM T WHERE a = 1") is not first
    assert run(classifier, "SELECT * FROM t WHERE a = 1", prepare=True) is not first
    assert run(classifier, "SELECT * FROM t WHERE a = 1", mode=MODE_NO_BACKSLASH_ESCAPES) is not first


@pytest.mark.parametrize(
    "sql",
    [
        "SET autocommit = 1",
        "SET @a = 1, @@autocommit = 0",
        "SET sql_mode = 'ORACLE'",
        "PREPARE a FROM 'SELECT 1'",
        "KILL 1",
        "SET @maxscale.a = 1",
        "SET ROLE 'a'",
        "SET tx_isolation = 'SERIALIZABLE'",
        "SET PASSWORD = 'a'",
        'SELECT * FROM "t"',
        "SELECT * FROM d.1",
        "SELECT /*!50101 1 */",
        "SELECT /*!1 */",
        "SET NAMES 'gbk'",
        "SET ROLE 1",
        "SET @@global.1.a = 2",
        "SELECT 'a",
        "/* a comment */",
        "",
        "SELECT 1 --\t'\n",
        "SELECT é1",
    ],
)
def test_never_kept(sql: str) -> None:
    classifier = Classifier(1 << 20)
    run(classifier, sql)
    assert classifier.inserts == 0
    assert classifier.size == 0


def test_literal_that_decides_is_seen_every_time() -> None:
    classifier = Classifier(1 << 20)
    on = classifier.classify_text("SET autocommit = 1")
    off = classifier.classify_text("SET autocommit = 0")
    assert on.trx_mask != off.trx_mask


def test_bounded_and_counted() -> None:
    classifier = Classifier(100_000)
    for number in range(1000):
        run(classifier, f"SELECT a{'x' * (number % 7)}_{number}x FROM t")
        assert classifier.size <= 100_000
    assert classifier.evictions > 0
    assert classifier.inserts - classifier.evictions == classifier.cache.count
    classifier.cache.resize(10_000)
    assert 0 < classifier.size <= 10_000
    classifier.cache.clear()
    assert (classifier.size, classifier.cache.count) == (0, 0)
    assert run(classifier, "SELECT b FROM t") is run(classifier, "SELECT b FROM t")


def test_disabled() -> None:
    classifier = Classifier(0)
    run(classifier, "SELECT 1")
    run(classifier, "SELECT 1")
    assert (classifier.hits, classifier.misses, classifier.inserts) == (0, 2, 0)


def test_a_scan_does_not_push_out_what_is_used() -> None:
    classifier = Classifier(200_000)
    hot = [f"SELECT hot_{number}x FROM t" for number in range(30)]
    for _ in range(3):
        for sql in hot:
            run(classifier, sql)
    for number in range(5000):
        run(classifier, f"SELECT once_{number}x FROM t")
    before = classifier.hits
    for sql in hot:
        run(classifier, sql)
    assert classifier.hits - before == len(hot)


def test_many_entries_stay_reachable() -> None:
    classifier = Classifier(8 << 20)
    for number in range(3000):
        run(classifier, f"SELECT c{number}x FROM t")
    before = classifier.hits
    for number in range(3000):
        run(classifier, f"SELECT c{number}x FROM t")
    assert classifier.hits - before == 3000
    top = classifier.cache.top(5)
    assert len(top) == 5
    assert top[0][1] == 1 and top[0][2] > 1000


def test_an_entry_that_is_too_large_is_not_kept() -> None:
    classifier = Classifier(10_000)
    run(classifier, "SELECT " + "a, " * 5000 + "b FROM t")
    assert classifier.inserts == 0


def test_equal_hash_is_not_enough() -> None:
    classifier = Classifier(1 << 20)
    read = classifier.classify_text("SELECT 1 FROM t")
    classifier.cache.insert(read, 12345, 0)
    text = bytearray(b"SELECT f() FROM t")
    assert classifier.cache.lookup(text, len(text), 12345, 0) is None
    canonical = bytearray(read.canonical)
    assert classifier.cache.lookup(canonical, len(canonical), 12345, 0) is read
    assert classifier.cache.lookup(canonical, len(canonical), 12345, 2) is None
    assert classifier.classify_text("SELECT f() FROM t").type_mask & TYPE_WRITE
