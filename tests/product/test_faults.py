"""What a user sees when parts fail: a worker that is killed, a statement that is killed, an orderly end."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pymysql
import pytest

pytestmark = pytest.mark.server

SLOW = "SELECT COUNT(*) FROM seq_1_to_100000 a JOIN seq_1_to_100000 b WHERE a.seq MOD b.seq = 1"
RUNNING = "SELECT GROUP_CONCAT(INFO) FROM information_schema.processlist WHERE ID <> CONNECTION_ID()"


def test_a_killed_worker_is_replaced(product: Any) -> None:
    """Only the sessions of the killed worker end, and new ones can be opened at once."""
    from cluster import wait_until

    connections = [product.connect() for _ in range(12)]
    before = product.workers()
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    wait_until(
        lambda: len(product.workers()) == 2 and product.workers() != before, "the worker is replaced", 5
    )
    alive = 0
    for connection in connections:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            alive += 1
        except pymysql.err.MySQLError:
            continue
        finally:
            connection._force_close()
    with product.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 2")
        assert cursor.fetchone() == (2,)
    wait_until(
        lambda: all(
            item["attributes"]["statistics"]["connections"] == 0 for item in product.get("servers")["data"]
        ),
        "no server connection is counted any more",
        10,
    )


def test_kill_query_from_another_session(product: Any) -> None:
    """KILL QUERY with the id of the handshake interrupts a statement, whatever worker has it."""
    from cluster import wait_until

    with product.connect() as victim, product.connect() as killer:
        failed: list[Exception] = []

        def work() -> None:
            try:
                with victim.cursor() as cursor:
                    cursor.execute(SLOW)
            except pymysql.err.MySQLError as error:
                failed.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        wait_until(
            lambda: any("seq_1_to_100000" in str(s.value(RUNNING)) for s in product.cluster.servers),
            "the statement is executing",
            10,
        )
        with killer.cursor() as cursor:
            cursor.execute(f"KILL QUERY {victim.thread_id()}")
        thread.join(10)
        assert failed and failed[0].args[0] == 1317
        with victim.cursor() as cursor:
            cursor.execute("SELECT 3")
            assert cursor.fetchone() == (3,)


def test_a_second_instance_is_refused(product: Any) -> None:
    """Two instances on one data directory would overwrite each other's files."""
    from demo import COMMAND

    done = subprocess.run(
        [str(COMMAND), "serve", "--config", str(product.config), "--basedir", str(product.basedir)],
        capture_output=True,
        timeout=20,
    )
    assert done.returncode == 4
    assert product.mariadb("SELECT 1") == ["1"]


def test_bad_configuration_is_reported_at_once_and_completely(product: Any, tmp_path: Path) -> None:
    from demo import COMMAND

    file = tmp_path / "bad.cnf"
    file.write_text("[maxscale]\nthreads=many\n[s1]\ntype=server\nadress=x\n")
    done = subprocess.run([str(COMMAND), "check", str(file)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "bad.cnf:2" in said and "bad.cnf:5" in said and "address" in said
