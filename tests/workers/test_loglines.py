"""The form of log lines, the names of modules, and what is held back."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.cluster.loglevels import ALERT, NOTICE
from fairlead.workers.loglines import (
    LINE_CHARS_MAX,
    LineFormat,
    LogSettings,
    Throttle,
    level_name,
    message_of,
    module_name,
    one_line,
    settings_of,
    throttling_of,
)


def record(
    message: Any, *arguments: Any, name: str = "fairlead.session.client", **extra: Any
) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.WARNING, "/a/b.py", 17, message, arguments, None, "route")
    for key, value in extra.items():
        setattr(made, key, value)
    return made


@pytest.mark.parametrize(
    ("logger", "module"),
    [
        ("fairlead.routers.readwritesplit.session", "readwritesplit"),
        ("fairlead.routers.readconnroute", "readconnroute"),
        ("fairlead.monitors.mariadbmon.topology", "mariadbmon"),
        ("fairlead.monitors.mariadbmon", "mariadbmon"),
        ("fairlead.monitors.runner", "monitors"),
        ("fairlead.filters.qlafilter", "qlafilter"),
        ("fairlead.session.client", "mariadbprotocol"),
        ("fairlead.protocol.handshake", "mariadbprotocol"),
        ("fairlead.accounts.manager", "accounts"),
        ("fairlead", "fairlead"),
        ("asyncio", "asyncio"),
    ],
)
def test_module_names(logger: str, module: str) -> None:
    assert module_name(logger) == module


def test_lines() -> None:
    form = LineFormat(milliseconds=False, augmentation=False)
    body = form.body(record("Lost %s\nand more", "it", session=12, object="RWS"))
    assert body == "(12) [mariadbprotocol] (RWS); Lost it\\nand more"
    line = form.line("error", 1700000000.5, body).decode()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d   error  : \(12\) \[mariadbprotocol\] .*\n", line)
    assert form.body(record("x")) == "[mariadbprotocol] x"


def test_milliseconds_and_function() -> None:
    form = LineFormat(milliseconds=True, augmentation=True)
    assert form.timestamp(1700000000.0625).endswith(".062")
    assert form.body(record("x", object="RWS")) == "[mariadbprotocol] (RWS); (route): x"


@pytest.mark.parametrize(
    ("level", "text"),
    [
        (ALERT, "alert"),
        (logging.CRITICAL, "alert"),
        (logging.ERROR, "error"),
        (logging.WARNING, "warning"),
        (NOTICE, "notice"),
        (logging.INFO, "info"),
        (logging.DEBUG, "debug"),
        (5, "debug"),
    ],
)
def test_levels(level: int, text: str) -> None:
    assert level_name(level) == text


def test_wrong_arguments_do_not_lose_the_message() -> None:
    assert message_of(record("%d bytes", "many")).startswith("%d bytes (arguments cannot be formatted")


def test_tracebacks_are_part_of_the_line() -> None:
    one = record("failed")
    try:
        raise ValueError("why")
    except ValueError:
        one.exc_info = sys.exc_info()
    body = LineFormat(False, False).body(one)
    assert "\n" not in body
    assert body.endswith("ValueError: why")


def test_long_lines_are_cut() -> None:
    body = LineFormat(False, False).body(record("x" * (LINE_CHARS_MAX + 1000)))
    assert len(body) < LINE_CHARS_MAX + 50
    assert body.endswith("more characters)")


@given(st.text())
def test_one_line(text: str) -> None:
    assert not set(one_line(text)) & {"\n", "\r"}
    line = LineFormat(False, False).line("info", 0, one_line(text))
    assert line.count(b"\n") == 1


def test_throttling_holds_back_and_tells() -> None:
    throttle = Throttle(3, 1000, 10_000)
    place = ("f.py", 1)
    assert throttle.check(place, 0) == ""
    assert throttle.check(place, 1) == ""
    last = throttle.check(place, 2)
    assert last == " (subsequent similar messages suppressed for 10000 milliseconds)"
    assert throttle.check(place, 3) is None
    assert throttle.check(place, 10_001) is None
    assert throttle.check(("f.py", 2), 10_001) == ""
    assert throttle.check(place, 10_002) == " (2 similar messages were previously suppressed)"
    assert throttle.check(place, 10_003) == ""


def test_slow_repetition_is_not_held_back() -> None:
    throttle = Throttle(3, 1000, 10_000)
    assert all(throttle.check(("f.py", 1), at) == "" for at in range(0, 20_000, 600))


@given(st.lists(st.integers(0, 3000), max_size=200), st.integers(1, 5))
def test_every_message_is_written_or_counted(gaps: list[int], count: int) -> None:
    throttle = Throttle(count, 1000, 5000)
    now = written = told = 0
    for gap in gaps:
        now += gap
        suffix = throttle.check(("f", 1), now)
        if suffix is not None:
            written += 1
            found = re.search(r"\((\d+) similar", suffix)
            told += int(found[1]) if found else 0
    final = throttle.check(("f", 1), now + 10_000) or ""
    found = re.search(r"\((\d+) similar", final)
    told += int(found[1]) if found else 0
    assert written + told == len(gaps)


def test_settings_of_parameters() -> None:
    assert settings_of({}) == LogSettings()
    settings = settings_of({"log_info": True, "log_notice": False, "log_throttling": (0, 0, 0)})
    assert settings.is_on("info") and not settings.is_on("notice") and settings.is_on("error")
    assert settings.lowest_level == logging.INFO
    assert settings.throttle_count == 0
    assert settings_of({"log_warning": False, "log_notice": False}).lowest_level == logging.ERROR


@pytest.mark.parametrize(
    "value", [(5, 100, 200), [5, 100, 200], {"count": 5, "window": 100, "suppress": 200}]
)
def test_forms_of_throttling(value: Any) -> None:
    assert throttling_of(value) == (5, 100, 200)


def test_no_throttling() -> None:
    assert throttling_of(()) == (0, 0, 0)
    assert not Throttle(*throttling_of("")).is_on
