"""Cooperative locks: by named locks in the servers several instances agree on who may change the cluster.

`ServerLocks` is what is known of the two locks on one server; `LockKeeper` decides when to try for it.
Invariant: an instance holds locks on a majority of the servers, or (after a failed attempt) on none.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from fairlead.cluster.loglevels import NOTICE
from fairlead.net.sqlclient import SqlClient, SqlError, SqlLost

logger = logging.getLogger(__name__)

SERVER_LOCK = "maxscale_mariadbmonitor"
MASTER_LOCK = "maxscale_mariadbmonitor_master"
# Intervals between two attempts to get the majority: these and up to so many more, at random.
ATTEMPT_INTERVALS = 5
ATTEMPT_JITTER = 2
# No attempt for this long after the locks were given up by command, in seconds.
RELEASED_S = 60.0
# Limits of the session's wait_timeout, in seconds.
WAIT_TIMEOUT_RANGE = (5, 28800)


class ServerLocks:
    """The thread ids that own the two locks on a server; None: free."""

    def __init__(self) -> None:
        self.own_id = 0
        self.server_owner: int | None = None
        self.master_owner: int | None = None
        self._wait_timeout = 0

    @property
    def held(self) -> bool:
        """This instance has the lock on the server."""
        return self.server_owner is not None and self.server_owner == self.own_id

    @property
    def master_held(self) -> bool:
        """This instance has the lock that marks the primary."""
        return self.master_owner is not None and self.master_owner == self.own_id

    @property
    def free(self) -> bool:
        """Nobody has the lock on the server."""
        return self.own_id != 0 and self.server_owner is None

    @property
    def marked_by_holder(self) -> bool:
        """Who has the lock on the server marks it as the primary."""
        return self.master_owner is not None and self.master_owner == self.server_owner

    def forget(self) -> None:
        """The connection is gone, and with it the locks."""
        self.own_id = 0
        self.server_owner = self.master_owner = None
        self._wait_timeout = 0

    async def look(self, client: SqlClient, params: Mapping[str, Any]) -> None:
        """Read the owners. The session ends by itself soon after this process has."""
        timeout = wait_timeout(params)
        if timeout != self._wait_timeout:
            await client.query(f"SET SESSION wait_timeout={timeout}")
            self._wait_timeout = timeout
        row = (
            await client.query(f"SELECT IS_USED_LOCK('{SERVER_LOCK}'), IS_USED_LOCK('{MASTER_LOCK}')")
        ).rows[0]
        self.own_id = client.thread_id
        self.server_owner = int(row[0]) if row[0] else None
        self.master_owner = int(row[1]) if row[1] else None

    async def take(self, client: SqlClient, name: str) -> bool:
        """Get a lock if it is free."""
        got = (await client.query(f"SELECT GET_LOCK('{name}', 0)")).rows[0][0] == "1"
        if got:
            self._owned(name, client.thread_id)
        return got

    async def give_up(self, client: SqlClient, name: str) -> None:
        """Release a lock of this instance, as often as it was taken."""
        while (await client.query(f"SELECT RELEASE_LOCK('{name}')")).rows[0][0] == "1":
            pass
        self._owned(name, None)

    def _owned(self, name: str, owner: int | None) -> None:
        if name == SERVER_LOCK:
            self.server_owner = owner
        else:
            self.master_owner = owner


def wait_timeout(params: Mapping[str, Any]) -> int:
    """After how many silent seconds the server may end the session, so that its locks vanish."""
    interval = int(params.get("monitor_interval") or 2000)
    slowest = max(int(params.get(f"backend_{what}_timeout") or 3000) for what in ("read", "write"))
    low, high = WAIT_TIMEOUT_RANGE
    return min(high, max(low, (interval + 2 * slowest) // 1000))


def majority(servers: int) -> int:
    """How many of so many servers are more than half."""
    return servers // 2 + 1


class LockedServer(Protocol):
    """What is needed of a server here."""

    locks: ServerLocks

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def client(self) -> SqlClient | None:
        """The connection, if there is one."""


class LockKeeper:
    """The locks of one monitor. `holds` is None while no locks are configured."""

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor
        self.holds: bool | None = None
        self._next_attempt = 0.0

    async def keep(self, servers: Sequence[LockedServer], mode: str, now: float, interval_s: float) -> None:
        """Count the locks after a look at the servers; try for the majority, or give up the rest."""
        if mode == "none":
            if self.holds is not None:
                await self._release(servers)
                self.holds = None
            return
        needed = majority(self._voters(servers, mode))
        held = [server for server in servers if server.locks.held]
        before = bool(self.holds)
        if before and len(held) >= needed:
            await self._take_free(servers)
        elif before:
            self.holds = False
            await self._release(servers)
            self._put_off(now, interval_s)
            logger.warning(
                "Monitor '%s' has lost the majority of the locks: %d held, %d needed",
                self.monitor,
                len(held),
                needed,
            )
        else:
            self.holds = False
            free = sum(server.locks.free for server in servers)
            if now >= self._next_attempt and len(held) + free >= needed:
                await self._attempt(servers, needed, now, interval_s)
            elif held:
                await self._release(servers)

    async def mark(self, servers: Sequence[LockedServer], master: LockedServer | None) -> None:
        """Mark the primary, and no other server, if this instance holds the majority."""
        for server in servers:
            wanted = bool(self.holds) and server is master
            client = server.client
            if client is None or wanted == server.locks.master_held:
                continue
            try:
                if not wanted:
                    await server.locks.give_up(client, MASTER_LOCK)
                elif server.locks.held and server.locks.master_owner is None:
                    await server.locks.take(client, MASTER_LOCK)
            except (SqlError, SqlLost) as error:
                logger.warning(
                    "The lock of the primary on server '%s' cannot be changed: %s", server.name, error
                )

    async def release(self, servers: Sequence[LockedServer], now: float) -> bool:
        """Give the locks up and do not try again for a while; False if there were none."""
        had = bool(self.holds)
        await self._release(servers)
        if self.holds is not None:
            self.holds = False
            self._next_attempt = now + RELEASED_S
        return had

    def _voters(self, servers: Sequence[LockedServer], mode: str) -> int:
        if mode == "majority_of_running":
            return sum(server.client is not None for server in servers)
        return len(servers)

    def _put_off(self, now: float, interval_s: float) -> None:
        # Jitter keeps two instances from getting in each other's way again and again.
        self._next_attempt = now + interval_s * (ATTEMPT_INTERVALS + random.uniform(0, ATTEMPT_JITTER))

    async def _attempt(
        self, servers: Sequence[LockedServer], needed: int, now: float, interval_s: float
    ) -> None:
        await self._take_free(servers)
        held = sum(server.locks.held for server in servers)
        if held >= needed:
            self.holds = True
            logger.log(
                NOTICE, "Monitor '%s' holds the majority of the locks: %d of %d servers", self.monitor, held,
                len(servers),
            )  # fmt: skip
            return
        await self._release(servers)
        self._put_off(now, interval_s)

    async def _take_free(self, servers: Sequence[LockedServer]) -> None:
        for server in servers:
            if server.client is not None and server.locks.free:
                try:
                    await server.locks.take(server.client, SERVER_LOCK)
                except (SqlError, SqlLost) as error:
                    logger.warning("The lock on server '%s' cannot be taken: %s", server.name, error)

    async def _release(self, servers: Sequence[LockedServer]) -> None:
        for server in servers:
            client, locks = server.client, server.locks
            if client is None:
                continue
            try:
                if locks.master_held:
                    await locks.give_up(client, MASTER_LOCK)
                if locks.held:
                    await locks.give_up(client, SERVER_LOCK)
            except (SqlError, SqlLost) as error:
                logger.warning("The locks on server '%s' cannot be released: %s", server.name, error)
