"""Routing on real servers: what EXPLAIN ROUTE says, pauses, pools, sharing, causal reads of every kind."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pymysql
import pytest

pytestmark = pytest.mark.server

def rows(connection: Any, sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def value(connection: Any, sql: str) -> Any:
    return rows(connection, sql)[0][0]


def run(connection: Any, *statements: str) -> None:
    for sql in statements:
        with connection.cursor() as cursor:
            cursor.execute(sql)


# -- EXPLAIN ROUTE


def test_explain_route(product: Any) -> None:
    """It names the target, the reason, and for every server why it is taken or not."""
    primary = product.cluster.primary.name
    with product.connect() as connection:
        found = {row[0]: row[1:] for row in rows(connection, "EXPLAIN ROUTE SELECT 1")}
        assert found["target"] == ("replica", "a pure read outside of a transaction")
        assert found[primary][0] == "not chosen" and "master_accept_reads" in found[primary][1]
        assert [row for row in found.values() if row[0] == "chosen"]
        found = {row[0]: row[1:] for row in rows(connection, "explain  route INSERT INTO visits VALUES (1)")}
        assert found["target"][0] == "primary" and found[primary][0] == "chosen"
        found = {row[0]: row[1:] for row in rows(connection, "EXPLAIN ROUTE START TRANSACTION READ ONLY")}
        assert found["target"] == ("replica", "the open transaction is READ ONLY")
        found = {row[0]: row[1] for row in rows(connection, "EXPLAIN ROUTE SET @a = 1")}
        assert found["target"] == "all servers"
        run(connection, "BEGIN")
        found = {row[0]: row[1:] for row in rows(connection, "EXPLAIN ROUTE SELECT 1")}
        assert found["target"] == ("primary", "a transaction is open")
        assert found["transaction"][0] == "READ WRITE"
        run(connection, "ROLLBACK")
        # An ordinary EXPLAIN is the server's.
        assert rows(connection, "EXPLAIN SELECT 1")[0][0] == 1


def test_explain_route_of_a_single_connection(product: Any) -> None:
    with product.connect(product.connect_port) as connection:
        server = value(connection, "SELECT @@server_id")
        names = {each.id: each.name for each in product.cluster.servers}
        found = {row[0]: row[1] for row in rows(connection, "EXPLAIN ROUTE DELETE FROM visits")}
        assert found["target"] == names[server]


# -- PAUSE and RESUME


def test_a_paused_service_lets_its_clients_wait(product: Any, service: Callable[..., int]) -> None:
    """Statements wait, open transactions end as they like, and with RESUME everything goes on."""
    from cluster import wait_until

    port = service()
    name = f"S{port}"

    def statistics() -> Any:
        return product.get(f"services/{name}")["data"]["attributes"]["statistics"]

    with product.connect(port) as waiting, product.connect(port) as busy:
        run(busy, "BEGIN", "SELECT 1")
        product.ctl("pause", "service", name, "--deadline", "20s")
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(value(waiting, "SELECT 7")))
        thread.start()
        wait_until(lambda: statistics()["waiting_sessions"] == 1, "it waits", 5)
        assert statistics()["paused"] is True and not answers
        # The transaction is finished, and then waits as well.
        assert value(busy, "SELECT 8") == 8
        run(busy, "COMMIT")
        product.ctl("resume", "service", name)
        thread.join(5)
        assert answers == [7]
        assert value(busy, "SELECT 9") == 9
        assert statistics()["waiting_sessions"] == 0 and statistics()["paused"] is False


def test_a_pause_ends_at_its_deadline(product: Any, service: Callable[..., int]) -> None:
    port = service("readconnroute")
    with product.connect(port) as connection:
        product.ctl("pause", "service", f"S{port}", "--deadline", "300ms")
        begin = time.monotonic()
        assert value(connection, "SELECT 1") == 1
        assert time.monotonic() - begin > 0.1


# -- the default database


@pytest.fixture(scope="module")
def two_databases(product: Any) -> Iterator[Any]:
    """`which` tells in which of them it is."""
    from cluster import APP_USER, DATABASE

    primary = product.cluster.primary
    primary.run(
        "CREATE DATABASE second",
        f"GRANT ALL ON second.* TO '{APP_USER}'@'%'",
        *(f"CREATE TABLE {name}.which SELECT '{name}' AS name" for name in (DATABASE, "second")),
    )
    for replica in product.cluster.replicas:
        product.cluster.wait_synced(replica)
    yield primary
    primary.run("DROP DATABASE second", f"DROP TABLE {DATABASE}.which")


def which(cursor: Any) -> str:
    cursor.execute("SELECT name FROM which WHERE 1 = ?", (1,))
    return str(cursor.fetchall()[0][0])


@pytest.fixture
def connector(service: Callable[..., int]) -> Iterator[Callable[..., Any]]:
    """Sessions of a driver that prepares statements on the server."""
    import mysql.connector

    from cluster import APP_PASSWORD, APP_USER, DATABASE

    with contextlib.ExitStack() as stack:

        def connect(**params: Any) -> Any:
            connection = mysql.connector.connect(
                host="127.0.0.1", port=service(**params), user=APP_USER, password=APP_PASSWORD,
                database=DATABASE, use_pure=True, autocommit=True, ssl_disabled=True,
            )  # fmt: skip
            stack.callback(connection.close)
            return connection

        yield connect


def test_statements_keep_their_database_on_new_connections(
    product: Any, connector: Callable[..., Any], two_databases: Any
) -> None:
    """What was prepared before a USE means the same on a connection that is made after it."""
    from cluster import wait_until

    connection = connector()
    first, second = connection.cursor(prepared=True), connection.cursor(prepared=True)
    plain = connection.cursor()
    assert which(first) == "demo"
    plain.execute("USE second")
    assert which(second) == "second" and which(first) == "demo"

    def connections(server: Any) -> list[Any]:
        return list(server.run("SELECT id FROM information_schema.processlist WHERE user = 'app'"))

    for server in product.cluster.replicas:
        before = connections(server)
        for (number,) in before:
            with contextlib.suppress(pymysql.err.OperationalError):
                server.run(f"KILL {number}")
        wait_until(lambda old=before, at=server: not set(old) & set(connections(at)), "they are gone", 5)
    for _ in range(4):
        assert which(first) == "demo" and which(second) == "second"
        plain.execute("SELECT DATABASE()")
        assert plain.fetchall() == [("second",)]


def test_equal_texts_in_other_databases_are_other_statements(
    connector: Callable[..., Any], two_databases: Any
) -> None:
    connection = connector(reuse_prepared_statements="true")
    plain = connection.cursor()
    first, second, third = (connection.cursor(prepared=True) for _ in range(3))
    assert which(first) == "demo"
    plain.execute("USE second")
    assert which(second) == "second" and which(first) == "demo"
    plain.execute("USE demo")
    assert which(third) == "demo" and which(second) == "second"


# -- causal reads


@pytest.mark.parametrize("mode", ["universal", "fast_universal", "global", "fast_global", "local", "fast"])
def test_reads_see_the_writes_before_them(product: Any, service: Callable[..., int], mode: str) -> None:
    """Through every kind of statement: text, text protocol with parameters, READ ONLY transactions."""
    port = service(causal_reads=mode)
    with product.connect(port) as writer, product.connect(port) as other:
        reader = writer if mode in ("local", "fast") else other
        run(writer, "CREATE OR REPLACE TABLE causal (id INT PRIMARY KEY, v INT)")
        run(writer, "INSERT INTO causal VALUES (1, 0)")
        for number in range(1, 40):
            run(writer, f"UPDATE causal SET v = {number}")
            if number % 3 == 0:
                run(reader, "START TRANSACTION READ ONLY")
            assert value(reader, "SELECT v FROM causal WHERE id = 1") == number
            if number % 3 == 0:
                run(reader, "COMMIT")


def test_universal_reads_see_writes_of_anybody(product: Any, service: Callable[..., int]) -> None:
    """Also what was written past Fairlead."""
    port = service(causal_reads="universal")
    primary = product.cluster.primary
    with product.connect(port) as reader:
        product.mariadb("CREATE OR REPLACE TABLE causal (id INT PRIMARY KEY, v INT)", primary.port)
        product.mariadb("INSERT INTO causal VALUES (1, 0)", primary.port)
        for number in range(20):
            product.mariadb(f"UPDATE causal SET v = {number}", primary.port)
            assert rows(reader, "SELECT v FROM causal") == [(number,)]


# -- the pool


STATES: list[tuple[str, str, Any]] = [
    ("SET @a = 'x'", "SELECT @a", None),
    ("SET SESSION group_concat_max_len = 777", "SELECT @@group_concat_max_len", 1048576),
    ("SET SESSION sql_mode = 'ANSI_QUOTES'", "SELECT FIND_IN_SET('ANSI_QUOTES', @@sql_mode)", 0),
    ("SET SESSION time_zone = '+05:00'", "SELECT @@time_zone", "SYSTEM"),
    ("SET NAMES latin1", "SELECT @@character_set_connection", "utf8mb4"),
    ("SET autocommit = 0", "SELECT @@autocommit", 1),
    ("USE information_schema", "SELECT DATABASE()", "demo"),
    ("SELECT 1; USE mysql", "SELECT DATABASE()", "demo"),
    ("CREATE TEMPORARY TABLE left_over (id INT)", "SELECT 1", 1),
    ("DO GET_LOCK('left', 0)", "SELECT IS_FREE_LOCK('left')", 1),
    ("PREPARE p FROM 'SELECT 5'", "SELECT 1", 1),
    ("SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SELECT @@tx_isolation", "REPEATABLE-READ"),
    ("SET SESSION TRANSACTION READ ONLY", "SELECT @@tx_read_only", 0),
    ("SET SESSION max_statement_time = 5", "SELECT @@max_statement_time", 0),
    ("SET SESSION lock_wait_timeout = 5", "SELECT @@lock_wait_timeout", 86400),
]


@pytest.fixture
def pooling(product: Any) -> Iterator[None]:
    """All servers keep connections."""
    for server in product.cluster.servers:
        product.ctl("alter", "server", server.name, "persistpoolmax=4", "persistmaxtime=60s")
    yield
    for server in product.cluster.servers:
        product.ctl("alter", "server", server.name, "persistpoolmax=0", "persistmaxtime=0s")


@pytest.mark.parametrize("router", ["readconnroute", "readwritesplit"])
def test_a_pooled_connection_never_leaks_state(
    product: Any, service: Callable[..., int], pooling: None, router: str
) -> None:
    """Whatever a random session did, the next one finds its connections as new."""
    from demo import APP_PASSWORD, APP_USER, DATABASE

    rng = random.Random(7)
    port = service(router)
    seen: list[int] = []
    for _ in range(40):
        connection = pymysql.connect(
            host="127.0.0.1", port=port, user=APP_USER, password=APP_PASSWORD, database=DATABASE,
            charset="utf8mb4", client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS, autocommit=None,
        )  # fmt: skip
        seen.append(value(connection, "SELECT CONNECTION_ID()"))
        for _, look, fresh in rng.sample(STATES, 5):
            expected = DATABASE if fresh == "demo" else fresh
            assert value(connection, look) == expected, look
        with pytest.raises(pymysql.err.MySQLError):
            run(connection, "SELECT * FROM left_over")
        with pytest.raises(pymysql.err.MySQLError):
            run(connection, "EXECUTE p")
        for change, _, _ in rng.sample(STATES, 4):
            with contextlib.suppress(pymysql.err.MySQLError), connection.cursor() as cursor:
                cursor.execute(change)
                while cursor.nextset():
                    pass
        connection.close()
        time.sleep(0.01)
    assert len(set(seen)) < len(seen), "no connection was ever used again"


def test_more_sessions_than_connections(product: Any, service: Callable[..., int]) -> None:
    """With idle_session_pool_time sessions share the connections of a server, each with its own state."""
    primary = product.cluster.primary
    product.ctl("alter", "server", primary.name, "max_routing_connections=4")
    try:
        port = service("readconnroute", primary.name, idle_session_pool_time="0ms", multiplex_timeout="10s")
        connections = [product.connect(port) for _ in range(12)]
        for number, connection in enumerate(connections):
            run(connection, f"SET @mine = {number}")
        rng = random.Random(3)
        for _ in range(100):
            number = rng.randrange(12)
            assert value(connections[number], "SELECT @mine") == number
        problems: list[Any] = []

        def work(number: int) -> None:
            try:
                for _ in range(20):
                    run(connections[number], "BEGIN")
                    first = value(connections[number], "SELECT CONNECTION_ID()")
                    assert value(connections[number], "SELECT @mine") == number
                    assert value(connections[number], "SELECT CONNECTION_ID()") == first
                    run(connections[number], "COMMIT")
            except Exception as error:
                problems.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not problems
        used = "SELECT COUNT(*) FROM information_schema.processlist WHERE USER = 'app'"
        assert int(primary.value(used)) <= 4 * len(product.workers())
        for connection in connections:
            connection.close()
    finally:
        product.ctl("alter", "server", primary.name, "max_routing_connections=0")


# -- prepared statements


def prepare(connection: Any, sql: str) -> int:
    """Prepare a statement by the binary protocol; its id."""
    connection._execute_command(0x16, sql)
    head = connection._read_packet()._data
    columns, parameters = int.from_bytes(head[5:7], "little"), int.from_bytes(head[7:9], "little")
    for count in (parameters, columns):
        for _ in range(count + 1 if count else 0):
            connection._read_packet()
    return int.from_bytes(head[1:5], "little")


def execute(connection: Any, statement: int, number: int) -> int:
    """Execute a statement with one number for its parameter, of which it gives one row; the rows read."""
    body = statement.to_bytes(4, "little") + b"\0\1\0\0\0" + b"\0\1\x08\0" + number.to_bytes(8, "little")
    connection._execute_command(0x17, body)
    packets = 0
    ends = 0
    while ends < 2:
        packet = connection._read_packet()
        ends += packet.is_eof_packet()
        packets += 1
    return packets


def close(connection: Any, statement: int) -> None:
    connection._execute_command(0x19, statement.to_bytes(4, "little"))


def prepared_on(server: Any) -> int:
    return int(server.run("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'")[0][1])


def test_equal_statements_are_prepared_once(product: Any, service: Callable[..., int]) -> None:
    """reuse_prepared_statements: one statement on the servers until its last close."""
    from cluster import wait_until

    port = service(reuse_prepared_statements="true")
    primary = product.cluster.primary
    before = prepared_on(primary)
    with product.connect(port) as connection:
        ids = [prepare(connection, "SELECT ? + 1") for _ in range(5)]
        assert len(set(ids)) == 1 and prepared_on(primary) == before + 1
        assert execute(connection, ids[0], 4) == 5
        for statement in ids[:4]:
            close(connection, statement)
        assert execute(connection, ids[4], 5) == 5
        close(connection, ids[4])
        wait_until(lambda: prepared_on(primary) == before, "it is closed on the server", 5)
        other = prepare(connection, "SELECT ? + 1")
        assert other != ids[0] and execute(connection, other, 1) == 5
        shown = product.get(f"services/S{port}")["data"]["attributes"]["router_diagnostics"]
        assert shown["prepared_statements_reused"] == 4
        connection._execute_command(31, b"")
        connection._read_ok_packet()
        assert execute(connection, prepare(connection, "SELECT ? + 1"), 2) == 5
    wait_until(lambda: prepared_on(primary) == before, "nothing is left on the server", 5)


def test_statements_are_closed_everywhere(product: Any) -> None:
    """What the client closes is closed on every server, and what it forgets with its session."""
    from cluster import wait_until

    servers = product.cluster.servers
    before = [prepared_on(server) for server in servers]
    with product.connect() as connection:
        for _ in range(30):
            statement = prepare(connection, "SELECT ? + 2")
            execute(connection, statement, 1)
            close(connection, statement)
        for _ in range(5):
            prepare(connection, "SELECT ? + 3")
        wait_until(
            lambda: all(prepared_on(s) <= n + 5 for s, n in zip(servers, before, strict=True)), "closed", 5
        )
    wait_until(lambda: [prepared_on(server) for server in servers] == before, "nothing is left", 5)


def test_the_story_of_a_session(product: Any, service: Callable[..., int]) -> None:
    """session_trace: REST shows where each statement went and why."""
    port = service(session_trace="true")
    with product.connect(port) as connection:
        run(connection, "SET @a = 1", "SELECT 'read me'", "BEGIN", "SELECT 'in it'", "ROLLBACK")
        shown = product.get(f"sessions/{connection.thread_id()}")["data"]["attributes"]["log"]
        story = "\n".join(shown)
        assert "SELECT 'read me' -> server" in story and "a pure read outside of a transaction" in story
        assert f"SELECT 'in it' -> {product.cluster.primary.name}: a transaction is open" in story
        assert "SET @a = 1 -> all servers" in story


def test_a_transaction_keeps_its_connection(product: Any, service: Callable[..., int]) -> None:
    """Neither BEGIN nor autocommit=0 lets others have the connection, also where nothing is parsed."""
    primary = product.cluster.primary
    product.ctl("alter", "server", primary.name, "max_routing_connections=2")
    try:
        port = service("readconnroute", primary.name, idle_session_pool_time="0ms", multiplex_timeout="2s")
        with product.connect(port) as one, product.connect(port) as two:
            run(one, "CREATE OR REPLACE TABLE shared (id INT PRIMARY KEY)")
            run(one, "BEGIN", "INSERT INTO shared VALUES (1)")
            run(two, "SET autocommit = 0", "INSERT INTO shared VALUES (2)")
            with pytest.raises(pymysql.err.MySQLError), product.connect(port) as three:
                value(three, "SELECT 1")
            run(one, "COMMIT")
            run(two, "COMMIT")
            assert value(one, "SELECT COUNT(*) FROM shared") == 2
    finally:
        product.ctl("alter", "server", primary.name, "max_routing_connections=0")


def test_the_hottest_statements_are_shown(product: Any) -> None:
    """GET maxscale/query_classifier/cache: merged over the workers, with what is known of each."""
    with product.connect() as connection:
        for number in range(20):
            run(connection, f"SELECT 'hot statement', {number}")
    entries = product.get("maxscale/query_classifier/cache?top=100")["data"]
    found = [each for each in entries if each["id"].startswith("SELECT ?,")]
    assert found and found[0]["attributes"]["hits"] >= 19
    assert found[0]["attributes"]["classification"]["operation"] == "sql::OP_SELECT"


def test_a_connection_to_the_old_address_is_not_pooled(
    product: Any, service: Callable[..., int], pooling: None
) -> None:
    """A session that began before the server was changed does not leave its connection to others."""
    from cluster import wait_until

    primary = product.cluster.primary
    port = service("readconnroute", primary.name)
    connection = product.connect(port)
    before = value(connection, "SELECT CONNECTION_ID()")
    product.ctl("alter", "server", primary.name, "address=localhost")
    try:
        connection.close()
        alive = f"SELECT COUNT(*) FROM information_schema.processlist WHERE ID = {before}"
        wait_until(lambda: primary.value(alive) == 0, "it is closed", 5)
        with product.connect(port) as connection:
            assert value(connection, "SELECT CONNECTION_ID()") != before
    finally:
        product.ctl("alter", "server", primary.name, "address=127.0.0.1")


def test_what_a_statement_uses_is_shown(product: Any) -> None:
    """GET maxscale/query_classifier/classify: fields, functions with their columns, and `ctl classify`."""
    sql = "SELECT x.a, concat(x.b, upper(c)) FROM d.t x WHERE x.a = 1"
    found = product.get(f"maxscale/query_classifier/classify?sql={quote(sql)}")["data"]["attributes"]
    assert found == {
        "canonical": "SELECT x.a, concat(x.b, upper(c)) FROM d.t x WHERE x.a = ?",
        "fields": ["d.t.a", "d.t.b", "c"],
        "functions": [
            {"name": "concat", "arguments": ["d.t.b"]},
            {"name": "upper", "arguments": ["c"]},
            {"name": "=", "arguments": ["d.t.a"]},
        ],
        "operation": "sql::OP_SELECT",
        "parse_result": "Parser::Result::PARSED",
        "type_mask": "sql::TYPE_READ",
    }
    nonsense = product.get("maxscale/query_classifier/classify?sql=hello")["data"]["attributes"]
    assert nonsense == {"parse_result": "Parser::Result::INVALID"}
    assert "d.t.b" in product.ctl("classify", sql)


# -- draining that ends


def clients_of(product: Any, server: Any, connection: Any) -> int:
    """Connections of this client's user to the server, as the server sees them."""
    user = value(connection, "SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1)")
    others = f"user = '{user}' AND id <> CONNECTION_ID()"
    sql = f"SELECT COUNT(*) FROM information_schema.processlist WHERE {others}"
    return int(product.mariadb(sql, server.port)[-1])


