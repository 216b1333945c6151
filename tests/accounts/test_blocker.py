"""Blocking of hosts after too many failures."""

from __future__ import annotations

from fairlead.accounts import blocker
from fairlead.accounts.blocker import AuthBlocker


def test_block_after_the_limit_and_for_a_minute():
    tested = AuthBlocker()
    for _ in range(3):
        tested.failed("h", 100.0, 4)
        assert not tested.is_blocked("h", 100.0)
    tested.failed("h", 100.0, 4)
    assert tested.is_blocked("h", 100.0) and tested.is_blocked("h", 159.9)
    assert not tested.is_blocked("other", 100.0)
    assert not tested.is_blocked("h", 160.0)
    tested.failed("h", 161.0, 4)
    assert not tested.is_blocked("h", 161.0)


def test_off():
    tested = AuthBlocker()
    for _ in range(100):
        tested.failed("h", 0.0, 0)
    assert not tested.is_blocked("h", 0.0) and len(tested) == 0


def test_success_forgets():
    tested = AuthBlocker()
    tested.failed("h", 0.0, 2)
    tested.succeeded("h")
    tested.failed("h", 0.0, 2)
    assert not tested.is_blocked("h", 0.0)


def test_turned_off_while_blocked():
    tested = AuthBlocker()
    tested.failed("h", 0.0, 1)
    assert tested.is_blocked("h", 1.0, 1) and not tested.is_blocked("h", 1.0, 0)


def test_the_table_is_bounded(monkeypatch):
    monkeypatch.setattr(blocker, "HOSTS_MAX", 10)
    tested = AuthBlocker()
    for number in range(50):
        tested.failed(f"once{number}", 0.0, 2)
        tested.failed(f"blocked{number}", 0.0, 1)
    assert len(tested) == 20
    assert tested.is_blocked("blocked49", 1.0)
