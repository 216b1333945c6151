"""mariadbmon: the cluster of one primary and its replicas, from a look at every server to their roles.

The rules are in `topology` and `roles`; here they get this tick's facts, and what follows from them is done.
Invariant: nothing in the cluster is changed by a passive instance or one without the majority of the locks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from fairlead.cluster.board import Board
from fairlead.cluster.defs import MonitorDef, ServerDef
from fairlead.cluster.loglevels import NOTICE
from fairlead.cluster.status import DRAINING, MAINT, MASTER, RUNNING, SLAVE, is_usable
from fairlead.monitors.events import RLAG_ABOVE, RLAG_BELOW
from fairlead.monitors.host import MonitorHost
from fairlead.monitors.mariadbmon import roles, topology
from fairlead.monitors.mariadbmon.locks import LockKeeper
from fairlead.monitors.mariadbmon.probe import MariaDbServer, version_of
from fairlead.monitors.model import SlaveConnection
from fairlead.monitors.resolver import Resolver

logger = logging.getLogger(__name__)

REFUSED_ON_PRIMARY = (
    "The server is primary, so it cannot be set in maintenance or draining mode. First perform a switchover "
    "and then retry the operation."
)


class MariaDbMonitor:
    """One configured monitor of this module; `MonitorTask` calls it."""

    def __init__(self, host: MonitorHost, board: Board, definition: MonitorDef) -> None:
        self.host = host
        self.board = board
        self.definition = definition
        self.passive = False
        self.servers: list[MariaDbServer] = []
        self.memory = roles.Memory()
        self.topology = topology.Topology([], {})
        self.master: int | None = None
        self.locks = LockKeeper(definition.name)
        self.operation = ""
        # Raised with every change of the configuration; a tick that sees it raised has looked in vain.
        self.generation = 0
        self._resolver = Resolver()
        self._addresses: dict[str, frozenset[str]] = {}
        self._logged_problem = ""
        self._logged_hint: object = None
        self._enforce_pause = 0
        self._read_only_errors: dict[str, str] = {}

    # -- configuration

    def make_server(self, server: ServerDef) -> MariaDbServer:
        """A server of this module."""
        return MariaDbServer(self.host, self.board, self.definition, server)

    def configure(self, definition: MonitorDef, servers: Sequence[MariaDbServer], passive: bool) -> None:
        """Other parameters or servers; what is known of the graph so far may not fit any more."""
        names = [server.name for server in self.servers]
        self.definition = definition
        self.servers = list(servers)
        self.passive = passive
        self.generation += 1
        if names != [server.name for server in servers]:
            self.topology = topology.Topology([], {})
            self.master = None
        self._enforce_pause = 0

    @property
    def settings(self) -> roles.RoleSettings:
        """The parameters that decide about roles."""
        params = self.definition.params
        return roles.RoleSettings(
            master_conditions=frozenset(params.get("master_conditions") or ()),
            slave_conditions=frozenset(params.get("slave_conditions") or ()),
            failcount=int(params.get("failcount") or 5),
            enforce_writable_master=bool(params.get("enforce_writable_master")),
            secondary=self.locks.holds is False,
        )

    @property
    def lock_mode(self) -> str:
        """`none`, `majority_of_all` or `majority_of_running`."""
        return str(self.definition.params.get("cooperative_monitoring_locks") or "none")

    @property
    def may_act(self) -> bool:
        """This instance may change the cluster."""
        return not self.passive and self.locks.holds is not False

    # -- one tick

    async def look(self, variables: frozenset[str]) -> None:
        """Look at all servers at once."""
        now = asyncio.get_running_loop().time()
        use_locks = self.lock_mode != "none" or self.locks.holds is not None
        await asyncio.gather(*(server.look(variables, now, use_locks) for server in self.servers))
        interval = float(self.definition.params.get("monitor_interval") or 2000) / 1000
        await self.locks.keep(self.servers, self.lock_mode, now, interval)
        self._addresses = await self._resolver.resolve(self._unresolved())

    def _unresolved(self) -> set[str]:
        if not self.definition.params.get("assume_unique_hostnames", True):
            return set()
        return topology.unresolved_hosts([server.view for server in self.servers])

    async def decide(self) -> None:
        """Find the roles of the servers from what has been seen, as their new status."""
        views = [server.view for server in self.servers]
        by_address = bool(self.definition.params.get("assume_unique_hostnames", True))
        self.topology = topology.build(views, by_address, self._addresses)
        choice = roles.choose_master(views, self.topology, self.memory, self.settings)
        self._tell(choice)
        self.memory, self.master = choice.memory, choice.master
        found = roles.assign_roles(views, self.topology, self.master, self.settings)
        for server, node, role in zip(self.servers, self.topology.nodes, found, strict=True):
            server.pending |= role.bits
            server.lag = role.lag
            server.details = role.details
            server.reason = role.reason
            server.master_group = node.cycle
        await self.locks.mark(self.servers, None if self.master is None else self.servers[self.master])

    def _tell(self, choice: roles.Choice) -> None:
        """Log news always, a standing problem when it is a new one, a hint when the graph has changed."""
        context = {"object": self.definition.name}
        if choice.news:
            logger.log(NOTICE, "%s", choice.news, extra=context)
        if choice.problem and choice.problem != self._logged_problem:
            logger.warning("%s", choice.problem, extra=context)
        self._logged_problem = choice.problem
        if not choice.hint:
            self._logged_hint = None
            return
        shape = self.topology.describe([server.view for server in self.servers])
        if shape != self._logged_hint:
            logger.warning("%s", choice.hint, extra=context)
        self._logged_hint = shape

    async def act(self) -> None:
        """Do what the parameters demand of the servers."""
        if self._enforce_pause > 0:
            self._enforce_pause -= 1
        elif self.may_act:
            await self._enforce_writable_master()
            await self._enforce_read_only()

    async def _enforce_writable_master(self) -> None:
        if not self.definition.params.get("enforce_writable_master") or self.master is None:
            return
        server = self.servers[self.master]
        if server.view.running and server.view.read_only and server.view.permitted and server.view.database:
            if await self._set_read_only(server, False):
                logger.warning(
                    "The primary '%s' was read-only and has been made writable",
                    server.name,
                    extra=server.context,
                )

    async def _enforce_read_only(self) -> None:
        params = self.definition.params
        everywhere = bool(params.get("enforce_read_only_servers"))
        master = self.master
        if not (everywhere or params.get("enforce_read_only_slaves")) or master is None:
            return
        for index, server in enumerate(self.servers):
            status, view = server.status, server.view
            if index == master or view.read_only or not view.database or not is_usable(status):
                continue
            if not status & MASTER and (everywhere or status & SLAVE):
                if not await self._set_read_only(server, True):
                    return
                logger.log(NOTICE, "Server '%s' has been made read-only", server.name, extra=server.context)

    async def _set_read_only(self, server: MariaDbServer, value: bool) -> bool:
        problem = await server.set_read_only(value)
        if not problem:
            self._read_only_errors.pop(server.name, None)
            return True
        if problem != self._read_only_errors.get(server.name):
            privilege = "READ_ONLY ADMIN" if version_of(server.version) >= (10, 5, 2) else "SUPER"
            logger.error(
                "read_only of server '%s' cannot be set to %d: %s (the account needs %s)", server.name, value,
                problem, privilege, extra=server.context,
            )  # fmt: skip
        self._read_only_errors[server.name] = problem
        self._enforce_pause = int(self.definition.params.get("failcount") or 5)
        return False

    def full_disk_maintenance(self) -> list[MariaDbServer]:
        """Servers that go into maintenance because their disk is full."""
        if not self.definition.params.get("maintenance_on_low_disk_space", True):
            return []
        return [
            server
            for index, server in enumerate(self.servers)
            if index != self.master
            and server.low_disk
            and server.pending & RUNNING
            and not (server.pending & MASTER or server.admin & MAINT)
        ]

    def own_events(self) -> list[tuple[MariaDbServer, str]]:
        """Events of this module: the lag of a server has crossed its limit."""
        limit = int(self.definition.params.get("script_max_replication_lag", -1))
        events = []
        for server in self.servers:
            if limit < 0:
                server.lag_is_above = False
            elif server.lag >= 0 and (server.lag > limit) != server.lag_is_above:
                server.lag_is_above = not server.lag_is_above
                events.append((server, RLAG_ABOVE if server.lag_is_above else RLAG_BELOW))
        return events

    def refusal(self, server: MariaDbServer, bit: int) -> str:
        """Why an administrator's state cannot be set; empty if it can."""
        return REFUSED_ON_PRIMARY if bit & (MAINT | DRAINING) and server.found & MASTER else ""

    async def close(self) -> None:
        """End the connections, and with them the locks."""
        await asyncio.gather(*(server.connection.close() for server in self.servers))
        for server in self.servers:
            server.locks.forget()
        self.locks = LockKeeper(self.definition.name)

    # -- relations and memory

    def relations(self, server: MariaDbServer) -> tuple[MariaDbServer | None, list[MariaDbServer]]:
        """The server that this one replicates from, and those that replicate from it."""
        if server not in self.servers:
            return None, []
        index = self.servers.index(server)
        if index >= len(self.topology.nodes):
            return None, []
        node = self.topology.nodes[index]
        parent = self.servers[node.parents[0].index] if node.parents else None
        return parent, [self.servers[one] for one in sorted({child.index for child in node.children})]

    def journal_fields(self) -> dict[str, Any]:
        """What the journal remembers of this module."""
        return {"master_server": self.memory.master, "master_gtid_domain": self._gtid_domain()}

    def restore(self, fields: dict[str, Any]) -> None:
        """Remember what the journal says."""
        name = fields.get("master_server")
        if isinstance(name, str) and any(server.name == name for server in self.servers):
            self.memory = roles.Memory(name, None)

    def _gtid_domain(self) -> int | None:
        return None if self.master is None else self.servers[self.master].view.gtid_domain

    # -- what is shown

    def diagnostics(self, state: str) -> dict[str, Any]:
        """monitor_diagnostics in the REST API."""
        return {
            "master": None if self.master is None else self.servers[self.master].name,
            "master_gtid_domain_id": self._gtid_domain(),
            "state": self.operation or state,
            "primary": self.locks.holds,
            "server_info": [{"name": server.name, **self._info(server)} for server in self.servers],
        }

    def _info(self, server: MariaDbServer) -> dict[str, Any]:
        view = server.view
        return {
            "server_id": view.server_id,
            "read_only": view.read_only,
            "gtid_current_pos": view.gtid_current_pos or None,
            "gtid_binlog_pos": view.gtid_binlog_pos or None,
            "master_group": server.master_group or None,
            "lock_held": None if self.locks.holds is None else server.locks.held,
            "state_details": server.attributes()["state_details"],
            "slave_connections": [
                server.describe_connection(connection, self._source_name(connection))
                for connection in view.connections
            ],
        }

    def _source_name(self, connection: SlaveConnection) -> str | None:
        views = [server.view for server in self.servers]
        by_address = bool(self.definition.params.get("assume_unique_hostnames", True))
        source = topology.find_source(views, connection, by_address, self._addresses)
        return None if source is None else self.servers[source].name

    def attributes(self, server: MariaDbServer) -> dict[str, Any]:
        """Attributes of a server that only this module knows."""
        view = server.view
        _, children = self.relations(server)
        source = next((one.source_id for one in view.connections if not one.stopped), -1)
        return {**self._info(server), "master_id": source, "slaves": [one.view.server_id for one in children]}