def test_a_drain_with_a_deadline_moves_idle_sessions(product: Any, service: Callable[..., int]) -> None:
    """A session in nothing loses the connection at the deadline, one in a transaction behind COMMIT."""
    from cluster import wait_until

    port = service(max_slave_connections="1")
    by_id = {each.id: each for each in product.cluster.servers}
    with contextlib.ExitStack() as stack:
        busy = stack.enter_context(product.connect(port))
        run(busy, "START TRANSACTION READ ONLY")
        server = by_id[value(busy, "SELECT @@server_id")]
        others = [stack.enter_context(product.connect(port)) for _ in range(12)]
        idle = next(each for each in others if value(each, "SELECT @@server_id") == server.id)
        assert clients_of(product, server, idle) >= 2
        try:
            product.ctl("set", "server", server.name, "drain", "--deadline", "300ms")
            # The idle one leaves without doing anything, the transaction stays.
            wait_until(lambda: clients_of(product, server, busy) == 1, "the idle session has left", 5)
            assert value(busy, "SELECT @@server_id") == server.id
            assert value(idle, "SELECT @@server_id") != server.id
            run(busy, "COMMIT")
            wait_until(lambda: clients_of(product, server, idle) == 0, "the other one has left", 5)
            assert value(busy, "SELECT @@server_id") != server.id
            found = {row[0]: row[1:] for row in rows(idle, "EXPLAIN ROUTE SELECT 1")}
            assert found[server.name] == ("not chosen", "it has been drained")
        finally:
            product.ctl("clear", "server", server.name, "drain")
        wait_until(lambda: "Slave, Running" in str(product.get(f"servers/{server.name}")), "it is back", 5)


