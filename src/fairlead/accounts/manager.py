"""The account manager of a service: it reads the accounts, as often as the rules allow, and publishes them.

Lives in the supervisor, one task per service. Invariants: every request is answered by `publish`, also
when nothing may or can be read; the version changes exactly when the accounts do; accounts once read stay
valid until others have been read. Source: spec core.md c3.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from fairlead.accounts.files import load_accounts_file
from fairlead.accounts.functions import load_functions
from fairlead.accounts.loader import load_accounts, merge
from fairlead.accounts.model import AccountSet
from fairlead.accounts.refresh import RefreshRules
from fairlead.cluster.board import STATUS, Board
from fairlead.cluster.defs import ServerDef, ServiceDef, Snapshot
from fairlead.cluster.loglevels import NOTICE
from fairlead.cluster.status import MASTER, SLAVE, is_usable
from fairlead.net.proxyproto import UNKNOWN_HEADER
from fairlead.net.sqlclient import SqlClient, SqlError, SqlLost

logger = logging.getLogger(__name__)

ER_ACCESS_DENIED = 1045
DEFAULT_CONNECT_TIMEOUT_MS = 10_000
# Routers that show the databases of all their servers as one.
UNION_ROUTERS = ("schemarouter",)


class AccountHost(Protocol):
    """What a manager needs from the supervisor."""

    @property
    def board(self) -> Board:
        """The states of the servers."""

    def now(self) -> float:
        """Seconds of a clock that never goes back."""

    def wall_clock(self) -> float:
        """Seconds since 1970."""

    def snapshot(self) -> Snapshot:
        """The configuration in force."""

    def tls_context(self, server: ServerDef) -> ssl.SSLContext | None:
        """How to talk TLS with a server; None if its `ssl` is off. ValueError if it cannot be used."""

    def publish(self, service: str, version: int, loaded: bool, accounts: AccountSet) -> None:
        """Tell all workers. An unchanged version is an answer without news; the accounts need not be sent."""


Connect = Callable[..., Awaitable[SqlClient]]


class Credentials(Struct, frozen=True):
    """With which user a service reads the accounts."""

    user: str
    password: str


class AccountManager:
    """Reads the accounts of one service. `start` it once; tell it `configured` after every change."""

    def __init__(
        self,
        service: str,
        host: AccountHost,
        snapshot: Snapshot | None = None,
        connect: Connect = SqlClient.connect,
    ) -> None:
        self.service = service
        self.accounts = AccountSet()
        self.version = 0
        # Unix seconds of the last load that succeeded.
        self.loaded_at: float | None = None
        self._host = host
        self._snapshot = snapshot or host.snapshot()
        self._connect = connect
        self._rules = RefreshRules()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._asked = False
        self._forced: list[asyncio.Future[bool]] = []
        self._said: set[str] = set()
        # About functions: not said again with every load.
        self._said_of_functions: set[str] = set()
        self._definition = self._find_service()
        self._credentials = self._configured_credentials()
        self._former: Credentials | None = None

    # -- from outside

    def start(self) -> None:
        """Begin to read; the first load follows at once."""
        assert self._task is None
        self._task = asyncio.create_task(self._run(), name=f"accounts of {self.service}")

    async def stop(self) -> None:
        """End; whoever waits for a load learns that there was none."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self._settle(self._take_forced(), False)

    @property
    def loaded(self) -> bool:
        """Whether the accounts have ever been read."""
        return self._rules.loaded

    def request_reload(self, version: int = 0) -> None:
        """A login missed in a worker that has this version. `publish` follows in any case."""
        if version != self.version and self.loaded:
            self._publish()
            return
        self._asked = True
        self._wake.set()

    async def force_reload(self) -> bool:
        """Read the accounts now, whatever the rules say, and publish them; returns whether it worked."""
        if self._task is None or self._task.done():
            return False
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._forced.append(done)
        self._wake.set()
        return await done

    def configured(self, snapshot: Snapshot | None = None) -> None:
        """The configuration has changed: read again if this service did."""
        self._snapshot = snapshot or self._host.snapshot()
        definition = self._find_service()
        if definition is None or definition == self._definition:
            return
        self._definition = definition
        credentials = self._configured_credentials()
        if credentials != self._credentials:
            self._former, self._credentials = self._credentials, credentials
        self._said.clear()
        self._said_of_functions.clear()
        self._forced.append(asyncio.get_running_loop().create_future())
        self._wake.set()

    # -- the task

    async def _run(self) -> None:
        while True:
            forced, asked = self._take_forced(), self._asked
            self._asked = False
            try:
                if forced or self._is_due() or (asked and self._may_load()):
                    success = await self._load_and_publish(bool(forced))
                    self._settle(forced, success)
                elif asked:
                    self._publish()
            except asyncio.CancelledError:
                self._settle(forced, False)
                raise
            await self._sleep()

    async def _sleep(self) -> None:
        """Until something is asked for or the next load is due."""
        if self._asked or self._forced:
            return
        self._wake.clear()
        pause = self._rules.next_load(self._refresh_interval()) - self._host.now()
        if pause > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    def _take_forced(self) -> list[asyncio.Future[bool]]:
        forced, self._forced = self._forced, []
        return forced

    @staticmethod
    def _settle(forced: list[asyncio.Future[bool]], success: bool) -> None:
        for future in forced:
            if not future.done():
                future.set_result(success)

    def _is_due(self) -> bool:
        return self._host.now() >= self._rules.next_load(self._refresh_interval())

    def _may_load(self) -> bool:
        refresh_time = self._global_ms("users_refresh_time", 30_000) / 1000
        return self._rules.may_load(self._host.now(), refresh_time)

    def _refresh_interval(self) -> float:
        return self._global_ms("users_refresh_interval", 0) / 1000

    def _global_ms(self, name: str, default: int) -> int:
        value = self._snapshot.globals.get(name)
        return default if value is None else int(value)

    async def _load_and_publish(self, forced: bool) -> bool:
        success = False
        try:
            found, origin = await self._load()
        except (SqlError, SqlLost, OSError, ValueError) as error:
            text = f"Could not read the user accounts of service '{self.service}': {error}"
            self._say_once(logging.ERROR, text)
        except Exception:
            # A load must never end the task: nobody's request would be answered any more.
            logger.exception("Reading accounts for service '%s' failed", self.service, extra=self._extra())
        else:
            success = True
            self._take_over(found, origin, forced)
        self._rules.done(self._host.now(), success)
        self._publish()
        return success

    def _take_over(self, found: AccountSet, origin: str, forced: bool) -> None:
        self._said.clear()
        self.loaded_at = self._host.wall_clock()
        changed = found != self.accounts or not self.loaded
        if changed:
            self.accounts = found
            self.version += 1
        text = f"Read {len(found.accounts)} user@host entries from {origin} for service '{self.service}'."
        logger.log(NOTICE if changed or forced else logging.INFO, text, extra=self._extra())

    def _publish(self) -> None:
        self._host.publish(self.service, self.version, self.loaded, self.accounts)

    def _extra(self) -> dict[str, str]:
        return {"object": self.service}

    def _say_once(self, level: int, text: str) -> None:
        """Log, but not the same again until a load works or the configuration changes."""
        if text not in self._said:
            self._said.add(text)
            logger.log(level, text, extra=self._extra())

    def _warn_of_functions(self, text: str) -> None:
        if text not in self._said_of_functions:
            self._said_of_functions.add(text)
            logger.warning("Service '%s': %s", self.service, text, extra=self._extra())

    def _warn(self, text: str) -> None:
        self._say_once(logging.WARNING, f"Service '{self.service}': {text}")

    # -- one load

    async def _load(self) -> tuple[AccountSet, str]:
        """The accounts of servers and file, and where they come from in words."""
        definition = self._definition
        if definition is None:
            raise ValueError("the service is not configured")
        file = definition.params.get("user_accounts_file")
        if file and definition.params.get("user_accounts_file_usage") == "file_only_always":
            only = load_accounts_file(file, self._warn)
            if self._learns_functions():
                self._warn_of_functions(
                    "learn_read_functions=true learns nothing: with user_accounts_file_usage=file_only_always"
                    " no server is asked"
                )
            # The databases of the servers are not known: privileges alone decide.
            return AccountSet(only.accounts, only.grants, only.roles), f"file '{file}'"
        found, names = await self._load_from_servers(definition)
        origin = ", ".join(f"'{name}'" for name in names)
        if file:
            try:
                found = _with_file(found, load_accounts_file(file, self._warn))
            except ValueError as error:
                self._warn(str(error))
        return found, origin

    async def _load_from_servers(self, definition: ServiceDef) -> tuple[AccountSet, list[str]]:
        union = bool(definition.params.get("auth_all_servers")) or definition.router in UNION_ROUTERS
        servers = self._servers_in_order(definition)
        if not servers:
            raise SqlLost("none of its servers can be used")
        found: list[AccountSet] = []
        names: list[str] = []
        problems: list[str] = []
        for server in servers:
            try:
                found.append(await self._load_from(server))
            except (SqlError, SqlLost, OSError, ValueError) as error:
                problems.append(f"server '{server.name}': {error}")
                continue
            names.append(server.name)
            if not union:
                break
        if not found:
            raise SqlLost("; ".join(problems))
        for problem in problems:
            self._warn(f"the user accounts could not be read from {problem}")
        return (found[0] if len(found) == 1 else merge(found)), names

    async def _load_from(self, server: ServerDef) -> AccountSet:
        client = await self._log_in(server)
        try:
            found = await load_accounts(client, self._warn)
            return await self._with_functions(client, found) if self._learns_functions() else found
        finally:
            await client.close()

    def _learns_functions(self) -> bool:
        return self._definition is not None and bool(self._definition.params.get("learn_read_functions"))

    async def _with_functions(self, client: SqlClient, found: AccountSet) -> AccountSet:
        """The accounts with what is learned of stored functions; logins do not depend on that."""
        try:
            return replace(found, functions=await load_functions(client, self._warn_of_functions))
        except (SqlError, SqlLost) as error:
            self._warn_of_functions(f"the stored functions could not be read: {error}")
            return found

    async def _log_in(self, server: ServerDef) -> SqlClient:
        """With the service's user; with the former one while a server does not know the new one yet."""
        try:
            return await self._reach(server, self._credentials)
        except SqlError as error:
            if error.errno != ER_ACCESS_DENIED or self._former is None:
                raise
            refused = error
        try:
            client = await self._reach(server, self._former)
        except (SqlError, SqlLost):
            raise refused from None
        self._warn(
            f"server '{server.name}' refuses the configured user and password ({refused.message});"
            " the user accounts are read with the former ones"
        )
        return client

    async def _reach(self, server: ServerDef, credentials: Credentials) -> SqlClient:
        """Connect, to extra_port first."""
        params = server.params
        common: dict[str, Any] = {
            "user": credentials.user,
            "password": credentials.password,
            "tls": self._host.tls_context(server) if params.get("ssl") else None,
            "connect_timeout": self._global_ms("auth_connect_timeout", DEFAULT_CONNECT_TIMEOUT_MS) / 1000,
            "read_timeout": self._global_ms("auth_connect_timeout", DEFAULT_CONNECT_TIMEOUT_MS) / 1000,
            "preamble": UNKNOWN_HEADER if params.get("proxy_protocol") else b"",
        }
        if params.get("socket"):
            return await self._connect(socket=str(params["socket"]), **common)
        address = str(params["address"])
        common["tls_hostname"] = address
        common["local_address"] = str(self._snapshot.globals.get("local_address") or "")
        extra_port = int(params.get("extra_port") or 0)
        if extra_port:
            try:
                return await self._connect(host=address, port=extra_port, **common)
            except SqlLost as error:
                text = f"extra_port of server '{server.name}' cannot be used: {error}"
                logger.info(text, extra=self._extra())
        return await self._connect(host=address, port=int(params.get("port") or 3306), **common)

    # -- configuration

    def _find_service(self) -> ServiceDef | None:
        services = self._snapshot.services
        return next((one for one in services if one.name == self.service), None)

    def _configured_credentials(self) -> Credentials:
        params = self._definition.params if self._definition is not None else {}
        return Credentials(str(params.get("user") or ""), str(params.get("password") or ""))

    def _servers_in_order(self, definition: ServiceDef) -> list[ServerDef]:
        """The usable servers that the service reaches: primaries, then replicas, then the others."""
        snapshot = self._snapshot
        wanted = _reachable(snapshot, definition)
        usable = []
        for server in snapshot.servers:
            if server.name in wanted:
                status = self._host.board.server(server.slot, STATUS)
                if is_usable(status):
                    place = 0 if status & MASTER else 1 if status & SLAVE else 2
                    usable.append((place, wanted[server.name], server))
        usable.sort(key=lambda entry: entry[:2])
        return [server for _, _, server in usable]


def _reachable(snapshot: Snapshot, definition: ServiceDef) -> dict[str, int]:
    """Names of the servers of a service, also through other services, with their place among them."""
    services = {service.name: service for service in snapshot.services}
    names: dict[str, int] = {}
    open_services, seen = [definition], {definition.name}
    while open_services:
        current = open_services.pop(0)
        for name in current.servers:
            names.setdefault(name, len(names))
        for name in current.services:
            if name in services and name not in seen:
                seen.add(name)
                open_services.append(services[name])
    return names


def _with_file(of_servers: AccountSet, of_file: AccountSet) -> AccountSet:
    """Accounts of a file beside those of servers; a user@host that the servers know stays as it is."""
    known = {(account.user, account.host) for account in of_servers.accounts}
    return merge(
        (
            of_servers,
            AccountSet(
                tuple(one for one in of_file.accounts if (one.user, one.host) not in known),
                tuple(one for one in of_file.grants if (one.user, one.host) not in known),
                tuple(one for one in of_file.roles if (one.user, one.host) not in known),
                of_file.databases if of_servers.databases else (),
                of_servers.functions,
            ),
        )
    )
