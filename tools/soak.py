"""`make soak`: a long mixed load with faults and changes; then everything has to be as it was.

Clients read, write, prepare, reset their connection, make temporary tables and vanish; meanwhile parameters
are altered, servers go into maintenance and keep connections or not, services come and go, the log is
rotated, replicas are killed and return. Now and then a line shows memory, descriptors, sessions and history.
At the end all of it has to be back at the baseline that was taken after the first tenth.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pymysql

from cluster import Cluster, ClusterError, Server, wait_until
from demo import Demo, say

CLIENTS = 12
# What the product may have more at the end than at the baseline.
MEMORY_SLACK_KB = 8 * 1024
DESCRIPTOR_SLACK = 2
# Errors that clients may see while replicas die and sessions are closed on purpose.
EXPECTED = {1290, 1927, 2006, 2013, 1053, 1045, 0}


class Soak:
    """The product, its load, and what was seen."""

    def __init__(self, product: Demo, seed: int) -> None:
        self.product = product
        self.rng = random.Random(seed)
        self.end = threading.Event()
        self.statements = 0
        # How often load_for has been called: writes have different tokens each time.
        self.phase = 0
        self.unexpected: list[str] = []
        self.acknowledged: set[str] = set()
        self._lock = threading.Lock()

    # -- clients

    def client(self, number: int) -> None:
        """One client after the other, until the end."""
        rng = random.Random(f"{number} {self.phase}")
        life = 0
        while not self.end.is_set():
            life += 1
            try:
                self._life(rng, f"{self.phase}-{number}-{life}")
            except pymysql.err.MySQLError as error:
                if error.args[0] not in EXPECTED:
                    self.unexpected.append(repr(error))
            except (OSError, AttributeError, RuntimeError) as error:
                if not self.end.is_set() and "closed" not in str(error):
                    self.unexpected.append(repr(error))

    def _life(self, rng: random.Random, name: str) -> None:
        connection = self.product.connect()
        try:
            for count in range(rng.randint(1, 60)):
                if self.end.is_set():
                    break
                self._statement(connection, rng, f"{name}-{count}")
                self.statements += 1
        finally:
            if rng.random() < 0.3:
                connection._force_close()
            else:
                connection.close()

    def _statement(self, connection: Any, rng: random.Random, token: str) -> None:
        with connection.cursor() as cursor:
            kind = rng.randint(0, 10)
            if kind <= 2:
                cursor.execute("SELECT COUNT(*) FROM soak")
            elif kind == 3:
                cursor.execute("INSERT INTO soak VALUES (%s)", (token,))
                with self._lock:
                    self.acknowledged.add(token)
            elif kind == 4:
                cursor.execute("BEGIN")
                cursor.execute("INSERT INTO soak VALUES (%s)", (token,))
                cursor.execute("COMMIT")
                with self._lock:
                    self.acknowledged.add(token)
            elif kind == 5:
                cursor.execute(f"SET @a = '{token}'")
                cursor.execute("SELECT @a")
                assert cursor.fetchone() == (token,), "another session's variable"
            elif kind == 6:
                cursor.execute("SELECT REPEAT('x', 1000) FROM seq_1_to_3000")
                assert len(cursor.fetchall()) == 3000
            elif kind == 7:
                cursor.execute("CREATE TEMPORARY TABLE IF NOT EXISTS soak_tmp (id INT)")
                cursor.execute("SELECT COUNT(*) FROM soak_tmp")
            elif kind == 8:
                cursor.execute("PREPARE s FROM 'SELECT ? + 1'")
                cursor.execute("SET @n = 41")
                cursor.execute("EXECUTE s USING @n")
                assert int(cursor.fetchone()[0]) == 42
                cursor.execute("DEALLOCATE PREPARE s")
            elif kind == 9:
                _prepared(connection, close=rng.random() < 0.7)
            else:
                connection._execute_command(31, b"")
                connection._read_ok_packet()
                cursor.execute("SET NAMES utf8mb4")

    # -- administration

    def admin(self) -> None:
        """Change something every now and then."""
        deeds = (self._alter, self._pool, self._maintain, self._service, self._kill_replica, self._rotate)
        while not self.end.wait(self.rng.uniform(0.5, 3)):
            self.rng.choice(deeds)()

    def request(self, method: str, path: str, body: Any = None) -> int:
        """A request to the REST API; the status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.product.rest_port, timeout=20)
        token = base64.b64encode(b"admin:mariadb").decode()
        try:
            data = json.dumps(body) if body is not None else None
            connection.request(method, f"/v1/{path}", data, {"Authorization": f"Basic {token}"})
            response = connection.getresponse()
            text = response.read().decode()
            if response.status >= 400:
                self.unexpected.append(f"{method} {path}: {response.status} {text[:200]}")
            return response.status
        finally:
            connection.close()

    def _alter(self) -> None:
        parameters = {"max_slave_connections": self.rng.choice((1, 2, 255))}
        self.request("PATCH", "services/Split", {"data": {"attributes": {"parameters": parameters}}})

    def _pool(self) -> None:
        """A server begins or ceases to keep the connections of sessions that have ended."""
        self._keep(self.rng.choice(self.product.cluster.servers).name, self.rng.choice((0, 8)))

    def _keep(self, server: str, count: int) -> None:
        parameters = {"persistpoolmax": count, "persistmaxtime": "10s"}
        self.request("PATCH", f"servers/{server}", {"data": {"attributes": {"parameters": parameters}}})

    def _maintain(self) -> None:
        name = self.rng.choice(self.product.cluster.replicas).name
        self.request("PUT", f"servers/{name}/set?state=maintenance")
        self.end.wait(0.5)
        self.request("PUT", f"servers/{name}/clear?state=maintenance")

    def _service(self) -> None:
        servers = [{"id": server.name, "type": "servers"} for server in self.product.cluster.servers]
        body = {
            "data": {
                "id": "Passing",
                "type": "services",
                "attributes": {
                    "router": "readconnroute",
                    "parameters": {"user": "nobody", "password": "nothing"},
                },
                "relationships": {"servers": {"data": servers}},
            }
        }
        self.request("POST", "services", body)
        self.request("DELETE", "services/Passing?force=yes")

    def _kill_replica(self) -> None:
        replica = self.rng.choice(self.product.cluster.replicas)
        assert replica.process is not None
        replica.process.kill()
        replica.process.wait()
        self._bring_back(replica)

    def _bring_back(self, replica: Server) -> None:
        replica.start()
        replica.wait_ready()
        replica.run("SET GLOBAL read_only = 1")

    def _rotate(self) -> None:
        assert self.product.process is not None
        os.kill(self.product.process.pid, signal.SIGUSR1)

    # -- looking

    def sample(self) -> dict[str, int]:
        """Memory (KiB), descriptors and threads of all processes; what the REST API counts."""
        assert self.product.process is not None
        pids = [self.product.process.pid, *self.product.workers()]
        memory = descriptors = threads = 0
        for pid in pids:
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        memory += int(line.split()[1])
                descriptors += len(os.listdir(f"/proc/{pid}/fd"))
                threads += len(os.listdir(f"/proc/{pid}/task"))
        found = {"memory": memory, "descriptors": descriptors, "threads": threads}
        sessions = (self.product.get("sessions") or {"data": []})["data"]
        found["sessions"] = len(sessions)
        found["history"] = sum(item["attributes"]["client"]["sescmd_history_len"] for item in sessions)
        servers = (self.product.get("servers") or {"data": []})["data"]
        found["connections"] = sum(item["attributes"]["statistics"]["connections"] for item in servers)
        found["active"] = sum(item["attributes"]["statistics"]["active_operations"] for item in servers)
        return found

    def quiet(self) -> dict[str, int]:
        """A sample while nobody is connected and no connection is kept."""
        for server in self.product.cluster.servers:
            if not server.is_running():
                # A server ends with the thread that started it.
                self._bring_back(server)
            self._keep(server.name, 0)
        wait_until(lambda: not any(self.sample()[name] for name in ("sessions", "connections")), "quiet", 60)
        time.sleep(2)
        return {**self.sample(), "prepared": sum(map(_prepared_on, self.product.cluster.servers))}

    def load_for(self, seconds: float) -> None:
        """Let everybody work for so long."""
        self.end.clear()
        self.phase += 1
        threads = [threading.Thread(target=self.client, args=(number,)) for number in range(CLIENTS)]
        threads.append(threading.Thread(target=self.admin))
        for thread in threads:
            thread.start()
        step = max(5.0, min(60.0, seconds / 10))
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.unexpected:
            time.sleep(min(step, max(0.1, deadline - time.monotonic())))
            say("  " + "  ".join(f"{name} {value}" for name, value in self.sample().items()))
        self.end.set()
        for thread in threads:
            thread.join(60)
            if thread.is_alive():
                self.unexpected.append("a client hangs")

    def missing(self) -> set[str]:
        """Acknowledged writes that are not on the primary."""
        connection = self.product.connect()
        with connection.cursor() as cursor:
            cursor.execute("SELECT token FROM soak FOR UPDATE")
            there = {row[0] for row in cursor.fetchall()}
        connection.close()
        return self.acknowledged - there


