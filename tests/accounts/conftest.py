"""A real MariaDB server for the tests of this room."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest

INSTALL = shutil.which("mariadb-install-db")
SERVER = shutil.which("mariadbd", path="/usr/sbin:/usr/bin:/usr/local/sbin")


class Server:
    """A server on a Unix socket, with everything in one directory."""

    def __init__(self, directory: Path):
        assert INSTALL and SERVER
        self.socket = str(directory / "s.sock")
        data = directory / "data"
        common = ["--no-defaults", f"--datadir={data}"]
        subprocess.run(
            [INSTALL, *common, "--user=root", "--auth-root-authentication-method=normal", "--skip-test-db",
             "--skip-name-resolve"],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        with open(directory / "log", "wb") as log:
            self._process = subprocess.Popen(
                [SERVER, *common, "--user=root", f"--socket={self.socket}", "--skip-networking",
                 f"--pid-file={directory / 'pid'}", "--innodb-buffer-pool-size=16M",
                 "--innodb-flush-log-at-trx-commit=0", "--skip-innodb-doublewrite"],
                stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while True:
            try:
                self.connect().close()
                return
            except pymysql.err.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self.stop()
                    raise
                time.sleep(0.05)

    def connect(self, user: str = "root", password: str = "", **arguments) -> pymysql.Connection:
        return pymysql.connect(
            unix_socket=self.socket, user=user, password=password, autocommit=True, **arguments
        )

    def run(self, *statements: str) -> None:
        with self.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def values(self, sql: str) -> list[str]:
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return [row[0] for row in cursor.fetchall()]

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if not INSTALL or not SERVER:
        pytest.skip("no MariaDB server is installed")
    server = Server(tmp_path_factory.mktemp("mariadb"))
    yield server
    server.stop()
