"""How often a signal has to come to end the process at once."""

from __future__ import annotations

import os
from typing import Any

import pytest

from fairlead.workers.signals import Signals


class Ended(Exception):
    pass


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    def end(status: int) -> None:
        raise Ended(status)

    monkeypatch.setattr(os, "_exit", end)
    return []


def signals(calls: list[str]) -> Signals:
    def note(name: str) -> Any:
        return lambda: calls.append(name)

    return Signals(stop=note("stop"), kill=note("kill"), rotate=note("rotate"), reload=note("reload"))


def test_the_second_term_ends_at_once(calls: list[str]) -> None:
    one = signals(calls)
    one.term()
    with pytest.raises(Ended, match="1"):
        one.term()
    assert calls == ["stop", "kill"]


def test_the_third_interrupt_ends_at_once(calls: list[str]) -> None:
    one = signals(calls)
    one.interrupt()
    one.interrupt()
    one.term()
    with pytest.raises(Ended):
        one.interrupt()
    assert calls == ["stop", "stop", "stop", "kill"]
