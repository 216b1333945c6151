"""`make demo`: a private MariaDB cluster with Fairlead in front, and a tour; `--once` takes it itself."""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymysql

from cluster import (
    APP_PASSWORD,
    APP_USER,
    DATABASE,
    MONITOR_PASSWORD,
    MONITOR_USER,
    REPLICATION_PASSWORD,
    REPLICATION_USER,
    SERVICE_PASSWORD,
    SERVICE_USER,
    Cluster,
    ClusterError,
    Server,
    end,
    free_port,
    spawn,
    tail,
    wait_until,
)

COMMAND = Path(sys.executable).with_name("fairlead")
SPLIT_PORT, CONNECT_PORT, REST_PORT = 4006, 4008, 8989
TABLE = "CREATE TABLE visits (id INT PRIMARY KEY AUTO_INCREMENT, stored_by INT NOT NULL, note VARCHAR(100))"


def say(text: str = "") -> None:
    print(text, flush=True)


def step(text: str) -> None:
    say(f"==> {text}")


class Demo:
    """The cluster, Fairlead in front of it, and where everything listens."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.config = cluster.directory / "fairlead.cnf"
        self.basedir = cluster.directory / "fairlead"
        self.output = cluster.directory / "fairlead.out"
        self.log = self.basedir / "var/log/maxscale/maxscale.log"
        self.split_port = free_port(SPLIT_PORT)
        self.connect_port = free_port(CONNECT_PORT, [self.split_port])
        self.rest_port = free_port(REST_PORT, [self.split_port, self.connect_port])
        self.process: subprocess.Popen[bytes] | None = None

    def taken(self) -> list[str]:
        pairs = (
            (SPLIT_PORT, self.split_port),
            (CONNECT_PORT, self.connect_port),
            (REST_PORT, self.rest_port),
        )
        return [f"port {wanted} is taken: using {got}" for wanted, got in pairs if wanted != got]

    def write_config(self) -> None:
        names = ",".join(server.name for server in self.cluster.servers)
        sections: list[tuple[str, dict[str, Any]]] = [
            (
                "fairlead",
                {
                    "threads": 2,
                    "admin_host": "127.0.0.1",
                    "admin_port": self.rest_port,
                    "admin_secure_gui": "false",
                },
            ),
            *(
                (server.name, {"type": "server", "address": "127.0.0.1", "port": server.port})
                for server in self.cluster.servers
            ),
            (
                "Monitor",
                {
                    "type": "monitor",
                    "module": "mariadbmon",
                    "servers": names,
                    "user": MONITOR_USER,
                    "password": MONITOR_PASSWORD,
                    "replication_user": REPLICATION_USER,
                    "replication_password": REPLICATION_PASSWORD,
                    "monitor_interval": "500ms",
                },
            ),
            (
                "Split",
                {
                    "type": "service",
                    "router": "readwritesplit",
                    "servers": names,
                    "user": SERVICE_USER,
                    "password": SERVICE_PASSWORD,
                },
            ),
            (
                "Split-Listener",
                {"type": "listener", "service": "Split", "address": "127.0.0.1", "port": self.split_port},
            ),
            (
                "Replicas",
                {
                    "type": "service",
                    "router": "readconnroute",
                    "router_options": "slave",
                    "servers": names,
                    "user": SERVICE_USER,
                    "password": SERVICE_PASSWORD,
                },
            ),
            (
                "Replicas-Listener",
                {
                    "type": "listener",
                    "service": "Replicas",
                    "address": "127.0.0.1",
                    "port": self.connect_port,
                },
            ),
        ]
        parts = [
            "\n".join([f"[{name}]", *(f"{key}={value}" for key, value in parameters.items())])
            for name, parameters in sections
        ]
        self.config.write_text("\n\n".join(parts) + "\n")

    def start(self) -> None:
        self.write_config()
        self.process = spawn(
            [str(COMMAND), "serve", "--config", str(self.config), "--basedir", str(self.basedir)], self.output
        )
        expected = {
            s.name: "Master, Running" if s is self.cluster.primary else "Slave, Running"
            for s in self.cluster.servers
        }
        wait_until(lambda: self.states() == expected and self.listening(), "Fairlead sees the cluster", 30)

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        assert self.process is not None
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        found = []
        for child in children:
            with contextlib.suppress(OSError):
                if b"fairlead" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
        return found

    def check_alive(self) -> None:
        if self.process is not None and self.process.poll() is not None:
            status, self.process = self.process.returncode, None
            raise ClusterError(f"Fairlead ended with status {status}:\n{self.said()}")

    def said(self) -> str:
        return "\n".join(
            text for text in (tail(self.output), tail(self.log) if self.log.exists() else "") if text
        )

    def get(self, path: str) -> Any:
        """GET of the REST API; None while it does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.rest_port, timeout=5)
        token = base64.b64encode(b"admin:mariadb").decode()
        try:
            connection.request("GET", f"/v1/{path}", headers={"Authorization": f"Basic {token}"})
            response = connection.getresponse()
            content = response.read()
            return json.loads(content) if response.status == 200 else None
        except (OSError, ValueError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def states(self) -> dict[str, str]:
        self.check_alive()
        document = self.get("servers") or {"data": []}
        return {item["id"]: item["attributes"]["state"] for item in document["data"]}

    def listening(self) -> bool:
        document = self.get("listeners") or {"data": []}
        found = [item["attributes"]["state"] for item in document["data"]]
        return len(found) == 2 and all(state == "Running" for state in found)

    def stop(self) -> int | None:
        status = end(self.process)
        self.process = None
        return status

    # -- what the tour types

    def client_words(self, port: int, statement: str) -> list[str]:
        return [
            "mariadb",
            "--no-defaults",
            "-h127.0.0.1",
            f"-P{port}",
            f"-u{APP_USER}",
            f"-p{APP_PASSWORD}",
            DATABASE,
            "-N",
            "-e",
            statement,
        ]

    def mariadb(self, statement: str, port: int | None = None) -> list[str]:
        """Lines that the command-line client prints."""
        words = self.client_words(port or self.split_port, statement)
        result = subprocess.run(words, capture_output=True, text=True, timeout=30)
        if result.returncode:
            raise ClusterError(f"the mariadb client failed: {result.stderr.strip()}")
        return result.stdout.split("\n")[:-1]

    def connect(self, port: int | None = None) -> Any:
        return pymysql.connect(
            host="127.0.0.1",
            port=port or self.split_port,
            user=APP_USER,
            password=APP_PASSWORD,
            database=DATABASE,
            autocommit=True,
            connect_timeout=10,
            read_timeout=20,
        )

    def ctl(self, *words: str) -> str:
        command = [str(COMMAND), "ctl", "-h", f"127.0.0.1:{self.rest_port}", *words]
        result = subprocess.run(command, capture_output=True, text=True, timeout=30)
        if result.returncode:
            raise ClusterError(f"fairlead ctl {' '.join(words)} failed: {result.stderr.strip()}")
        return result.stdout


def tour_text(demo: Demo) -> str:
    rest = f"127.0.0.1:{demo.rest_port}"
    ctl = f"{os.path.relpath(COMMAND)} ctl" + ("" if demo.rest_port == REST_PORT else f" -h {rest}")
    sql = f"mariadb -h127.0.0.1 -P{demo.split_port} -u{APP_USER} -p{APP_PASSWORD} {DATABASE}"
    replica = demo.cluster.replicas[0]
    return f"""
Fairlead runs in front of one primary ({demo.cluster.primary.name}) and {len(demo.cluster.replicas)} replicas.

  read/write splitting   127.0.0.1:{demo.split_port}
  replicas only          127.0.0.1:{demo.connect_port}
  REST API               http://{rest}/v1/   (user admin, password mariadb)
  configuration          {demo.config}
  log                    {demo.log}

Things to type in another terminal:

  # a read goes to a replica, a write and a transaction to the primary (server 1)
  {sql} -e "SELECT @@server_id"
  {sql} -e "INSERT INTO visits (stored_by) VALUES (@@server_id); SELECT * FROM visits"
  {sql} -e "START TRANSACTION; SELECT @@server_id; COMMIT"

  # what Fairlead sees
  {ctl} list servers
  {ctl} show service Split
  {ctl} list sessions

  # take a replica away and read on; bring it back
  {ctl} set server {replica.name} maintenance
  {ctl} clear server {replica.name} maintenance
  kill {replica.process.pid if replica.process else "?"}    # or the hard way: ends {replica.name} for good

  # the REST API
  curl -s -u admin:mariadb http://{rest}/v1/servers
  curl -s -u admin:mariadb http://{rest}/metrics

Ctrl-C ends everything and leaves nothing behind.
"""


class Tour:
    """Takes the tour and checks every sight."""

    def __init__(self, demo: Demo) -> None:
        self.demo = demo
        self.primary = demo.cluster.primary.id
        self.replicas = {server.id for server in demo.cluster.replicas}

    def expect(self, what: str, answered: int, allowed: set[int]) -> None:
        name = f"server{answered}"
        say(f"    {what:<46} answered by {name} ({'primary' if answered == self.primary else 'replica'})")
        if answered not in allowed:
            wanted = " or ".join(f"server{number}" for number in sorted(allowed))
            raise ClusterError(f"{what}: expected {wanted}, not {name}")

    def run(self) -> None:
        for part in (self.client, self.driver, self.connection_routing, self.lost_replica, self.admin):
            part()

    def client(self) -> None:
        step(f"the mariadb client on port {self.demo.split_port}")
        self.expect("a read", int(self.demo.mariadb("SELECT @@server_id")[0]), self.replicas)
        self.demo.mariadb("INSERT INTO visits (stored_by, note) VALUES (@@server_id, 'client')")
        self.expect("a write", self.stored("client"), {self.primary})
        lines = self.demo.mariadb("START TRANSACTION; SELECT @@server_id; COMMIT")
        self.expect("a read in a transaction", int(lines[0]), {self.primary})

    def stored(self, note: str) -> int:
        """Which server stored the row, as the replicas have it."""
        server = self.demo.cluster.replicas[0]
        self.demo.cluster.wait_synced(server)
        return int(server.value(f"SELECT stored_by FROM {DATABASE}.visits WHERE note='{note}'"))

    def driver(self) -> None:
        step(f"PyMySQL on port {self.demo.split_port}")
        connection = self.demo.connect()
        with connection, connection.cursor() as cursor:
            self.expect("a read", self.ask(cursor), self.replicas)
            cursor.execute("INSERT INTO visits (stored_by, note) VALUES (@@server_id, %s)", ("driver",))
            self.expect("a write", self.stored("driver"), {self.primary})
            connection.begin()
            self.expect("a read in a transaction", self.ask(cursor), {self.primary})
            connection.rollback()
            self.expect("a read after it", self.ask(cursor), self.replicas)
        seen = set()
        for _ in range(6):
            connection = self.demo.connect()
            with connection, connection.cursor() as cursor:
                seen.add(self.ask(cursor))
        say(f"    reads of six connections came from {', '.join(f'server{n}' for n in sorted(seen))}")
        if not seen <= self.replicas:
            raise ClusterError("reads reached the primary although replicas are there")

    @staticmethod
    def ask(cursor: Any) -> int:
        cursor.execute("SELECT @@server_id")
        return int(cursor.fetchone()[0])

    def connection_routing(self) -> None:
        step(f"readconnroute on port {self.demo.connect_port}")
        answered = int(self.demo.mariadb("SELECT @@server_id", self.demo.connect_port)[0])
        self.expect("a whole connection", answered, self.replicas)

    def lost_replica(self) -> None:
        connection = self.demo.connect()
        with connection, connection.cursor() as cursor:
            answered = self.ask(cursor)
            lost = next(server for server in self.demo.cluster.servers if server.id == answered)
            step(f"stopping {lost.name} while a connection reads from it")
            self.expect("before", answered, self.replicas)
            lost.stop()
            for number in range(3):
                self.expect(
                    "the same connection reads on" if number == 0 else "and on",
                    self.ask(cursor),
                    self.replicas - {answered} | {self.primary},
                )
        wait_until(lambda: self.demo.states().get(lost.name) == "Down", f"{lost.name} is seen as down", 20)
        self.lost = lost

    def admin(self) -> None:
        step("fairlead ctl list servers")
        table = self.demo.ctl("list", "servers")
        say("".join(f"    {line}\n" for line in table.splitlines()))
        expected = {server.name: self.expected_state(server) for server in self.demo.cluster.servers}
        for line in self.demo.ctl("list", "servers", "--tsv").splitlines():
            cells = line.split("\t")
            if expected.pop(cells[0], None) != cells[4]:
                raise ClusterError(f"{cells[0]} should not be `{cells[4]}`")
        if expected:
            raise ClusterError(f"not listed: {', '.join(expected)}")

    def expected_state(self, server: Server) -> str:
        if server is self.lost:
            return "Down"
        return "Master, Running" if server.id == self.primary else "Slave, Running"


def serve(demo: Demo) -> None:
    """Until Ctrl-C."""
    say(tour_text(demo))
    while True:
        demo.check_alive()
        time.sleep(0.5)


def timed(text: str, action: Callable[[], None]) -> None:
    before = time.monotonic()
    step(text)
    action()
    say(f"    done in {time.monotonic() - before:.1f} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=re.sub(r"`", "", __doc__ or ""))
    parser.add_argument("--once", action="store_true", help="take the tour, check every step, exit")
    once = parser.parse_args().once
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    demo: Demo | None = None
    try:
        with Cluster(3, "fairlead-demo-") as cluster:
            try:
                timed("starting one primary and two replicas", lambda: cluster.start([TABLE]))
                demo = Demo(cluster)
                for line in demo.taken():
                    say(f"    {line}")
                timed("starting Fairlead", demo.start)
                if once:
                    Tour(demo).run()
                else:
                    serve(demo)
                status = demo.stop()
                if status != 0:
                    raise ClusterError(f"Fairlead ended with status {status} when it was told to stop")
                step("everything as it should be")
            except (ClusterError, pymysql.Error, subprocess.TimeoutExpired) as error:
                say(f"==> NOT as it should be: {error}")
                if demo is not None and demo.process is not None:
                    say(demo.said())
                return 1
            finally:
                if demo is not None:
                    demo.stop()
    except KeyboardInterrupt:
        say("\n==> everything is stopped and removed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