def _prepared(connection: Any, close: bool) -> None:
    """Prepare a statement in the binary protocol, execute it twice, and close it or leave that to the end."""
    connection._execute_command(22, b"SELECT COUNT(*) FROM soak")
    answer = connection._read_packet().get_all_data()
    statement = answer[1:5]
    _rest(connection, 1)
    for _ in range(2):
        connection._execute_command(23, statement + b"\0" + (1).to_bytes(4, "little"))
        connection._read_packet()
        _rest(connection, 2)
    if close:
        connection._execute_command(25, statement)


def _rest(connection: Any, ends: int) -> None:
    """Read to the end of so many lists of packets."""
    while ends:
        ends -= connection._read_packet().is_eof_packet()


def _prepared_on(server: Server) -> int:
    """Statements that are prepared on a server."""
    return int(server.run("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'")[0][1])


def verdict(soak: Soak, before: dict[str, int], after: dict[str, int]) -> list[str]:
    """What is not as it was."""
    wrong = list(soak.unexpected[:10])
    slack = {"memory": MEMORY_SLACK_KB, "descriptors": DESCRIPTOR_SLACK}
    for name, value in after.items():
        if value > before[name] + slack.get(name, 0):
            wrong.append(f"{name}: {before[name]} before, {value} after")
    missing = soak.missing()
    if missing:
        wrong.append(f"{len(missing)} acknowledged writes are lost, such as {min(missing)}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description="A long mixed load; then everything has to be as it was.")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    seconds = given.minutes * 60
    try:
        with Cluster(3, "fairlead-soak-", 13901) as cluster:
            cluster.start()
            product = Demo(cluster)
            try:
                product.start()
                soak = Soak(product, given.seed)
                product.mariadb("CREATE TABLE soak (token VARCHAR(60) PRIMARY KEY)")
                say(f"==> warming up for {seconds / 10:.0f} s")
                soak.load_for(seconds / 10)
                before = soak.quiet()
                say(f"==> baseline: {before}")
                soak.load_for(seconds * 9 / 10)
                after = soak.quiet()
                say(f"==> afterwards: {after}; {soak.statements} statements")
                wrong = verdict(soak, before, after)
            finally:
                product.stop()
    except ClusterError as error:
        say(f"soak: {error}")
        return 1
    for line in wrong:
        say(f"soak: {line}")
    say("soak: failed" if wrong else "soak: passed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
