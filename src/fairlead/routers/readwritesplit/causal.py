"""Causal reads: a read on a replica sees the writes before it.

`causal_reads` says whose writes those are (of the session, of the service, of everybody) and what a replica
that does not have them yet means: the read waits there (`local`, `global`, `universal`) or goes elsewhere
(`fast...`). To wait, a statement of the proxy's own goes ahead of the read on the same connection; it fails
if the replica does not catch up in time, and then the read is repeated on the primary and the replica's
answer thrown away. Inside of a READ ONLY transaction the read is sent only when the wait has ended well: it
would fix the snapshot of the transaction. Source: spec routers_monitors.md A.12.

Invariant: while the session has a read of its client in hand (`held`), one more reply counts as expected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairlead.cluster import gtid
from fairlead.cluster.board import SERVER_GTIDS, STATUS, V_GTIDS, server_index, worker_service_index
from fairlead.cluster.status import MASTER
from fairlead.protocol.constants import CLIENT_SESSION_TRACK
from fairlead.protocol.errors import ProtocolError
from fairlead.protocol.packets import Reader, framed, parse_ok
from fairlead.routers.readwritesplit import losses
from fairlead.routers.readwritesplit.decide import D_CAUSAL
from fairlead.session.backend import K_OWN, K_PROBE, K_SYNC, Backend
from fairlead.session.router import ROUTED
from fairlead.session.statement import Statement

if TYPE_CHECKING:
    from fairlead.routers.readwritesplit.router import RwsSession

NONE, LOCAL, GLOBAL, FAST, FAST_GLOBAL, UNIVERSAL, FAST_UNIVERSAL = range(7)
MODES = {
    "none": NONE,
    "local": LOCAL,
    "global": GLOBAL,
    "fast": FAST,
    "fast_global": FAST_GLOBAL,
    "universal": UNIVERSAL,
    "fast_universal": FAST_UNIVERSAL,
}
_FAST = frozenset((FAST, FAST_GLOBAL, FAST_UNIVERSAL))
_OF_SERVICE = frozenset((GLOBAL, FAST_GLOBAL))
_PROBING = frozenset((UNIVERSAL, FAST_UNIVERSAL))

# The answer to the question for the primary's position is not longer, in bytes.
PROBE_BYTES_MAX = 64 * 1024
# After the primary was lost during the question it is asked again so much later, in milliseconds.
PROBE_AGAIN_MS = 200

# Every connection reports the GTID of a write in the OK of its reply.
_TRACK_MARIADB = (
    b"@@session.session_track_system_variables = CASE @@session.session_track_system_variables "
    b"WHEN '*' THEN '*' WHEN '' THEN 'last_gtid' "
    b"ELSE CONCAT(@@session.session_track_system_variables, ',last_gtid') END"
)
# What a server is, is not known before it greets, and then it may be another one already: MariaDB executes
# the first comment and skips the second, MySQL does the opposite.
_EITHER = b"/*M!100000 %s */ /*!50700 %s */"
_TRACK = b"SET " + _EITHER % (_TRACK_MARIADB, b"@@session.session_track_gtids = 'OWN_GTID'")
_POSITION = b"SELECT " + _EITHER % (b"@@gtid_current_pos", b"@@global.gtid_executed")
# A service below would take the above for something that only its primary may execute.
_TRACK_OF_SERVICE = b"SET " + _TRACK_MARIADB
_POSITION_OF_SERVICE = b"SELECT @@gtid_current_pos"
_TIMED_OUT_TEXT = "Causal read timed out while in a read-only transaction, cannot retry command."


class Causal:
    """The causal reads of one session. `position`: of the last write of the session."""

    def __init__(self, router: RwsSession, mode: int, timeout_s: int) -> None:
        self.router: Any = router
        self.session = router.session
        self.mode = mode
        self.timeout_s = timeout_s
        self.position: gtid.Position = {}
        # The last write has a GTID of a kind that is not known.
        self.unreadable = False
        # A read that waits for the answer of the primary, or of its replica in a READ ONLY transaction.
        self.held: Statement | None = None
        self._asked: Backend | None = None
        self._answer = bytearray()
        # Until when the primary is asked again if it is lost (microseconds); 0: it has answered.
        self._ask_until = 0
        self._probed: gtid.Position | None = None
        self._own = worker_service_index(self.session.host.worker, self.session.service.slot, V_GTIDS)
        self.session.watches_state = True
        self.session.extra_capabilities |= CLIENT_SESSION_TRACK

    # -- connections

    def connection_ready(self, backend: Backend) -> None:
        """A connection is logged in: it has to report GTIDs."""
        backend.put_first(framed(0, b"\x03" + _tracking(backend)), K_OWN)

    def reset(self) -> None:
        """The client has reset its connections: what was set there is gone."""
        for backend in self.session.backends:
            if backend.in_use() and not backend.will_repeat():
                backend.send_own(_tracking(backend), K_OWN)

    # -- positions

    def reported(self, backend: Backend, payload: bytes) -> None:
        """An OK with session state: the primary's tells the GTID of a write."""
        if backend is not self.router.master:
            return
        ok = parse_ok(payload, CLIENT_SESSION_TRACK)
        text = ok.gtids or ok.variables.get("last_gtid")
        if not text:
            return
        self.position = gtid.parse(text)
        # A position that cannot be read can only be had from the primary.
        self.unreadable = not self.position
        if self.mode in _OF_SERVICE:
            board = self.session.board
            known = gtid.read(board, self._own)
            gtid.merge(known, self.position)
            gtid.write(board, self._own, known)

    def wanted(self) -> gtid.Position:
        """What the next read has to see."""
        if self._probed is not None:
            return self._probed
        if self.mode in _OF_SERVICE:
            return service_position(self.session.board, self.session.service.slot)
        return self.position

    def binds(self) -> bool:
        """Whether a read may not be answered by just any replica."""
        return self.mode in _PROBING or self.unreadable or bool(self.wanted())

    def behind(self, backend: Backend, wanted: gtid.Position) -> bool:
        """Whether the monitor has not seen this position on the server yet."""
        board = self.session.board
        return not gtid.reaches(gtid.read(board, server_index(backend.slot, SERVER_GTIDS)), wanted)

    # -- reads

    def concerns(self, bounds_trx: bool) -> bool:
        """Whether a statement for a replica has to be looked at; `bounds_trx`: BEGIN, COMMIT and their like.

        Where nobody waits, a READ ONLY transaction gets its server at its begin, and keeps it.
        """
        trx = self.session.trx
        if self.mode in _FAST and trx.active:
            return bool(trx.starting)
        return not bounds_trx

    def read(self, statement: Statement) -> int:
        """Route a read that is for a replica."""
        if statement.continues or (self.unreadable and self.mode not in _PROBING):
            return self._on_primary(statement)
        if self.mode in _PROBING and self._probed is None:
            return self._ask(statement)
        wanted = self.wanted()
        self._probed = None
        router = self.router
        if not wanted or router.on_replica:
            return int(router.to_slave(statement))
        if self.mode in _FAST:
            for backend in self.session.backends:
                if not self._is_primary(backend) and self.behind(backend, wanted):
                    router.give_up_on(backend)
            return int(router.to_slave(statement))
        return self._wait(statement, wanted)

    def _wait(self, statement: Statement, wanted: gtid.Position) -> int:
        """The read follows a wait for the position on the replica that is to answer it."""
        router, session = self.router, self.session
        in_trx = session.trx.active
        backend = router.trx_target if in_trx and router.trx_target is not None else router.open_slave()
        if backend is None or not backend.in_use() or self._is_primary(backend):
            return int(router.to_slave(statement))
        if not in_trx and not router.remember(statement):
            return self._on_primary(statement)
        reached = reached_within(wanted, self.timeout_s)
        fails = "(SELECT 1 FROM INFORMATION_SCHEMA.ENGINES)"
        sync = f"SELECT (SELECT CASE WHEN {reached} THEN 1 ELSE {fails} END)"
        backend.send_own(sync.encode(), K_SYNC)
        if not in_trx:
            router.write(backend, statement, True)
            return ROUTED
        self._hold(statement, backend)
        return ROUTED

    def _is_primary(self, backend: Backend) -> bool:
        return self.session.board.server(backend.slot, STATUS) & MASTER != 0

    def surely_has(self, backend: Backend) -> bool:
        """Whether the monitor has seen there what a read must see."""
        if self.mode in _PROBING or self.unreadable:
            return False
        return not self.behind(backend, self.wanted())

    def _on_primary(self, statement: Statement) -> int:
        self.router.decision = D_CAUSAL
        return int(self.router.to_master(statement))

    def _ask(self, statement: Statement) -> int:
        """Ask the primary for its position first."""
        master = self.router.usable_master()
        if master is None or not self.router.ensure_open(master):
            self.router.decision = D_CAUSAL
            return losses.no_master(self.router, statement)
        self._hold(statement, master)
        self._answer.clear()
        master.send_own(_POSITION_OF_SERVICE if master.server.service else _POSITION, K_PROBE)
        return ROUTED

    def _hold(self, statement: Statement, asked: Backend) -> None:
        self.held = statement.kept()
        self._asked = asked
        self.session.expecting += 1
        self.router.plain = False

    def _released(self) -> Statement:
        statement = self.held
        assert statement is not None
        self.held = None
        self._asked = None
        self.session.expecting -= 1
        return statement

    def _go_on(self) -> None:
        """The client's next command may have waited."""
        if self.session.waiting and not self.session.closed:
            self.session.resume_client()

    # -- answers

    def answer_bytes(self, buf: bytearray, start: int, end: int) -> None:
        """Bytes of the primary's answer."""
        if len(self._answer) + end - start <= PROBE_BYTES_MAX:
            self._answer += buf[start:end]

    def done(self, backend: Backend, kind: int, ok: bool) -> None:
        """A statement of the proxy's own has been answered."""
        if kind == K_PROBE:
            if self.held is None or backend is not self._asked:
                return
            statement = self._released()
            self._ask_until = 0
            self._probed = self._read_answer() if ok else None
            self.router.tried.clear()
            if self._probed is None:
                self._on_primary(statement)
            else:
                self.read(statement)
            self._go_on()
        elif kind == K_SYNC:
            self._waited(backend, ok)

    def _read_answer(self) -> gtid.Position | None:
        """The primary's position; None if its answer makes no sense."""
        try:
            return gtid.parse(_first_value(bytes(self._answer)))
        except ProtocolError:
            return None

    def _waited(self, backend: Backend, ok: bool) -> None:
        session = self.session
        if self.held is not None and backend is self._asked:
            statement = self._released()
            if ok:
                self.router.to_slave(statement)
            else:
                session.client_error(1, 1792, "25006", _TIMED_OUT_TEXT)
            self._go_on()
        elif not ok and backend.unwanted():
            session.expecting -= 1
            name = backend.server.name
            session.log_info(f"'{name}' did not catch up in time: the read goes to the primary")
            self._on_primary(losses.kept_read(self.router))

    def lost(self, backend: Backend) -> bool:
        """A server is lost that owed an answer for a held read; True if that is dealt with."""
        if self.held is None or backend is not self._asked:
            return False
        statement = self._released()
        now = self.session.client.poller.now_us
        self._ask_until = self._ask_until or now + self.router.config.retry_timeout_ms * 1000
        if now >= self._ask_until:
            self.session.close("the primary does not tell its position", log=backend.failure)
            return True
        if self.session.trx.active:
            self.session.close(
                "Transaction is open", log=f"{backend.failure}. A read of a transaction was waiting for it"
            )
            return True
        self.session.expecting += 1
        self.session.host.call_later(PROBE_AGAIN_MS, lambda: self._again(statement))
        return True

    def _again(self, statement: Statement) -> None:
        if self.session.closed:
            return
        self.session.expecting -= 1
        self.read(statement)
        self._go_on()


