"""A monitor's connection to one server: kept from tick to tick, pinged, made again when it is lost.

Invariant: `client` is set only while the last attempt succeeded; every wait has a limit that is configured.
"""

from __future__ import annotations

import asyncio
import enum
from typing import Any

from fairlead.cluster.defs import MonitorDef, ServerDef
from fairlead.monitors.host import MonitorHost
from fairlead.monitors.model import ACCESS_DENIED
from fairlead.net.sqlclient import SqlClient, SqlError, SqlLost

# The header of a proxy that speaks for itself and not for a client.
PROXY_HEADER = b"PROXY UNKNOWN\r\n"


class Outcome(enum.Enum):
    """What became of an attempt to reach a server."""

    KEPT = "kept"
    NEW = "new"
    AUTH_ERROR = "auth error"
    DOWN = "down"


class Connection:
    """The connection of one monitor to one server. `problem` says why there is none."""

    def __init__(self, host: MonitorHost, monitor: MonitorDef, server: ServerDef) -> None:
        self._host = host
        self.monitor = monitor
        self.server = server
        self.local_address = ""
        self.client: SqlClient | None = None
        self.problem = ""
        self.ping_us = -1
        self._ended = False

    @property
    def user(self) -> str:
        """The account for this server."""
        return str(self.server.params.get("monitoruser") or self.monitor.params["user"])

    @property
    def password(self) -> str:
        """Its password: the server's own only together with the server's own user."""
        if self.server.params.get("monitoruser"):
            return str(self.server.params.get("monitorpw") or "")
        return str(self.monitor.params.get("password") or "")

    @property
    def read_timeout(self) -> float:
        """How long an answer may take, in seconds."""
        return self._seconds("backend_read_timeout")

    def configure(self, monitor: MonitorDef, server: ServerDef, local_address: str) -> None:
        """Other parameters; a connection that they do not fit is closed."""
        same = (
            _connect_params(server) == _connect_params(self.server)
            and (monitor.params["user"], monitor.params.get("password"))
            == (self.monitor.params["user"], self.monitor.params.get("password"))
            and local_address == self.local_address
        )
        self.monitor, self.server, self.local_address = monitor, server, local_address
        if not same:
            self.abort()

    async def check(self) -> Outcome:
        """Use the connection that there is, or make one."""
        if self.client is not None:
            loop = asyncio.get_running_loop()
            begin = loop.time()
            try:
                await self.client.ping(self.read_timeout)
                self.ping_us = int((loop.time() - begin) * 1e6)
                return Outcome.KEPT
            except (SqlLost, SqlError):
                self.abort()
        return await self.connect()

    async def connect(self) -> Outcome:
        """Make a connection, in as many attempts as are configured."""
        outcome = Outcome.DOWN
        for _ in range(max(1, int(self.monitor.params.get("backend_connect_attempts") or 1))):
            outcome = await self._attempt()
            if outcome is not Outcome.DOWN:
                break
        return outcome

    async def _attempt(self) -> Outcome:
        extra = int(self.server.params.get("extra_port") or 0)
        if extra and not self.server.params.get("socket"):
            outcome = await self._open(extra)
            if outcome is not Outcome.DOWN:
                return outcome
        return await self._open(int(self.server.params.get("port") or 3306))

    async def _open(self, port: int) -> Outcome:
        params = self.server.params
        host = "" if params.get("socket") else str(params["address"])
        try:
            client = await SqlClient.connect(
                host=host,
                port=port,
                socket=str(params.get("socket") or ""),
                user=self.user,
                password=self.password,
                tls=self._host.tls_context(self.server),
                tls_hostname=host,
                preamble=PROXY_HEADER if params.get("proxy_protocol") else b"",
                local_address=self.local_address,
                connect_timeout=self._seconds("backend_connect_timeout"),
                read_timeout=self.read_timeout,
                attributes={"program_name": "fairlead_monitor"},
            )
        except SqlError as error:
            self.problem = str(error)
            return Outcome.AUTH_ERROR if error.errno in ACCESS_DENIED else Outcome.DOWN
        except (SqlLost, ValueError, OSError) as error:
            self.problem = str(error)
            return Outcome.DOWN
        if self._ended:
            client.abort()
            return Outcome.DOWN
        self.client = client
        self.problem = ""
        return Outcome.NEW

    async def end(self) -> None:
        """Close, and never connect again: the server is no longer this monitor's."""
        self._ended = True
        await self.close()

    async def close(self) -> None:
        """Say goodbye."""
        client, self.client = self.client, None
        if client is not None:
            await client.close()

    def abort(self) -> None:
        """Close at once."""
        client, self.client = self.client, None
        if client is not None:
            client.abort()

    def _seconds(self, name: str) -> float:
        return max(0.05, float(self.monitor.params.get(name) or 3000) / 1000)


def _connect_params(server: ServerDef) -> dict[str, Any]:
    names = ("address", "port", "socket", "extra_port", "monitoruser", "monitorpw", "proxy_protocol")
    return {name: value for name, value in server.params.items() if name in names or name.startswith("ssl")}
