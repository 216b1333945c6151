"""One running monitor: the loop of its ticks.

A tick: look at all servers, decide on their roles, write the board, hang up what has become useless, run the
script for the events, act on the servers, keep the journal. Invariants: ticks of one monitor never overlap; a
tick that fails is logged and the next one comes; who waits for a tick waits for one that began
after the request.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from fairlead.cluster.board import S_CONNECTIONS, Board
from fairlead.cluster.defs import MonitorDef
from fairlead.cluster.loglevels import NOTICE
from fairlead.cluster.status import (
    DRAINING,
    JOINED,
    MAINT,
    MASTER,
    OVERDUE,
    SETTABLE,
    SLAVE,
    is_usable,
    status_text,
)
from fairlead.monitors import journal as journals
from fairlead.monitors import script as scripts
from fairlead.monitors.events import RLAG_ABOVE, RLAG_BELOW, event_of, must_hang_up
from fairlead.monitors.host import MonitorHost
from fairlead.monitors.mariadbmon.monitor import MariaDbMonitor
from fairlead.monitors.mariadbmon.probe import MariaDbServer
from fairlead.monitors.server import ADMIN_BITS

logger = logging.getLogger(__name__)

# How long a caller waits for the tick that takes its request; the request is in force in any case.
WAIT_FOR_TICK_S = 60.0
# How long those who start a monitor wait for its first look, in seconds.
FIRST_TICK_S = 5.0
# The journal is written at least this often, in seconds (or twice in journal_max_age).
JOURNAL_EVERY_S = 300.0
# A tick that fails at once must not be repeated at once.
PAUSE_AFTER_FAILURE_S = 0.1

IDLE, MONITORING, SCRIPTS = "Idle", "Monitoring servers", "Executing scripts"


class MonitorTask:
    """A monitor that has been started; `run` is its life."""

    def __init__(
        self,
        module: MariaDbMonitor,
        board: Board,
        host: MonitorHost,
        variables: frozenset[str],
        shown: Callable[[], None] = lambda: None,
    ) -> None:
        # Called when states have been written to the board.
        self._shown = shown
        self.module = module
        self.variables = variables
        self.ticks = 0
        self.state = IDLE
        self._board = board
        self._host = host
        self._early = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._jobs: list[tuple[Callable[[], Awaitable[Any]], asyncio.Future[Any]]] = []
        self._task: asyncio.Task[None] | None = None
        self._journal_due = 0.0
        self._journal_problem = ""

    @property
    def definition(self) -> MonitorDef:
        """The configuration in force."""
        return self.module.definition

    # -- life

    def start(self) -> Awaitable[None]:
        """Begin to look; what is returned waits for the results of the first look."""
        self._load_journal()
        loop = asyncio.get_running_loop()
        first: asyncio.Future[None] = loop.create_future()
        self._waiting.append(first)
        self._task = loop.create_task(self._run())
        return _within(first, FIRST_TICK_S)

    async def stop(self) -> None:
        """End; the states stay as they are."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()
        for _, job in self._jobs:
            if not job.done():
                job.set_exception(ValueError(f"Monitor '{self.definition.name}' has been stopped"))
        self._jobs.clear()
        self._save_journal()
        await self.module.close()

    def hurry(self) -> None:
        """Look again at once."""
        self._early.set()

    async def next_tick(self, timeout: float = WAIT_FOR_TICK_S) -> None:
        """Wait until a tick that begins from now on has shown its results, or as long as is bearable."""
        if self._task is None:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self.hurry()
        await _within(future, timeout)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._early.clear()
            begin = loop.time()
            waiting, self._waiting = self._waiting, []
            try:
                await self._do_jobs()
                if not await self._tick(waiting):
                    self._waiting.extend(waiting)
                    waiting = []
            except Exception:
                logger.exception("A look at the servers of monitor '%s' failed", self.definition.name)
                await asyncio.sleep(PAUSE_AFTER_FAILURE_S)
            finally:
                _release(waiting)
            self.state = IDLE
            self.ticks += 1
            interval = float(self.definition.params.get("monitor_interval") or 2000) / 1000
            # Not wait_for: on Python 3.11 it forgets a cancellation that comes together with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, begin + interval - loop.time())):
                    await self._early.wait()

    async def in_tick(self, job: Callable[[], Awaitable[Any]]) -> Any:
        """Do something between two ticks, when nothing else uses the connections; returns what it returns."""
        if self._task is None:
            raise ValueError(f"Monitor '{self.definition.name}' is stopped")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._jobs.append((job, future))
        self.hurry()
        async with asyncio.timeout(WAIT_FOR_TICK_S):
            return await future

    async def _do_jobs(self) -> None:
        jobs, self._jobs = self._jobs, []
        for job, future in jobs:
            if future.done():
                continue
            try:
                result = await job()
            except Exception as error:
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

    async def _tick(self, waiting: list[asyncio.Future[None]]) -> bool:
        """One tick; False if another configuration came in between and it has to be done again."""
        generation = self.module.generation
        self.state = MONITORING
        await self.module.look(self.variables)
        if self.module.generation != generation:
            return False
        await self.module.decide()
        if self.module.generation != generation:
            return False
        for server in self.module.full_disk_maintenance():
            logger.warning(
                "Server '%s' is put into maintenance because its disk is full",
                server.name,
                extra=server.context,
            )
            server.admin |= MAINT
        events, changed = self._flush()
        _release(waiting)
        if changed or asyncio.get_running_loop().time() >= self._journal_due:
            self._save_journal()
        self.state = SCRIPTS
        for server, event in (*events, *self.module.own_events()):
            await self._run_script(server, event)
        self.state = MONITORING
        await self.module.act()
        return True

    # -- results

    def _flush(self) -> tuple[list[tuple[MariaDbServer, str]], bool]:
        """Bring the new statuses to the board; returns the events, and whether anything changed."""
        events: list[tuple[MariaDbServer, str]] = []
        changed = False
        hang_ups: list[tuple[str, str]] = []
        for server in self.module.servers:
            server.found = server.pending
            old, new = server.flushed, server.status
            server.flushed = new
            changed = changed or old != new
            event = event_of(old, new)
            if event is not None:
                server.note_event(event)
                self._log_change(server, event, old, new)
                events.append((server, event))
            server.show()
            reason = must_hang_up(old, new)
            if reason:
                hang_ups.append((server.name, reason))
        self._shown()
        # Only now, so that sessions that look for another server see all states of this tick.
        for name, reason in hang_ups:
            self._host.hang_up(name, reason)
        return events, changed

    def _log_change(self, server: MariaDbServer, event: str, old: int, new: int) -> None:
        connections = self._board.sum_server(server.definition.slot, S_CONNECTIONS)
        reason = server.reason if event.startswith("lost_") or (event == "new_slave" and old & MASTER) else ""
        logger.log(
            NOTICE,
            "Server changed state: %s[%s]: %s. [%s] -> [%s]%s",
            server.name,
            server.definition.address,
            event,
            status_text(old, connections),
            status_text(new, connections),
            f": {reason}" if reason else "",
            extra=server.context,
        )

    # -- the script

    async def _run_script(self, server: MariaDbServer, event: str) -> None:
        params = self.definition.params
        command = str(params.get("script") or "")
        if not command:
            return
        if event not in (params.get("events") or ()) and event not in (RLAG_ABOVE, RLAG_BELOW):
            return
        timeout = max(1.0, float(params.get("script_timeout") or 90000) / 1000)
        try:
            words = scripts.command_line(command, self._placeholders(server, event))
        except ValueError as error:
            logger.error("The script of monitor '%s' is no command line: %s", self.definition.name, error)
            return
        outcome = await scripts.run(words, timeout, server.context)
        if outcome.problem:
            logger.error(
                "Cannot run monitor script '%s' for event '%s' on %s: %s",
                words[0],
                event,
                server.name,
                outcome.problem,
                extra=server.context,
            )
        elif outcome.code:
            logger.error(
                "Monitor script returned %d for event '%s' on %s. Script was: '%s'",
                outcome.code,
                event,
                server.name,
                command,
                extra=server.context,
            )
        else:
            logger.log(
                NOTICE,
                "Executed monitor script for event '%s' on %s. Script was: '%s'",
                event,
                server.name,
                command,
                extra=server.context,
            )

    def _placeholders(self, server: MariaDbServer, event: str) -> dict[str, str]:
        servers = self.module.servers
        parent, children = self.module.relations(server)

        def places(bit: int) -> str:
            return ",".join(one.place for one in servers if is_usable(one.status) and one.status & bit)

        return {
            "INITIATOR": server.place,
            "PARENT": parent.place if parent is not None else "",
            "CHILDREN": ",".join(child.place for child in children),
            "EVENT": event,
            "CREDENTIALS": ",".join(
                f"{one.connection.user}:{one.connection.password}@{one.place}" for one in servers
            ),
            "LIST": ",".join(one.place for one in servers),
            "NODELIST": ",".join(one.place for one in servers if is_usable(one.status)),
            "MASTERLIST": places(MASTER),
            "SLAVELIST": places(SLAVE),
            "SYNCEDLIST": places(JOINED),
        }

    # -- what administrators want

    async def set_state(self, server: MariaDbServer, state: str, force: bool) -> None:
        """Maintenance or draining; in force at once, and seen by a tick when this returns."""
        bit = _admin_bit(state)
        refusal = self.module.refusal(server, bit)
        if refusal:
            raise ValueError(refusal)
        if not server.admin & bit:
            server.admin |= bit
            logger.log(NOTICE, "Server '%s' is set to %s", server.name, state, extra=server.context)
        server.show()
        self._shown()
        if force and bit == MAINT:
            self._host.hang_up(server.name, "maintenance of the server was forced")
        await self.next_tick()

    async def clear_state(self, server: MariaDbServer, state: str) -> None:
        """The opposite."""
        bit = _admin_bit(state)
        if server.admin & bit:
            server.admin &= ~(bit | OVERDUE) if bit == DRAINING else ~bit
            logger.log(NOTICE, "Server '%s' is no longer set to %s", server.name, state, extra=server.context)
        server.show()
        self._shown()
        await self.next_tick()

    def drain_is_over(self, server: MariaDbServer) -> None:
        """The deadline of draining has passed."""
        server.admin |= OVERDUE
        server.show()

    # -- the journal

    def _load_journal(self) -> None:
        definition = self.definition
        path = journals.journal_path(self._host.datadir, definition.name)
        max_age = float(definition.params.get("journal_max_age") or 0) / 1000
        found = journals.read(
            path, definition.module, list(definition.servers), self._host.wall_clock(), max_age
        )
        if found is None:
            return
        if isinstance(found, str):
            logger.warning("The journal of monitor '%s' is not used: %s", definition.name, found)
            return
        by_name = {entry.name: entry.status for entry in found.servers}
        for server in self.module.servers:
            status = by_name[server.name]
            server.admin |= status & ADMIN_BITS
            server.found = server.pending = status & ~ADMIN_BITS
            server.flushed = server.status
            server.show()
        self.module.restore(found.fields)

    def _save_journal(self) -> None:
        definition = self.definition
        half_age = float(definition.params.get("journal_max_age") or 0) / 2000
        self._journal_due = asyncio.get_running_loop().time() + min(
            JOURNAL_EVERY_S, half_age or JOURNAL_EVERY_S
        )
        entries = [journals.Entry(server.name, server.status) for server in self.module.servers]
        content = journals.Journal(
            definition.module, int(self._host.wall_clock()), entries, fields=self.module.journal_fields()
        )
        problem = ""
        try:
            journals.write(journals.journal_path(self._host.datadir, definition.name), content)
        except OSError as error:
            problem = error.strerror or str(error)
            if problem != self._journal_problem:
                logger.error("The journal of monitor '%s' cannot be written: %s", definition.name, problem)
        self._journal_problem = problem

    # -- what is shown

    def diagnostics(self) -> dict[str, Any]:
        """monitor_diagnostics in the REST API."""
        return self.module.diagnostics(self.state)


def _admin_bit(state: str) -> int:
    bit = SETTABLE.get(state, 0)
    if not bit & ADMIN_BITS:
        raise ValueError(
            "The server is monitored, so only maintenance and drain status can be altered manually"
        )
    return bit


async def _within(future: asyncio.Future[None], seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await future


def _release(waiting: list[asyncio.Future[None]]) -> None:
    for future in waiting:
        if not future.done():
            future.set_result(None)
