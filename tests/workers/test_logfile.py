"""The log file under full disks, closed descriptors, rotation and changing settings."""

from __future__ import annotations

import errno
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fairlead.cluster.loglevels import NOTICE
from fairlead.workers import logfile
from fairlead.workers.logfile import LogFile
from fairlead.workers.loglines import LogSettings

Logged = tuple[logging.Logger, LogFile, Path]


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Logged]:
    path = tmp_path / "maxscale.log"
    handler = LogFile(path, LogSettings(info=True, throttle_count=0))
    logger = logging.getLogger("fairlead.routers.readwritesplit.test")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    yield logger, handler, path
    logger.handlers = []
    handler.close()


def test_writes_lines(logged: Logged) -> None:
    logger, _handler, path = logged
    logger.log(NOTICE, "one", extra={"session": 3})
    logger.debug("not this")
    assert path.read_text().endswith("notice : (3) [readwritesplit] one\n")
    assert path.read_text().count("\n") == 1


def test_rotation_goes_on_in_a_new_file(logged: Logged) -> None:
    logger, handler, path = logged
    logger.info("before")
    path.rename(path.with_suffix(".1"))
    logger.info("still in the old one")
    handler.reopen()
    logger.info("after")
    assert path.read_text().endswith("after\n")
    assert path.with_suffix(".1").read_text().count("\n") == 2


def test_rotation_that_fails_keeps_the_old_file(logged: Logged, tmp_path: Path) -> None:
    logger, handler, path = logged
    logger.info("before")
    handler.path = tmp_path / "missing" / "x.log"
    handler.reopen()
    logger.info("after")
    assert path.read_text().endswith("after\n")


def test_full_disk_is_counted_and_told(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    logger, handler, path = logged
    write = os.write

    def full(fd: int, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    for _ in range(3):
        logger.error("lost")
    assert handler.lost == 3
    monkeypatch.setattr(os, "write", write)
    logger.error("again")
    lines = path.read_text().splitlines()
    assert lines[-2].endswith("warning: [log] 3 messages were lost: No space left on device")
    assert lines[-1].endswith("again")
    assert handler.lost == 0


def test_half_a_line_does_not_swallow_the_next(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    logger, _handler, path = logged
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:10]))
    logger.error("torn")
    monkeypatch.setattr(os, "write", write)
    logger.error("again")
    lines = path.read_text().splitlines()
    assert len(lines) == 3
    assert "1 message was lost" in lines[1]
    assert lines[2].endswith("again")


def test_closed_descriptor_is_opened_again(logged: Logged) -> None:
    logger, handler, path = logged
    os.close(handler._fd)
    logger.error("lost")
    logger.error("again")
    assert path.read_text().splitlines()[-1].endswith("again")
    assert "1 message was lost: Bad file descriptor" in path.read_text()


def test_directory_that_comes_later(tmp_path: Path) -> None:
    now = [0.0]
    handler = LogFile(tmp_path / "later" / "x.log", monotonic=lambda: now[0])
    record = logging.LogRecord("fairlead.x", logging.ERROR, "f", 1, "hello", (), None)
    handler.emit(record)
    (tmp_path / "later").mkdir()
    handler.emit(record)
    assert handler.lost == 2
    now[0] = 5.0
    handler.emit(record)
    text = (tmp_path / "later" / "x.log").read_text()
    assert "2 messages were lost: No such file or directory" in text
    assert text.endswith("hello\n")
    handler.close()


def test_levels_change_at_run_time(logged: Logged) -> None:
    logger, handler, path = logged
    handler.apply(LogSettings(info=False, warning=False))
    logger.info("no")
    logger.warning("no")
    logger.error("yes")
    handler.apply(LogSettings(maxlog=False))
    logger.error("no")
    handler.apply(LogSettings(milliseconds=True))
    logger.error("yes")
    lines = path.read_text().splitlines()
    assert [line.rsplit(" ", 1)[1] for line in lines] == ["yes", "yes"]
    assert lines[1][19] == "."


def test_warnings_and_errors_are_throttled_others_not(logged: Logged) -> None:
    logger, handler, path = logged
    handler.apply(LogSettings(throttle_count=2, throttle_window_ms=1000, throttle_suppress_ms=5000))
    for _ in range(5):
        logger.log(NOTICE, "notice")
        logger.error("error")
    text = path.read_text()
    assert text.count("notice\n") == 5
    assert text.count("] error") == 2
    assert "error (subsequent similar messages suppressed for 5000 milliseconds)\n" in text


def test_syslog(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "log"))
        handler = LogFile(
            tmp_path / "x.log", LogSettings(syslog=True, maxlog=False), syslog_path=str(tmp_path / "log")
        )
        handler.emit(logging.LogRecord("fairlead.x", logging.ERROR, "f", 1, "hello", (), None))
        assert receiver.recv(1000).decode() == f"<11>maxscale[{os.getpid()}]: [x] hello"
        handler.close()
    assert not (tmp_path / "x.log").exists()


def test_after_close_nothing_is_raised(logged: Logged) -> None:
    logger, handler, path = logged
    handler.close()
    logger.error("x")
    assert handler.lost == 1
    assert path.read_text() == ""


def test_writers_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    code = (
        "import sys, logging; from pathlib import Path; from fairlead.workers.logfile import LogFile\n"
        "h = LogFile(Path(sys.argv[1]))\n"
        "for n in range(500):\n"
        "    h.emit(logging.LogRecord('fairlead.x', 40, 'f', n, sys.argv[2] * 200, (), None))\n"
    )
    path = tmp_path / "x.log"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), letter]) for letter in "abc"]
    assert [writer.wait(30) for writer in writers] == [0, 0, 0]
    messages = [line.rsplit(" ", 1)[1] for line in path.read_text().splitlines()]
    assert len(messages) == 1500
    assert set(messages) == {letter * 200 for letter in "abc"}


def test_crash_writes_the_stack_to_the_log(tmp_path: Path) -> None:
    code = (
        "import sys, os; from pathlib import Path; from fairlead.workers import logfile\n"
        "h = logfile.LogFile(Path(sys.argv[1])); logfile.install(h)\n"
        "h.write_faults(); h.reopen(); os.abort()\n"
    )
    path = tmp_path / "x.log"
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode < 0
    assert "Fatal Python error: Aborted" in path.read_text()


def test_install_is_the_only_handler(tmp_path: Path) -> None:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    handler = LogFile(tmp_path / "x.log")
    try:
        logfile.install(handler)
        assert root.handlers == [handler]
        logging.getLogger("asyncio").info("nobody wants this")
        handler.apply(LogSettings(info=True))
        assert root.level == logging.INFO
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        logging.captureWarnings(False)
        handler.close()
