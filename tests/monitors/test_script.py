"""The monitor's script: placeholders, output, and its end."""

from __future__ import annotations

import asyncio
import logging
import os
import time

import pytest

from fairlead.cluster.loglevels import ALERT, NOTICE
from fairlead.monitors import script

CONTEXT = {"object": "server1"}


def run(words: list[str], timeout: float = 5) -> script.Outcome:
    return asyncio.run(script.run(words, timeout, CONTEXT))


def test_placeholders_are_words() -> None:
    values = {"EVENT": "new_master", "LIST": "[a b]:1,[c]:2", "CHILDREN": ""}
    assert script.command_line("/bin/x $EVENT 'l=$LIST' --children=$CHILDREN $LISTED $EVENT.", values) == [
        "/bin/x", "new_master", "l=[a b]:1,[c]:2", "--children=", "$LISTED", "new_master.",
    ]  # fmt: skip


def test_values_are_not_expanded_again() -> None:
    assert script.command_line("x $CREDENTIALS", {"CREDENTIALS": "u:$EVENT", "EVENT": "e"}) == [
        "x",
        "u:$EVENT",
    ]


def test_levels_of_output() -> None:
    assert script.level_of("error: it broke") == (logging.ERROR, "it broke")
    assert script.level_of("ALERT:x") == (ALERT, "x")
    assert script.level_of("info: x") == (logging.INFO, "x")
    assert script.level_of("debug: x") == (logging.DEBUG, "x")
    assert script.level_of("errors: none") == (NOTICE, "errors: none")


def test_output_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="fairlead.monitors.script")
    outcome = run(["/bin/sh", "-c", "echo hello; echo warning: careful >&2; printf 'no newline'; exit 3"])
    assert outcome.code == 3 and not outcome.problem
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (NOTICE, "sh: hello"), (logging.WARNING, "sh: careful"), (NOTICE, "sh: no newline"),
    ]  # fmt: skip
    assert caplog.records[0].__dict__["object"] == "server1"


def test_endless_line_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="fairlead.monitors.script")
    run(["/bin/sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x"])
    assert sum(len(record.getMessage()) - len("sh: ") for record in caplog.records) == 100000
    assert max(len(record.getMessage()) for record in caplog.records) <= 2 * script.LINE_BYTES_MAX


def test_missing_program() -> None:
    assert "No such file" in run(["/no/such/script"]).problem


def test_slow_script_is_asked_to_end() -> None:
    begin = time.monotonic()
    outcome = run(["/bin/sh", "-c", "sleep 30"], 0.2)
    assert outcome.timed_out and outcome.code != 0
    assert time.monotonic() - begin < 5


def test_stubborn_script_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    outcome = run(["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"], 0.2)
    assert outcome.code == -9
    assert "SIGKILL" in caplog.text


def test_output_held_open_does_not_hold_the_monitor() -> None:
    begin = time.monotonic()
    outcome = run(["/bin/sh", "-c", "sleep 3 & exit 0"])
    assert outcome.code == 0
    assert time.monotonic() - begin < 2.5


def test_cancelled_script_is_killed() -> None:
    async def cancel() -> set[str]:
        before = _living_children()
        task = asyncio.ensure_future(script.run(["/bin/sh", "-c", "exec sleep 30"], 60, CONTEXT))
        await asyncio.sleep(0.3)
        assert len(_living_children() - before) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.1)
        return _living_children() - before

    assert asyncio.run(cancel()) == set()


def _living_children() -> set[str]:
    return {one for one in os.listdir("/proc") if one.isdigit() and _is_living_child(one)}


def _is_living_child(pid: str) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return int(fields[1]) == os.getpid() and fields[0] != "Z"
    except OSError:
        return False
