"""Ordinary drivers work through Fairlead: reads on replicas, writes and transactions on the primary."""

from __future__ import annotations

import asyncio
from typing import Any

import mysql.connector
import pytest

pytestmark = pytest.mark.server

WHERE = "SELECT @@server_id"


def credentials(product: Any) -> dict[str, Any]:
    from cluster import APP_PASSWORD, APP_USER, DATABASE

    return {
        "host": "127.0.0.1",
        "port": product.split_port,
        "user": APP_USER,
        "password": APP_PASSWORD,
        "database": DATABASE,
    }


def test_pymysql(product: Any) -> None:
    with product.connect() as connection, connection.cursor() as cursor:
        cursor.execute(WHERE)
        assert cursor.fetchone()[0] in (2, 3)
        cursor.execute("CREATE OR REPLACE TABLE by_pymysql (id INT, at INT)")
        cursor.executemany("INSERT INTO by_pymysql VALUES (%s, @@server_id)", [(1,), (2,)])
        connection.begin()
        cursor.execute("SELECT COUNT(*), MIN(at), MAX(at), @@server_id FROM by_pymysql")
        assert cursor.fetchone() == (2, 1, 1, 1)
        connection.commit()
        cursor.execute(WHERE)
        assert cursor.fetchone()[0] in (2, 3)


def test_asyncmy(product: Any) -> None:
    import asyncmy

    async def talk() -> None:
        connection = await asyncmy.connect(**credentials(product))
        async with connection.cursor() as cursor:
            await cursor.execute(WHERE)
            assert (await cursor.fetchone())[0] in (1, 2, 3)
            await cursor.execute("CREATE OR REPLACE TABLE by_asyncmy (id INT)")
            await cursor.execute("INSERT INTO by_asyncmy VALUES (%s)", (5,))
            await connection.commit()
            await cursor.execute("SELECT id, LAST_INSERT_ID() FROM by_asyncmy")
            assert (await cursor.fetchone())[0] == 5
        connection.close()

    asyncio.run(talk())


def test_mysql_connector_with_prepared_statements(product: Any) -> None:
    connection = mysql.connector.connect(
        **credentials(product), use_pure=True, autocommit=True, ssl_disabled=True
    )
    try:
        cursor = connection.cursor()
        cursor.execute("CREATE OR REPLACE TABLE by_connector (id INT, t VARCHAR(20))")
        prepared = connection.cursor(prepared=True)
        for number in range(3):
            prepared.execute("INSERT INTO by_connector VALUES (?, ?)", (number, f"text {number}"))
        prepared.execute("SELECT t, LAST_INSERT_ID() FROM by_connector WHERE id = ?", (2,))
        assert prepared.fetchall()[0][0] == "text 2"
        read = connection.cursor(prepared=True)
        read.execute("SELECT @@server_id, ?", (7,))
        where, value = read.fetchall()[0]
        assert where in (2, 3) and value == 7
    finally:
        connection.close()


def test_the_command_line_client(product: Any) -> None:
    assert product.mariadb(WHERE)[0] in ("2", "3")
    assert product.mariadb("BEGIN; SELECT @@server_id; COMMIT") == ["1"]
    assert product.mariadb(WHERE, product.connect_port)[0] in ("2", "3")


def test_a_large_result_arrives_whole(product: Any) -> None:
    with product.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT seq, REPEAT('x', 500) FROM seq_1_to_20000")
        rows = cursor.fetchall()
    assert len(rows) == 20000 and rows[-1] == (20000, "x" * 500)
