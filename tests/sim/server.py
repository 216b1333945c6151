"""Modelled MariaDB servers: a primary and replicas that share one ledger of commits.

A commit that was answered is durable whatever crashes later; one that was not answered may have happened.
Replicas show the ledger as it was `lag` ago and refuse writes. Only the dialect of `client.py` is understood:
anything else that arrives is a finding.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import wire_format as fmt
from .network import Peer

if TYPE_CHECKING:
    from .world import World

USERS = {"app": "secret", "other": "second", "empty": ""}
DATABASES = ("db1", "db2")
# Time a statement takes on the server, in microseconds; now and then one takes longer.
WORK_US = (5, 200)
LONG_WORK_US = (2_000, 60_000)


class Commit:
    """A committed write: its token and the row it changed (-1: an entry of the log)."""

    def __init__(self, token: str, row: int, when: int) -> None:
        self.token = token
        self.row = row
        self.when = when


class Node:
    """One server. `connections`: by thread id."""

    def __init__(self, world: World, name: str, slot: int, is_primary: bool) -> None:
        self.world = world
        self.name = name
        self.slot = slot
        self.is_primary = is_primary
        self.up = True
        # It takes connections and refuses logins.
        self.full = False
        self._lag_us = 0
        self._horizon = 0
        self.connections: dict[int, ServerConnection] = {}
        self._last_thread = slot * 100_000

    def accept(self, connection: ServerConnection) -> None:
        self._last_thread += 1
        connection.thread_id = self._last_thread
        self.connections[self._last_thread] = connection

    @property
    def lag_us(self) -> int:
        """How far the server is behind, in microseconds."""
        return self._lag_us

    @lag_us.setter
    def lag_us(self, microseconds: int) -> None:
        self._horizon = self.horizon()
        self._lag_us = microseconds

    def horizon(self) -> int:
        """Until when it has the commits: what has been applied stays, also when the lag grows."""
        return max(self._horizon, self.world.clock.now - (0 if self.is_primary else self._lag_us))

    def value_of(self, row: int) -> str:
        """The row as this server sees it."""
        horizon = self.horizon()
        for commit in reversed(self.world.ledger):
            if commit.row == row and commit.when <= horizon:
                return commit.token
        return "none"

    def position(self) -> int:
        """How many of the commits this server has."""
        horizon = self.horizon()
        return sum(commit.when <= horizon for commit in self.world.ledger)

    def gtids(self, position: int, only: bool = False) -> str:
        """The position as text; `only`: the last commit alone."""
        if self.world.mysql:
            return f"{ORIGIN}:{position}" if only or position < 2 else f"{ORIGIN}:1-{position}"
        return f"0-1-{position}"

    def catches_up_in(self, position: int) -> int:
        """Microseconds until it has so many commits."""
        if self.is_primary or position <= 0 or position > len(self.world.ledger):
            return 0
        when = self.world.ledger[position - 1].when
        return 0 if when <= self._horizon else max(0, when + self.lag_us - self.world.clock.now)

    def crash(self) -> None:
        """All connections break; what was not committed is gone."""
        self.up = False
        for connection in list(self.connections.values()):
            connection.die("connection reset by peer")

    def kill(self, thread_id: int, query_only: bool) -> None:
        connection = self.connections.get(thread_id)
        if connection is not None:
            connection.killed(query_only)


class ServerConnection(Peer):
    """One connection to a node, from its greeting to its end."""

    def __init__(self, node: Node, rng: random.Random) -> None:
        self.node = node
        self.world = node.world
        self.thread_id = 0
        self.scramble = bytes(rng.randint(33, 126) for _ in range(20))
        self.packets = fmt.Packets()
        self.logged_in = False
        self.capabilities = 0
        self.user = ""
        self.queue: list[bytes] = []
        self.busy: Any = None
        self.dead = False
        # A change of user that waits for the answer to our challenge.
        self.challenged: fmt.UserRequest | None = None
        self.reset_state()
        self.database = ""

    def reset_state(self) -> None:
        """As after a login."""
        self.tracks_gtid = False
        self.committed = False
        self.variables: dict[str, str | None] = {"a": None, "b": None}
        self.sql_mode = "STRICT_TRANS_TABLES"
        self.autocommit = True
        self.trx: list[tuple[str, int]] | None = None
        self.trx_read_only = False
        self.temp_tables: set[tuple[str, str]] = set()
        self.prepared: dict[int, str] = {}
        self.types: dict[int, bool] = {}

    # -- life

    def connected(self) -> None:
        self.node.accept(self)
        self.send(fmt.packet(0, fmt.greeting(self.thread_id, self.scramble)))

    def ended(self, reason: str) -> None:
        self.dead = True
        if self.busy is not None:
            self.busy.cancel()
        self.node.connections.pop(self.thread_id, None)

    def die(self, reason: str) -> None:
        """Break the connection."""
        self.ended(reason)
        self.wire.reset(reason)

    def killed(self, query_only: bool) -> None:
        if self.dead:
            return
        if self.busy is not None and query_only:
            self.busy.cancel()
            self.busy = None
            self.send(fmt.packet(1, fmt.error(1317, "Query execution was interrupted", "70100")))
            self._next()
        elif not query_only:
            if self.busy is not None:
                self.send(fmt.packet(1, fmt.error(1927, "Connection was killed", "70100")))
            self.ended("killed")
            self.hang_up()

    # -- packets

    def received(self, data: bytes) -> None:
        if self.dead:
            return
        self.consumed(len(data))
        for _, payload in self.packets.feed(data):
            if self.dead:
                return
            if not self.logged_in:
                self._login(payload)
            else:
                if self.world.watches_arrivals:
                    self.world.arrives(self.node, payload)
                self.queue.append(payload)
                if self.busy is None:
                    self._next()

    def _login(self, payload: bytes) -> None:
        request = fmt.login_request(payload)
        self.capabilities = request.capabilities
        if self.node.full:
            self.send(fmt.packet(2, fmt.error(1040, "Too many connections", "08004")))
            self.ended("full")
            self.hang_up()
            return
        if not self._known(request.user, request.token):
            self.send(fmt.packet(2, fmt.error(1045, "Access denied", "28000")))
            self.ended("refused")
            self.hang_up()
            return
        self.logged_in = True
        self.user = request.user
        self.database = request.database
        self.send(fmt.packet(2, fmt.ok(self._status())))

    def _known(self, user: str, token: bytes) -> bool:
        return user in USERS and token == fmt.token_for(USERS[user], self.scramble)

    def _next(self) -> None:
        if self.dead or not self.queue:
            self.busy = None
            return
        payload = self.queue.pop(0)
        rng = self.world.rng
        work = rng.randint(*(LONG_WORK_US if rng.random() < 0.03 else WORK_US))
        waits = _WAITS.search(payload)
        if waits is not None:
            catches_up = self.node.catches_up_in(int(waits.group(1)))
            work += min(catches_up, int(waits.group(2)) * 1_000_000)
        self.busy = self.world.clock.after(work, lambda: self._done(payload))

    def _done(self, payload: bytes) -> None:
        self.busy = None
        self.committed = False
        reply = self._command(payload)
        if self.dead:
            return
        if reply:
            self.send(reply)
        self._next()

    def _status(self) -> int:
        status = fmt.AUTOCOMMIT if self.autocommit else 0
        if self.trx is not None:
            status |= fmt.IN_TRANS
            if self.trx_read_only:
                status |= fmt.IN_TRANS_READONLY
        return status

    # -- commands

    def _command(self, payload: bytes) -> bytes:
        if self.challenged is not None and payload != b"\x01":
            return self._become(self.challenged, payload, 3)
        handler: Callable[[bytes], bytes] | None = _COMMANDS.get(payload[0])  # type: ignore[assignment]
        if handler is None:
            self.world.finding(f"{self.node.name} got command {payload[0]}")
            return self._error(1047, "Unknown command")
        return handler(self, payload)  # type: ignore[call-arg, arg-type]

    def _ok(self) -> bytes:
        if self.committed and self.tracks_gtid and self.capabilities & fmt.SESSION_TRACK:
            last = self.node.gtids(len(self.world.ledger), only=True)
            return fmt.packet(1, fmt.ok_with_gtid(self._status(), last, self.world.mysql))
        return fmt.packet(1, fmt.ok(self._status()))

    def _error(self, code: int, message: str) -> bytes:
        return fmt.packet(1, fmt.error(code, message))

    def _rows(self, rows: list[list[str | None]], binary: bool) -> bytes:
        return fmt.result_set(rows, self._status(), self.capabilities, binary)[0]

    def _quit(self, payload: bytes) -> bytes:
        self.ended("quit")
        self.hang_up()
        return b""

    def _init_db(self, payload: bytes) -> bytes:
        self.database = payload[1:].decode()
        return self._ok()

    def _ping(self, payload: bytes) -> bytes:
        return self._ok()

    def _reset(self, payload: bytes) -> bytes:
        self.reset_state()
        return self._ok()

    def _change_user(self, payload: bytes) -> bytes:
        request = fmt.change_user_request(payload)
        if self.world.rng.random() < 0.1:
            # A server may ask for the password with a challenge of its own.
            self.challenged = request
            return fmt.packet(1, b"\xfe" + fmt.PLUGIN.encode() + b"\0" + self.scramble + b"\0")
        return self._become(request, request.token, 1)

    def _become(self, request: fmt.UserRequest, token: bytes, sequence: int) -> bytes:
        """Another user's connection, as after a login."""
        self.challenged = None
        if not self._known(request.user, token):
            self.world.finding(f"{self.node.name} refused to become {request.user}")
            self.hang_up()
            self.ended("refused")
            return b""
        self.reset_state()
        self.user = request.user
        self.database = request.database
        return fmt.packet(sequence, fmt.ok(self._status()))

    def is_as_new(self) -> bool:
        """Whether its state is that of a login, whatever the user and the database."""
        nothing_set = all(value is None for value in self.variables.values())
        plain = self.autocommit and self.trx is None and self.sql_mode == "STRICT_TRANS_TABLES"
        return nothing_set and plain and not (self.temp_tables or self.prepared or self.tracks_gtid)

    def _query(self, payload: bytes) -> bytes:
        return self._run(payload[1:].decode(), False)

    def _prepare(self, payload: bytes) -> bytes:
        sql = payload[1:].decode()
        number = len(self.prepared) + 1 + self.thread_id
        while number in self.prepared:
            number += 1
        self.prepared[number] = sql
        parameters = sql.count("?")
        columns = 3 if sql.startswith("SELECT") else 0
        head = b"\0" + number.to_bytes(4, "little")
        head += columns.to_bytes(2, "little") + parameters.to_bytes(2, "little") + b"\0\0\0"
        payloads = [head]
        for count in (parameters, columns):
            payloads += [fmt.column(f"c{i}") for i in range(count)]
            if count and not self.capabilities & fmt.DEPRECATE_EOF:
                payloads.append(fmt.eof(self._status()))
        return b"".join(fmt.packet(1 + place, each) for place, each in enumerate(payloads))

    def _execute(self, payload: bytes) -> bytes:
        number = int.from_bytes(payload[1:5], "little")
        sql = self.prepared.get(number)
        if sql is None:
            self.world.finding(f"{self.node.name} got EXECUTE of an unknown statement {number}")
            return self._error(1243, "Unknown prepared statement")
        count = sql.count("?")
        at = 10 + (count + 7) // 8
        if payload[at]:
            self.types[number] = True
            at += 2 * count
        elif number not in self.types:
            self.world.finding(f"{self.node.name} got EXECUTE without the types of its parameters")
        at += 1
        for _ in range(count):
            size = payload[at]
            value = payload[at + 1 : at + 1 + size].decode()
            at += 1 + size
            sql = sql.replace("?", value if value.isdigit() else f"'{value}'", 1)
        return self._run(sql, True)

    def _close(self, payload: bytes) -> bytes:
        number = int.from_bytes(payload[1:5], "little")
        if self.prepared.pop(number, None) is None:
            self.world.finding(f"{self.node.name} got CLOSE of an unknown statement {number}")
        self.types.pop(number, None)
        return b""

    # -- the dialect

    def _run(self, sql: str, binary: bool) -> bytes:
        for pattern, name in _DIALECT:
            match = pattern.fullmatch(sql)
            if match is not None:
                return getattr(self, f"_sql_{name}")(binary, *match.groups())  # type: ignore[no-any-return]
        self.world.finding(f"{self.node.name} got a statement that no client sent: {sql!r}")
        return self._error(1064, "You have an error in your SQL syntax")

    def _begin_if_needed(self) -> None:
        if not self.autocommit and self.trx is None:
            self.trx = []
            self.trx_read_only = False

    def _sql_read(self, binary: bool, token: str, row: str) -> bytes:
        self._begin_if_needed()
        value = self.node.value_of(int(row))
        for own, changed in self.trx or ():
            if changed == int(row):
                value = own
        return self._rows([[token, self.node.name, value]], binary)

    def _sql_state(self, binary: bool, token: str) -> bytes:
        state = [self.variables["a"], self.variables["b"], self.database or None, self.sql_mode]
        return self._rows([[token, self.node.name, *state]], binary)

    def _sql_big(self, binary: bool, token: str, width: str, rows: str) -> bytes:
        return self._rows([[token, self.node.name, "x" * int(width)]] * int(rows), binary)

    def _write(self, token: str, row: int) -> bytes:
        if self.trx_read_only and self.trx is not None:
            return self._error(1792, "Cannot execute statement in a READ ONLY transaction")
        if not self.node.is_primary:
            self.world.refused_write(self.node, token)
            return self._error(1290, "The MariaDB server is running with the --read-only option")
        self._begin_if_needed()
        if self.trx is not None:
            self.trx.append((token, row))
        else:
            self._commit([(token, row)])
        return self._ok()

    def _commit(self, writes: list[tuple[str, int]]) -> None:
        self.world.commit(writes)
        self.committed = True

    def _sql_insert(self, binary: bool, token: str) -> bytes:
        return self._write(token, -1)

    def _sql_update(self, binary: bool, token: str, row: str) -> bytes:
        return self._write(token, int(row))

    def _sql_begin(self, binary: bool, read_only: str | None) -> bytes:
        self._commit_trx()
        self.trx = []
        self.trx_read_only = bool(read_only)
        return self._ok()

    def _commit_trx(self) -> None:
        if self.trx:
            self._commit(self.trx)
        self.trx = None
        self.trx_read_only = False

    def _sql_commit(self, binary: bool) -> bytes:
        self._commit_trx()
        return self._ok()

    def _sql_rollback(self, binary: bool) -> bytes:
        self.trx = None
        self.trx_read_only = False
        return self._ok()

    def _sql_autocommit(self, binary: bool, value: str) -> bytes:
        if value == "1":
            self._commit_trx()
        self.autocommit = value == "1"
        return self._ok()

    def _sql_variable(self, binary: bool, name: str, value: str) -> bytes:
        self.variables[name] = value
        return self._ok()

    def _sql_mode(self, binary: bool, value: str) -> bytes:
        self.sql_mode = value
        return self._ok()

    def _sql_track(self, binary: bool) -> bytes:
        self.tracks_gtid = True
        return self._ok()

    def _sql_wait(self, binary: bool, function: str, position: str) -> bytes:
        if (function == "WAIT_FOR_EXECUTED_GTID_SET") is not self.world.mysql:
            return self._error(1305, f"FUNCTION {function} does not exist")
        if self.node.position() < int(position):
            return self._error(1242, "Subquery returns more than 1 row")
        return self._rows([["1"]], binary)

    def _sql_position(self, binary: bool) -> bytes:
        return self._rows([[self.node.gtids(self.node.position())]], binary)

    def _sql_names(self, binary: bool) -> bytes:
        return self._ok()

    def _sql_use(self, binary: bool, name: str) -> bytes:
        self.database = name
        return self._ok()

    def _sql_make_temp(self, binary: bool, name: str) -> bytes:
        if (self.database, name) in self.temp_tables:
            return self._error(1050, f"Table '{name}' already exists")
        self.temp_tables.add((self.database, name))
        return self._ok()

    def _sql_read_temp(self, binary: bool, token: str, name: str) -> bytes:
        if (self.database, name) not in self.temp_tables:
            return self._error(1146, f"Table '{name}' doesn't exist")
        return self._rows([[token, self.node.name, "0"]], binary)


