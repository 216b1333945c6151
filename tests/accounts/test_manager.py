"""When and from where the manager of a service reads, and what it publishes."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from fairlead.accounts import manager as tested
from fairlead.accounts.manager import AccountManager
from fairlead.accounts.model import Account, AccountSet, DatabaseGrant, LearnedFunctions
from fairlead.cluster.board import STATUS, Board
from fairlead.cluster.defs import ServerDef, ServiceDef, Snapshot
from fairlead.cluster.status import MAINT, MASTER, RUNNING, SLAVE
from fairlead.net.sqlclient import SqlError, SqlLost

A = AccountSet((Account("a", "%"),), databases=("d",))
B = AccountSet((Account("b", "%"),), (DatabaseGrant("b", "%", "e"),), databases=("e",))
AB = AccountSet((Account("a", "%", password="00"), Account("b", "%")), databases=("d",))


class FakeClient:
    def __init__(self, accounts: AccountSet):
        self.accounts = accounts

    async def close(self) -> None:
        pass


class Host:
    """A supervisor with servers that answer as told, and a clock that stands still."""

    def __init__(
        self, *, params: dict[str, Any] | None = None, servers: dict[str, int] | None = None, **globals_
    ):
        self.board = Board.create(1)
        self.time = 1000.0
        self.published: list[tuple[int, bool, AccountSet]] = []
        self.attempts: list[dict[str, Any]] = []
        # By port: accounts, or an error.
        self.answers: dict[int, AccountSet | Exception] = {}
        self.passwords: set[str] | None = None
        self.servers = tuple(
            ServerDef(name, slot, {"address": "127.0.0.1", "port": 3001 + slot})
            for slot, name in enumerate(servers or {"server1": MASTER | RUNNING})
        )
        for slot, status in enumerate((servers or {"server1": MASTER | RUNNING}).values()):
            self.board.set_server(slot, STATUS, status)
        self.globals = globals_
        self.service = ServiceDef(
            "S", 0, "readwritesplit", {"user": "maxuser", "password": "pw", **(params or {})},
            tuple(server.name for server in self.servers),
        )  # fmt: skip
        self.other_services: tuple[ServiceDef, ...] = ()

    def now(self) -> float:
        return self.time

    def wall_clock(self) -> float:
        return self.time + 1e9

    def snapshot(self) -> Snapshot:
        return Snapshot(1, self.globals, self.servers, (self.service, *self.other_services))

    def tls_context(self, server):
        return None

    def publish(self, service: str, version: int, loaded: bool, accounts: AccountSet) -> None:
        assert service == "S"
        self.published.append((version, loaded, accounts))

    async def connect(self, **arguments) -> FakeClient:
        self.attempts.append(arguments)
        await asyncio.sleep(0)
        if self.passwords is not None and arguments["password"] not in self.passwords:
            raise SqlError(1045, "28000", "Access denied")
        answer = self.answers.get(arguments.get("port", 0), SqlLost("refused"))
        if isinstance(answer, Exception):
            raise answer
        return FakeClient(answer)

    @property
    def ports(self) -> list[int]:
        return [attempt["port"] for attempt in self.attempts]

    def manager(self) -> AccountManager:
        return AccountManager("S", self, connect=self.connect)


@pytest.fixture(autouse=True)
def fake_loader(monkeypatch):
    async def load(client: FakeClient, warn) -> AccountSet:
        await asyncio.sleep(0)
        return client.accounts

    monkeypatch.setattr(tested, "load_accounts", load)


def run(scenario) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await scenario

    asyncio.run(limited())


async def settle() -> None:
    """Let the manager do what it can do without time passing."""
    for _ in range(50):
        await asyncio.sleep(0)


def test_first_load(caplog):
    async def scenario():
        host = Host()
        host.answers[3001] = A
        manager = host.manager()
        assert (manager.version, manager.loaded, manager.loaded_at) == (0, False, None)
        manager.start()
        await settle()
        assert host.published == [(1, True, A)]
        assert (manager.version, manager.loaded, manager.accounts) == (1, True, A)
        assert manager.loaded_at == 1e9 + 1000
        await manager.stop()

    with caplog.at_level(logging.INFO):
        run(scenario())
    assert "Read 1 user@host entries from 'server1' for service 'S'." in caplog.text


def test_every_request_is_answered_and_the_version_follows_the_accounts():
    async def scenario():
        host = Host(users_refresh_time=3_600_000)
        host.answers[3001] = A
        manager = host.manager()
        manager.start()
        await settle()
        for _ in range(6):
            manager.request_reload(1)
            await settle()
        assert [entry[:2] for entry in host.published] == [(1, True)] * 7
        assert len(host.attempts) == 5
        # Not before the time is up ...
        host.answers[3001] = B
        manager.request_reload(1)
        await settle()
        assert len(host.attempts) == 5
        host.time += 3600
        manager.request_reload(1)
        await settle()
        assert len(host.attempts) == 6 and host.published[-1] == (2, True, B)
        # ... unless it is forced, or somebody asks who has not heard of the last load.
        host.answers[3001] = A
        assert await manager.force_reload() is True
        assert host.published[-1] == (3, True, A)
        attempts = len(host.attempts)
        manager.request_reload(2)
        assert host.published[-1] == (3, True, A) and len(host.attempts) == attempts
        await manager.stop()

    run(scenario())


def test_no_limit():
    async def scenario():
        host = Host(users_refresh_time=0)
        host.answers[3001] = A
        manager = host.manager()
        manager.start()
        for _ in range(30):
            manager.request_reload(manager.version)
            await settle()
        assert len(host.attempts) >= 30
        await manager.stop()

    run(scenario())


def test_failures_leave_accounts_as_they_are(caplog):
    async def scenario():
        host = Host()
        host.answers[3001] = A
        manager = host.manager()
        manager.start()
        await settle()
        host.answers[3001] = SqlError(1142, "42000", "SELECT command denied")
        for _ in range(3):
            assert await manager.force_reload() is False
        assert host.published == [(1, True, A)] * 4
        await manager.stop()
        assert await manager.force_reload() is False

    run(scenario())
    assert caplog.text.count("Could not read the user accounts of service 'S': server 'server1': SELECT") == 1


def test_retries_before_the_first_success(monkeypatch):
    monkeypatch.setattr("fairlead.accounts.refresh.RETRY_SECONDS", 0.02)

    async def scenario():
        host = Host(servers={"server1": 0})
        loop = asyncio.get_running_loop()
        host.now = loop.time  # type: ignore[method-assign]
        manager = host.manager()
        manager.start()
        await settle()
        assert host.published == [(0, False, AccountSet())] and host.attempts == []
        host.answers[3001] = A
        host.board.set_server(0, STATUS, RUNNING)
        await asyncio.sleep(0.2)
        assert host.published[-1] == (1, True, A) and len(host.attempts) == 1
        await manager.stop()

    run(scenario())


def test_interval():
    async def scenario():
        host = Host(users_refresh_interval=20)
        loop = asyncio.get_running_loop()
        host.now = loop.time  # type: ignore[method-assign]
        host.answers[3001] = A
        manager = host.manager()
        manager.start()
        await asyncio.sleep(0.3)
        assert len(host.attempts) > 3
        assert {entry[0] for entry in host.published} == {1}
        await manager.stop()

    run(scenario())


def test_order_of_servers():
    async def scenario():
        replica, primary = RUNNING | SLAVE, RUNNING | MASTER
        servers = {"s1": RUNNING, "s2": replica, "s3": primary, "s4": replica, "s5": SLAVE}
        servers["s6"] = primary | MAINT
        host = Host(servers=servers)
        manager = host.manager()
        manager.start()
        await settle()
        assert host.ports == [3003, 3002, 3004, 3001]
        host.answers[3004] = A
        host.attempts.clear()
        await manager.force_reload()
        assert host.ports == [3003, 3002, 3004]
        await manager.stop()

    run(scenario())


@pytest.mark.parametrize(
    "router, params", [("readwritesplit", {"auth_all_servers": True}), ("schemarouter", {})]
)
def test_union_of_all_servers(router, params, caplog):
    async def scenario():
        host = Host(servers={"s1": RUNNING, "s2": RUNNING | MASTER, "s3": RUNNING}, params=params)
        host.service = ServiceDef("S", 0, router, host.service.params, host.service.servers)
        host.answers.update({3001: AB, 3002: A})
        manager = host.manager()
        manager.start()
        await settle()
        (entry,) = host.published
        assert entry[2] == AccountSet((Account("a", "%"), Account("b", "%")), databases=("d",))
        await manager.stop()

    run(scenario())
    assert "could not be read from server 's3': refused" in caplog.text


def test_servers_behind_other_services():
    async def scenario():
        host = Host(servers={"s1": RUNNING, "s2": RUNNING})
        host.service = ServiceDef("S", 0, "readwritesplit", host.service.params, (), ("T",))
        host.other_services = (ServiceDef("T", 1, "readconnroute", {}, ("s2",), ("S",)),)
        host.answers[3002] = A
        manager = host.manager()
        manager.start()
        await settle()
        assert host.ports == [3002] and host.published == [(1, True, A)]
        await manager.stop()

    run(scenario())


def test_how_it_connects():
    async def scenario():
        host = Host(auth_connect_timeout=7000, local_address="127.0.0.9")
        server = ServerDef(
            "server1", 0, {"address": "db", "port": 3001, "extra_port": 4001, "proxy_protocol": True}
        )
        host.servers = (server,)
        host.answers[3001] = A
        manager = host.manager()
        manager.start()
        await settle()
        assert host.ports == [4001, 3001]
        assert host.attempts[1] == {
            "host": "db", "port": 3001, "user": "maxuser", "password": "pw", "tls": None,
            "connect_timeout": 7.0,
            "read_timeout": 7.0, "preamble": b"PROXY UNKNOWN\r\n", "tls_hostname": "db",
            "local_address": "127.0.0.9",
        }  # fmt: skip
        host.servers = (ServerDef("server1", 0, {"address": None, "socket": "/run/s.sock"}),)
        host.answers[0] = B
        manager.configured()
        await manager.force_reload()
        assert host.attempts[-1]["socket"] == "/run/s.sock" and host.published[-1][2] == B
        await manager.stop()

    run(scenario())


def test_former_password_is_kept(caplog):
    async def scenario():
        host = Host()
        host.answers[3001] = A
        host.passwords = {"pw"}
        manager = host.manager()
        manager.start()
        await settle()
        host.service = ServiceDef(
            "S", 0, "readwritesplit", {"user": "maxuser", "password": "new"}, ("server1",)
        )
        host.answers[3001] = B
        manager.configured()
        await settle()
        assert [attempt["password"] for attempt in host.attempts] == ["pw", "new", "pw"]
        assert host.published[-1] == (2, True, B)
        host.passwords = {"new"}
        assert await manager.force_reload()
        assert [attempt["password"] for attempt in host.attempts[3:]] == ["new"]
        await manager.stop()

    run(scenario())
    assert "the user accounts are read with the former ones" in caplog.text


def test_wrong_service_account_is_put_right():
    async def scenario():
        host = Host()
        host.answers[3001] = A
        host.passwords = {"right"}
        manager = host.manager()
        manager.start()
        await settle()
        assert host.published == [(0, False, AccountSet())]
        manager.configured()
        await settle()
        assert len(host.published) == 1  # nothing has changed
        host.service = ServiceDef(
            "S", 0, "readwritesplit", {"user": "maxuser", "password": "right"}, ("server1",)
        )
        manager.configured()
        await settle()
        assert host.published[-1] == (1, True, A)
        await manager.stop()

    run(scenario())


def test_accounts_of_a_file(tmp_path, caplog):
    file = tmp_path / "accounts.json"
    file.write_text(json.dumps({
        "user": [{"user": "a", "host": "%", "password": "AA"}, {"user": "c", "host": "%"}],
        "db": [{"user": "a", "host": "%", "db": "x"}, {"user": "c", "host": "%", "db": "y"}],
    }))  # fmt: skip

    async def scenario():
        host = Host(params={"user_accounts_file": str(file)})
        host.answers[3001] = A
        manager = host.manager()
        manager.start()
        await settle()
        found = host.published[-1][2]
        assert found.accounts == (Account("a", "%"), Account("c", "%", plugin=""))
        assert [grant.user for grant in found.grants] == ["c"] and set(found.databases) == {"d", "x", "y"}
        file.write_text("{")
        assert await manager.force_reload()
        assert host.published[-1][2] == A
        await manager.stop()

        params = {**host.service.params, "user_accounts_file_usage": "file_only_always"}
        host = Host(params=params)
        file.write_text('{"user": [{"user": "f", "host": "%"}]}')
        manager = host.manager()
        manager.start()
        await settle()
        assert (
            host.published == [(1, True, AccountSet((Account("f", "%", plugin=""),)))] and host.attempts == []
        )
        file.unlink()
        assert await manager.force_reload() is False
        await manager.stop()

    run(scenario())
    assert "no valid JSON" in caplog.text and "the file cannot be read" in caplog.text


def test_requests_during_a_load_cause_another():
    async def scenario():
        host = Host()
        host.answers[3001] = A
        manager = host.manager()
        manager.start()
        await asyncio.sleep(0)
        manager.request_reload(0)
        forced = asyncio.ensure_future(manager.force_reload())
        await settle()
        assert forced.result() is True
        assert len(host.attempts) == 2 and len(host.published) == 2
        await manager.stop()

    run(scenario())


def test_stopping_answers_those_who_wait():
    async def scenario():
        host = Host()
        release = asyncio.Event()

        async def connect(**arguments):
            await release.wait()

        manager = AccountManager("S", host, connect=connect)  # type: ignore[arg-type]
        manager.start()
        waiting = [asyncio.ensure_future(manager.force_reload()) for _ in range(2)]
        await settle()
        await manager.stop()
        assert await asyncio.gather(*waiting) == [False, False]

    run(scenario())


def test_unexpected_errors_do_not_end_the_manager(caplog):
    async def scenario():
        host = Host()
        host.answers[3001] = RuntimeError("surprise")
        manager = host.manager()
        manager.start()
        await settle()
        assert host.published == [(0, False, AccountSet())]
        host.answers[3001] = A
        assert await manager.force_reload()
        await manager.stop()

    run(scenario())
    assert "surprise" in caplog.text


def test_a_configuration_that_is_not_in_force_yet():
    async def scenario():
        host = Host()
        host.answers[3001] = A
        manager = host.manager()
        manager.start()
        await settle()
        params = {"user": "maxuser", "password": "new"}
        service = ServiceDef("S", 0, "readwritesplit", params, ("server1",))
        manager.configured(Snapshot(2, {}, host.servers, (service,)))
        await settle()
        assert [attempt["password"] for attempt in host.attempts] == ["pw", "new"]
        await manager.stop()

    run(scenario())


def test_functions_are_learned_with_the_accounts(monkeypatch, caplog):
    """Only where the service wants it; logins do not depend on it, and what is missing is said once."""
    answers: list[LearnedFunctions | Exception] = []

    async def functions(client: FakeClient, warn) -> LearnedFunctions:
        await asyncio.sleep(0)
        warn("grant me something")
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]

    monkeypatch.setattr(tested, "load_functions", functions)

    async def scenario():
        host = Host()
        host.answers[3001] = A
        manager = host.manager()
        manager.start()
        await settle()
        assert host.published == [(1, True, A)] and "grant me" not in caplog.text
        host.service = ServiceDef(
            "S", 0, "readwritesplit", {**host.service.params, "learn_read_functions": True}, ("server1",)
        )
        answers[:] = [LearnedFunctions(("d.f",), ("d.f",))]
        manager.configured()
        await settle()
        version, loaded, found = host.published[-1]
        assert (version, loaded) == (2, True) and found.accounts == A.accounts
        assert found.functions == LearnedFunctions(("d.f",), ("d.f",))
        # They have not changed; then one is gone; then the server does not tell.
        assert await manager.force_reload() and host.published[-1][0] == 2
        answers[:] = [LearnedFunctions()]
        assert await manager.force_reload() and host.published[-1] == (3, True, A)
        answers[:] = [LearnedFunctions(("d.g",), ())]
        assert await manager.force_reload() and host.published[-1][0] == 4
        for error in (SqlLost("gone"), SqlError(1142, "42000", "denied")):
            answers[:] = [error]
            assert await manager.force_reload() and host.published[-1] == (5, True, A)
        assert caplog.text.count("grant me something") == 1
        assert "Service 'S': the stored functions could not be read: " in caplog.text
        await manager.stop()

    run(scenario())


def test_functions_and_files_of_accounts(tmp_path, monkeypatch, caplog):
    async def functions(client: FakeClient, warn) -> LearnedFunctions:
        return LearnedFunctions(("d.f",), ())

    monkeypatch.setattr(tested, "load_functions", functions)
    file = tmp_path / "accounts.json"
    file.write_text(json.dumps({"user": [{"user": "f", "host": "%"}]}))

    async def scenario():
        params = {"user_accounts_file": str(file), "learn_read_functions": True}
        host = Host(params=params)
        host.answers[3001] = A
        manager = host.manager()
        manager.start()
        await settle()
        assert host.published[-1][2].functions == LearnedFunctions(("d.f",), ())
        await manager.stop()
        host = Host(params={**params, "user_accounts_file_usage": "file_only_always"})
        manager = host.manager()
        manager.start()
        await settle()
        assert host.published[-1][2].functions == LearnedFunctions()
        await manager.stop()

    run(scenario())
    assert "learn_read_functions=true learns nothing" in caplog.text
