"""A temporary server, and what it says of statements: which a read-only transaction refuses, which tables
it opens.

Each test program runs in a database of its own, so that its tables exist; what could harm or hang the server
is left out. Statements that change something run on one connection; on a second one, pure reads run in a
read-only transaction and changes are explained, and a third one looks at the second's metadata locks.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import pymysql

from classify_score.labels import clean
from cluster import ClusterError, end, spawn, tail, wait_until

REFUSED = (1290, 1792)  # the server runs with an option; the transaction is read-only
_LOST = (2003, 2006, 2013, 2014, 1927, 4031)
_TIMEOUT = 6.0  # seconds until a connection is given up
_OWN_DATABASES = frozenset(("information_schema", "mysql", "performance_schema", "sys"))

_HARMFUL = re.compile(
    r"""^\W*(?:SHUTDOWN|KILL|INSTALL|UNINSTALL|CHANGE|START\ (?!TRANSACTION)|STOP|RESET|LOAD|FLUSH|LOCK
         |BACKUP|XA|GRANT|REVOKE|PURGE|BINLOG|HANDLER|CACHE|HELP|SIGNAL|SET\ (?:DEFAULT\ )?ROLE|SET\ PASSWORD
         |CONNECT
         |(?:CREATE|ALTER|DROP|RENAME)\ (?:OR\ REPLACE\ )?(?:USER|ROLE|SERVER|EVENT|TABLESPACE|LOGFILE))\b
      | \b(?:SLEEP|BENCHMARK|GET_LOCK|MASTER_POS_WAIT|MASTER_GTID_WAIT|LOAD_FILE|WSREP_\w+)\ ?\(
      | \bSET\b.*(?:\bGLOBAL\b|@@GLOBAL) | \bINTO\ (?:OUTFILE|DUMPFILE)\b | DISCARD\ TABLESPACE
      | \b(?:DATA|INDEX)\ DIRECTORY\b
      | ^(?!SELECT|SHOW|EXPLAIN).*(?:\bMYSQL`?\.|\bSYS`?\.|PERFORMANCE_SCHEMA`?\.)
      | ^(?:USE|(?:DROP|CREATE|ALTER)\ (?:OR\ REPLACE\ )?(?:DATABASE|SCHEMA)\ (?:IF\ (?:NOT\ )?EXISTS\ )?)
        \ ?`?(?:MYSQL|SYS|PERFORMANCE_SCHEMA|INFORMATION_SCHEMA)\b
      | ^SET\b.*\b(?:MAX_STATEMENT_TIME|LOCK_WAIT_TIMEOUT|\w*WAIT_TIMEOUT|INTERACTIVE_TIMEOUT|DEBUG\w*|NET_\w+
        |PSEUDO_\w+|MAX_SESSION_MEM_USED|PROFILING|WSREP_\w+|RAND_SEED\d|SKIP_REPLICATION|SQL_LOG_BIN)\b
      | \bCREATE\b.*\bSONAME\b | \bSYSTEM_USER\b.*\bGRANT\b | DELAYED""",
    re.X | re.S,
)


def harmful(sql: str) -> bool:
    """True for statements that would hang, stop or change the server itself."""
    return _HARMFUL.search(clean(sql)) is not None


class Lost(Exception):
    """A connection or the server is gone."""


class Session:
    """A connection that speaks bytes and gives error numbers."""

    def __init__(self, socket: Path) -> None:
        self.link = pymysql.connect(
            unix_socket=str(socket),
            user="root",
            autocommit=True,
            read_timeout=_TIMEOUT,
            write_timeout=_TIMEOUT,
        )
        self.link.encoding = "latin-1"
        self.link.decoders = {}
        self.link.use_unicode = False
        self.rows: tuple[tuple[bytes, ...], ...] = ()

    def run(self, sql: str) -> int:
        """Execute; 0 or the number of the error. Rows are in `rows`."""
        self.rows = ()
        try:
            self.link.query(sql.encode("latin-1"))
            self.rows = self.link._result.rows or ()
            while self.link._result is not None and self.link._result.has_next:
                self.link.next_result()
        except pymysql.Error as failure:
            code = int(failure.args[0]) if failure.args and isinstance(failure.args[0], int) else -1
            if code in _LOST or not self.link.open:
                raise Lost(str(failure)) from failure
            return code
        except (OSError, AssertionError, AttributeError, ValueError, IndexError, KeyError) as failure:
            raise Lost(repr(failure)) from failure
        return 0

    def value(self, sql: str) -> str:
        """The first field of the first row."""
        self.run(sql)
        return (self.rows[0][0] or b"").decode("latin-1") if self.rows else ""

    def close(self) -> None:
        with contextlib.suppress(pymysql.Error):
            self.link._force_close()


@dataclass
class Verdict:
    """What the server says of one statement."""

    error: int = 0
    ended: bool = False  # the read-only transaction was over after it
    wrote: bool = False  # a table was changed
    opened: frozenset[tuple[str, str]] = field(default_factory=frozenset)


class Oracle:
    """The server, and the three connections to it. Use as a context."""

    def __init__(self) -> None:
        memory = Path("/dev/shm")
        self.directory = Path(
            tempfile.mkdtemp(prefix="fairlead-score-", dir=memory if memory.is_dir() else None)
        )
        self.socket = self.directory / "s.sock"
        self.log = self.directory / "error.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.restarts = 0
        self.database = "test"
        self.counted = 0

    def __enter__(self) -> Oracle:
        self.install()
        return self

    def __exit__(self, *_: object) -> None:
        end(self.process)
        shutil.rmtree(self.directory, ignore_errors=True)

    def install(self) -> None:
        """A new data directory and a server on it."""
        end(self.process)
        data = self.directory / "data"
        shutil.rmtree(data, ignore_errors=True)
        files = self.directory / "files"
        files.mkdir(exist_ok=True)
        account = ["--user=root"] if os.geteuid() == 0 else []
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db",
             "--auth-root-authentication-method=normal", *account],
            check=True, capture_output=True,
        )  # fmt: skip
        self.process = spawn(
            ["mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={self.socket}", "--skip-networking",
             f"--pid-file={self.directory / 'pid'}", f"--tmpdir={self.directory}", "--max-statement-time=2",
             "--lock-wait-timeout=1", "--innodb-lock-wait-timeout=1", "--innodb-buffer-pool-size=64M",
             "--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync", "--sync-frm=OFF",
             "--default-storage-engine=MyISAM", "--performance-schema=ON", "--character-set-server=latin1",
             "--performance-schema-instrument=%=OFF",
             "--performance-schema-instrument=wait/lock/metadata/%=ON",
             f"--secure-file-priv={files}", "--skip-name-resolve", "--event-scheduler=DISABLED", *account],
            self.log,
        )  # fmt: skip
        wait_until(self._answers, "the server answers", 60)
        self.control = Session(self.socket)

    def _answers(self) -> bool:
        if not self.alive():
            raise ClusterError(f"the server did not start:\n{tail(self.log)}")
        try:
            Session(self.socket).close()
        except pymysql.Error:
            return False
        return True

    def begin_file(self) -> None:
        """An empty database `test` and new connections."""
        try:
            self.disconnect()
            self.control.run("SHOW DATABASES")
            for row in self.control.rows:
                if row[0].decode("latin-1").lower() not in _OWN_DATABASES:
                    name = row[0].decode("latin-1").replace("`", "``")
                    self.control.run(f"DROP DATABASE `{name}`")
            self.control.run("CREATE DATABASE test")
            self.connect()
        except (Lost, pymysql.Error):
            if self.alive() and self.process is not None:
                self.process.kill()
            self.restarts += 1
            self.install()
            self.control.run("CREATE DATABASE IF NOT EXISTS test")
            self.connect()

    def disconnect(self) -> None:
        """End the two connections, also on the server, where a procedure may go on for ever."""
        self.control.run(
            "SELECT id FROM information_schema.processlist WHERE id<>CONNECTION_ID() AND user='root'"
        )
        others = [row[0].decode() for row in self.control.rows]
        for number in others:
            self.control.run(f"KILL HARD CONNECTION {number}")
        listed = ",".join(others)
        for _ in range(100 if others else 0):
            if (
                self.control.value(
                    f"SELECT COUNT(*) FROM information_schema.processlist WHERE id IN ({listed})"
                )
                == "0"
            ):
                return
            time.sleep(0.02)
        if others:
            raise Lost("a connection cannot be killed")

    def connect(self) -> None:
        """The two connections that statements run on."""
        self.main = Session(self.socket)
        self.side = Session(self.socket)
        self.database = "test"
        for session in (self.main, self.side):
            session.run("USE test")
            session.run("SET character_set_client=latin1")
        number = self.side.value("SELECT CONNECTION_ID()")
        self.thread = self.control.value(
            f"SELECT thread_id FROM performance_schema.threads WHERE processlist_id={number}"
        )
        self.counted = self._count()

    def modes(self) -> tuple[str, str]:
        """sql_mode and character set of the first connection."""
        self.main.run("SELECT @@sql_mode, @@character_set_client")
        mode, charset = self.main.rows[0] if self.main.rows else (b"", b"")
        return mode.decode("latin-1"), charset.decode("latin-1")

    def change(self, sql: str, both: bool) -> int:
        """Execute what is no pure read; `both`: it sets up a session."""
        code = self.main.run(sql)
        if both:
            self.side.run(sql)
            self.database = self.side.value("SELECT DATABASE()")
        return code

    def read(self, sql: str) -> Verdict:
        """Execute in a read-only transaction."""
        self.side.run("START TRANSACTION READ ONLY")
        verdict = Verdict(self.side.run(sql))
        if not verdict.error:
            verdict.opened = self._opened()
            verdict.ended = self.side.value("SELECT @@in_transaction") == "0"
            now = self._count()
            wrote, self.counted = now != self.counted, now
        self.side.run("ROLLBACK")
        if not verdict.error and wrote:
            verdict.wrote = self._changes(sql, verdict.opened)
        return verdict

    def _changes(self, sql: str, opened: frozenset[tuple[str, str]]) -> bool:
        """True if executing it changes a table that it opens. The counters alone do not tell: they also count
        the rows of some temporary tables that queries make."""
        tables = ", ".join(f"`{database}`.`{table}`" for database, table in sorted(opened))
        if not tables:
            return False
        sums = []
        for _ in range(2):
            self.control.run(f"CHECKSUM TABLE {tables}")
            sums.append(self.control.rows)
            self.side.run("START TRANSACTION READ ONLY")
            self.side.run(sql)
            self.side.run("ROLLBACK")
        self.counted = self._count()
        return sums[0] != sums[1]

    def explain(self, sql: str) -> Verdict:
        """Have it explained."""
        self.side.run("START TRANSACTION")
        verdict = Verdict(self.side.run(f"EXPLAIN {sql}"))
        if not verdict.error:
            verdict.opened = self._opened()
            self.counted = self._count()
        self.side.run("ROLLBACK")
        return verdict

    def _opened(self) -> frozenset[tuple[str, str]]:
        self.control.run(
            "SELECT object_schema, object_name FROM performance_schema.metadata_locks "
            f"WHERE object_type='TABLE' AND owner_thread_id={self.thread}"
        )
        return frozenset(
            (row[0].decode("utf-8", "replace"), row[1].decode("utf-8", "replace"))
            for row in self.control.rows
        )

    def _count(self) -> int:
        """Rows that the second connection has written so far."""
        return int(
            self.control.value(
                "SELECT CAST(SUM(variable_value) AS INT) FROM performance_schema.status_by_thread "
                f"WHERE thread_id={self.thread} AND variable_name IN "
                "('Handler_write', 'Handler_update', 'Handler_delete')"
            )
            or 0
        )

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None
