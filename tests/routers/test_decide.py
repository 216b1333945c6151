"""Which kind of server a statement is for (spec routers_monitors.md A.3.1 and A.3.3)."""

from __future__ import annotations

import pytest

from fairlead.routers.readwritesplit.decide import (
    REASONS,
    TARGET_ALL,
    TARGET_MASK,
    TARGET_MASTER,
    TARGET_SLAVE,
    decide,
)
from fairlead.sql.classifier import Classifier

M, S, A = TARGET_MASTER, TARGET_SLAVE, TARGET_ALL
_classifier = Classifier(0)

# Statement, its target with use_sql_variables_in=all and with =master, outside of a transaction.
TABLE = [
    ("SELECT 1", S, S),
    ("SELECT * FROM t FOR UPDATE", M, M),
    ("SELECT * FROM (SELECT * FROM t FOR UPDATE) x", M, M),
    ("SELECT @@server_id", S, S),
    ("SELECT LAST_INSERT_ID()", M, M),
    ("SELECT NEXTVAL(s)", M, M),
    ("SELECT own_function(1)", M, M),
    ("SELECT GET_LOCK('a', 1)", M, M),
    ("SELECT @v", S, M),
    ("SELECT @v := 1", A, M),
    ("SET @v = 1", A, A),
    ("SET NAMES utf8mb4", A, A),
    ("SET GLOBAL max_connections = 5", A, A),
    ("SET autocommit = 0", A, A),
    ("SET TRANSACTION READ ONLY", M, M),
    ("USE db", A, A),
    ("INSERT INTO t VALUES (1)", M, M),
    ("WITH x AS (SELECT 1) SELECT * FROM x", S, S),
    ("CALL p()", M, M),
    ("SELECT 1; SELECT 2", M, M),
    ("SHOW TABLES", S, S),
    ("SHOW MASTER STATUS", M, M),
    ("BEGIN", M, M),
    ("COMMIT", M, M),
    ("PREPARE p FROM 'SELECT 1'", A, A),
    ("DEALLOCATE PREPARE p", A, A),
    ("SELECT FROM WHERE", None, None),
    ("gibberish", M, M),
    ("", M, M),
]


@pytest.mark.parametrize(("sql", "with_all", "with_master"), TABLE)
def test_targets(sql: str, with_all: int | None, with_master: int | None) -> None:
    mask = _classifier.classify_text(sql).type_mask
    for variables_on_all, expected in ((True, with_all), (False, with_master)):
        decision = decide(mask, False, False, False, False, variables_on_all)
        if expected is not None:
            assert decision & TARGET_MASK == expected, REASONS[decision]


def test_transactions_decide_for_everything_but_session_state() -> None:
    read = _classifier.classify_text("SELECT 1").type_mask
    write = _classifier.classify_text("INSERT INTO t VALUES (1)").type_mask
    setting = _classifier.classify_text("SET @a = 1").type_mask
    assert decide(read, False, False, True, False, True) & TARGET_MASK == M
    assert decide(read, False, False, True, True, True) & TARGET_MASK == S
    assert decide(write, False, False, True, True, True) & TARGET_MASK == S
    assert decide(setting, False, False, True, False, True) & TARGET_MASK == A


def test_a_locked_session_sends_everything_to_the_primary() -> None:
    for sql in ("SELECT 1", "SET @a = 1", "PREPARE p FROM 'SELECT 1'"):
        assert (
            decide(_classifier.classify_text(sql).type_mask, False, True, False, False, True) & TARGET_MASK
            == M
        )


def test_what_is_not_known_is_for_the_primary() -> None:
    assert decide(0, False, False, False, False, True) & TARGET_MASK == M


def test_every_decision_has_a_sentence() -> None:
    for mask in (0, 2, 4, 16, 1 << 16, 1 << 25):
        for state in range(8):
            decision = decide(mask, False, bool(state & 1), bool(state & 2), bool(state & 4), True)
            assert REASONS[decision]
