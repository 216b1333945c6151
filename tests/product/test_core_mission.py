"""The rows of spec routers_monitors.md A.15 on real servers: where the reference itself once failed.

Rows 11 and 12 (KILL duels, connect and reset) are in test_load.py, row 13 also in the soak; rows about pure
choices (6, 8) are in tests/routers. The simulation has the rows about lost servers with random timing.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pymysql
import pytest

pytestmark = pytest.mark.server

MINE = "SELECT @@server_id"


def run(connection: Any, *statements: str) -> Any:
    """Execute all; the first value of the last, if it has rows."""
    found = None
    for sql in statements:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            row = cursor.fetchone() if cursor.description else None
            found = row[0] if row else None
    return found


def readers(connection: Any, count: int = 20) -> set[int]:
    return {run(connection, MINE) for _ in range(count)}


def own_connections(server: Any) -> list[int]:
    """Ids of the connections that clients have to a server."""
    return [row[0] for row in server.run("SELECT ID FROM information_schema.processlist WHERE USER = 'app'")]


def kill_connections(server: Any) -> None:
    for thread in own_connections(server):
        server.run(f"KILL {thread}")


def test_01_rank_changes_for_running_sessions(product: Any, service: Callable[..., int]) -> None:
    """Reads leave a server whose rank gets worse, but not in the middle of a transaction."""
    from cluster import wait_until

    port = service()
    with product.connect(port) as connection:
        assert readers(connection) == {2, 3}
        product.ctl("alter", "server", "server3", "rank=secondary")
        try:
            assert readers(connection) == {2}
            wait_until(lambda: not own_connections(product.cluster.servers[2]), "it is left", 5)
        finally:
            product.ctl("alter", "server", "server3", "rank=primary")
        run(connection, "START TRANSACTION READ ONLY")
        there = run(connection, MINE)
        product.ctl("alter", "server", f"server{there}", "rank=secondary")
        try:
            assert readers(connection, 3) == {there}
            run(connection, "COMMIT")
            assert readers(connection) == {2, 3} - {there}
        finally:
            product.ctl("alter", "server", f"server{there}", "rank=primary")


def test_02_a_replica_of_unknown_lag_is_not_used(product: Any, service: Callable[..., int]) -> None:
    """With a limit, a replica whose lag is not measured does not count as up to date."""
    from cluster import wait_until

    replica = product.cluster.servers[1]
    limited, free = service(max_replication_lag="5s"), service()
    with product.connect(limited) as connection, product.connect(free) as other:
        assert readers(connection) == {2, 3}
        replica.run("STOP SLAVE SQL_THREAD")
        try:
            wait_until(lambda: 2 not in readers(connection), "it is not used", 10)
            assert readers(connection) == {3}
        finally:
            replica.run("START SLAVE")
        wait_until(lambda: readers(connection) == {2, 3}, "it is used again", 15)
        assert readers(other) == {2, 3}


CRITERIA = ("least_current_operations", "adaptive_routing", "least_behind_master", "least_global_connections")


@pytest.mark.parametrize("criterion", CRITERIA)
def test_03_first_connections_go_where_there_are_fewest(
    product: Any, service: Callable[..., int], criterion: str
) -> None:
    """Idle sessions are spread by connections, whatever the criterion for statements."""
    from cluster import wait_until

    port = service(max_slave_connections=1, slave_selection_criteria=criterion)
    connections = [product.connect(port) for _ in range(10)]
    try:
        replicas = product.cluster.servers[1:]
        wait_until(lambda: sum(len(own_connections(s)) for s in replicas) == 10, "all are open", 5)
        assert all(4 <= len(own_connections(server)) <= 6 for server in replicas)
    finally:
        for connection in connections:
            connection.close()


def test_04_attempts_of_a_replay_are_limited(product: Any, service: Callable[..., int]) -> None:
    """Two losses of one statement are survived with two attempts, a third ends the session."""
    from cluster import wait_until

    port = service(
        transaction_replay="true", transaction_replay_timeout="0s", transaction_replay_attempts=2
    )
    primary = product.cluster.primary
    sleeping = "SELECT ID FROM information_schema.processlist WHERE INFO LIKE '%SLEEP(1.5)%' AND USER = 'app'"

    def newer(after: int) -> int:
        return max((row[0] for row in primary.run(sleeping) if row[0] > after), default=0)

    for losses, survives in ((2, True), (3, False)):
        with product.connect(port) as connection:
            run(connection, "BEGIN", "SELECT 1")
            answers: list[Any] = []

            def work(connection: Any = connection, answers: list[Any] = answers) -> None:
                try:
                    answers.append(run(connection, "SELECT SLEEP(1.5)"))
                except (pymysql.err.MySQLError, OSError) as error:
                    answers.append(error)

            thread = threading.Thread(target=work)
            thread.start()
            last = 0
            for _ in range(losses):
                last = wait_until(lambda after=last: newer(after), "it sleeps", 10)
                primary.run(f"KILL {last}")
            thread.join(15)
            assert (answers == [0]) is survives, answers
            connection._force_close()


def test_05_a_transaction_ends_on_a_primary_in_maintenance(product: Any, service: Callable[..., int]) -> None:
    """What is open is finished there; what comes after it finds no primary."""
    port = service(master_failure_mode="error_on_write")
    primary = product.cluster.primary
    with product.connect(port) as connection:
        run(connection, "CREATE OR REPLACE TABLE kept (id INT PRIMARY KEY)")
        run(connection, "BEGIN", "INSERT INTO kept VALUES (1)")
        # A monitor that looks after its primary would refuse.
        product.ctl("stop", "monitor", "Monitor")
        product.ctl("set", "server", primary.name, "maintenance")
        try:
            run(connection, "INSERT INTO kept VALUES (2)", "COMMIT")
            with pytest.raises(pymysql.err.MySQLError) as error:
                run(connection, "INSERT INTO kept VALUES (3)")
            assert error.value.args[0] == 1290
        finally:
            product.ctl("clear", "server", primary.name, "maintenance")
            product.ctl("start", "monitor", "Monitor")
        run(connection, "INSERT INTO kept VALUES (4)")
    assert primary.value("SELECT GROUP_CONCAT(id ORDER BY id) FROM demo.kept") == "1,2,4"


def test_07_lazy_connect_opens_what_is_needed(product: Any, service: Callable[..., int]) -> None:
    """Nothing at the login, one connection for a session command, and its state on those that follow."""
    port = service(lazy_connect="true")
    connection = pymysql.connect(
        host="127.0.0.1", port=port, user="app", password="app_pw", database="demo", autocommit=None,
        init_command=None,
    )  # fmt: skip

    def opened() -> int:
        return sum(len(own_connections(server)) for server in product.cluster.servers)

    try:
        time.sleep(0.05)
        before = opened()
        run(connection, "SET @a = 5")
        assert opened() <= before + 1
        assert run(connection, "SELECT @a") == 5
        assert run(connection, "SELECT @a FROM (SELECT LAST_INSERT_ID()) t") == 5
    finally:
        connection.close()


def test_09_exactly_the_last_commands_are_kept(product: Any, service: Callable[..., int]) -> None:
    """51 different session commands: after a reconnection the first is forgotten, the others are in force."""
    port = service(max_slave_connections=1)
    with product.connect(port) as connection:
        for number in range(1, 51):
            run(connection, f"SET @a{number} = {number}")
        replica = product.cluster.servers[run(connection, MINE) - 1]
        # The driver's own SET AUTOCOMMIT was the first command of the session.
        kill_connections(replica)
        values = "CONCAT_WS(',', " + ", ".join(f"@a{number}" for number in range(1, 51)) + ")"
        assert run(connection, f"SELECT {values}") == ",".join(map(str, range(1, 51)))
        run(connection, "SET @a51 = 51")
        kill_connections(product.cluster.servers[run(connection, MINE) - 1])
        assert run(connection, "SELECT @a1 IS NULL AND @a2 = 2 AND @a51 = 51") == 1


def test_10_the_log_says_how_long_it_was_idle(product: Any, service: Callable[..., int]) -> None:
    """User, idle seconds since the last write to it, server, and cause."""
    port = service(master_failure_mode="fail_instantly")
    connection = product.connect(port)
    run(connection, "CREATE OR REPLACE TABLE idle (id INT)", "INSERT INTO idle VALUES (1)")
    time.sleep(1.2)
    kill_connections(product.cluster.primary)
    with pytest.raises((pymysql.err.MySQLError, OSError)):
        run(connection, "INSERT INTO idle VALUES (2)")
    lines = product.log.read_text().splitlines()
    said = [line for line in lines if "Lost connection to the primary" in line][-1]
    for part in ("app@127.0.0.1", "idle for 1 seconds", "server1", "Error caused by"):
        assert part in said
    connection._force_close()


def test_13_a_service_goes_with_its_last_session(product: Any) -> None:
    """Destroyed while sessions live, again and again: nothing is left and nothing fails."""
    from demo import SERVICE_PASSWORD, SERVICE_USER

    counts: Counter[str] = Counter()
    for _ in range(5):
        product.ctl(
            "create", "service", "Brief", "readwritesplit", f"user={SERVICE_USER}",
            f"password={SERVICE_PASSWORD}", "--servers", "server1", "server2",
        )  # fmt: skip
        product.ctl("create", "listener", "Brief", "Brief-Listener", "14460", "address=127.0.0.1")
        connections = [product.connect(14460) for _ in range(8)]
        product.ctl("destroy", "service", "Brief", "--force")
        threads = [threading.Thread(target=connection._force_close) for connection in connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        counts[",".join(item["id"] for item in product.get("services")["data"])] += 1
    assert len(counts) == 1 and "Brief" not in next(iter(counts))
    assert product.mariadb("SELECT 1") == ["1"]


def test_14_nothing_is_routed_after_a_failed_replay(product: Any, service: Callable[..., int]) -> None:
    """A result differs in the replay: what the client has sent meanwhile reaches no server."""
    port = service(transaction_replay="true")
    primary = product.cluster.primary
    with product.connect(port) as connection:
        run(connection, "CREATE OR REPLACE TABLE late (id INT)", "BEGIN", "SELECT CONNECTION_ID()")
        kill_connections(primary)
        packets = b"".join(
            (len(sql) + 1).to_bytes(3, "little") + b"\0\x03" + sql
            for sql in (b"INSERT INTO late VALUES (1)", b"COMMIT", b"INSERT INTO late VALUES (2)")
        )
        connection._sock.sendall(packets)
        with pytest.raises((pymysql.err.MySQLError, OSError)):
            connection._next_seq_id = 1
            connection._read_ok_packet()
        connection._force_close()
    time.sleep(0.5)
    assert primary.value("SELECT COUNT(*) FROM demo.late") == 0


EXECUTING = (
    "SELECT COUNT(*) FROM information_schema.processlist WHERE USER = 'app' AND INFO LIKE '%SLEEP(1)%'"
)


def test_a_transaction_with_ddl_is_not_repeated(product: Any, service: Callable[..., int]) -> None:
    """What was before a statement that commits implicitly is written once, whatever is lost."""
    from cluster import wait_until

    port = service(transaction_replay="true")
    primary = product.cluster.primary
    slow = "CREATE TABLE made (id INT) SELECT SLEEP(1) AS s"
    with product.connect(port) as connection:
        run(connection, "CREATE OR REPLACE TABLE once (id INT)", "DROP TABLE IF EXISTS made")
        run(connection, "BEGIN", "INSERT INTO once VALUES (1)")
        connection._execute_command(3, slow)
        wait_until(lambda: primary.value(EXECUTING), "it is executing", 10)
        kill_connections(primary)
        with pytest.raises((pymysql.err.MySQLError, OSError)):
            connection._read_ok_packet()
        connection._force_close()
    time.sleep(1.5)
    assert primary.value("SELECT COUNT(*) FROM demo.once") == 1


def test_text_statements_take_part_in_a_replay(product: Any, service: Callable[..., int]) -> None:
    """EXECUTE counts as what was prepared."""
    port = service(transaction_replay="true")
    primary = product.cluster.primary
    with product.connect(port) as connection:
        run(connection, "CREATE OR REPLACE TABLE texts (id INT)")
        run(connection, "PREPARE p FROM 'INSERT INTO texts VALUES (?)'")
        run(connection, "SET @n = 7", "BEGIN", "EXECUTE p USING @n")
        kill_connections(primary)
        run(connection, "EXECUTE p USING @n", "COMMIT")
    assert primary.value("SELECT COUNT(*) FROM demo.texts WHERE id = 7") == 2