def test_a_drain_ends_sessions_that_cannot_move(product: Any, service: Callable[..., int]) -> None:
    """readconnroute: the session ends between two transactions, not in one."""
    from cluster import wait_until

    port = service("readconnroute", router_options="slave")
    by_id = {each.id: each for each in product.cluster.servers}
    with product.connect(port) as busy:
        run(busy, "BEGIN")
        server = by_id[value(busy, "SELECT @@server_id")]
        try:
            product.ctl("set", "server", server.name, "drain", "--deadline", "200ms")
            with product.connect() as other:
                wait_until(
                    lambda: rows(other, "EXPLAIN ROUTE SELECT 1") and "drained" in str(
                        [row for row in rows(other, "EXPLAIN ROUTE SELECT 1") if row[0] == server.name]
                    ), "the deadline has passed", 5,
                )  # fmt: skip
            assert value(busy, "SELECT @@server_id") == server.id
            run(busy, "COMMIT")
            with pytest.raises(pymysql.err.OperationalError):
                value(busy, "SELECT 1")
        finally:
            product.ctl("clear", "server", server.name, "drain")


# -- stored functions


@pytest.fixture(scope="module")
def stored(product: Any) -> Iterator[Any]:
    """Functions that tell where they run: `tells` reads in one database and writes in the other."""
    from cluster import APP_USER, DATABASE

    primary = product.cluster.primary
    primary.run(
        "CREATE DATABASE other",
        f"GRANT ALL ON other.* TO '{APP_USER}'@'%'",
        "CREATE TABLE other.calls (id INT AUTO_INCREMENT PRIMARY KEY)",
        f"CREATE FUNCTION {DATABASE}.tells() RETURNS INT DETERMINISTIC READS SQL DATA RETURN @@server_id",
        f"CREATE FUNCTION {DATABASE}.says_nothing() RETURNS INT DETERMINISTIC RETURN @@server_id",
        "CREATE FUNCTION other.tells() RETURNS INT DETERMINISTIC MODIFIES SQL DATA"
        " BEGIN INSERT INTO other.calls () VALUES (); RETURN @@server_id; END",
        "CREATE PROCEDURE other.moves() EXECUTE IMMEDIATE 'USE other'",
    )
    for replica in product.cluster.replicas:
        product.cluster.wait_synced(replica)
    yield primary.id
    names = ("tells", "says_nothing")
    primary.run("DROP DATABASE other", *(f"DROP FUNCTION {DATABASE}.{name}" for name in names))


