"""Load and faults on the whole product: storms, kills, dead replicas, no descriptors, no room on the disk.

The numbers are small, so that this runs with every `make test`; FAIRLEAD_LOAD=10 makes them ten times that.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import resource
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

pytestmark = [
    pytest.mark.server,
    # Results of clients that were killed complain when they are freed.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
TIMES = int(os.environ.get("FAIRLEAD_LOAD", "1"))
# What a worker may have more after a storm than before, in KiB: caches and pools that fill once.
MEMORY_SLACK_KB = 6 * 1024


@pytest.fixture(autouse=True)
def nothing_is_left_to_free() -> Iterator[None]:
    """Clients that were killed are freed here: CPython 3.11 cannot compile while a destructor raises, and
    plugins are imported at the end.
    """
    yield
    gc.collect()


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def memory_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError("no Pss")


def gauges(product: Any) -> dict[str, int]:
    """What has to be zero when nobody is connected."""
    found = {}
    for kind in ("servers", "services"):
        for item in product.get(kind)["data"]:
            found[item["id"]] = item["attributes"]["statistics"]["connections"]
    return found


def nobody(product: Any) -> bool:
    return not any(gauges(product).values())


class Normal:
    """Clients that read and write all the time, and remember what they were told."""

    def __init__(self, product: Any, count: int, table: str) -> None:
        self.product = product
        self.table = table
        self.acknowledged: list[str] = []
        self.errors: list[str] = []
        self.reads = 0
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._live, args=(number,)) for number in range(count)]

    def __enter__(self) -> Normal:
        with self.product.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE OR REPLACE TABLE {self.table} (token VARCHAR(40) PRIMARY KEY)")
        for server in self.product.cluster.replicas:
            self.product.cluster.wait_synced(server)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "a client hangs"

    def _live(self, number: int) -> None:
        connection = self.product.connect()
        try:
            count = 0
            while not self._end.is_set():
                count += 1
                token = f"{number}-{count}"
                with connection.cursor() as cursor:
                    cursor.execute(f"INSERT INTO {self.table} VALUES ('{token}')")
                    self.acknowledged.append(token)
                    for _ in range(3):
                        cursor.execute("SELECT 7")
                        assert cursor.fetchone() == (7,)
                        self.reads += 1
        except Exception as error:
            self.errors.append(repr(error))
        finally:
            connection._force_close()

    def check(self) -> None:
        """Everything that was acknowledged is on the primary."""
        with self.product.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT token FROM {self.table} FOR UPDATE")
            rows = {row[0] for row in cursor.fetchall()}
        assert set(self.acknowledged) <= rows


def test_reset_storms_leave_nothing_behind(product: Any) -> None:
    """Clients that reset their connection at any moment; the others notice nothing."""
    from cluster import wait_until

    def storm(count: int) -> None:
        rng = random.Random(count)
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", product.split_port))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            moment = rng.randint(0, 3)
            if moment >= 1:
                sock.recv(100)
            if moment == 2:
                sock.send(b"\x20\x00\x00\x01\x85\xa6")
            sock.close()
        for _ in range(count // 4):
            connection = product.connect()
            connection._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with contextlib.suppress(Exception):
                connection._execute_command(3, "SELECT SEQ, REPEAT('x', 1000) FROM seq_1_to_20000")
            connection._sock.close()
            connection._sock = None

    storm(200)
    wait_until(lambda: nobody(product), "the gauges go back")
    pids = product.workers()
    before = {pid: (descriptors(pid), memory_kb(pid)) for pid in pids}
    with Normal(product, 3, "storm") as normal:
        threads = [threading.Thread(target=storm, args=(300 * TIMES,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert not normal.errors
    normal.check()
    wait_until(lambda: nobody(product), "the gauges go back")
    assert product.workers() == pids
    for pid in pids:
        wait_until(lambda pid=pid: descriptors(pid) <= before[pid][0], "the descriptors go back")
        assert memory_kb(pid) <= before[pid][1] + MEMORY_SLACK_KB


def test_sessions_that_kill_each_other(product: Any) -> None:
    """Two sessions in a duel, again and again: nobody hangs."""
    from cluster import wait_until

    def duel() -> None:
        one, two = product.connect(), product.connect()
        ids = one.thread_id(), two.thread_id()

        def shoot(own: Any, other: int) -> None:
            with contextlib.suppress(pymysql.err.MySQLError), own.cursor() as cursor:
                cursor.execute(f"KILL {other}")
            own._force_close()

        pair = [
            threading.Thread(target=shoot, args=(one, ids[1])),
            threading.Thread(target=shoot, args=(two, ids[0])),
        ]
        for thread in pair:
            thread.start()
        for thread in pair:
            thread.join(20)
            assert not thread.is_alive(), "a duel hangs"

    for _ in range(30 * TIMES):
        duel()
    wait_until(lambda: nobody(product), "the gauges go back")


def test_many_kills_at_once(product: Any) -> None:
    """Many threads kill many sessions; whoever asks gets an answer."""
    from cluster import wait_until

    answers: list[int] = []

    def killer() -> None:
        connection = product.connect()
        for _ in range(10 * TIMES):
            victim = product.connect()
            with connection.cursor() as cursor:
                cursor.execute(f"KILL {victim.thread_id()}")
            answers.append(1)
            with pytest.raises(pymysql.err.MySQLError), victim.cursor() as cursor:
                cursor.execute("SELECT 1")
            victim._force_close()
        connection._force_close()

    threads = [threading.Thread(target=killer) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "a KILL hangs"
    assert len(answers) == 200 * TIMES
    wait_until(lambda: nobody(product), "the gauges go back")


def test_replicas_that_die_under_load(product: Any) -> None:
    """kill -9 of replicas: nothing that was acknowledged is lost, and no read fails."""
    from cluster import wait_until

    rng = random.Random(5)
    with Normal(product, 4, "dying") as normal:
        for _ in range(4 * TIMES):
            replica = rng.choice(product.cluster.replicas)
            replica.process.kill()
            replica.process.wait()
            time.sleep(rng.random() * 0.5)
            replica.start()
            replica.wait_ready()
            replica.run("SET GLOBAL read_only = 1")
            wait_until(
                lambda name=replica.name: product.states()[name] == "Slave, Running", "the replica is back"
            )
    assert not normal.errors
    assert len(normal.acknowledged) > 100
    normal.check()


@contextlib.contextmanager
def limited(pids: list[int], what: int, value: Callable[[int], int]) -> Iterator[None]:
    """Processes with a lower limit for a while."""
    before = {pid: resource.prlimit(pid, what) for pid in pids}
    try:
        for pid in pids:
            resource.prlimit(pid, what, (value(pid), before[pid][1]))
        yield
    finally:
        for pid in pids:
            resource.prlimit(pid, what, before[pid])


def test_out_of_descriptors(product: Any) -> None:
    """New clients are told that there are too many; those who are there go on."""
    from cluster import wait_until

    there = [product.connect() for _ in range(8)]
    for connection in there:
        with connection.cursor() as cursor:
            cursor.execute("SET @a = 1")
    doors, codes = [], set()
    with limited(product.workers(), resource.RLIMIT_NOFILE, lambda pid: descriptors(pid) + 4):
        for _ in range(40):
            door = socket.create_connection(("127.0.0.1", product.split_port), 10)
            doors.append(door)
            said = door.recv(100)
            # The greeting, or an error with its code.
            codes.add(int.from_bytes(said[5:7], "little") if said[4] == 0xFF else 0)
        for connection in there:
            with connection.cursor() as cursor:
                cursor.execute("SELECT @a")
                assert cursor.fetchone() == (1,)
    assert codes == {0, 1040}
    for door in doors:
        door.close()
    for connection in there:
        connection._force_close()
    wait_until(lambda: nobody(product), "the gauges go back")
    with product.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 3")
        assert cursor.fetchone() == (3,)


def test_no_room_for_the_log(product: Any) -> None:
    """When the log cannot be written statements pass as before; afterwards it goes on."""
    pids = [product.process.pid, *product.workers()]
    with limited(pids, resource.RLIMIT_FSIZE, lambda pid: 1):
        for _ in range(5):
            with pytest.raises(pymysql.err.MySQLError):
                pymysql.connect(host="127.0.0.1", port=product.split_port, user="nobody", password="x")
            with product.connect() as connection, connection.cursor() as cursor:
                cursor.execute("SELECT 5")
                assert cursor.fetchone() == (5,)
    assert product.process.poll() is None
    with product.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 6")


@pytest.mark.parametrize("reader", ["fast", "slow", "stops"])
def test_large_results_do_not_stay_in_memory(product: Any, reader: str) -> None:
    """200 MB pass through less than 2 MB, whatever the client does."""
    import pymysql.cursors

    before = sum(memory_kb(pid) for pid in product.workers())
    connection = product.connect()
    cursor = connection.cursor(pymysql.cursors.SSCursor)
    cursor.execute("SELECT REPEAT('x', 10000) FROM seq_1_to_20000")
    most = 0
    for number in range(20_000 if reader == "fast" else 600):
        assert cursor.fetchone() is not None
        if reader == "slow" and number % 20 == 0:
            time.sleep(0.01)
        if number % 100 == 0:
            most = max(most, sum(memory_kb(pid) for pid in product.workers()) - before)
    if reader == "stops":
        for _ in range(10):
            time.sleep(0.05)
            most = max(most, sum(memory_kb(pid) for pid in product.workers()) - before)
    connection._sock.close()
    connection._sock = None
    cursor._result = None
    assert most < 2048, f"{most} KiB"


def test_a_killed_supervisor(product: Any) -> None:
    """The workers notice and end, and the product can be started again at once."""
    from cluster import wait_until

    pids = product.workers()
    product.process.kill()
    product.process.wait()

    def ended() -> bool:
        return not any(Path(f"/proc/{pid}").exists() for pid in pids)

    wait_until(ended, "the workers end", 10)
    product.process = None
    product.start()
    with product.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 4")
        assert cursor.fetchone() == (4,)
