"""The history keeps what a new connection has to repeat, within its limit."""

from __future__ import annotations

import pytest

from fairlead.session.history import RESPONSES_MAX, Entry, History, steps


def add(history: History, text: str, prepare: bool = False, ok: bool = True) -> int:
    entry_id = history.next_id()
    history.add(entry_id, 3, text.encode(), prepare)
    history.delivered(entry_id, ok)
    return entry_id


def texts(history: History) -> list[str]:
    return [entry.packet.decode() for entry in history.entries.values()]


def test_exactly_the_limit_is_kept() -> None:
    """The oldest goes when one too many comes; reconnecting stays possible."""
    history = History(3, prune=True, disabled=False)
    for number in range(5):
        add(history, f"SET @a={number}")
    assert texts(history) == ["SET @a=2", "SET @a=3", "SET @a=4"]
    assert history.can_recover() and history.pruned


def test_the_same_command_stands_once_at_its_newest_place() -> None:
    history = History(3, prune=True, disabled=False)
    for text in ("a", "b", "a"):
        add(history, text)
    assert texts(history) == ["b", "a"]


@pytest.mark.parametrize(
    ("commands", "kept"),
    [
        # Executed twice it is not what it is executed once.
        (["SET @n = 10", "r:SELECT @n := @n + 1", "r:SELECT @n := @n + 1"], [0, 1, 2]),
        # What is between them has used what the first one did.
        (["SET @a = 1", "r:SET @b = @a", "SET @a = 1"], [0, 1, 2]),
        (["SET @a = 1", "SET @b = 2", "SET @a = 1"], [1, 2]),
        # The text between them is read as the first one says.
        (["m:SET sql_mode = ANSI", 'SET @a = "b"', "m:SET sql_mode = ANSI"], [0, 1, 2]),
        (["m:SET NAMES latin1", "SET @a = 'é'", "m:SET NAMES latin1"], [0, 1, 2]),
        (["m:SET NAMES utf8", "p:SELECT 1", "m:SET NAMES utf8"], [0, 1, 2]),
        (["m:SET NAMES utf8", "SET autocommit = 1", "m:SET NAMES utf8"], [1, 2]),
    ],
)
def test_what_is_executed_again_may_still_need_the_first_time(commands: list[str], kept: list[int]) -> None:
    history = History(10, prune=True, disabled=False)
    for text in commands:
        packet = text.removeprefix("r:").removeprefix("m:").removeprefix("p:").encode()
        kind = text[:2]
        history.add(history.next_id(), 3, packet, kind == "p:", reads=kind == "r:", rereads=kind == "m:")
    assert [entry.id - 1 for entry in history.entries.values()] == kept


def test_prepared_statements_do_not_count() -> None:
    history = History(1, prune=True, disabled=False)
    first, second = add(history, "p", prepare=True), add(history, "p", prepare=True)
    add(history, "a")
    add(history, "b")
    assert texts(history) == ["p", "p", "b"]
    history.forget(first)
    assert texts(history) == ["p", "b"] and second in history.entries


def test_a_failed_prepare_is_not_repeated() -> None:
    history = History(5, prune=True, disabled=False)
    add(history, "p", prepare=True, ok=False)
    assert len(history) == 0


def test_without_pruning_a_full_history_is_given_up() -> None:
    history = History(2, prune=False, disabled=False)
    for text in ("a", "b", "c", "d"):
        add(history, text)
    assert texts(history) == [] and not history.can_recover()


def test_a_disabled_history_forbids_reconnecting_after_the_first_command() -> None:
    history = History(50, prune=True, disabled=True)
    assert history.can_recover()
    add(history, "a")
    assert len(history) == 0 and not history.can_recover()


def test_outcomes_are_remembered_for_slow_servers_but_not_for_ever() -> None:
    history = History(1, prune=True, disabled=False)
    ids = [add(history, f"{number}", ok=number % 2 == 0) for number in range(RESPONSES_MAX + 10)]
    assert history.expected(ids[-1]) is False and history.expected(ids[-2]) is True
    assert history.expected(ids[0]) is None and len(history.responses) == RESPONSES_MAX


def test_clearing_goes_on_with_the_ids() -> None:
    history = History(5, prune=True, disabled=False)
    last = add(history, "a")
    history.clear()
    assert len(history) == 0 and history.can_recover() and history.next_id() == last + 1


def story(text: str, database: str) -> str:
    """What a new connection is told, after a history of `database:command`, where `USE x` changes it."""
    entries = []
    for number, word in enumerate(text.split(), 1):
        where, _, command = word.partition(":")
        failed = command.endswith("!")
        entry = Entry(number, 3, command.encode(), False)
        entry.ok = not failed
        if command.startswith("USE"):
            entry.moves_to = command[3:].rstrip("!")
        else:
            entry.database = where
        entries.append(entry)
    told = []
    for change, entry_or_none in steps(entries, database):
        told += [f"={change}"] if change else []
        told += [entry_or_none.packet.decode()] if entry_or_none is not None else []
    return " ".join(told)


@pytest.mark.parametrize(
    ("text", "database", "told"),
    [
        ("", "a", ""),
        ("a:x a:y", "a", "x y"),
        # The database is another one by now.
        ("a:x a:USEb b:y", "b", "=a x USEb y"),
        ("a:USEb b:x", "b", "USEb x"),
        # The change to the first database has moved to its newest place, or is forgotten.
        ("a:x b:USEa", "a", "=a x USEa"),
        ("b:x a:y", "a", "=b x =a y"),
        ("a:y b:x", "a", "y =b x =a"),
        ("b:x c:y", "a", "=b x =c y =a"),
        # What did not change it, and what is not known.
        ("a:USEb! a:x", "a", "USEb! =a x"),
        (":x", "a", "x"),
        (":x a:USEb :y", "b", "x USEb y"),
        ("a:x", "", "=a x"),
    ],
)
def test_commands_mean_what_they_meant(text: str, database: str, told: str) -> None:
    assert story(text, database) == told
