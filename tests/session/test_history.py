"""The history keeps what a new connection has to repeat, within its limit."""

from __future__ import annotations

from fairlead.session.history import RESPONSES_MAX, History


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
