"""The log file: every process appends to it itself, one write per line, so that lines never mix.

Invariant: logging never raises into the caller. Lines that could not be written are counted, and the first
one that can be written again is preceded by one that says so.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from fairlead.cluster.loglevels import NOTICE
from fairlead.workers.loglines import LineFormat, LogSettings, Throttle, level_name

logger = logging.getLogger(__name__)

FILE_NAME = "maxscale.log"
STDOUT_FD = 1
# A file that could not be opened is tried again after this time.
REOPEN_AFTER_S = 1.0

SYSLOG_PATH = "/dev/log"
SYSLOG_IDENT = "maxscale"
_SYSLOG_FACILITY_USER = 1 << 3
_SYSLOG_PRIORITY = {"alert": 1, "error": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7}


class Syslog:
    """Datagrams to the system log; what it does not take at once is lost."""

    def __init__(self, path: str = SYSLOG_PATH) -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def send(self, level: str, body: str) -> None:
        """Send one message."""
        priority = _SYSLOG_FACILITY_USER | _SYSLOG_PRIORITY[level]
        data = f"<{priority}>{SYSLOG_IDENT}[{os.getpid()}]: {body}".encode("utf-8", "backslashreplace")
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                self._socket.connect(self._path)
            self._socket.send(data)
        except OSError:
            self.close()

    def close(self) -> None:
        """Forget the connection; the next message opens it again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class LogFile(logging.Handler):
    """The handler of the root logger in every process. `path` None: standard output."""

    def __init__(
        self,
        path: Path | None,
        settings: LogSettings | None = None,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        syslog_path: str = SYSLOG_PATH,
    ) -> None:
        super().__init__(logging.DEBUG)
        self.path = path
        self.lost = 0
        self._now = now
        self._monotonic = monotonic
        self._fd = -1
        self._retry_at = 0.0
        self._torn = False
        self._failure = ""
        self._syslog = Syslog(syslog_path)
        self._writes_faults = False
        self.settings = settings or LogSettings()
        self._take(self.settings)
        self._open()

    # -- settings

    def apply(self, settings: LogSettings) -> None:
        """Take over changed settings."""
        if settings == self.settings:
            return
        if settings.debug and not self.settings.debug:
            logger.warning("log_debug is on: these messages are meant for developers")
        with self.lock or contextlib.nullcontext():
            self._take(settings)
        if logging.getLogger().handlers == [self]:
            logging.getLogger().setLevel(settings.lowest_level)

    def _take(self, settings: LogSettings) -> None:
        self.settings = settings
        self._format = LineFormat(settings.milliseconds, settings.augmentation)
        self._throttle = Throttle(
            settings.throttle_count, settings.throttle_window_ms, settings.throttle_suppress_ms
        )
        self._is_on = {name: settings.is_on(name) for name in _SYSLOG_PRIORITY}
        if not settings.syslog:
            self._syslog.close()

    # -- writing

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, or count it as lost."""
        try:
            level = level_name(record.levelno)
            if not self._is_on[level]:
                return
            suffix = ""
            if level in ("warning", "error") and self._throttle.is_on:
                place = (record.pathname, record.lineno)
                verdict = self._throttle.check(place, int(self._monotonic() * 1000))
                if verdict is None:
                    return
                suffix = verdict
            body = self._format.body(record, suffix)
            if self.settings.syslog:
                self._syslog.send(level, body)
            if self.settings.maxlog:
                self._write(self._format.line(level, record.created, body))
        except Exception:
            self.lost += 1

    def _write(self, line: bytes) -> None:
        if self._fd < 0 and not self._open():
            self.lost += 1
            return
        if self.lost:
            line = self._notice_of_loss() + line
        try:
            written = os.write(self._fd, line)
        except OSError as error:
            self._failed(error)
            return
        if written < len(line):
            # The file ends in the middle of a line now.
            self._torn = True
            self.lost += 1
            self._failure = self._failure or "the disk is full"
            return
        self.lost = 0
        self._torn = False
        self._failure = ""

    def _notice_of_loss(self) -> bytes:
        plural = "s were" if self.lost > 1 else " was"
        text = f"[log] {self.lost} message{plural} lost: {self._failure or 'they could not be written'}"
        line = self._format.line("warning", self._now(), text)
        return b"\n" + line if self._torn else line

    def _failed(self, error: OSError) -> None:
        self.lost += 1
        self._failure = error.strerror or str(error)
        if self.path is not None and self._fd >= 0:
            # EBADF: someone closed it under us. Otherwise a fresh descriptor is as good as the old one.
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = -1
            self._retry_at = 0.0

    # -- the file

    def _open(self) -> bool:
        if self.path is None:
            self._fd = STDOUT_FD
            return True
        if not self.settings.maxlog or self._monotonic() < self._retry_at:
            return False
        try:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        except OSError as error:
            self._failure = error.strerror or str(error)
            self._retry_at = self._monotonic() + REOPEN_AFTER_S
            return False
        if self._writes_faults:
            self._direct_faults()
        return True

    def reopen(self) -> None:
        """Go on in a new file under the same name, because the old one has been renamed."""
        if self.path is None:
            return
        old = self._fd
        with self.lock or contextlib.nullcontext():
            self._retry_at = 0.0
            if not self._open():
                self._fd = old
                failure = self._failure
            else:
                failure = ""
                if old >= 0:
                    with contextlib.suppress(OSError):
                        os.close(old)
        if failure:
            logger.error("The log file cannot be opened again, the old one stays in use: %s", failure)

    def write_faults(self) -> None:
        """Let the interpreter write its stack to the log when the process crashes."""
        self._writes_faults = True
        self._direct_faults()

    def _direct_faults(self) -> None:
        if self._fd >= 0:
            with contextlib.suppress(OSError, ValueError):
                faulthandler.enable(file=self._fd)

    def close(self) -> None:
        """Close the file; later records are lost."""
        if self.path is not None and self._fd >= 0:
            if self._writes_faults:
                faulthandler.disable()
                self._writes_faults = False
            with contextlib.suppress(OSError):
                os.close(self._fd)
        self._fd = -1
        self._retry_at = float("inf")
        self._syslog.close()
        super().close()


def install(log_file: LogFile) -> None:
    """Make this the one handler of the process."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.addHandler(log_file)
    root.setLevel(log_file.settings.lowest_level)
    logging.captureWarnings(True)
    logging.raiseExceptions = False
    for name in ("asyncio", "uvicorn", "uvicorn.access", "uvicorn.error"):
        # Their informative messages are no notices of ours.
        logging.getLogger(name).setLevel(max(NOTICE, log_file.settings.lowest_level))