def reached_within(wanted: gtid.Position, timeout_s: int) -> str:
    """The expression that waits on a server until it has a position; false: it did not get it in time."""
    text = gtid.text_of(wanted)
    if not gtid.is_mysql(wanted):
        return f"MASTER_GTID_WAIT('{text}', {timeout_s}) = 0"
    if not timeout_s:
        # There 0 would be for ever.
        return f"GTID_SUBSET('{text}', @@global.gtid_executed) = 1"
    return f"WAIT_FOR_EXECUTED_GTID_SET('{text}', {timeout_s}) = 0"


def _tracking(backend: Backend) -> bytes:
    """The statement after which the server reports the GTIDs of writes."""
    return _TRACK_OF_SERVICE if backend.server.service else _TRACK


def service_position(board: Any, slot: int) -> gtid.Position:
    """The position of the service: the furthest that any worker knows."""
    position: gtid.Position = {}
    for worker in range(board.workers):
        gtid.merge(position, gtid.read(board, worker_service_index(worker, slot, V_GTIDS)))
    return position


def forget_position(board: Any, worker: int, slot: int) -> None:
    """Empty a worker's part of the position of a service."""
    gtid.write(board, worker_service_index(worker, slot, V_GTIDS), {})


def _first_value(data: bytes) -> str:
    """The first value of a text result set: the last packet but the end that begins a row."""
    position, packets = 0, []
    while position + 4 <= len(data):
        length = int.from_bytes(data[position : position + 3], "little")
        packets.append(data[position + 4 : position + 4 + length])
        position += 4 + length
    # Number of columns, one definition, perhaps an EOF, the row, the end.
    if len(packets) < 4:
        return ""
    value = Reader(packets[len(packets) - 2]).nullable()
    return (value or b"").decode("ascii", "replace")
