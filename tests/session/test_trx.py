"""Transaction tracking: what the statements say and what the replies correct."""

from __future__ import annotations

from fairlead.session.trx import TRX_ENDED, TrxTracker
from fairlead.sql.classifier import Classifier
from fairlead.sql.types import TYPE_SESSION_WRITE

IN_TRX, AUTOCOMMIT, READ_ONLY = 1, 2, 8192
_classifier = Classifier(0)


def say(trx: TrxTracker, sql: str, status: int = AUTOCOMMIT, is_read: bool = False) -> int:
    info = _classifier.classify_text(sql)
    trx.on_statement(info.trx_mask | (info.type_mask & TYPE_SESSION_WRITE), is_read, info.chain)
    return trx.on_reply(status)


def test_begin_and_commit() -> None:
    trx = TrxTracker()
    say(trx, "BEGIN", AUTOCOMMIT | IN_TRX)
    assert trx.active and not trx.read_only
    say(trx, "SELECT 1", AUTOCOMMIT | IN_TRX, is_read=True)
    assert trx.active
    assert say(trx, "COMMIT") == TRX_ENDED
    assert not trx.active and trx.ended_only_reads


def test_a_write_makes_it_a_writing_transaction() -> None:
    trx = TrxTracker()
    say(trx, "START TRANSACTION", AUTOCOMMIT | IN_TRX)
    say(trx, "INSERT INTO t VALUES (1)", AUTOCOMMIT | IN_TRX)
    say(trx, "ROLLBACK")
    assert not trx.ended_only_reads


def test_read_only() -> None:
    trx = TrxTracker()
    say(trx, "START TRANSACTION READ ONLY", AUTOCOMMIT | IN_TRX | READ_ONLY)
    assert trx.active and trx.read_only


def test_implicit_commit_is_seen_in_the_reply() -> None:
    trx = TrxTracker()
    say(trx, "BEGIN", AUTOCOMMIT | IN_TRX)
    assert say(trx, "CREATE TABLE t (a INT)") == TRX_ENDED and not trx.active


def test_autocommit_off_opens_one_after_another() -> None:
    trx = TrxTracker()
    say(trx, "SET autocommit=0", 0)
    assert not trx.autocommit and not trx.active
    trx.on_statement(0, True, False)
    assert trx.active
    say(trx, "COMMIT", 0)
    trx.on_statement(0, True, False)
    assert trx.active
    say(trx, "SET autocommit=1", AUTOCOMMIT)
    assert not trx.active and trx.autocommit


def test_access_mode_of_the_next_transaction_and_of_the_session() -> None:
    trx = TrxTracker()
    say(trx, "SET TRANSACTION READ ONLY")
    say(trx, "BEGIN", AUTOCOMMIT | IN_TRX)
    assert trx.read_only
    say(trx, "COMMIT")
    say(trx, "BEGIN", AUTOCOMMIT | IN_TRX)
    assert not trx.read_only
    say(trx, "COMMIT")
    say(trx, "SET SESSION TRANSACTION READ ONLY")
    say(trx, "BEGIN", AUTOCOMMIT | IN_TRX)
    assert trx.read_only
    say(trx, "COMMIT")
    say(trx, "START TRANSACTION READ WRITE", AUTOCOMMIT | IN_TRX)
    assert not trx.read_only


def test_a_transaction_begun_where_nobody_saw_it() -> None:
    trx = TrxTracker()
    say(trx, "CALL begins_a_transaction()", AUTOCOMMIT | IN_TRX)
    assert trx.active and not trx.read_only


def test_autocommit_switched_off_where_nobody_saw_it() -> None:
    """A procedure may do it; from then on nothing may go to a replica."""
    trx = TrxTracker()
    say(trx, "CALL switches_it_off()", 0)
    assert not trx.autocommit
    trx.on_statement(0, True, False)
    assert trx.active


def test_chained_transactions_stay_open() -> None:
    trx = TrxTracker()
    say(trx, "BEGIN", AUTOCOMMIT | IN_TRX)
    say(trx, "COMMIT AND CHAIN", AUTOCOMMIT | IN_TRX)
    assert trx.active


def test_the_reply_ends_the_start() -> None:
    """From the reply to BEGIN on the transaction is open, also before its first statement."""
    trx = TrxTracker()
    info = _classifier.classify_text("BEGIN")
    trx.on_statement(info.trx_mask, False, False)
    assert trx.active and trx.starting
    trx.on_reply(AUTOCOMMIT | IN_TRX)
    assert trx.active and not trx.starting
