"""One server in the hands of its monitor: status, administrator's wishes, and what is shown of it.

Invariant: `admin` (maintenance, draining) belongs to people and is changed by nobody else, except that a full
disk may add maintenance; `found` belongs to the monitor. The status on the board is always the two together.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from fairlead.cluster import gtid
from fairlead.cluster.board import (
    LAG,
    PING_US,
    SERVER_GTIDS,
    SERVER_ID,
    STATUS,
    TRIGGERED_AT,
    Board,
    server_index,
)
from fairlead.cluster.defs import MonitorDef, ServerDef, ServerFacts
from fairlead.cluster.status import AUTH_ERROR, DISK_SPACE_EXHAUSTED, DRAINING, MAINT, OVERDUE, RUNNING
from fairlead.monitors.connection import Connection, Outcome
from fairlead.monitors.disks import full_disks, unknown_paths
from fairlead.monitors.host import MonitorHost
from fairlead.net.sqlclient import SqlClient, SqlError

logger = logging.getLogger(__name__)

ADMIN_BITS = MAINT | DRAINING | OVERDUE
LOW_DISK = "Low disk space"
_NO_SUCH_TABLE = 1109
_DISKS = "SELECT path, total, available FROM information_schema.disks"


class MonitoredServer:
    """What every monitor keeps of a server, whatever its module."""

    def __init__(self, host: MonitorHost, board: Board, monitor: MonitorDef, server: ServerDef) -> None:
        self.host = host
        self.board = board
        self.connection = Connection(host, monitor, server)
        # What people have set; what the last look found; and the whole status as of the last tick.
        self.admin = self.found = self.flushed = 0
        # What the look under way finds; becomes `found` when all of its results are there.
        self.pending = 0
        self.lag = -1
        # What it has of the primary's writes, as far as the monitor looks at that.
        self.gtid_position = ""
        self.details = ""
        self.reason = ""
        self.failures = 0
        self.low_disk = False
        self.last_event = ""
        self.triggered_at = 0.0
        self.server_id = -1
        self.version = ""
        self.started_at = 0.0
        self._facts: ServerFacts | None = None
        self._logged_problem = ""
        self._disks_checked_at = -1e9
        self._disks_refused = False
        self.take_over()

    @property
    def definition(self) -> ServerDef:
        """Its configuration."""
        return self.connection.server

    @property
    def name(self) -> str:
        """Its name."""
        return self.connection.server.name

    @property
    def client(self) -> SqlClient | None:
        """The connection, if there is one."""
        return self.connection.client

    @property
    def params(self) -> Mapping[str, Any]:
        """Parameters of its monitor."""
        return self.connection.monitor.params

    @property
    def status(self) -> int:
        """The status as it is now."""
        return self.found | self.admin

    @property
    def place(self) -> str:
        """`[address]:port`, as scripts get it."""
        params = self.definition.params
        if params.get("socket"):
            return f"[{params['socket']}]"
        return f"[{params['address']}]:{params['port']}"

    @property
    def context(self) -> dict[str, str]:
        """Context of log lines about it."""
        return {"object": self.name}

    # -- the board

    def take_over(self) -> None:
        """Begin with the status that is on the board."""
        status = self.board.server(self.definition.slot, STATUS)
        self.admin = status & ADMIN_BITS
        self.found = self.pending = status & ~ADMIN_BITS
        self.flushed = status

    def show(self) -> None:
        """Write what is known to the board."""
        slot = self.definition.slot
        self.board.set_server(slot, STATUS, self.status)
        self.board.set_server(slot, LAG, self.lag)
        self.board.set_server(slot, SERVER_ID, self.server_id)
        gtid.write(self.board, server_index(slot, SERVER_GTIDS), gtid.parse(self.gtid_position))
        # No verdict, so it does not raise the generation.
        self.board.set(server_index(slot, PING_US), self.connection.ping_us)

    def note_event(self, event: str) -> None:
        """Remember the last event."""
        self.last_event = event
        self.triggered_at = self.host.wall_clock()
        self.board.set_server(self.definition.slot, TRIGGERED_AT, int(self.triggered_at))

    # -- looking

    async def reach(self) -> Outcome:
        """Connect or ping, and say in the log if that fails in another way than before."""
        outcome = await self.connection.check()
        if outcome in (Outcome.KEPT, Outcome.NEW):
            self._logged_problem = ""
        else:
            self.log_problem(f"Cannot connect to server '{self.name}': {self.connection.problem}")
        return outcome

    def log_problem(self, problem: str) -> None:
        """Log a problem once, until it is another one or gone."""
        if problem and problem != self._logged_problem:
            logger.error("%s", problem, extra=self.context)
        self._logged_problem = problem

    def is_down(self, outcome: Outcome) -> None:
        """The look has not reached the server."""
        self.pending = AUTH_ERROR if outcome is Outcome.AUTH_ERROR else 0
        if self.low_disk:
            self.pending |= DISK_SPACE_EXHAUSTED
        self.lag = -1
        self.gtid_position = ""
        self.connection.ping_us = -1
        self.failures = 0 if self.admin & MAINT else self.failures + 1

    def is_up(self, permitted: bool = True) -> None:
        """The look has reached the server; its role follows later."""
        self.pending = RUNNING if permitted else RUNNING | AUTH_ERROR
        if self.low_disk:
            self.pending |= DISK_SPACE_EXHAUSTED
        self.failures = 0

    async def learn(self, variables: frozenset[str]) -> None:
        """What the workers want to know of a server; also when it was started."""
        client = self.connection.client
        if client is None:
            return
        names = ",".join("'" + name.replace("'", "") + "'" for name in sorted(variables))
        found: dict[str, str] = {}
        if names:
            result = await client.query(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})")
            found = {str(row[0]).lower(): row[1] or "" for row in result.rows}
        uptime = await client.query("SHOW GLOBAL STATUS LIKE 'Uptime'")
        if uptime.rows:
            self.started_at = time.time() - int(uptime.rows[0][1] or 0)
        self.version = client.version
        facts = ServerFacts(self.name, client.version, client.capabilities, client.charset, found)
        if facts != self._facts:
            self._facts = facts
            self.host.facts(facts)

    async def check_disks(self, now: float) -> None:
        """Look at the disks if it is time to. SqlLost if the connection breaks."""
        limits = self.definition.params.get("disk_space_threshold") or self.params.get("disk_space_threshold")
        interval = float(self.params.get("disk_space_check_interval") or 0) / 1000
        if not limits or interval <= 0:
            self.low_disk = self._disks_refused = False
            return
        client = self.connection.client
        if client is None or self._disks_refused or now - self._disks_checked_at < interval:
            return
        self._disks_checked_at = now
        try:
            result = await client.query(_DISKS)
        except SqlError as error:
            self._disks_refused = error.errno == _NO_SUCH_TABLE
            why = "the plugin DISKS is not installed" if self._disks_refused else str(error)
            logger.warning(
                "The disks of server '%s' cannot be checked: %s", self.name, why, extra=self.context
            )
            return
        disks = [(row[0] or "", int(row[1] or 0), int(row[2] or 0)) for row in result.rows]
        full = full_disks(disks, limits)
        if full and not self.low_disk:
            logger.warning(
                "Server '%s' is low on disk space: %s", self.name, "; ".join(full), extra=self.context
            )
            for path in unknown_paths(disks, limits):
                logger.warning("Server '%s' has no disk at %s", self.name, path, extra=self.context)
        self.low_disk = bool(full)

    def connected_anew(self) -> None:
        """What was true of the connection before need not be true of this one."""
        self._disks_refused = False

    # -- what is shown

    def attributes(self) -> dict[str, Any]:
        """Attributes of the server in the REST API that every monitor knows."""
        details = [text for text in (LOW_DISK if self.low_disk else "", self.details) if text]
        stamp = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(self.triggered_at))
        running = bool(self.found & RUNNING)
        return {
            "state_details": ", ".join(details) or None,
            "version_string": self.version or None,
            "uptime": max(0, int(time.time() - self.started_at)) if running and self.started_at else 0,
            "replication_lag": self.lag,
            "node_id": self.server_id,
            "server_id": self.server_id,
            "last_event": self.last_event or None,
            "triggered_at": stamp if self.last_event else None,
        }
