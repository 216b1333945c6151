"""One server as mariadbmon looks at it: its variables, its replication, its locks.

A look either succeeds, and all facts are of this tick, or the facts of the last successful look stay.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from fairlead.cluster.board import Board
from fairlead.cluster.defs import MonitorDef, ServerDef
from fairlead.cluster.status import MAINT, RUNNING
from fairlead.monitors.connection import Outcome
from fairlead.monitors.host import MonitorHost
from fairlead.monitors.mariadbmon.locks import ServerLocks
from fairlead.monitors.model import IO_CONNECTING, IO_NO, IO_YES, ServerView, SlaveConnection
from fairlead.monitors.server import MonitoredServer
from fairlead.net.sqlclient import Result, SqlError, SqlLost

logger = logging.getLogger(__name__)

# What the workers know of a server is read again after so many ticks.
FACTS_EVERY_TICKS = 5

_VARIABLES = (
    "SELECT @@global.server_id, @@global.read_only, @@global.gtid_domain_id, @@global.gtid_current_pos, "
    "@@global.gtid_binlog_pos"
)
_SLAVES = "SHOW ALL SLAVES STATUS"
# The account may not do this: table, column, routine, SUPER-like privileges, and all of a database.
_NOT_PERMITTED = frozenset({1044, 1142, 1143, 1227, 1370})
_READ_ONLY_OFF = frozenset({"0", "OFF"})


class MariaDbServer(MonitoredServer):
    """A server of a primary/replica cluster. `locks` are the cooperative locks on it."""

    def __init__(self, host: MonitorHost, board: Board, monitor: MonitorDef, server: ServerDef) -> None:
        super().__init__(host, board, monitor, server)
        self.view = ServerView(server.name, running=False)
        self.locks = ServerLocks()
        self.master_group = 0
        self.lag_is_above = False
        self._facts_due = 0

    @property
    def endpoints(self) -> frozenset[tuple[str, int]]:
        """Where the other servers may find it."""
        params = self.definition.params
        if params.get("socket"):
            return frozenset()
        port = int(params.get("port") or 3306)
        hosts = (params.get("address"), params.get("private_address"))
        return frozenset((str(host).lower(), port) for host in hosts if host)

    # -- one tick

    async def look(self, variables: frozenset[str], now: float, use_locks: bool) -> None:
        """Find out how the server is. Raises nothing: a server that cannot be asked is down."""
        outcome = await self.reach()
        for last_try in (False, True):
            if self.connection.client is None:
                break
            try:
                await self._ask(outcome, variables, now, use_locks)
                return
            except SqlLost as error:
                self.connection.abort()
                problem = str(error)
            except SqlError as error:
                self.log_problem(f"Server '{self.name}' cannot be monitored: {error}")
                self.is_up()
                self._renew_view(permitted=False)
                return
            if last_try:
                self.log_problem(f"Lost the connection to server '{self.name}': {problem}")
                outcome = Outcome.DOWN
            else:
                # The connection may have been cut between two statements, so it deserves one more try.
                outcome = await self.reach()
        self.is_down(outcome)
        self.locks.forget()
        self._renew_view()

    async def _ask(self, outcome: Outcome, variables: frozenset[str], now: float, use_locks: bool) -> None:
        client = self.connection.client
        assert client is not None
        if outcome is Outcome.NEW:
            self.locks.forget()
            self.connected_anew()
            self._facts_due = 0
        if self._facts_due <= 0:
            await self.learn(variables)
            self._facts_due = FACTS_EVERY_TICKS
        self._facts_due -= 1
        row = (await client.query(_VARIABLES)).rows[0]
        try:
            connections = self._parse(await client.query(_SLAVES))
            permitted = True
        except SqlError as error:
            if error.errno not in _NOT_PERMITTED:
                raise
            self.log_problem(
                f"The monitor's account '{self.connection.user}' may not look at the replication of server "
                f"'{self.name}': {error}. It needs: GRANT {_privilege(client.version)} ON *.* TO "
                f"'{self.connection.user}'"
            )
            connections, permitted = (), False
        await self.check_disks(now)
        if use_locks:
            await self.locks.look(client, self.params)
        self.server_id = int(row[0] or -1)
        self.is_up(permitted)
        self.gtid_position = row[3] or ""
        self._renew_view(
            permitted=permitted,
            database="maxscale" not in client.version.lower(),
            read_only=(row[1] or "0").upper() not in _READ_ONLY_OFF,
            server_id=self.server_id,
            gtid_domain=int(row[2]) if row[2] is not None else None,
            gtid_current_pos=row[3] or "",
            gtid_binlog_pos=row[4] or "",
            connections=connections,
        )

    def _renew_view(self, **facts: Any) -> None:
        """The facts of this tick over those of the last one."""
        old = {name: getattr(self.view, name) for name in ServerView.__struct_fields__}
        self.view = ServerView(**{
            **old, **facts, "endpoints": self.endpoints, "running": bool(self.pending & RUNNING),
            "maintenance": bool(self.admin & MAINT), "low_disk": self.low_disk, "failures": self.failures,
            "marked": self.locks.marked_by_holder,
        })  # fmt: skip

    def _parse(self, result: Result) -> tuple[SlaveConnection, ...]:
        before = {(c.name, c.host, c.port): c for c in self.view.connections}
        found = []
        for row in result.dicts():
            connection = parse_connection(row)
            old = before.get((connection.name, connection.host, connection.port))
            connected = connection.io == IO_YES or (
                old is not None and old.was_connected and old.source_id == connection.source_id
            )
            if not connected:
                connection = _not_yet_connected(connection)
            found.append(connection)
        return tuple(found)

    # -- changing the server

    async def set_read_only(self, value: bool) -> str:
        """SET GLOBAL read_only; returns what went wrong, or an empty text."""
        client = self.connection.client
        if client is None:
            return "there is no connection"
        seconds = max(1, int(self.connection.read_timeout))
        try:
            await client.query(
                f"SET STATEMENT max_statement_time={seconds} FOR SET GLOBAL read_only={int(value)}"
            )
        except SqlError as error:
            return str(error)
        except SqlLost as error:
            self.connection.abort()
            return str(error)
        return ""

    # -- what is shown

    def describe_connection(self, connection: SlaveConnection, source: str | None) -> dict[str, Any]:
        """A replication connection in the REST API."""
        return {
            "connection_name": connection.name,
            "master_host": connection.host,
            "master_port": connection.port,
            "master_server_name": source,
            "slave_io_running": connection.io,
            "slave_sql_running": IO_YES if connection.sql else IO_NO,
            "seconds_behind_master": connection.lag,
            "master_server_id": connection.source_id,
            "last_io_error": connection.io_error,
            "last_sql_error": connection.sql_error,
            "gtid_io_pos": connection.gtid_io_pos,
            "using_gtid": connection.using_gtid,
        }


def parse_connection(row: Mapping[str, str | None]) -> SlaveConnection:
    """One row of SHOW ALL SLAVES STATUS."""
    io = row.get("Slave_IO_Running") or IO_NO
    lag = row.get("Seconds_Behind_Master")
    return SlaveConnection(
        name=row.get("Connection_name") or "",
        host=row.get("Master_Host") or "",
        port=_number(row.get("Master_Port"), 3306),
        source_id=_number(row.get("Master_Server_Id"), -1),
        # While it prepares to connect the server calls it "Preparing".
        io=io if io in (IO_YES, IO_NO) else IO_CONNECTING,
        sql=row.get("Slave_SQL_Running") == IO_YES,
        lag=int(lag) if lag is not None and lag.isdigit() else None,
        gtid_io_pos=row.get("Gtid_IO_Pos") or "",
        using_gtid=row.get("Using_Gtid") or "",
        io_errno=_number(row.get("Last_IO_Errno"), 0),
        io_error=row.get("Last_IO_Error") or "",
        sql_error=row.get("Last_SQL_Error") or "",
        heartbeats=_number(row.get("Slave_received_heartbeats"), 0),
        read_position=f"{row.get('Master_Log_File') or ''}:{row.get('Read_Master_Log_Pos') or ''}",
    )


def _not_yet_connected(connection: SlaveConnection) -> SlaveConnection:
    values = {name: getattr(connection, name) for name in SlaveConnection.__struct_fields__}
    return SlaveConnection(**{**values, "was_connected": False})


def _number(text: str | None, default: int) -> int:
    try:
        return int(text) if text is not None else default
    except ValueError:
        return default


def version_of(text: str) -> tuple[int, int, int]:
    """The three numbers of a server version; zeros if it has none."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)


def _privilege(version: str) -> str:
    return "SLAVE MONITOR" if version_of(version) >= (10, 5, 2) else "REPLICATION CLIENT"
