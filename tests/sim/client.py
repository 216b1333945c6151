"""Modelled clients: each logs in, runs a random script of statements, and notes what it was told.

Every statement that answers with rows carries a token that comes back in its reply; every write carries one
that is found again in the ledger. A client knows what its session has to look like, so each read of the
session's state is checked on whatever server answers it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import wire_format as fmt
from .network import Peer
from .server import DATABASES, USERS

if TYPE_CHECKING:
    from .host import SimHost
    from .world import World

ROWS = 5
# Statements of one client, and how many of them it sends without waiting for the replies before.
STATEMENTS = (5, 40)
PIPELINED_MAX = 4
# Pause between two statements, in microseconds; now and then the client thinks for long.
PAUSE_US = (0, 2_000)
LONG_PAUSE_US = (10_000, 3_000_000)
# How often a client whose connection broke logs in again, and how often one comes back that has left.
RECONNECTS_MAX = 3
VISITS_MAX = 3
# Without a fault a statement is answered within this time, beyond what it may wait for, in microseconds.
REPLY_US = 20_000_000
TIMED_OUT = "Timed out when waiting for a connection."


@dataclass
class Write:
    """A write and what became of it: `outcome` open (nothing heard), acked, failed, undone or unknown."""

    token: str
    outcome: str = "open"


@dataclass
class Sent:
    """A statement under way. `what` names it, `reader` understands its reply."""

    what: str
    sql: str
    reader: fmt.ReplyReader
    token: str = ""
    write: Write | None = None
    value: str = ""
    expected: str | None = None
    in_trx: bool = False
    # The client's own last write of the row: a causal read shows it or a later one.
    must_see: str = ""
    sent_at: int = 0


@dataclass
class Model:
    """What the session has to look like, as the replies told it."""

    a: str | None = None
    b: str | None = None
    database: str | None = None
    sql_mode: str = "STRICT_TRANS_TABLES"
    temp_tables: set[tuple[str, str]] = field(default_factory=set)


class Client(Peer):
    """`script_left` statements are still to be sent."""

    def __init__(self, world: World, number: int, rng: random.Random) -> None:
        self.world = world
        self.name = f"client{number}"
        self.rng = rng
        self.user = rng.choice(("app", "app", "app", "other", "empty"))
        self.password = USERS[self.user]
        self.wrong = rng.random() < 0.03
        # The worker that serves it.
        self.host: SimHost = world.hosts[0]
        # Where connections are kept, there are clients that come and go.
        self.visits = rng.randint(1, VISITS_MAX) if world.keeps_connections() else 1
        self.script_left = rng.randint(*STATEMENTS) // self.visits
        self.pipelines = rng.random() < 0.25
        self.slow = rng.random() < 0.15
        self.reconnects = 0
        self.writes: list[Write] = []
        self.done = False
        self.session_id = 0
        self._tokens = 0
        self._number = number
        self._begin()

    def _begin(self) -> None:
        self.packets = fmt.Packets()
        self.state = "greeting"
        self.sent: list[Sent] = []
        self.model = Model()
        self.prepared: dict[int, str] = {}
        self.executed: set[int] = set()
        self.trx: list[Write] | None = None
        self.trx_own: dict[int, str] = {}
        # The last write of each row that is known to be committed.
        self.committed: dict[int, str] = {}
        self.trx_read_only = False
        self.trx_server = ""
        self.autocommit = True
        self.unread = 0
        self.stopped_reading = False
        # It was told that it has waited for too long.
        self.timed_out = False
        self.capabilities = 0
        self.scramble = b""
        self._waiting = False

    # -- the connection

    def connect(self) -> None:
        """Log in."""
        self._begin()
        self.world.connect_client(self)

    def received(self, data: bytes) -> None:
        if self.slow and self.rng.random() < 0.3 and not self.stopped_reading:
            self.stopped_reading = True
            self.world.clock.after(self.rng.randint(1_000, 400_000), self._read_on)
        if self.stopped_reading:
            self.unread += len(data)
        else:
            self.consumed(len(data))
        for sequence, payload in self.packets.feed(data):
            if self.state == "gone":
                return
            self._packet(sequence, payload)

    def _read_on(self) -> None:
        self.stopped_reading = False
        count, self.unread = self.unread, 0
        if count and self.state != "gone":
            self.consumed(count)

    def ended(self, reason: str) -> None:
        """The connection is gone; what was under way is unknown."""
        if self.state == "gone":
            return
        former, self.state = self.state, "gone"
        self.world.note(self.name, f"hears: {reason}")
        self._forget_open()
        if self.done:
            return
        if former == "leaving":
            self._has_left()
        elif self.reconnects < RECONNECTS_MAX and self.script_left > 0 and not self.wrong:
            self.reconnects += 1
            self.world.clock.after(self.rng.randint(100, 50_000), self.connect)
        else:
            self.done = True
        if former not in ("leaving", "refused") and not self.world.disturbed and not self.timed_out:
            self.world.finding(f"{self.name} lost its connection although nothing had happened: {reason}")

    def _forget_open(self) -> None:
        for sent in self.sent:
            if sent.write is not None and sent.write.outcome == "open":
                sent.write.outcome = "unknown" if not sent.in_trx else "lost"
            if sent.what == "commit" and self.trx is not None:
                self._settle_trx("unknown")
        if self.trx is not None:
            # A statement of the transaction may have ended it only where a COMMIT was under way.
            self._settle_trx("lost")
        self.sent = []

    def _settle_trx(self, outcome: str) -> None:
        for write in self.trx or ():
            if write.outcome in ("open", "pending"):
                write.outcome = outcome
        self.trx = None
        self.trx_own = {}
        self.trx_server = ""

    def leave(self, politely: bool) -> None:
        """End the connection, with or without a goodbye."""
        self.state = "leaving"
        self.world.note(self.name, "leaves" if politely else "vanishes")
        if politely:
            self.send(fmt.packet(0, b"\x01"))
            # A server may leave it to the client to close.
            self.world.clock.after(50_000, self._close_left)
        else:
            self._forget_open()
            self.done = True
            if self.rng.random() < 0.5:
                self.wire.reset()
            else:
                self.hang_up()
                self.state = "gone"

    def _close_left(self) -> None:
        if self.state == "leaving":
            self.state = "gone"
            self._has_left()
            self.hang_up()

    def _has_left(self) -> None:
        """The connection is over; it may be back with another."""
        self.visits -= 1
        if self.visits <= 0 or self.wrong:
            self.done = True
            return
        self.script_left = self.rng.randint(*STATEMENTS) // VISITS_MAX
        self.user = self.rng.choice((self.user, self.user, *USERS))
        self.password = USERS[self.user]
        self.world.clock.after(self.rng.randint(100, 500_000), self.connect)

    # -- packets

    def _packet(self, sequence: int, payload: bytes) -> None:
        if self.state == "greeting":
            self._greeted(payload)
        elif self.state == "login":
            self._verdict(payload)
        elif self.sent:
            reply = self.sent[0].reader.feed(sequence, payload)
            if reply is not None:
                self._replied(self.sent.pop(0), reply)
        elif payload[:1] == b"\xff":
            self.world.note(self.name, f"is told: {payload[9:].decode()}")
        else:
            self.world.finding(f"{self.name} got a packet that it did not ask for: {payload[:40]!r}")

    def _greeted(self, payload: bytes) -> None:
        if payload[:1] == b"\xff":
            self.world.note(self.name, f"is refused at the door: {payload[3:].decode()}")
            self.state = "refused"
            self.wrong = True
            return
        _, rest = payload[1:].split(b"\0", 1)
        self.session_id = int.from_bytes(rest[:4], "little")
        self.scramble = rest[4:12] + rest[31:43]
        offered = int.from_bytes(rest[13:15], "little") | int.from_bytes(rest[18:20], "little") << 16
        wanted = fmt.SERVER_CAPABILITIES & offered
        if self.rng.random() < 0.3:
            wanted &= ~fmt.DEPRECATE_EOF
        database = self.rng.choice(("", "", *DATABASES))
        if not database:
            wanted &= ~fmt.CONNECT_WITH_DB
        self.capabilities = wanted | fmt.CLIENT_MYSQL
        self.model.database = database or None
        password = "wrong" if self.wrong else self.password
        login = fmt.build_login(
            self.capabilities, self.user, fmt.token_for(password, self.scramble), database
        )
        self.state = "login"
        self.send(fmt.packet(1, login))

    def _verdict(self, payload: bytes) -> None:
        if payload[0] == 0:
            if self.wrong:
                self.world.finding(f"{self.name} was let in with a wrong password")
            self.state = "ready"
            self.world.note(self.name, f"logged in as session {self.session_id}")
            self._pause()
        elif payload[0] == 0xFF:
            code = int.from_bytes(payload[1:3], "little")
            self.world.note(self.name, f"is refused: {code} {payload[9:].decode()}")
            if not self.wrong and not self.world.disturbed:
                self.world.finding(f"{self.name} was refused: {code}")
            self.state = "refused"

    # -- statements

    def _pause(self) -> None:
        if self._waiting:
            return
        self._waiting = True
        pause = LONG_PAUSE_US if self.rng.random() < 0.02 else PAUSE_US
        self.world.clock.after(self.rng.randint(*pause), self._go_on)

    def _go_on(self) -> None:
        self._waiting = False
        if self.state != "ready":
            return
        if self.script_left <= 0:
            if not self.sent:
                self.leave(self.rng.random() < 0.8)
            return
        if self.rng.random() < 0.01:
            self.leave(False)
            return
        count = self.rng.randint(2, PIPELINED_MAX) if self.pipelines and self.rng.random() < 0.3 else 1
        self._next_statement()
        # Only statements whose meaning does not hang on an earlier reply may follow at once.
        for _ in range(count - 1):
            if self.script_left > 0 and self.state == "ready":
                self._simple()

    def token(self) -> str:
        """A new one, unique in the simulation."""
        self._tokens += 1
        return f"k{self._number}x{self._tokens}"

    def _send(
        self,
        what: str,
        sql: str,
        payload: bytes | None = None,
        *,
        token: str = "",
        write: Write | None = None,
        value: str = "",
        expected: str | None = None,
    ) -> None:
        self.script_left -= 1
        kind = what if what in ("prepare", "execute") else "query"
        sent = Sent(
            what,
            sql,
            fmt.ReplyReader(self.capabilities, kind),
            token,
            write,
            value,
            expected,
            self.trx is not None and not any(each.what in _BOUNDARIES for each in self.sent),
        )
        if write is not None:
            self.writes.append(write)
        sent.sent_at = self.world.clock.now
        outside = self.trx is None and self.autocommit and not any(e.what in _BOUNDARIES for e in self.sent)
        self.sent.append(sent)
        self.world.note(self.name, f"sends {sql}")
        payload = payload if payload is not None else b"\x03" + sql.encode()
        self.world.sends(self, payload, outside)
        self.send(fmt.packet(0, payload))

    def _next_statement(self) -> None:
        options = list(_ACTIONS)
        choice = self.rng.choices(options, [_ACTIONS[name] for name in options])[0]
        getattr(self, f"_do_{choice}")()

    def _simple(self) -> None:
        self.rng.choice((self._do_read, self._do_insert, self._do_read))()

    def _do_read(self) -> None:
        row, token = self.rng.randint(1, ROWS), self.token()
        lock = " FOR UPDATE" if self.rng.random() < 0.1 and not self.trx_read_only else ""
        self._send(
            "read", f"SELECT '{token}', v FROM t WHERE id = {row}{lock}", token=token, expected=self._own(row)
        )
        self.sent[-1].must_see = self.committed.get(row, "") if self.trx is None else ""

    def _own(self, row: int) -> str | None:
        """What the transaction under way has made of a row; None: nothing, or nobody knows yet."""
        return self.trx_own.get(row) if self.trx is not None and not self.sent else None

    def _do_big(self) -> None:
        token, width, rows = self.token(), self.rng.randint(1, 200), self.rng.randint(1, 400)
        self._send("big", f"SELECT '{token}', REPEAT('x', {width}) FROM seq_1_to_{rows}", token=token)

    def _do_state(self) -> None:
        token = self.token()
        self._send("state", f"SELECT '{token}', @a, @b, DATABASE(), @@sql_mode", token=token)

    def _do_insert(self) -> None:
        token = self.token()
        self._send("write", f"INSERT INTO log VALUES ('{token}')", write=Write(token))

    def _do_update(self) -> None:
        token, row = self.token(), self.rng.randint(1, ROWS)
        sql = f"UPDATE t SET v = '{token}' WHERE id = {row}"
        self._send("write", sql, write=Write(token), value=str(row))

    def _do_begin(self) -> None:
        if self.trx is not None:
            self._do_end()
            return
        sql = self.rng.choice(("BEGIN", "START TRANSACTION", "START TRANSACTION READ ONLY"))
        self._send("begin", sql)

    def _do_end(self) -> None:
        if self.trx is None:
            self._do_read()
        elif self.rng.random() < 0.75:
            self._send("commit", "COMMIT")
        else:
            self._send("rollback", "ROLLBACK")

    def _do_autocommit(self) -> None:
        if self.trx is None:
            value = "0" if self.autocommit and self.rng.random() < 0.3 else "1"
            self._send("autocommit", f"SET autocommit = {value}", value=value)
        else:
            self._do_end()

    def _do_variable(self) -> None:
        name, value = self.rng.choice("ab"), self.token()
        self._send("variable", f"SET @{name} = '{value}'", value=f"{name}{value}")

    def _do_mode(self) -> None:
        value = self.rng.choice(("", "STRICT_TRANS_TABLES", "NO_BACKSLASH_ESCAPES_NOT"))
        self._send("mode", f"SET sql_mode = '{value}'", value=value)

    def _do_names(self) -> None:
        self._send("names", "SET NAMES utf8mb4")

    def _do_use(self) -> None:
        name = self.rng.choice(DATABASES)
        if self.rng.random() < 0.5:
            self._send("use", f"USE {name}", value=name)
        else:
            self._send("use", f"COM_INIT_DB {name}", b"\x02" + name.encode(), value=name)

    def _do_ping(self) -> None:
        self._send("ping", "COM_PING", b"\x0e")

    def _do_reset(self) -> None:
        if self.trx is None:
            self._send("reset", "COM_RESET_CONNECTION", b"\x1f")
        else:
            self._do_read()

    def _do_change_user(self) -> None:
        if self.trx is not None:
            self._do_read()
            return
        self.user = self.rng.choice(list(USERS))
        self.password = USERS[self.user]
        database = self.rng.choice(DATABASES)
        request = fmt.build_change_user(self.user, fmt.token_for(self.password, self.scramble), database)
        self._send("change_user", f"COM_CHANGE_USER {self.user} {database}", request, value=database)

    def _do_prepare(self) -> None:
        sql = self.rng.choice(("SELECT ?, v FROM t WHERE id = ?", "INSERT INTO log VALUES (?)"))
        self._send("prepare", sql, b"\x16" + sql.encode(), value=sql)

    def _do_execute(self) -> None:
        if not self.prepared:
            self._do_prepare()
            return
        number = self.rng.choice(list(self.prepared))
        sql, token = self.prepared[number], self.token()
        values = [token]
        write = None
        expected = None
        if sql.startswith("SELECT"):
            row = self.rng.randint(1, ROWS)
            values.append(str(row))
            expected = self._own(row)
        else:
            write = Write(token)
        with_types = number not in self.executed or self.rng.random() < 0.5
        payload = b"\x17" + number.to_bytes(4, "little") + b"\0" + (1).to_bytes(4, "little")
        payload += bytes((len(values) + 7) // 8) + (
            b"\x01" + b"\xfd\x00" * len(values) if with_types else b"\0"
        )
        payload += b"".join(fmt.text(value) for value in values)
        self.executed.add(number)
        text = f"EXECUTE {number} ({', '.join(values)})"
        self._send("execute", text, payload, token="" if write else token, write=write, expected=expected)

    def _do_close(self) -> None:
        if not self.prepared:
            self._do_read()
            return
        number = self.rng.choice(list(self.prepared))
        del self.prepared[number]
        self.executed.discard(number)
        self.world.note(self.name, f"closes statement {number}")
        self.send(fmt.packet(0, b"\x19" + number.to_bytes(4, "little")))
        self._pause()

    def _do_temp(self) -> None:
        database = self.model.database
        here = sorted(name for where, name in self.model.temp_tables if where == database)
        if self.trx is not None or database is None:
            self._do_read()
        elif here and self.rng.random() < 0.8:
            token, name = self.token(), self.rng.choice(here)
            self._send("read_temp", f"SELECT '{token}', COUNT(*) FROM {name}", token=token)
        else:
            name = f"tmp{len(self.model.temp_tables)}"
            self._send("make_temp", f"CREATE TEMPORARY TABLE {name} (id INT)", value=name)

    def _do_kill(self) -> None:
        victim = self.world.some_session(self.rng)
        if victim is None or victim is self:
            self._do_read()
            return
        self.world.disturbed = True
        self._send("kill", f"KILL {victim.session_id}")

    # -- replies

    def _replied(self, sent: Sent, reply: fmt.Reply) -> None:
        self.world.note(
            self.name, f"got {reply.kind} {reply.code or ''} {reply.rows[:1]} for {sent.sql[:60]}"
        )
        waited = self.world.clock.now - sent.sent_at
        if waited > REPLY_US + self.world.may_wait_us() and not self.world.disturbed:
            self.world.finding(f"{self.name} has waited {waited // 1000} ms for {sent.sql}")
        if reply.kind == "broken":
            self.world.finding(f"{self.name} got a broken reply to {sent.sql}: {reply.message}")
        elif reply.kind == "error":
            self._failed(sent, reply)
        else:
            self._check(sent, reply)
            getattr(self, f"_ok_{sent.what}", lambda *_: None)(sent, reply)
        if self.state == "ready":
            if not self.sent:
                self._pause()

    def _failed(self, sent: Sent, reply: fmt.Reply) -> None:
        if sent.write is not None:
            # Whoever is killed is not told what became of the statement,
            # and whose primary is lost in between learns that nobody knows.
            doubtful = reply.code == 1927 or "may have been executed" in reply.message
            sent.write.outcome = "unknown" if doubtful else "failed"
        if sent.what == "commit":
            self._settle_trx("unknown")
        fine = self.world.disturbed or (reply.code == 1792 and self.trx_read_only)
        fine = fine or (sent.what == "kill" and reply.code in (1094, 1927))
        if reply.code == 1927 and reply.message == TIMED_OUT:
            waited = self.world.clock.now - sent.sent_at
            fine = self.timed_out = waited >= self.world.multiplex_timeout_us() > 0
        if not fine:
            self.world.finding(f"{self.name} got error {reply.code} {reply.message} for {sent.sql}")
        if sent.what == "read_temp" and reply.code == 1146:
            self.world.finding(f"{self.name} lost its temporary table")

    def _check(self, sent: Sent, reply: fmt.Reply) -> None:
        """The reply belongs to the statement, and shows what it has to show."""
        if not sent.token:
            if reply.rows:
                self.world.finding(f"{self.name} got rows for {sent.sql}")
            return
        if not reply.rows or any(row[0] != sent.token for row in reply.rows):
            found = reply.rows[:2]
            self.world.finding(f"{self.name} got the reply of another statement for {sent.sql}: {found}")
            return
        server = reply.rows[0][1] or ""
        if sent.in_trx and self.trx is not None and sent.what in ("read", "big"):
            if self.trx_server and self.trx_server != server:
                self.world.finding(f"{self.name}: a transaction was on {self.trx_server} and on {server}")
            self.trx_server = server
        if sent.expected is not None and reply.rows[0][2] != sent.expected:
            self.world.finding(
                f"{self.name} does not see its own write {sent.expected} but {reply.rows[0][2]}: {sent.sql}"
            )
        if sent.what == "read" and self.world.causal and sent.must_see:
            self.world.must_see(self.name, sent.must_see, reply.rows[0][2] or "", sent.sql)
        if sent.what == "state":
            state = self.model
            wanted = [state.a, state.b, state.database, state.sql_mode]
            if reply.rows[0][2:] != wanted:
                self.world.finding(f"{self.name} has {wanted} but {server} says {reply.rows[0][2:]}")
        if sent.what == "big" and len(reply.rows) != int(sent.sql.rsplit("_", 1)[1]):
            self.world.finding(f"{self.name} got {len(reply.rows)} rows for {sent.sql}")

    def _maybe_begun(self) -> None:
        if not self.autocommit and self.trx is None:
            self.trx = []
            self.trx_read_only = False

    def _ok_read(self, sent: Sent, reply: fmt.Reply) -> None:
        self._maybe_begun()

    def _ok_execute(self, sent: Sent, reply: fmt.Reply) -> None:
        if sent.write is not None:
            self._ok_write(sent, reply)
        else:
            self._maybe_begun()

    def _ok_write(self, sent: Sent, reply: fmt.Reply) -> None:
        self._maybe_begun()
        assert sent.write is not None
        if self.trx is not None:
            sent.write.outcome = "pending"
            self.trx.append(sent.write)
            if sent.value:
                self.trx_own[int(sent.value)] = sent.write.token
        else:
            sent.write.outcome = "acked"
            if sent.value:
                self.committed[int(sent.value)] = sent.write.token

    def _ok_begin(self, sent: Sent, reply: fmt.Reply) -> None:
        self.trx = []
        self.trx_own = {}
        self.trx_server = ""
        self.trx_read_only = sent.sql.endswith("READ ONLY")

    def _ok_commit(self, sent: Sent, reply: fmt.Reply) -> None:
        self.committed |= self.trx_own
        self._settle_trx("acked")

    def _ok_rollback(self, sent: Sent, reply: fmt.Reply) -> None:
        self._settle_trx("undone")

    def _ok_autocommit(self, sent: Sent, reply: fmt.Reply) -> None:
        self.autocommit = sent.value == "1"

    def _ok_variable(self, sent: Sent, reply: fmt.Reply) -> None:
        setattr(self.model, sent.value[0], sent.value[1:])

    def _ok_mode(self, sent: Sent, reply: fmt.Reply) -> None:
        self.model.sql_mode = sent.value

    def _ok_use(self, sent: Sent, reply: fmt.Reply) -> None:
        self.model.database = sent.value

    def _ok_make_temp(self, sent: Sent, reply: fmt.Reply) -> None:
        self.model.temp_tables.add((self.model.database or "", sent.value))

    def _ok_prepare(self, sent: Sent, reply: fmt.Reply) -> None:
        self.prepared[reply.statement_id] = sent.value

    def _ok_reset(self, sent: Sent, reply: fmt.Reply) -> None:
        self._as_new(self.model.database)

    def _ok_change_user(self, sent: Sent, reply: fmt.Reply) -> None:
        self._as_new(sent.value)

    def _as_new(self, database: str | None) -> None:
        if self.trx is not None:
            self._settle_trx("lost")
        self.model = Model(database=database)
        self.prepared = {}
        self.executed = set()
        self.autocommit = True


# Statements after which it is open whether there is a transaction.
_BOUNDARIES = frozenset(("begin", "commit", "rollback", "autocommit"))
# What a client does, and how often.
_ACTIONS = {
    "read": 30,
    "big": 4,
    "state": 14,
    "insert": 12,
    "update": 8,
    "begin": 10,
    "end": 12,
    "autocommit": 2,
    "variable": 10,
    "mode": 3,
    "names": 2,
    "use": 4,
    "ping": 2,
    "reset": 1,
    "change_user": 1,
    "prepare": 6,
    "execute": 14,
    "close": 4,
    "temp": 3,
    "kill": 1,
}