def where(connection: Any, sql: str) -> set[int]:
    """The servers that answer."""
    return {value(connection, sql) for _ in range(4)}


def test_functions_are_writes_if_nothing_is_said(
    product: Any, service: Callable[..., int], stored: Any
) -> None:
    with product.connect(service()) as connection:
        assert where(connection, "SELECT tells()") == {stored} == where(connection, "SELECT demo.tells()")


def test_declared_functions(product: Any, service: Callable[..., int], stored: Any) -> None:
    """They go to replicas, also for sessions that were there before; others of that name do not."""
    port = service()
    with product.connect(port) as connection:
        assert where(connection, "SELECT says_nothing()") == {stored}
        product.ctl("alter", "service", f"S{port}", "read_functions=demo.Says_Nothing,demo.tells")
        assert stored not in where(connection, "SELECT says_nothing()")
        assert stored not in where(connection, "SELECT `demo`.TELLS(), says_nothing()")
        found = {row[0]: row[1:] for row in rows(connection, "EXPLAIN ROUTE SELECT tells()")}
        assert found["target"] == ("replica", "a pure read outside of a transaction")
        # What else the statement does still counts.
        assert where(connection, "SELECT says_nothing() UNION SELECT other.tells()") == {stored}
        assert where(connection, "SELECT tells(), GET_LOCK('a', 0)") == {stored}
        run(connection, "USE other")
        assert where(connection, "SELECT tells()") == {stored}
        assert stored not in where(connection, "SELECT demo.tells()")
        product.ctl("alter", "service", f"S{port}", "read_functions=")
        assert where(connection, "SELECT demo.tells()") == {stored}