ORIGIN = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
_WAIT = r"\('(?:0-1-|" + ORIGIN + r":1-)(\d+)', (\d+)\)"
_WAITS = re.compile(f"(?:MASTER_GTID_WAIT|WAIT_FOR_EXECUTED_GTID_SET){_WAIT}".encode())
_COMMANDS = {
    1: ServerConnection._quit,
    2: ServerConnection._init_db,
    3: ServerConnection._query,
    14: ServerConnection._ping,
    17: ServerConnection._change_user,
    22: ServerConnection._prepare,
    23: ServerConnection._execute,
    25: ServerConnection._close,
    31: ServerConnection._reset,
}
_DIALECT = [
    (re.compile(pattern), name)
    for pattern, name in (
        (r"SELECT '(\w+)', v FROM t WHERE id = (\d+)(?: FOR UPDATE)?", "read"),
        (r"SELECT '(\w+)', @a, @b, DATABASE\(\), @@sql_mode", "state"),
        (r"SELECT '(\w+)', REPEAT\('x', (\d+)\) FROM seq_1_to_(\d+)", "big"),
        (r"INSERT INTO log VALUES \('(\w+)'\)", "insert"),
        (r"UPDATE t SET v = '(\w+)' WHERE id = (\d+)", "update"),
        (r"(?:BEGIN|START TRANSACTION)( READ ONLY)?", "begin"),
        (r"COMMIT", "commit"),
        (r"ROLLBACK", "rollback"),
        (r"SET autocommit = (0|1)", "autocommit"),
        (r"SET @(a|b) = '(\w+)'", "variable"),
        (r"SET sql_mode = '(\w*)'", "mode"),
        (r"SET NAMES utf8mb4", "names"),
        (
            r"SET /\*M!100000 @@session.session_track_system_variables = .* \*/"
            r" /\*!50700 @@session.session_track_gtids = 'OWN_GTID' \*/",
            "track",
        ),
        (
            r"SELECT \(SELECT CASE WHEN (MASTER_GTID_WAIT|WAIT_FOR_EXECUTED_GTID_SET)"
            + _WAIT.replace(r"(\d+)\)", r"\d+\)")
            + " = 0 .*",
            "wait",
        ),
        (r"SELECT /\*M!100000 @@gtid_current_pos \*/ /\*!50700 @@global.gtid_executed \*/", "position"),
        (r"USE (\w+)", "use"),
        (r"CREATE TEMPORARY TABLE (\w+) \(id INT\)", "make_temp"),
        (r"SELECT '(\w+)', COUNT\(\*\) FROM (\w+)", "read_temp"),
    )
]
