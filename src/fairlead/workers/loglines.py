"""What a line of the log looks like and which lines are held back: pure functions of records and a clock.

Source: spec core.md b7. A message is always exactly one line; holding back never loses the count.
"""

from __future__ import annotations

import io
import logging
import time
import traceback
from typing import Any

from msgspec import Struct

from fairlead.cluster.loglevels import ALERT, LEVEL_NAMES, NOTICE

LEVEL_WIDTH = 7
# Source lines whose repetitions are counted at the same time; the table starts anew above it.
THROTTLED_LINES_MAX = 4096
# One line, in characters; a longer message is cut, so that a line stays a single write.
LINE_CHARS_MAX = 64 * 1024

_PACKAGE = "fairlead"
# Rooms whose loggers are the parts of one module known to users by another name.
_ROOM_MODULES = {"session": "mariadbprotocol", "protocol": "mariadbprotocol"}
# Rooms that contain one module per router, filter or monitor.
_ROOMS_OF_MODULES = ("routers", "filters", "monitors")


class LogSettings(Struct, frozen=True):
    """Where log lines go and which; the parameters of the global section that can be changed at run time."""

    maxlog: bool = True
    syslog: bool = False
    warning: bool = True
    notice: bool = True
    info: bool = False
    debug: bool = False
    milliseconds: bool = False
    augmentation: bool = False
    throttle_count: int = 10
    throttle_window_ms: int = 1000
    throttle_suppress_ms: int = 10_000

    def is_on(self, level: str) -> bool:
        """Whether lines of this level are written. Errors and alerts always are."""
        return bool(getattr(self, level, True))

    @property
    def lowest_level(self) -> int:
        """The numeric level below which nothing is written."""
        for level, name in sorted(LEVEL_NAMES.items()):
            if self.is_on(name):
                return level
        return logging.ERROR


def settings_of(parameters: dict[str, Any]) -> LogSettings:
    """The settings in the parameters of the global section; what is missing has its default."""
    count, window_ms, suppress_ms = throttling_of(parameters.get("log_throttling"))
    return LogSettings(
        maxlog=bool(parameters.get("maxlog", True)),
        syslog=bool(parameters.get("syslog", False)),
        warning=bool(parameters.get("log_warning", True)),
        notice=bool(parameters.get("log_notice", True)),
        info=bool(parameters.get("log_info", False)),
        debug=bool(parameters.get("log_debug", False)),
        milliseconds=bool(parameters.get("ms_timestamp", False)),
        augmentation=bool(int(parameters.get("log_augmentation") or 0)),
        throttle_count=count,
        throttle_window_ms=window_ms,
        throttle_suppress_ms=suppress_ms,
    )


def throttling_of(value: Any) -> tuple[int, int, int]:
    """Count, window and silence of `log_throttling` in any form it has; zeros: off, None: default."""
    default = LogSettings()
    if value is None:
        return default.throttle_count, default.throttle_window_ms, default.throttle_suppress_ms
    if isinstance(value, dict):
        value = [value.get("count", 0), value.get("window", 0), value.get("suppress", 0)]
    if isinstance(value, Struct):
        value = [getattr(value, name) for name in value.__struct_fields__]
    values = [int(part) for part in value] if value else []
    return (values[0], values[1], values[2]) if len(values) == 3 else (0, 0, 0)


def level_name(level: int) -> str:
    """The level's name in the log file."""
    if level >= ALERT or level == logging.CRITICAL:
        return "alert"
    if level >= logging.ERROR:
        return "error"
    if level >= logging.WARNING:
        return "warning"
    if level >= NOTICE:
        return "notice"
    return "info" if level >= logging.INFO else "debug"


def module_name(logger_name: str) -> str:
    """The module that a logger belongs to, in the users' terms."""
    parts = logger_name.split(".")
    if parts[0] != _PACKAGE:
        return parts[0]
    if len(parts) == 1:
        return _PACKAGE
    room = parts[1]
    if room in _ROOMS_OF_MODULES and len(parts) > 2 and (room != "monitors" or parts[2].endswith("mon")):
        return parts[2]
    return _ROOM_MODULES.get(room, room)