def test_learned_functions(product: Any, service: Callable[..., int], stored: Any) -> None:
    """What the server says of them counts, as long as it says it."""
    from cluster import wait_until

    port = service(learn_read_functions="true")
    with product.connect(port) as connection:
        wait_until(lambda: value(connection, "SELECT tells()") != stored, "it has learned", 10)
        assert where(connection, "SELECT says_nothing()") == {stored}
        run(connection, "USE other")
        before = value(connection, "SELECT COUNT(*) FROM calls")
        assert where(connection, "SELECT tells()") == {stored}
        assert value(connection, "SELECT COUNT(*) FROM other.calls FOR UPDATE") == before + 4
        product.cluster.primary.run("ALTER FUNCTION demo.tells MODIFIES SQL DATA")
        try:
            product.ctl("reload", "service", f"S{port}")
            wait_until(lambda: where(connection, "SELECT demo.tells()") == {stored}, "it is not trusted", 10)
        finally:
            product.cluster.primary.run("ALTER FUNCTION demo.tells READS SQL DATA")


def test_functions_where_the_database_may_have_changed(
    product: Any, service: Callable[..., int], stored: Any
) -> None:
    """Statements that can hide a USE: afterwards `tells()` may be the one that writes."""
    port = service(read_functions="demo.tells")
    for sql in (
        "EXECUTE IMMEDIATE 'USE other'",
        "CALL other.moves()",
        "BEGIN NOT ATOMIC EXECUTE IMMEDIATE 'USE other'; END",
    ):
        with product.connect(port) as connection:
            assert stored not in where(connection, "SELECT tells()")
            run(connection, sql)
            assert where(connection, "SELECT tells()") == {stored}, sql
            assert stored not in where(connection, "SELECT demo.tells()")
            run(connection, "USE demo")
            assert stored not in where(connection, "SELECT tells()")
    with product.connect(port) as connection:
        run(connection, "PREPARE p FROM 'USE other'", "PREPARE q FROM 'SELECT tells()'")
        assert stored not in where(connection, "EXECUTE q")
        run(connection, "EXECUTE p", "PREPARE r FROM 'SELECT tells()'")
        assert where(connection, "SELECT tells()") == {stored} == where(connection, "EXECUTE r")
        # Prepared in the other database, it still is the other function.
        assert stored not in where(connection, "EXECUTE q")


