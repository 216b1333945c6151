"""Spoiled conversations: a bounded number here, as many as wanted with `make fuzz N=1000000`.

A failure prints the input; `tests/hostile/fuzz.py --replay` plays it and shows what was said.
"""

from __future__ import annotations

import pytest
from fuzz import kept, of_seed, smaller, wrong_with
from genome import Genome, Operation
from harness import Circling, World

# Inputs in one test run; the seed of the long mode begins with the same ones.
NUMBER = 9_000
PARTS = 6


def judge(genome: Genome) -> None:
    wrong = wrong_with(genome)
    if wrong:
        pytest.fail(f"{wrong}\nreplay: {smaller(genome).text()}", pytrace=False)


def test_inputs_of_the_corpus() -> None:
    corpus = kept()
    assert len(corpus) > 100
    for genome in corpus:
        judge(genome)


@pytest.mark.parametrize("part", range(PARTS))
def test_inputs_of_a_seed(part: int) -> None:
    corpus = kept()
    for number in range(part, NUMBER, PARTS):
        judge(of_seed(1, number, corpus))


# -- the checks can fail


def broken_by(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, replacement: object) -> list[str]:
    """What is found within some inputs when a method is replaced."""
    monkeypatch.setattr(owner, name, replacement)
    found = [wrong_with(of_seed(1, number, [])) for number in range(400)]
    return [wrong for wrong in found if wrong]


def test_an_exception_in_a_handler_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    import harness

    class Broken(harness.Login):
        def packet(self, payload: bytes) -> None:
            raise IndexError("off the end")

    assert broken_by(monkeypatch, harness, "Login", Broken)


def test_a_gauge_that_stays_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness import MemoryHost

    assert broken_by(monkeypatch, MemoryHost, "backend_closed", lambda self: None)


def test_a_client_that_waits_for_ever_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness import MemoryChannel

    assert broken_by(monkeypatch, MemoryChannel, "resume", lambda self: None)


def test_a_world_in_circles_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.EVENTS_MAX", 50)
    assert any("does not come to rest" in wrong_with(of_seed(1, number, [])) for number in range(50))
    assert issubclass(Circling, AssertionError) and World._board is not None


def test_inputs_survive_being_printed() -> None:
    genome = Genome("readconnroute", "queries", [Operation("server", 3, "flip", 1, 2, "ff")], 64, {})
    assert Genome.parse(genome.text()) == genome
