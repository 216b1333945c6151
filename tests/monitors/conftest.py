"""A primary and a replica as real servers, and the surroundings that monitors need, in memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from fairlead.cluster.board import STATUS, Board
from fairlead.cluster.defs import MonitorDef, ServerDef, ServerFacts, Snapshot
from fairlead.cluster.status import status_text
from fairlead.monitors.runner import Monitors

ACCOUNTS = """
FLUSH PRIVILEGES;
CREATE USER 'mon'@'%' IDENTIFIED BY 'mon_pw';
GRANT RELOAD, PROCESS, SHOW DATABASES, EVENT, READ_ONLY ADMIN, CONNECTION ADMIN, SUPER, SLAVE MONITOR,
      REPLICATION SLAVE ADMIN, REPLICATION SLAVE ON *.* TO 'mon'@'%';
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RealServer:
    """One mariadbd on loopback; `run` is root over the Unix socket."""

    def __init__(self, directory: Path, number: int) -> None:
        self.directory = directory
        self.number = number
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.socket = directory / "s.sock"

    def start(self) -> None:
        as_root = ["--user=root"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen(
            [
                shutil.which("mariadbd") or "/usr/sbin/mariadbd", "--no-defaults", *as_root,
                f"--datadir={self.directory / 'data'}", f"--socket={self.socket}",
                f"--tmpdir={self.directory}", f"--port={self.port}", "--bind-address=127.0.0.1",
                f"--server-id={self.number}", "--log-bin=b", "--log-slave-updates",
                "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M",
                "--performance-schema=OFF", "--sync-binlog=0", f"--read-only={int(self.number > 1)}",
                "--proxy-protocol-networks=127.0.0.1", f"--pid-file={self.directory / 'pid'}",
            ],
            stdout=subprocess.DEVNULL, stderr=(self.directory / "log").open("wb"),
        )  # fmt: skip
        for _ in range(300):
            if self.process.poll() is not None:
                raise RuntimeError((self.directory / "log").read_text())
            with contextlib.suppress(subprocess.CalledProcessError):
                self.run("SELECT 1")
                return
            time.sleep(0.1)
        raise RuntimeError((self.directory / "log").read_text())

    def run(self, sql: str) -> str:
        done = subprocess.run(
            ["mariadb", "--no-defaults", f"--socket={self.socket}", "-uroot", "-N", "-B", "-e", sql],
            check=True, capture_output=True, timeout=20,
        )  # fmt: skip
        return done.stdout.decode().strip()

    def end(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(30)
            self.process = None

    def replicate_from(self, source: RealServer) -> None:
        self.run(
            f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={source.port}, MASTER_USER='mon', "
            "MASTER_PASSWORD='mon_pw', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1; START SLAVE"
        )


@pytest.fixture(scope="session")
def real_servers() -> Iterator[list[RealServer]]:
    if shutil.which("mariadb-install-db") is None:
        pytest.skip("no MariaDB server is installed")
    top = Path(tempfile.mkdtemp(prefix="fairlead-monitors-"))
    as_root = ["--user=root"] if os.geteuid() == 0 else []
    small = ["--innodb-log-file-size=16M", "--innodb-buffer-pool-size=32M"]
    template = top / "template"
    servers = [RealServer(top / f"server{number}", number) for number in (1, 2)]
    try:
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", f"--datadir={template}", *as_root, *small,
             "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        subprocess.run(
            [shutil.which("mariadbd") or "/usr/sbin/mariadbd", "--no-defaults", f"--datadir={template}",
             *as_root, *small, "--bootstrap"],
            input=ACCOUNTS.encode(), check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        for server in servers:
            server.directory.mkdir()
            shutil.copytree(template, server.directory / "data")
            server.start()
        servers[1].replicate_from(servers[0])
        yield servers
    finally:
        for server in servers:
            server.end()
        shutil.rmtree(top, ignore_errors=True)


@pytest.fixture
def pair(real_servers: list[RealServer]) -> list[RealServer]:
    """The two servers, running, the second a read-only replica of the first."""
    for server in real_servers:
        if server.process is None:
            server.start()
    one, two = real_servers
    one.run("SET GLOBAL read_only=0")
    two.run("SET GLOBAL read_only=1; START SLAVE")
    for _ in range(100):
        if two.run("SHOW SLAVE STATUS").split("\t").count("Yes") >= 2:
            break
        time.sleep(0.1)
    return real_servers


class MemoryHost:
    """What the supervisor is to the monitors."""

    def __init__(self, datadir: Path) -> None:
        self.datadir = datadir
        self.hung_up: list[tuple[str, str]] = []
        self.known: dict[str, ServerFacts] = {}
        self.facts_sent = 0

    def wall_clock(self) -> float:
        return time.time()

    def hang_up(self, server: str, reason: str, gently: bool = False) -> None:
        self.hung_up.append((server, reason))

    def facts(self, facts: ServerFacts) -> None:
        self.known[facts.name] = facts
        self.facts_sent += 1

    def tls_context(self, server: ServerDef) -> ssl.SSLContext | None:
        return None


MONITOR_PARAMS: dict[str, Any] = {
    "user": "mon", "password": "mon_pw", "monitor_interval": 50, "backend_connect_timeout": 1000,
    "backend_read_timeout": 1000, "backend_write_timeout": 1000, "backend_connect_attempts": 1,
    "journal_max_age": 28800000, "disk_space_check_interval": 0, "script": "", "script_timeout": 5000,
    "events": (), "assume_unique_hostnames": True, "failcount": 2,
    "master_conditions": ("primary_monitor_master", "disk_space_ok"), "slave_conditions": (),
    "cooperative_monitoring_locks": "none", "script_max_replication_lag": -1,
}  # fmt: skip


class World:
    """Monitors over some servers, on a board of their own."""

    def __init__(self, ports: list[int], directory: Path) -> None:
        self.host = MemoryHost(directory)
        self.board = Board.create(1)
        self.monitors = Monitors(self.board, self.host)
        self.servers = [
            ServerDef(f"server{number}", number, {"address": "127.0.0.1", "port": port})
            for number, port in enumerate(ports, 1)
        ]
        self.params = dict(MONITOR_PARAMS)
        self.monitored = tuple(server.name for server in self.servers)
        self.stopped = False
        self.globals: dict[str, Any] = {}
        for server in self.servers:
            self.board.reset_server(server.slot)

    async def apply(self, **params: Any) -> None:
        self.params.update(params)
        monitor = MonitorDef("M", "mariadbmon", self.monitored, dict(self.params), self.stopped)
        await self.monitors.apply(
            Snapshot(1, dict(self.globals), servers=tuple(self.servers), monitors=(monitor,))
        )

    def state(self, name: str) -> str:
        server = next(one for one in self.servers if one.name == name)
        return status_text(self.board.server(server.slot, STATUS))

    @property
    def states(self) -> list[str]:
        return [self.state(server.name) for server in self.servers]

    async def tick(self, count: int = 1) -> None:
        for _ in range(count):
            await self.monitors._tasks["M"].next_tick(10)


Scenario = Callable[[World], Awaitable[None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    """Play a scenario in a world of these servers, and end its monitors."""

    def run(servers: Sequence[RealServer], scenario: Scenario) -> None:
        async def main() -> None:
            world = World([server.port for server in servers], tmp_path)
            try:
                async with asyncio.timeout(60):
                    await scenario(world)
            finally:
                await world.monitors.stop()

        asyncio.run(main())

    return run
