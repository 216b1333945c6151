"""Transaction replay: the log of the open transaction, and its repetition on another connection.

While a transaction is open every statement is kept with a checksum of what the client got for it. If the
server is lost the statements are executed again, one after the other, and each result has to be the same;
then the statement that was interrupted is executed, and of its result the client gets what it does not
have yet. Source: spec routers_monitors.md A.10.

Session commands inside of the transaction belong to the log. A connection on which it is repeated therefore
begins with the session history as it was at the begin of the transaction, so that no command is executed
twice on any connection.

States: recording -> waiting (for a server) -> repeating -> resuming (the interrupted statement) -> recording.
Invariant: outside of recording the session counts one more reply as expected, so the client's next command
is not taken.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from fairlead.cluster.board import V_REPLAYED, V_TRX_TOO_LARGE, worker_service_index
from fairlead.protocol import statements
from fairlead.protocol.constants import (
    COM_STMT_BULK_EXECUTE,
    COM_STMT_EXECUTE,
    COM_STMT_PREPARE,
    COM_STMT_SEND_LONG_DATA,
)
from fairlead.protocol.tracker import R_OK
from fairlead.session.backend import Backend
from fairlead.session.statement import Statement
from fairlead.session.tap import ReplyTap
from fairlead.sql.info import QueryInfo
from fairlead.sql.types import OP_EXECUTE, TYPE_COMMIT, TYPE_ENABLE_AUTOCOMMIT, TYPE_MASTER_READ

if TYPE_CHECKING:
    from fairlead.routers.readwritesplit.router import RwsSession

RECORDING = 0
WAITING = 1
REPEATING = 2
RESUMING = 3
STATE_NAMES = ("recording", "waiting", "repeating", "resuming")

# A replay after another that failed begins so much later, in milliseconds; so often a server is looked for.
PAUSE_MS = 1000
LOOK_MS = 200
DIGEST_BYTES = 16

MISMATCH_TEXT = "Transaction checksum mismatch encountered when replaying transaction."

_RECORDING = RECORDING
_WAITING = WAITING
_REPEATING = REPEATING
_RESUMING = RESUMING
_COMMITS = TYPE_COMMIT | TYPE_ENABLE_AUTOCOMMIT
# Statements that leave an open transaction open; all others are taken to commit it.
_STAYS_OPEN = re.compile(
    rb"[\s(]*(select|insert|update|delete|replace|with|values|savepoint|release|rollback|commit|begin|use|show"
    rb"|desc|describe|explain|do|prepare|deallocate|start\s+transaction|load\s+(data|xml)"
    rb"|set\b(?!\s+(password|default\s+role)))\b",
    re.IGNORECASE,
)
# A procedure may commit and begin in between, which nobody sees; XA is not one server's alone.
_UNREPEATABLE = re.compile(rb"\s*(call|xa)\b", re.IGNORECASE)


def _may_commit(info: QueryInfo) -> bool:
    """Whether executing the statement may commit the transaction that is open."""
    return info.temp_table is None and _STAYS_OPEN.match(info.canonical) is None


class Logged:
    """A statement of the transaction. `digest`: of its result; None if that is not compared."""

    __slots__ = ("command", "compared", "digest", "entry_id", "packet", "ps_id", "replies")

    def __init__(self, statement: Statement, entry_id: int, compared: bool) -> None:
        self.packet = _self_contained(statement)
        self.command = statement.command
        self.ps_id = statement.ps_id
        self.entry_id = entry_id
        self.replies = statement.replies
        self.compared = compared
        self.digest: bytes | None = None

    def revived(self) -> Statement:
        """The statement, to be sent again."""
        statement = Statement.of(bytearray(self.packet), self.command, self.ps_id)
        statement.replies = self.replies
        return statement


def _self_contained(statement: Statement) -> bytearray:
    """The packet; an EXECUTE with its parameter types, whatever later executions say of them."""
    packet = statement.packet()
    prepared = statement.prepared
    if prepared is None or statement.command != COM_STMT_EXECUTE or not prepared.parameters:
        return packet
    return statements.with_types(packet, prepared.parameters, prepared.types)


class Replay(ReplyTap):
    """The part of a session that can repeat its transaction. `unfit`: why it cannot; empty if it can."""

    def __init__(self, router: RwsSession) -> None:
        self.hidden = False
        self.router: Any = router
        self.session = router.session
        self.state = RECORDING
        self.log: list[Logged] = []
        self.size = 0
        self.unfit = ""
        # A transaction is being recorded, from its first statement on.
        self.recording = False
        # The statement under way: what of its result the client has, in bytes, and the checksum of that.
        self.current: Logged | None = None
        self.sent = 0
        self.prefix = b""
        # The statement under way commits; until it is answered nobody can know whether it did.
        self.commits = False
        self._hash: Any = None
        self._to_skip = 0
        self._differs = False
        self._position = 0
        self._attempts = 0
        self._failed_us = 0
        self._waiting_us = 0
        # Session history and default database at the begin of the transaction, if a session command came
        # since.
        self._history: list[Any] | None = None
        self._database = ""
        self._counters = worker_service_index(self.session.host.worker, self.session.service.slot, 0)

    # -- recording

    def begin(self) -> None:
        """A transaction begins with the present statement."""
        self.forget()
        self.recording = True

    def forget(self) -> None:
        """There is no transaction any more."""
        self.recording = False
        self.log = []
        self.size = 0
        self.unfit = ""
        self.current = None
        self.commits = False
        self._history = None
        self._attempts = 0
        self._failed_us = 0

    def take(self, statement: Statement, entry_id: int) -> None:
        """A statement of the transaction is about to be sent."""
        if not self.recording:
            self.unfit = "it began inside of a statement"
            self.recording = True
        info = statement.info
        self.commits = False
        if info is not None and info.operation == OP_EXECUTE:
            # What the text of its PREPARE does counts, if that is known.
            info = self.session.named.get(info.prepare_name.lower()) or info
        if info is not None:
            self.commits = info.trx_mask & _COMMITS != 0 or self.session.trx.again or _may_commit(info)
            if _UNREPEATABLE.match(info.canonical):
                self.unfit = self.unfit or "it calls a procedure or is distributed"
            if info.multi:
                self.unfit = self.unfit or "it contains several statements in one"
            if info.chain:
                self.unfit = self.unfit or "COMMIT AND CHAIN"
        self.current = None
        if statement.continues:
            self.unfit = self.unfit or "a statement does not fit one packet"
        if self.unfit:
            return
        size = statement.end - statement.start
        if self.size + size >= self.router.config.replay_max_size:
            self.unfit = f"it is larger than {self.router.config.replay_max_size} bytes"
            self.log = []
            self.session.board.add(self._counters + V_TRX_TOO_LARGE, 1)
            return
        self.size += size
        logged = Logged(statement, entry_id, self._compared(statement))
        if not statement.replies:
            self.log.append(logged)
            return
        self.current = logged
        self.sent = 0
        self._hash = hashlib.blake2b(digest_size=DIGEST_BYTES)

    def _compared(self, statement: Statement) -> bool:
        if statement.command == COM_STMT_PREPARE:
            return False
        return self.router.config.replay_insert_ids or not statement.type_mask & TYPE_MASTER_READ

    def history_changes(self) -> None:
        """A session command is about to be added to the history, or a statement taken out of it."""
        if self.recording and self._history is None:
            self._history = list(self.session.history.entries.values())
            self._database = self.session.database

    def passing(self, buf: bytearray, start: int, end: int) -> int:
        """Bytes of a reply: where the client's part begins."""
        if self.current is None and self.state == _RECORDING:
            return start
        view = memoryview(buf)
        if self._to_skip:
            skipped = min(self._to_skip, end - start)
            self._hash.update(view[start : start + skipped])
            self._to_skip -= skipped
            start += skipped
            if self._to_skip == 0:
                self._differs = self._hash.digest() != self.prefix
        if self.hidden or self._differs:
            self._hash.update(view[start:end])
            return end
        if start < end:
            self._hash.update(view[start:end])
            self.sent += end - start
        return start

    def has_part(self) -> bool:
        """The client has a part of the result, wherever the rest of it comes from."""
        return self.current is not None and self.sent > 0

    def asks_for_data(self) -> None:
        """LOAD DATA LOCAL: what the client sends is kept nowhere."""
        self.unfit = "it loads data of the client"

    def done(self, backend: Backend) -> None:
        """A reply is complete."""
        if self.state == _RECORDING:
            self._record(backend)
        elif self.state == _REPEATING:
            self._compare(backend)
        else:
            self._resumed(backend)

    def _record(self, backend: Backend) -> None:
        current = self.current
        self.current = None
        self.sent = 0
        trx = self.session.trx
        if self.commits and trx.active:
            # The former transaction is committed and this statement began another one.
            self.forget()
            self.recording = True
            self.size = len(current.packet) if current is not None else 0
            if not trx.again:
                self.unfit = "it began inside of a statement"
        self.commits = False
        if current is None or not self.recording:
            return
        if current.compared and (self.router.config.replay_oks or backend.tracker.kind != R_OK):
            current.digest = self._hash.digest()
        self.log.append(current)

    # -- the transaction's server is lost

    def obstacle(self, sent: bool) -> str:
        """Why the transaction cannot be repeated; empty if it can. `sent`: its last statement was sent."""
        config, session = self.router.config, self.session
        if self.unfit:
            return f"it cannot be repeated: {self.unfit}"
        if sent and self.commits and config.replay_safe_commit:
            return "it cannot be repeated: its COMMIT was under way"
        if self.router.bound_by():
            return str(self.router.bound_by())
        if not session.history.can_recover():
            return "it cannot be repeated: the session history is incomplete"
        now = session.client.poller.now_us
        if config.replay_timeout_ms:
            if self._failed_us and now - self._failed_us >= config.replay_timeout_ms * 1000:
                return f"Transaction replay time limit of {config.replay_timeout_ms // 1000} seconds exceeded"
        elif self._attempts >= config.replay_attempts:
            return f"Transaction replay attempt cap of {config.replay_attempts} exceeded"
        return ""

    def lost(self, reason: str, sent: bool) -> str:
        """Begin (again) after the loss of the server; returns why that is impossible, else an empty string.

        `sent`: the statement under way was sent before.
        """
        under_way = self.state in (_RECORDING, _RESUMING)
        obstacle = self.obstacle(sent and under_way)
        if obstacle:
            return obstacle
        if self.current is None:
            self.sent = 0
        elif self.sent and under_way and not self._to_skip and not self._differs:
            self.prefix = self._hash.digest()
        now = self.session.client.poller.now_us
        self._failed_us = self._failed_us or now
        again = self.state != _RECORDING
        self._attempts += 1
        self.session.log_info(f"Transaction is repeated (attempt {self._attempts}): {reason}")
        self._hold()
        self.session.host.call_later(PAUSE_MS if again else 0, self._look)
        return ""

    def move(self, statement: Statement) -> int:
        """Repeat the transaction elsewhere and execute the statement, which has not been sent yet, there.

        Returns whether that is possible.
        """
        obstacle = self.obstacle(False)
        if obstacle:
            return 0
        self.take(statement, 0)
        if self.unfit:
            return 0
        self._hold()
        self._look()
        return 1

    def _hold(self) -> None:
        if self.state == _RECORDING:
            self.session.expecting += 1
        self.router.plain = False
        self.state = WAITING
        self.hidden = True
        self._to_skip = 0
        self._differs = False
        self._waiting_us = self.session.client.poller.now_us

    def _look(self) -> None:
        """Look for a server; come back in a moment if there is none."""
        session, router = self.session, self.router
        if session.closed or self.state != _WAITING:
            return
        target = router.replay_target(self._history, self._database)
        if session.closed:
            return
        if target is None:
            waited_ms = (session.client.poller.now_us - self._waiting_us) // 1000
            if waited_ms >= router.config.retry_timeout_ms:
                self._give_up(f"no server for its transaction was found in {waited_ms // 1000} seconds")
                return
            session.host.call_later(LOOK_MS, self._look)
            return
        self.state = REPEATING
        self._position = 0
        self._next(target)

    def _give_up(self, reason: str) -> None:
        self.session.close(
            reason,
            log=f"Transaction of {self.session.user}@{self.session.remote} could not be repeated: {reason}",
            code=0 if self.sent else 1927,
            message=f"Lost connection to the server of the transaction: {reason}",
        )

    def _next(self, target: Backend) -> None:
        """Send the next statement of the log, or the interrupted one."""
        while self._position < len(self.log):
            logged = self.log[self._position]
            self._hash = hashlib.blake2b(digest_size=DIGEST_BYTES)
            self._send(target, logged)
            if logged.replies or self.state != _REPEATING:
                return
            self._position += 1
        self._repeated(target)

    def _send(self, target: Backend, logged: Logged) -> None:
        self.session.send(target, logged.revived(), logged.entry_id, False)
        prepared = self.session.statements.get(logged.ps_id) if logged.ps_id else None
        if prepared is None:
            return
        if logged.command == COM_STMT_SEND_LONG_DATA:
            prepared.long_data_on = target.index
        elif logged.command in (COM_STMT_EXECUTE, COM_STMT_BULK_EXECUTE):
            prepared.long_data_on = -1
            prepared.cursor_on = target.index
            target.forget_types(logged.ps_id)

    def _compare(self, backend: Backend) -> None:
        logged = self.log[self._position]
        if logged.digest is not None and self._hash.digest() != logged.digest:
            self._mismatch(backend)
            return
        self._position += 1
        self._next(backend)

    def _mismatch(self, backend: Backend) -> None:
        session = self.session
        obstacle = ""
        if self.router.config.replay_retry_on_mismatch:
            obstacle = self.lost("a result differed", True)
            if not obstacle:
                self.router.discard(backend, "the transaction is repeated")
                return
        session.close(
            "a repeated statement had another result",
            log=f"{MISMATCH_TEXT} {obstacle}",
            code=0 if self.sent else 1927,
            message=MISMATCH_TEXT,
            sqlstate="70100",
        )

    def _repeated(self, target: Backend) -> None:
        """Everything that had a result has the same again."""
        self.session.board.add(self._counters + V_REPLAYED, 1)
        self.hidden = False
        if self.current is None:
            self._over()
            return
        self.state = RESUMING
        self._hash = hashlib.blake2b(digest_size=DIGEST_BYTES)
        self._to_skip = self.sent
        self._send(target, self.current)
        self.router.last_target = target
        if not self.current.replies:
            self.log.append(self.current)
            self.current = None
            self._over()

    def _resumed(self, backend: Backend) -> None:
        if self._differs or self._to_skip:
            self._mismatch(backend)
            return
        self.state = RECORDING
        self._record(backend)
        self._over()

    def _over(self) -> None:
        session = self.session
        self.state = RECORDING
        self.hidden = False
        self._attempts = 0
        self._failed_us = 0
        session.expecting -= 1
        if not session.trx.active:
            self.forget()
        if session.waiting:
            session.resume_client()

    def diagnostics(self) -> dict[str, Any]:
        """For the REST view of the session."""
        return {
            "state": STATE_NAMES[self.state],
            "statements": len(self.log),
            "bytes": self.size,
            "unreplayable": self.unfit or None,
        }