def one_line(text: str) -> str:
    """The text without line breaks."""
    if "\n" in text or "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\\r").replace("\n", "\\n")
    return text


class Throttle:
    """Holds back a source line that repeats: `count` within `window_ms` make it silent for `suppress_ms`."""

    def __init__(self, count: int, window_ms: int, suppress_ms: int) -> None:
        self.count = count
        self.window_ms = window_ms
        self.suppress_ms = suppress_ms
        self._lines: dict[tuple[str, int], _Repetition] = {}

    @property
    def is_on(self) -> bool:
        """Whether anything is ever held back."""
        return self.count > 0 and self.window_ms > 0 and self.suppress_ms > 0

    def check(self, line: tuple[str, int], now_ms: int) -> str | None:
        """What to append to the message of this source line; None: hold it back."""
        state = self._lines.get(line)
        if state is None:
            if len(self._lines) >= THROTTLED_LINES_MAX:
                self._lines.clear()
            state = self._lines[line] = _Repetition(now_ms)
        suffix = ""
        if state.silent_until_ms:
            if now_ms < state.silent_until_ms:
                state.held_back += 1
                return None
            if state.held_back:
                suffix = f" ({state.held_back} similar messages were previously suppressed)"
            state.silent_until_ms = state.held_back = state.seen = 0
            state.window_start_ms = now_ms
        elif now_ms - state.window_start_ms >= self.window_ms:
            state.window_start_ms = now_ms
            state.seen = 0
        state.seen += 1
        if state.seen >= self.count:
            state.silent_until_ms = now_ms + self.suppress_ms
            suffix += f" (subsequent similar messages suppressed for {self.suppress_ms} milliseconds)"
        return suffix


class _Repetition:
    """One source line in a `Throttle`."""

    __slots__ = ("held_back", "seen", "silent_until_ms", "window_start_ms")

    def __init__(self, now_ms: int) -> None:
        self.window_start_ms = now_ms
        self.seen = 0
        self.silent_until_ms = 0
        self.held_back = 0


class LineFormat:
    """Makes lines of records. Keeps the text of the current second, and the modules of the loggers seen."""

    def __init__(self, milliseconds: bool, augmentation: bool) -> None:
        self._milliseconds = milliseconds
        self._augmentation = augmentation
        self._second = -1
        self._second_text = ""
        self._modules: dict[str, str] = {}

    def timestamp(self, unix_seconds: float) -> str:
        """The time as a line begins with it."""
        second = int(unix_seconds)
        if second != self._second:
            self._second_text = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
            self._second = second
        if self._milliseconds:
            return f"{self._second_text}.{int((unix_seconds - second) * 1000):03d}"
        return self._second_text

    def body(self, record: logging.LogRecord, suffix: str = "") -> str:
        """The part of the line behind the level."""
        module = self._modules.get(record.name)
        if module is None:
            module = self._modules[record.name] = module_name(record.name)
        session = getattr(record, "session", None)
        context = getattr(record, "object", None)
        text = f"({session}) [{module}] " if session else f"[{module}] "
        if context:
            text += f"({one_line(str(context))}); "
        if self._augmentation and record.funcName:
            text += f"({record.funcName}): "
        text += one_line(message_of(record))
        if len(text) > LINE_CHARS_MAX:
            text = f"{text[:LINE_CHARS_MAX]}... ({len(text) - LINE_CHARS_MAX} more characters)"
        return text + suffix

    def line(self, level: str, unix_seconds: float, body: str) -> bytes:
        """The whole line."""
        text = f"{self.timestamp(unix_seconds)}   {level:<{LEVEL_WIDTH}}: {body}\n"
        return text.encode("utf-8", "backslashreplace")


def message_of(record: logging.LogRecord) -> str:
    """The record's text with its traceback; never raises, whatever the arguments are."""
    try:
        text = record.getMessage()
    except Exception as error:
        text = f"{record.msg!s} (arguments cannot be formatted: {error!r})"
    if record.exc_info and record.exc_info[1] is not None:
        lines = io.StringIO()
        traceback.print_exception(*record.exc_info, limit=50, file=lines)
        text = f"{text}\n{lines.getvalue().rstrip()}"
    return text
