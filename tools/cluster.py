"""A private cluster of real MariaDB servers, for the demo and the benchmark: a primary and GTID replicas.

Every process it starts ends with it: at `stop`, and by the kernel when this process dies.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pymysql

os.environ["PATH"] += ":/usr/sbin:/sbin"

DATABASE = "demo"
APP_USER, APP_PASSWORD = "app", "app_pw"
SERVICE_USER, SERVICE_PASSWORD = "fairlead", "fairlead_pw"
MONITOR_USER, MONITOR_PASSWORD = "monitor", "monitor_pw"
REPLICATION_USER, REPLICATION_PASSWORD = "replication", "replication_pw"

ACCOUNTS = f"""
DELETE FROM mysql.global_priv WHERE User='';
FLUSH PRIVILEGES;
CREATE USER '{SERVICE_USER}'@'%' IDENTIFIED BY '{SERVICE_PASSWORD}';
GRANT SELECT ON mysql.* TO '{SERVICE_USER}'@'%';
GRANT SHOW DATABASES ON *.* TO '{SERVICE_USER}'@'%';
CREATE USER '{MONITOR_USER}'@'%' IDENTIFIED BY '{MONITOR_PASSWORD}';
GRANT RELOAD, PROCESS, SHOW DATABASES, EVENT, READ_ONLY ADMIN, CONNECTION ADMIN, BINLOG ADMIN,
  REPLICATION CLIENT, REPLICATION SLAVE, REPLICATION SLAVE ADMIN, REPLICATION MASTER ADMIN, SLAVE MONITOR
  ON *.* TO '{MONITOR_USER}'@'%';
GRANT SELECT ON mysql.* TO '{MONITOR_USER}'@'%';
CREATE USER '{REPLICATION_USER}'@'%' IDENTIFIED BY '{REPLICATION_PASSWORD}';
GRANT REPLICATION SLAVE ON *.* TO '{REPLICATION_USER}'@'%';
CREATE USER '{APP_USER}'@'%' IDENTIFIED BY '{APP_PASSWORD}';
GRANT ALL ON {DATABASE}.* TO '{APP_USER}'@'%';
CREATE DATABASE {DATABASE};
"""


class ClusterError(Exception):
    """Something did not come up; the message is for the user."""


def end_with_parent() -> None:
    """In a child: be killed when the parent is gone."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def spawn(command: list[str], log: Path, **arguments: Any) -> subprocess.Popen[bytes]:
    """Start a process that Ctrl-C does not reach and that cannot outlive this one."""
    with open(log, "ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=end_with_parent,
            **arguments,
        )


def end(process: subprocess.Popen[bytes] | None, timeout: float = 10) -> int | None:
    """Ask a process to end, insist after a while; its exit status."""
    if process is None:
        return None
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


