"""The monitor's script: its command line, the run, and what becomes of its output.

Placeholders are filled in after the command has been split into words, so that no value can add a word.
Invariant: a script that does not end is ended: TERM at the limit, KILL at twice the limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shlex
import signal
from collections.abc import Mapping

from fairlead.cluster.loglevels import ALERT, NOTICE

logger = logging.getLogger(__name__)

# Longest line of output that is logged as one, in bytes.
LINE_BYTES_MAX = 4096
# How long output is still read after the script has ended (its children may hold it open), in seconds.
OUTPUT_GRACE_S = 0.5

_LEVELS = {
    "alert": ALERT,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "notice": NOTICE,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}
_PREFIX = re.compile(rf"\s*({'|'.join(_LEVELS)}):\s*", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"\$(INITIATOR|PARENT|CHILDREN|EVENT|CREDENTIALS|NODELIST|LIST|MASTERLIST|SLAVELIST|SYNCEDLIST)(?![A-Za-z0-9_])"
)


def command_line(command: str, values: Mapping[str, str]) -> list[str]:
    """The words of the command with its placeholders filled in. ValueError if it is no command line."""
    return [_PLACEHOLDER.sub(lambda found: values.get(found[1], ""), word) for word in shlex.split(command)]


def level_of(line: str) -> tuple[int, str]:
    """The log level that a line of output asks for, and the line without its prefix."""
    found = _PREFIX.match(line)
    if found is None:
        return NOTICE, line
    return _LEVELS[found[1].lower()], line[found.end() :]


class Outcome:
    """How a script ended: its exit code (negative: the signal), or `problem` if it could not be started."""

    def __init__(self, code: int = 0, problem: str = "", timed_out: bool = False) -> None:
        self.code = code
        self.problem = problem
        self.timed_out = timed_out


async def run(words: list[str], timeout: float, context: Mapping[str, object]) -> Outcome:
    """Run a script to its end and log its output."""
    # A pipe of our own: with asyncio's the process has not ended while a child holds the output open.
    reading, writing = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stdout=writing, stderr=writing, start_new_session=True
        )
    except (OSError, ValueError) as error:
        os.close(reading)
        return Outcome(problem=str(error))
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    name = os.path.basename(words[0])
    output = asyncio.ensure_future(_log_output(reading, name, context))
    timed_out = False
    try:
        try:
            async with asyncio.timeout(timeout):
                await process.wait()
        except TimeoutError:
            timed_out = True
            logger.warning(
                "Script '%s' has not ended within %g s and is asked to (SIGTERM)",
                words[0],
                timeout,
                extra=context,
            )
            _signal(process, signal.SIGTERM)
            try:
                async with asyncio.timeout(timeout):
                    await process.wait()
            except TimeoutError:
                logger.error("Script '%s' did not end and is killed (SIGKILL)", words[0], extra=context)
                _signal(process, signal.SIGKILL)
                await process.wait()
        await asyncio.wait({output}, timeout=OUTPUT_GRACE_S)
    finally:
        if process.returncode is None:
            _signal(process, signal.SIGKILL)
        output.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await output
    return Outcome(process.returncode or 0, timed_out=timed_out)


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    """To the script and all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


async def _log_output(descriptor: int, name: str, context: Mapping[str, object]) -> None:
    stream = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), pipe
    )
    try:
        await _log_lines(stream, name, context)
    finally:
        transport.close()


async def _log_lines(stream: asyncio.StreamReader, name: str, context: Mapping[str, object]) -> None:
    rest = b""
    while piece := await stream.read(LINE_BYTES_MAX):
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) >= LINE_BYTES_MAX:
            lines.append(rest)
            rest = b""
        for line in lines:
            _log_line(line, name, context)
    _log_line(rest, name, context)


def _log_line(raw: bytes, name: str, context: Mapping[str, object]) -> None:
    line = raw.decode("utf-8", "replace").rstrip()
    if line:
        level, text = level_of(line)
        logger.log(level, "%s: %s", name, text, extra=context)
