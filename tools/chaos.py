"""`make chaos`: bank transfers through Fairlead while servers are killed, hung, cut off and moved.

The service replays transactions, keeps server connections in pools and reads causally. Clients move money
between accounts; readers add it up on the replicas. At the end the sum is what it was, every acknowledged
transfer is there once, none that failed before its COMMIT is, and the clients saw no error that the
configuration does not promise.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from typing import Any

import pymysql

from cluster import Cluster, ClusterError, Server, wait_until
from demo import Demo, say

ACCOUNTS, BALANCE = 20, 1000
CLIENTS, READERS = 6, 2
# A lost transaction that cannot be repeated, a connection that is lost, a deadlock between two transfers, a
# lock wait, no login while there is no server at all.
PROMISED = {1927, 2006, 2013, 1213, 1205, 1815, 2003, 1053, 1290, 0}
SETTINGS = (
    "transaction_replay=true",
    "transaction_replay_timeout=30s",
    "causal_reads=local",
    "causal_reads_timeout=2s",
)


class Chaos:
    """The clients, the events, and what has to be true afterwards."""

    def __init__(self, product: Demo, seed: int) -> None:
        self.product = product
        self.cluster = product.cluster
        self.primary: Server = product.cluster.primary
        self.rng = random.Random(seed)
        self.end = threading.Event()
        self.acknowledged: set[str] = set()
        self.failed: set[str] = set()
        self.problems: list[str] = []
        self.errors: Counter[int] = Counter()
        self.reads = 0
        self._lock = threading.Lock()

    # -- clients

    def client(self, number: int) -> None:
        """Transfers, one after the other; a new connection after each loss."""
        rng = random.Random(number)
        count = 0
        while not self.end.is_set():
            try:
                connection = self.product.connect()
            except (pymysql.err.MySQLError, OSError) as error:
                self._saw(error)
                time.sleep(0.05)
                continue
            try:
                for _ in range(rng.randint(1, 30)):
                    if self.end.is_set():
                        break
                    count += 1
                    self._transfer(connection, rng, f"{number}-{count}")
                connection.close()
            except (pymysql.err.MySQLError, OSError, RuntimeError, AttributeError) as error:
                self._saw(error)
                with contextlib.suppress(Exception):
                    connection._force_close()

    def _saw(self, error: Exception) -> None:
        code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        with self._lock:
            self.errors[code] += 1
            if code not in PROMISED:
                self.problems.append(f"a client saw {error!r}")

    def _transfer(self, connection: Any, rng: random.Random, token: str) -> None:
        giver, taker = rng.sample(range(ACCOUNTS), 2)
        amount = rng.randint(1, 20)
        committing = False
        try:
            with connection.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute("SELECT balance FROM bank WHERE id = %s FOR UPDATE", (giver,))
                cursor.execute("UPDATE bank SET balance = balance - %s WHERE id = %s", (amount, giver))
                cursor.execute("UPDATE bank SET balance = balance + %s WHERE id = %s", (amount, taker))
                cursor.execute("INSERT INTO transfers VALUES (%s)", (token,))
                committing = True
                cursor.execute("COMMIT")
        except BaseException:
            if not committing:
                with self._lock:
                    self.failed.add(token)
            raise
        with self._lock:
            self.acknowledged.add(token)
        if rng.random() < 0.2:
            with connection.cursor() as cursor:
                cursor.execute("SELECT COUNT(*) FROM transfers WHERE token = %s", (token,))
                if cursor.fetchone() != (1,):
                    self.problems.append(f"a causal read does not see the transfer {token}")

    def reader(self, number: int) -> None:
        """The sum of all balances, on whatever server answers."""
        while not self.end.is_set():
            try:
                with self.product.connect() as connection, connection.cursor() as cursor:
                    for _ in range(50):
                        cursor.execute("SELECT SUM(balance), @@server_id FROM bank")
                        total, server = cursor.fetchone()
                        self.reads += 1
                        if total != ACCOUNTS * BALANCE:
                            self.problems.append(f"the sum on server {server} is {total}")
                        if self.end.wait(0.01):
                            break
            except (pymysql.err.MySQLError, OSError, RuntimeError, AttributeError) as error:
                self._saw(error)
                time.sleep(0.05)

    # -- events

    def event(self) -> str:
        """Something bad happens, and is over."""
        deed = self.rng.choice(
            (self._kill_primary, self._kill_replica, self._hang, self._cut, self._cut, self._move)
        )
        return deed()

    def _replicas(self) -> list[Server]:
        return [server for server in self.cluster.servers if server is not self.primary]

    def _kill(self, server: Server) -> None:
        assert server.process is not None
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        time.sleep(self.rng.uniform(0, 2))
        server.start()
        server.wait_ready()

    def _kill_primary(self) -> str:
        self._kill(self.primary)
        return f"{self.primary.name}, the primary, was killed"

    def _kill_replica(self) -> str:
        server = self.rng.choice(self._replicas())
        self._kill(server)
        server.run("SET GLOBAL read_only=1")
        return f"{server.name} was killed"

    def _hang(self) -> str:
        server = self.rng.choice(self.cluster.servers)
        assert server.process is not None
        os.kill(server.process.pid, signal.SIGSTOP)
        time.sleep(self.rng.uniform(0.2, 3))
        os.kill(server.process.pid, signal.SIGCONT)
        return f"{server.name} hung"

    def _cut(self) -> str:
        server = self.rng.choice(self.cluster.servers)
        server.run("KILL USER app")
        return f"{server.name} lost its clients"

    def _move(self) -> str:
        """A switchover by hand: nothing is lost, the old primary follows the new one."""
        old, new = self.primary, self.rng.choice(self._replicas())
        old.run("SET GLOBAL read_only=1", "KILL USER app")
        wait_until(lambda: old.value(_WRITERS) == 0, "nobody writes any more", 30)
        position = old.value("SELECT @@global.gtid_binlog_pos")
        for server in self._replicas():
            if server.value(f"SELECT MASTER_GTID_WAIT('{position}', 30)") != 0:
                raise ClusterError(f"{server.name} does not follow {old.name}")
        new.run("STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only=0")
        self.primary = new
        for server in self._replicas():
            if server is not old:
                server.run("STOP SLAVE")
            server.replicate_from(new)
        return f"{new.name} became the primary instead of {old.name}"

    # -- the whole

    def run(self, events: int) -> None:
        """So many events under load, then the balance."""
        self.primary.run(
            "CREATE TABLE demo.bank (id INT PRIMARY KEY, balance INT NOT NULL)",
            "CREATE TABLE demo.transfers (token VARCHAR(40) PRIMARY KEY)",
            f"INSERT INTO demo.bank SELECT seq, {BALANCE} FROM demo.seq_0_to_{ACCOUNTS - 1}",
        )
        for server in self._replicas():
            self.cluster.wait_synced(server)
        threads = [threading.Thread(target=self.client, args=(number,)) for number in range(CLIENTS)]
        threads += [threading.Thread(target=self.reader, args=(number,)) for number in range(READERS)]
        for thread in threads:
            thread.start()
        try:
            for number in range(events):
                time.sleep(self.rng.uniform(0.1, 1))
                what = self.event()
                say(f"  {number + 1:3d}  {what}; {len(self.acknowledged)} transfers, {self.reads} sums")
                self._wait_for_transfers()
        finally:
            self.end.set()
            for thread in threads:
                thread.join(60)
        if any(thread.is_alive() for thread in threads):
            self.problems.append("a client hangs")

    def _wait_for_transfers(self) -> None:
        """The clients have to find their way back."""
        before = len(self.acknowledged)
        wait_until(lambda: len(self.acknowledged) > before + CLIENTS, "transfers go on", 60)

    def check(self) -> list[str]:
        """What is wrong in the end."""
        found = list(self.problems)
        for server in self._replicas():
            position = self.primary.value("SELECT @@global.gtid_binlog_pos")
            if server.value(f"SELECT MASTER_GTID_WAIT('{position}', 60)") != 0:
                found.append(f"{server.name} does not follow the primary")
        for server in self.cluster.servers:
            total = server.value("SELECT SUM(balance) FROM demo.bank")
            if total != ACCOUNTS * BALANCE:
                found.append(f"the sum on {server.name} is {total}")
        stored = {row[0] for row in self.primary.run("SELECT token FROM demo.transfers")}
        lost, undead = self.acknowledged - stored, self.failed & stored
        if lost:
            found.append(f"{len(lost)} acknowledged transfers are lost: {sorted(lost)[:5]}")
        if undead:
            found.append(f"{len(undead)} transfers that failed are there: {sorted(undead)[:5]}")
        return found


_WRITERS = (
    "SELECT COUNT(*) FROM information_schema.processlist WHERE USER = 'app' AND COMMAND = 'Query' "
    "AND INFO NOT LIKE 'SELECT%'"
)


def prepare(product: Demo) -> None:
    """The service and the servers as this test wants them."""
    product.ctl("alter", "service", "Split", *SETTINGS)
    for server in product.cluster.servers:
        product.ctl("alter", "server", server.name, "persistpoolmax=10", "persistmaxtime=30s")


def main() -> int:
    parser = argparse.ArgumentParser(description="Bank transfers while servers are killed, hung and moved.")
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    try:
        with Cluster(3, "fairlead-chaos-", 13951) as cluster:
            cluster.start()
            product = Demo(cluster)
            product.start()
            try:
                prepare(product)
                chaos = Chaos(product, given.seed)
                chaos.run(given.events)
                found = chaos.check()
                statistics = product.get("services/Split")["data"]["attributes"]["router_diagnostics"]
            finally:
                product.stop()
    except ClusterError as error:
        print(f"chaos: {error}", file=sys.stderr)
        return 1
    say(
        f"==> {len(chaos.acknowledged)} transfers, {len(chaos.failed)} failed, {chaos.reads} sums, "
        f"{statistics['replayed_transactions']} transactions replayed; errors seen: {dict(chaos.errors)}"
    )
    for line in found:
        say(f"chaos: {line}")
    say("chaos: passed" if not found else "chaos: FAILED")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
