"""When accounts may be read."""

from __future__ import annotations

from fairlead.accounts.refresh import RefreshRules


def after(successes: int = 0, failures: int = 0, at: float = 100.0) -> RefreshRules:
    rules = RefreshRules()
    for _ in range(successes):
        rules.done(at, True)
    for _ in range(failures):
        rules.done(at, False)
    return rules


def test_the_first_loads_are_free():
    assert RefreshRules().may_load(0.0, 30.0)
    assert after(successes=4).may_load(100.0, 30.0)
    assert not after(successes=5).may_load(100.0, 30.0)
    assert after(failures=9).may_load(100.0, 30.0)
    assert not after(failures=10).may_load(100.0, 30.0)
    assert after(successes=1, failures=9).may_load(100.0, 30.0)


def test_later_ones_keep_their_distance():
    rules = after(successes=5)
    assert not rules.may_load(129.9, 30.0)
    assert rules.may_load(130.0, 30.0)


def test_no_limit_and_no_end():
    assert after(successes=50).may_load(100.0, 0.0)
    assert not after(successes=50).may_load(1e9, -1.0)
    assert after(successes=4).may_load(100.0, -1.0)


def test_failures_before_the_first_success_do_not_count_later():
    rules = after(failures=30)
    rules.done(200.0, True)
    assert rules.may_load(200.0, 3600.0)


def test_loads_nobody_asked_for():
    assert RefreshRules().next_load(0.0) == 0.0
    assert after(failures=3).next_load(0.0) == 101.0
    assert after(failures=3).next_load(60.0) == 101.0
    assert after(successes=1).next_load(60.0) == 160.0
    assert after(successes=1, failures=1).next_load(60.0) == 160.0
    assert after(successes=1).next_load(0.0) == 100.0 + 24 * 3600