def test_functions_in_prepared_statements(product: Any, service: Callable[..., int], stored: Any) -> None:
    """The database at the PREPARE counts, and what is known at the time of the execution."""
    import mysql.connector

    from cluster import APP_PASSWORD, APP_USER, DATABASE

    port = service(read_functions="demo.tells")
    connection = mysql.connector.connect(
        host="127.0.0.1", port=port, user=APP_USER, password=APP_PASSWORD, database=DATABASE, use_pure=True
    )
    try:
        connection.autocommit = True
        reads, writes, moves = (connection.cursor(prepared=True) for _ in range(3))

        def answers(cursor: Any) -> set[int]:
            found = set()
            for number in range(4):
                cursor.execute("SELECT tells() FROM DUAL WHERE 1 < ?", (number + 2,))
                found.add(cursor.fetchall()[0][0])
            return found

        assert stored not in answers(reads)
        plain = connection.cursor()
        plain.execute("USE other")
        assert answers(writes) == {stored}
        assert stored not in answers(reads)
        product.ctl("alter", "service", f"S{port}", "read_functions=tells")
        assert stored not in answers(reads)
        product.ctl("alter", "service", f"S{port}", "read_functions=")
        assert answers(reads) == {stored}
        product.ctl("alter", "service", f"S{port}", "read_functions=demo.tells")
        plain.execute("USE demo")
        moves.execute("USE other")
        last = connection.cursor(prepared=True)
        assert answers(last) == {stored}
    finally:
        connection.close()


