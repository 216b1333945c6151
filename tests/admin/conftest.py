"""The API over a fake product: a real configuration and a real board, everything else made up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from fairlead.admin.app import Api
from fairlead.cluster import board as cells
from fairlead.cluster import status
from fairlead.cluster.board import Board
from fairlead.cluster.defs import ServerFacts, Snapshot
from fairlead.config.store import Change, ConfigStore
from fairlead.workers.ports import AccountList, ProductError, SessionInfo, ThreadInfo, UnknownCommand

TEXT = """\
[maxscale]
threads=2
admin_secure_gui=false

[server1]
type=server
address=127.0.0.1
port=3001

[server2]
type=server
address=127.0.0.1
port=3002
persistpoolmax=10

[spare]
type=server
socket=/tmp/spare.sock

[Monitor]
type=monitor
module=mariadbmon
servers=server1,server2
user=monitor_user
password=monitor_pw
monitor_interval=200ms

[Hint]
type=filter
module=hintfilter

[RWS]
type=service
router=readwritesplit
servers=server1,server2
user=service_user
password=service_pw
filters=Hint

[RCR]
type=service
router=readconnroute
cluster=Monitor
user=service_user
password=service_pw
router_options=slave

[RWS-Listener]
type=listener
service=RWS
address=127.0.0.1
port=4006
"""


class FakeMonitors:
    """Monitors that do as they are told, and remember it."""

    def __init__(self, board: Board, store: ConfigStore) -> None:
        self._board, self._store = board, store
        self.calls: list[tuple[str, ...]] = []
        self.looked = 0

    def _slot(self, server: str) -> int:
        return next(each.slot for each in self._store.snapshot().servers if each.name == server)

    async def set_state(self, server: str, state: str, force: bool, timeout_ms: int = 0) -> None:
        self.calls.append(("set", server, state, str(force), *([str(timeout_ms)] if timeout_ms else [])))
        if state not in status.SETTABLE:
            raise ValueError(f"'{state}' is not a state")
        slot = self._slot(server)
        self._board.set_server(
            slot, cells.STATUS, self._board.server(slot, cells.STATUS) | status.SETTABLE[state]
        )

    async def clear_state(self, server: str, state: str) -> None:
        self.calls.append(("clear", server, state))
        if state not in status.SETTABLE:
            raise ValueError(f"'{state}' is not a state")
        slot = self._slot(server)
        self._board.set_server(
            slot, cells.STATUS, self._board.server(slot, cells.STATUS) & ~status.SETTABLE[state]
        )

    def diagnostics(self, monitor: str) -> dict[str, Any]:
        return {"master": "server1", "state": "Idle", "primary": None}

    def ticks(self, monitor: str) -> int:
        self.looked += 1
        return self.looked

    def state(self, monitor: str) -> str:
        found = next(each for each in self._store.snapshot().monitors if each.name == monitor)
        return "Stopped" if found.stopped else "Running"

    def server_attributes(self, server: str) -> dict[str, Any]:
        return {"gtid_current_pos": "0-1-7"} if server == "server1" else {}


class FakeProduct:
    """Satisfies `ports.Product`."""

    def __init__(self, store: ConfigStore, log_path: Path | None) -> None:
        self.store = store
        self.board = Board.create(2)
        self.started_at = time.time() - 10
        self.monitors = FakeMonitors(self.board, store)
        self.stopping = False
        self.log_path = log_path
        self.calls: list[tuple[Any, ...]] = []
        self.refuse = ""
        self.cached = [{"canonical": "SELECT ?", "hits": 3, "classification": {"size": 10}}]
        self.live = {
            1: SessionInfo(1, "RWS", {"user": "bob", "idle": 0.5, "state": "Session started"}, ("Hint",)),
            7: SessionInfo(7, "RCR", {"user": "eve", "idle": 9.0, "state": "Session started"}),
        }

    async def change(self, change: Change) -> None:
        if self.refuse:
            raise ProductError(self.refuse, "and nothing has changed")
        self.store.commit(change)

    async def close_cut_off(self, before: Snapshot) -> None:
        self.calls.append(("close_cut_off", before.version))

    async def reload_tls(self) -> None:
        self.calls.append(("reload_tls",))

    def service_state(self, service: str) -> str:
        return "Stopped" if self.store.get("services", service).stopped else "Started"  # type: ignore[union-attr]

    def listener_state(self, listener: str) -> str:
        return "Stopped" if self.store.get("listeners", listener).stopped else "Running"  # type: ignore[union-attr]

    def facts(self, server: str) -> ServerFacts | None:
        return ServerFacts(server, "10.11.6-MariaDB") if server == "server1" else None

    def service_started_at(self, service: str) -> float:
        return 1_700_000_000

    def router_diagnostics(self, service: str) -> dict[str, Any]:
        return {"last_gtid": None} if service == "RWS" else {}

    def filter_diagnostics(self, filter_name: str) -> dict[str, Any] | None:
        return None

    async def sessions(self, rdns: bool = False) -> list[SessionInfo]:
        return list(self.live.values())

    async def session(self, session_id: int, rdns: bool = False) -> SessionInfo | None:
        return self.live.get(session_id)

    async def close_session(self, session_id: int, ttl_s: float) -> bool:
        self.calls.append(("close_session", session_id, ttl_s))
        return self.live.pop(session_id, None) is not None

    async def alter_session(
        self, session_id: int, parameters: dict[str, Any], filters: Sequence[str] | None
    ) -> bool:
        self.calls.append(("alter_session", session_id, parameters, filters))
        return session_id in self.live

    async def restart_sessions(self, session_id: int | None) -> bool:
        self.calls.append(("restart_sessions", session_id))
        return session_id is None or session_id in self.live

    async def threads(self) -> list[ThreadInfo]:
        return [ThreadInfo(0, stats={"zombies": 1}), ThreadInfo(1, load=(1, 2, 3))]

    async def pause_service(self, service: str, timeout_ms: int) -> int:
        self.calls.append(("pause_service", service, timeout_ms))
        return 2

    async def resume_service(self, service: str) -> None:
        self.calls.append(("resume_service", service))

    async def reload_accounts(self, service: str) -> None:
        self.calls.append(("reload_accounts", service))

    def accounts(self, service: str) -> AccountList:
        return AccountList([{"user": "bob", "host": "%"}], 1_700_000_000)

    def rotate_logs(self) -> None:
        self.calls.append(("rotate_logs",))

    async def command(self, module: str, command: str, arguments: Sequence[str], verb: str) -> Any:
        self.calls.append(("command", module, command, tuple(arguments), verb))
        if (module, command, verb) == ("mariadbmon", "failover", "POST"):
            if arguments != ["Monitor"]:
                raise ProductError("There is no such monitor")
            return None
        if (module, command, verb) == ("mariadbmon", "fetch-cmd-result", "GET"):
            return {"state": "done"}
        raise UnknownCommand(command)

    async def classify(self, sql: str) -> dict[str, Any]:
        return {"canonical": sql.upper()}

    async def classifier_cache(self, top: int) -> list[dict[str, Any]]:
        return self.cached[:top]

    async def memory(self) -> dict[str, int]:
        return {"query_classifier": 5, "sessions": 6}


Make = Callable[..., FakeProduct]


@pytest.fixture
def make_product(tmp_path: Path) -> Make:
    """A function that makes a product; keyword arguments go into the global section."""

    def make(**parameters: Any) -> FakeProduct:
        extra = "".join(f"{name}={value}\n" for name, value in parameters.items())
        file = tmp_path / "maxscale.cnf"
        file.write_text(TEXT.replace("[maxscale]\n", f"[maxscale]\n{extra}"))
        store = ConfigStore.load(file, basedir=tmp_path / "base")
        return FakeProduct(store, tmp_path / "maxscale.log")

    return make


@pytest.fixture
def product(make_product: Make) -> FakeProduct:
    return make_product()


class Client(TestClient):
    """Adds what tests ask most."""

    def data(self, path: str) -> Any:
        response = self.get(path)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def attributes(self, path: str) -> Any:
        return self.data(path)["attributes"]

    def details(self, method: str, path: str, status: int, **arguments: Any) -> str:
        """The error texts of a request that must fail with this status."""
        response = self.request(method, path, **arguments)
        assert response.status_code == status, response.text
        return "; ".join(error["detail"] for error in response.json()["errors"])


def make_client(product: FakeProduct) -> Client:
    client = Client(Api(product), base_url="http://127.0.0.1:8989/v1", raise_server_exceptions=True)
    client.auth = ("admin", "mariadb")
    return client


@pytest.fixture
def client_of() -> Callable[[FakeProduct], Client]:
    """A function that makes a client of a product."""
    return make_client


@pytest.fixture
def api(product: FakeProduct) -> Client:
    return make_client(product)
