"""Loads of the workers."""

from __future__ import annotations

from fairlead.admin.loads import LoadHistory


def test_load() -> None:
    history = LoadHistory()
    assert history.load() == (0, 0, 0)
    for second in range(121):
        busy = second * 100_000 if second <= 60 else 6_000_000 + (second - 60) * 500_000
        history.sample(1000.0 + second, busy)
    assert history.load() == (50, 50, 30)


def test_a_new_worker_starts_anew() -> None:
    history = LoadHistory()
    history.sample(1, 5_000_000)
    history.sample(2, 100)
    assert history.load() == (0, 0, 0)
    history.sample(3, 1_000_100)
    assert history.load() == (100, 100, 100)