def wait_until(condition: Callable[[], Any], what: str, timeout: float = 30, pause: float = 0.05) -> Any:
    """The first true value of the condition."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise ClusterError(f"waited {timeout:g} s in vain: {what}")
        time.sleep(pause)


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port(wanted: int, taken: Iterable[int] = ()) -> int:
    """The wanted port or the next one that is free."""
    taken = set(taken)
    for port in range(wanted, min(wanted + 2000, 65536)):
        if port not in taken and port_is_free(port):
            return port
    raise ClusterError(f"no free port from {wanted} on")


class Server:
    """One `mariadbd`."""

    def __init__(self, directory: Path, number: int, port: int) -> None:
        self.name = f"server{number}"
        self.id = number
        self.port = port
        self.directory = directory / self.name
        self.socket = self.directory / "s.sock"
        self.log = self.directory / "error.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, extra: Iterable[str] = ()) -> None:
        options = [
            "--no-defaults",
            f"--datadir={self.directory / 'data'}",
            f"--socket={self.socket}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--pid-file={self.directory / 'pid'}",
            f"--server-id={self.id}",
            f"--tmpdir={self.directory}",
            "--log-bin=binlog",
            "--log-slave-updates",
            "--binlog-format=ROW",
            "--gtid-strict-mode=1",
            "--sync-binlog=0",
            # A commit survives kill -9, though not the loss of the machine.
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-buffer-pool-size=64M",
            "--innodb-log-file-size=32M",
            "--performance-schema=OFF",
            "--skip-name-resolve",
            "--max-connections=600",
            "--report-host=127.0.0.1",
            f"--report-port={self.port}",
            "--character-set-server=utf8mb4",
            *(["--user=root"] if os.geteuid() == 0 else []),
            *extra,
        ]
        self.process = spawn(["mariadbd", *options], self.log)

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait_ready(self, timeout: float = 60) -> None:
        def answers() -> bool:
            if not self.is_running():
                raise ClusterError(f"{self.name} did not start:\n{tail(self.log)}")
            try:
                self.run("SELECT 1")
            except pymysql.Error:
                return False
            return True

        wait_until(answers, f"{self.name} answers", timeout)

    def run(self, *statements: str) -> Any:
        """Execute as root; rows of the last statement."""
        connection = pymysql.connect(unix_socket=str(self.socket), user="root", autocommit=True)
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall()
        finally:
            connection.close()

    def value(self, statement: str) -> Any:
        return self.run(statement)[0][0]

    def replicate_from(self, primary: Server) -> None:
        self.run(
            f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={primary.port}, "
            f"MASTER_USER='{REPLICATION_USER}', MASTER_PASSWORD='{REPLICATION_PASSWORD}', "
            "MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1",
            "SET GLOBAL read_only=1",
            "START SLAVE",
        )

    def stop(self, timeout: float = 20) -> None:
        end(self.process, timeout)
        self.process = None


def tail(path: Path, lines: int = 20) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return str(error)


class Cluster:
    """Servers in one temporary directory; the first is the primary. Use as a context."""

    def __init__(self, count: int = 3, prefix: str = "fairlead-", first_port: int = 13301) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=prefix))
        ports: list[int] = []
        for _ in range(count):
            ports.append(free_port((ports[-1] if ports else first_port - 1) + 1))
        self.servers = [Server(self.directory, number + 1, port) for number, port in enumerate(ports)]

    @property
    def primary(self) -> Server:
        return self.servers[0]

    @property
    def replicas(self) -> list[Server]:
        return self.servers[1:]

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, statements: Iterable[str] = (), extra: Iterable[str] = ()) -> None:
        """Make the data directories, start all, replicate, execute the statements on the primary."""
        template = self.directory / "template"
        made = subprocess.run(
            [
                "mariadb-install-db",
                "--no-defaults",
                f"--datadir={template}",
                "--skip-test-db",
                "--skip-name-resolve",
                "--auth-root-authentication-method=normal",
                "--innodb-log-file-size=32M",
                *(["--user=root"] if os.geteuid() == 0 else []),
            ],
            capture_output=True,
            text=True,
        )
        if made.returncode:
            raise ClusterError(f"mariadb-install-db failed:\n{made.stdout}{made.stderr}")
        extra = list(extra)
        for server in self.servers:
            server.directory.mkdir()
            subprocess.run(
                ["cp", "-a", "--sparse=always", str(template), str(server.directory / "data")], check=True
            )
            server.start(extra)
        shutil.rmtree(template)
        for server in self.servers:
            server.wait_ready()
            server.run("SET SESSION sql_log_bin=0", *split(ACCOUNTS))
        for replica in self.replicas:
            replica.replicate_from(self.primary)
        self.primary.run(f"USE {DATABASE}", *statements)
        for replica in self.replicas:
            self.wait_synced(replica)

    def wait_synced(self, replica: Server, timeout: float = 30) -> None:
        """Wait until the replica has applied everything that the primary has."""
        position = self.primary.value("SELECT @@global.gtid_binlog_pos")
        if replica.value(f"SELECT MASTER_GTID_WAIT('{position}', {timeout})") != 0:
            raise ClusterError(f"{replica.name} does not follow the primary:\n{tail(replica.log)}")

    def stop(self) -> None:
        for server in self.servers:
            if server.process is not None and server.process.poll() is None:
                server.process.terminate()
        for server in self.servers:
            server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


def split(statements: str) -> list[str]:
    return [part.strip() for part in statements.split(";") if part.strip()]