def test_functions_may_read_temporary_tables(product: Any, service: Callable[..., int], stored: Any) -> None:
    """Only the primary has them."""
    with product.connect(service(read_functions="tells")) as connection:
        run(connection, "PREPARE p FROM 'SELECT tells()'")
        assert stored not in where(connection, "SELECT tells()") | where(connection, "EXECUTE p")
        run(connection, "CREATE TEMPORARY TABLE mine (id INT)")
        assert where(connection, "SELECT tells()") == {stored} == where(connection, "EXECUTE p")
        run(connection, "DROP TEMPORARY TABLE mine")
        assert stored not in where(connection, "SELECT tells()")


def test_a_locking_read_makes_a_read_write_transaction(product: Any, service: Callable[..., int]) -> None:
    from cluster import wait_until

    port = service()

    def counted() -> tuple[int, int]:
        found = product.get(f"services/S{port}")["data"]["attributes"]["router_diagnostics"]
        return found["rw_transactions"], found["ro_transactions"]

    with product.connect(port) as connection:
        run(connection, "BEGIN", "SELECT 1", "COMMIT")
        wait_until(lambda: counted() == (0, 1), "it only read", 5)
        run(connection, "BEGIN", "SELECT 1 FROM DUAL FOR UPDATE", "COMMIT")
        wait_until(lambda: counted() == (1, 1), "it locked", 5)


def test_a_counter_is_the_same_on_connections_that_come_later(
    product: Any, service: Callable[..., int]
) -> None:
    """Equal commands in the history are each executed, if once is not the same as twice."""
    port = service(lazy_connect="true")
    with product.connect(port) as connection:
        run(connection, "SET @n = 10")
        assert value(connection, "SELECT @n := @n + 1") == 11
        assert value(connection, "SELECT @n := @n + 1") == 12
        run(connection, "SET @b = @n", "SET @n = 10", "SET @n = @n + @b")
        seen = {tuple(rows(connection, "SELECT @@server_id, @n, @b")[0]) for _ in range(20)}
        run(connection, "BEGIN")
        seen.add(tuple(rows(connection, "SELECT @@server_id, @n, @b")[0]))
        run(connection, "ROLLBACK")
        assert len({row[0] for row in seen}) > 1
        assert {(int(n), int(b)) for _, n, b in seen} == {(22, 12)}
