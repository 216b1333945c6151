"""All monitors of the product: which run, on what configuration; and the servers that have none.

Invariant: a server belongs to one monitor at most. Its status bits are set by that monitor while it runs
(people set maintenance and draining only); of a server without a running monitor people may set every bit,
and it keeps them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

from fairlead.cluster.board import RANK, STATUS, TRIGGERED_AT, Board
from fairlead.cluster.defs import MonitorDef, ServerDef, Snapshot
from fairlead.cluster.loglevels import NOTICE
from fairlead.cluster.status import DRAINING, MAINT, OVERDUE, SETTABLE
from fairlead.monitors.derived import RANKS, show_services
from fairlead.monitors.events import must_hang_up
from fairlead.monitors.host import MonitorHost
from fairlead.monitors.mariadbmon.monitor import MariaDbMonitor
from fairlead.monitors.mariadbmon.probe import MariaDbServer
from fairlead.monitors.task import IDLE, MonitorTask

logger = logging.getLogger(__name__)

MODULES: dict[str, type[MariaDbMonitor]] = {"mariadbmon": MariaDbMonitor, "mysqlmon": MariaDbMonitor}

# Asked of servers whatever the listeners report: drivers ask for these themselves.
_ALWAYS_ASKED = frozenset({"tx_isolation", "transaction_isolation"})
_DEFAULT_METADATA = (
    "character_set_client=auto",
    "character_set_connection=auto",
    "character_set_results=auto",
    "max_allowed_packet=auto",
    "system_time_zone=auto",
    "time_zone=auto",
    "tx_isolation=auto",
)


def wanted_variables(snapshot: Snapshot) -> frozenset[str]:
    """The global variables of the servers that the workers tell clients of."""
    names = set(_ALWAYS_ASKED)
    for listener in snapshot.listeners:
        metadata = listener.params.get("connection_metadata")
        for item in _DEFAULT_METADATA if metadata is None else metadata:
            name, _, value = str(item).partition("=")
            # `maxscale` is the version of this product, not a variable.
            if value.strip() == "auto" and name.strip() != "maxscale":
                names.add(name.strip().lower())
    return frozenset(names)


class Monitors:
    """See the module. All methods belong to the supervisor's event loop."""

    def __init__(self, board: Board, host: MonitorHost) -> None:
        self._board = board
        self._host = host
        self._snapshot = Snapshot(0, {})
        # Every configured monitor; those in `_running` look at their servers.
        self._tasks: dict[str, MonitorTask] = {}
        self._running: set[str] = set()
        self._servers: dict[str, ServerDef] = {}
        # Deadlines of servers that are being drained.
        self._drains: dict[str, asyncio.TimerHandle] = {}

    # -- configuration

    async def apply(self, snapshot: Snapshot) -> None:
        """Act on this configuration. Returns when monitors that are new have looked once, or soon after."""
        self._snapshot = snapshot
        self._servers = {server.name: server for server in snapshot.servers}
        for server in snapshot.servers:
            self._board.set_server(server.slot, RANK, RANKS.get(str(server.params.get("rank")), 1))
        show_services(self._board, snapshot)
        wanted = {monitor.name: monitor for monitor in snapshot.monitors}
        for name in [name for name in self._tasks if name not in wanted]:
            await self._end(name)
            del self._tasks[name]
        # A server may move from one monitor to another, so all let go before anybody takes.
        for monitor in wanted.values():
            if monitor.name in self._tasks:
                await self._reconfigure(monitor)
        fresh: list[Awaitable[None]] = []
        for monitor in wanted.values():
            if monitor.name not in self._tasks:
                if not self._make(monitor):
                    continue
            if monitor.stopped:
                await self._end(monitor.name)
            elif monitor.name not in self._running:
                fresh.append(self._begin(monitor.name))
        await asyncio.gather(*fresh)

    def _make(self, monitor: MonitorDef) -> bool:
        module_class = MODULES.get(monitor.module)
        if module_class is None:
            logger.error(
                "Monitor '%s' cannot be started: there is no module '%s'", monitor.name, monitor.module
            )
            return False
        module = module_class(self._host, self._board, monitor)
        self._tasks[monitor.name] = MonitorTask(
            module, self._board, self._host, wanted_variables(self._snapshot), self._shown
        )
        module.configure(monitor, self._servers_of(module, monitor, {}), self._passive)
        return True

    def _shown(self) -> None:
        """States of servers are on the board: those of the services follow."""
        show_services(self._board, self._snapshot)

    async def _reconfigure(self, monitor: MonitorDef) -> None:
        task = self._tasks[monitor.name]
        module = task.module
        before = {server.name: server for server in module.servers}
        kept = self._servers_of(module, monitor, before)
        gone = [server for server in module.servers if server not in kept]
        same = (
            monitor == module.definition
            and not gone
            and len(kept) == len(before)
            and all(self._servers[server.name] == server.definition for server in kept)
            and self._passive == module.passive
            and task.variables == wanted_variables(self._snapshot)
        )
        local_address = str(self._snapshot.globals.get("local_address") or "")
        for server in kept:
            server.connection.configure(monitor, self._servers[server.name], local_address)
        task.variables = wanted_variables(self._snapshot)
        module.configure(monitor, kept, self._passive)
        for server in gone:
            await server.connection.end()
        if not same:
            task.hurry()

    def _servers_of(
        self, module: MariaDbMonitor, monitor: MonitorDef, before: dict[str, MariaDbServer]
    ) -> list[MariaDbServer]:
        local_address = str(self._snapshot.globals.get("local_address") or "")
        found = []
        for name in monitor.servers:
            definition = self._servers[name]
            server = before.get(name)
            if server is None or server.definition.slot != definition.slot:
                server = module.make_server(definition)
                server.connection.local_address = local_address
            found.append(server)
        return found

    @property
    def _passive(self) -> bool:
        return bool(self._snapshot.globals.get("passive"))

    # -- starting and stopping

    def _begin(self, name: str) -> Awaitable[None]:
        task = self._tasks[name]
        # While it was stopped people may have set any bits.
        for server in task.module.servers:
            server.take_over()
        task.ticks = 0
        self._running.add(name)
        logger.log(NOTICE, "Monitor '%s' is started", name)
        return task.start()

    async def _end(self, name: str) -> None:
        if name in self._running:
            self._running.discard(name)
            await self._tasks[name].stop()
            logger.log(NOTICE, "Monitor '%s' is stopped", name)

    async def start_monitor(self, name: str) -> None:
        """Start a monitor that is stopped; KeyError if there is none of this name."""
        _ = self._tasks[name]
        if name not in self._running:
            await self._begin(name)

    async def stop_monitor(self, name: str) -> None:
        """Stop a monitor; its servers keep their states. KeyError if there is none of this name."""
        _ = self._tasks[name]
        await self._end(name)

    async def stop(self) -> None:
        """The product ends."""
        for name in list(self._drains):
            self._void_deadline(name)
        await asyncio.gather(*(self._end(name) for name in list(self._running)))

    # -- states

    async def set_state(self, server: str, state: str, force: bool, timeout_ms: int = 0) -> None:
        """Set a status bit and wait until it is in force; ValueError(text) if it is refused. `timeout_ms`:
        so long draining leaves open connections alone (0: for ever)."""
        if timeout_ms and SETTABLE.get(state) != DRAINING:
            raise ValueError(f"A timeout goes with 'drain', not with '{state}'")
        monitored = self._monitored(server)
        if monitored is not None:
            await monitored[0].set_state(monitored[1], state, force)
        else:
            self._set_directly(server, state, True, force)
        if SETTABLE.get(state) == DRAINING:
            self._void_deadline(server)
            if timeout_ms:
                self._drain_until(server, timeout_ms)

    async def clear_state(self, server: str, state: str) -> None:
        """Clear a status bit and wait until it is gone; ValueError(text) if it is refused."""
        if SETTABLE.get(state) == DRAINING:
            self._void_deadline(server)
        monitored = self._monitored(server)
        if monitored is not None:
            await monitored[0].clear_state(monitored[1], state)
        else:
            self._set_directly(server, state, False, False)

    def _set_directly(self, name: str, state: str, value: bool, force: bool) -> None:
        definition = self._servers.get(name)
        if definition is None:
            raise ValueError(f"There is no server '{name}'")
        bit = SETTABLE.get(state)
        if bit is None:
            raise ValueError(f"'{state}' is not a state of a server; allowed: {', '.join(SETTABLE)}")
        old = self._board.server(definition.slot, STATUS)
        new = old | bit if value else old & ~bit
        if not new & DRAINING:
            new &= ~OVERDUE
        if self._board.set_server(definition.slot, STATUS, new):
            self._board.set_server(definition.slot, TRIGGERED_AT, int(self._host.wall_clock()))
        self._shown()
        reason = must_hang_up(old, new)
        if force and value and bit == MAINT:
            reason = "maintenance of the server was forced"
        if reason:
            self._host.hang_up(name, reason)

    def _void_deadline(self, server: str) -> None:
        timer = self._drains.pop(server, None)
        if timer is not None:
            timer.cancel()

    def _drain_until(self, server: str, timeout_ms: int) -> None:
        seconds = timeout_ms / 1000
        logger.log(NOTICE, "Draining of '%s' ends in %g s", server, seconds, extra={"object": server})
        loop = asyncio.get_running_loop()
        self._drains[server] = loop.call_later(seconds, self._drain_is_over, server)

    def _drain_is_over(self, server: str) -> None:
        """Sessions that are in nothing leave the server now, the others at the end of their transaction."""
        self._drains.pop(server, None)
        definition = self._servers.get(server)
        if definition is None or not self._board.server(definition.slot, STATUS) & DRAINING:
            return
        logger.log(
            NOTICE,
            "Draining of server '%s' has reached its deadline: connections that are left move or end",
            server,
            extra={"object": server},
        )
        monitored = self._monitored(server)
        if monitored is not None:
            monitored[0].drain_is_over(monitored[1])
        else:
            status = self._board.server(definition.slot, STATUS)
            self._board.set_server(definition.slot, STATUS, status | OVERDUE)
        self._host.hang_up(server, f"Server '{server}' has been drained", gently=True)

    def _monitored(self, server: str) -> tuple[MonitorTask, MariaDbServer] | None:
        found = self._owner(server)
        return found if found is not None and found[0].definition.name in self._running else None

    def _owner(self, server: str) -> tuple[MonitorTask, MariaDbServer] | None:
        for task in self._tasks.values():
            for one in task.module.servers:
                if one.name == server:
                    return task, one
        return None

    # -- what is shown

    def diagnostics(self, monitor: str) -> dict[str, Any]:
        """`monitor_diagnostics`; empty if the monitor could not be made."""
        task = self._tasks.get(monitor)
        return {} if task is None else task.diagnostics()

    def ticks(self, monitor: str) -> int:
        """How often this monitor has looked since it was started."""
        task = self._tasks.get(monitor)
        return 0 if task is None else task.ticks

    def state(self, monitor: str) -> str:
        """`Running` or `Stopped`."""
        return "Running" if monitor in self._running else "Stopped"

    def activity(self, monitor: str) -> str:
        """What the monitor does at this moment."""
        task = self._tasks.get(monitor)
        return IDLE if task is None else task.state

    def server_attributes(self, server: str) -> dict[str, Any]:
        """What the monitor of a server knows of it; little if it has none."""
        found = self._owner(server)
        if found is None:
            return {"state_details": None, "version_string": None, "replication_lag": -1, "last_event": None}
        task, one = found
        return {**one.attributes(), **task.module.attributes(one)}

    # -- commands

    async def command(self, module: str, command: str, args: list[str]) -> Any:
        """Run a command of a module; KeyError if there is none of this name."""
        if module not in MODULES or command not in ("release-locks", "async-release-locks"):
            raise KeyError(f"{module}/{command}")
        if len(args) != 1 or args[0] not in self._tasks:
            raise ValueError("The command needs the name of a monitor")
        task = self._tasks[args[0]]

        async def release() -> bool:
            return await task.module.locks.release(task.module.servers, asyncio.get_running_loop().time())

        if not await task.in_tick(release):
            raise ValueError(f"Monitor '{args[0]}' holds no locks")
        return None
