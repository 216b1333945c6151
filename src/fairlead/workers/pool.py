"""Idle server connections of a worker: kept when their session ends, given to sessions that need one.

A connection that is given back is reset at once with COM_CHANGE_USER, so locks, temporary tables and an
open transaction end with their session and not when the next one comes; only when the server has agreed
the connection is in the pool. A session of the same user, database and character set takes it as it is;
for others it changes its user again. Source: spec core.md b4.

The pool also keeps the limit `max_routing_connections`: who finds no place waits for one, if the service
allows that sessions share their connections (`idle_session_pool_time`).

Invariant: a connection in the pool owes nothing, and nobody else has its channel.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from fairlead.cluster.board import (
    S_CONNECTIONS,
    S_POOL_EMPTY,
    S_POOLED,
    S_RESETTING,
    S_REUSED,
    S_WAITING,
    Board,
    worker_server_index,
)
from fairlead.net.channel import Channel, Handler
from fairlead.net.poller import Poller
from fairlead.protocol.constants import (
    CLIENT_CONNECT_ATTRS,
    CLIENT_CONNECT_WITH_DB,
    CLIENT_PLUGIN_AUTH,
    CLIENT_PLUGIN_AUTH_LENENC,
    CLIENT_SECURE_CONNECTION,
    CLIENT_SSL,
)
from fairlead.protocol.errors import ProtocolError
from fairlead.session.backend import Backend
from fairlead.session.backend_login import ReusedLogin
from fairlead.session.server import Server
from fairlead.session.session import Session
from fairlead.session.user_change import Credentials, UserChange
from fairlead.workers.deadlines import Deadlines

# Capabilities that concern the login alone: connections that differ in them are alike afterwards.
_LOGIN_ONLY = (
    CLIENT_CONNECT_ATTRS
    | CLIENT_CONNECT_WITH_DB
    | CLIENT_PLUGIN_AUTH
    | CLIENT_PLUGIN_AUTH_LENENC
    | CLIENT_SECURE_CONNECTION
    | CLIENT_SSL
)
_S_POOL_EMPTY = S_POOL_EMPTY
_S_POOLED = S_POOLED
_S_RESETTING = S_RESETTING
_S_REUSED = S_REUSED
_QUIT = b"\x01\x00\x00\x00\x01"
# A connection that does not answer its reset within this time is closed, in milliseconds.
RESET_TIMEOUT_MS = 5_000
# While somebody waits a place is looked for so often, in milliseconds: another worker may have made one.
LOOK_MS = 100


class Idle(Handler):
    """A connection between two sessions. `clean`: its reset is done."""

    def __init__(self, pool: Pool, server: Server, session: Session, backend: Backend) -> None:
        assert backend.channel is not None
        self.pool = pool
        self.server = server
        self.channel: Channel = backend.channel
        self.wanted = wanted_by(session)
        self.capabilities = backend.capabilities
        self.thread_id = backend.thread_id
        self.scramble = backend.scramble
        self.tls = backend.tls
        self.remote = session.remote if server.introduces else ""
        self.credentials = credentials_of(session, session.first_database)
        self.since_us = self.channel.poller.now_us
        self.clean = False
        self._change: UserChange | None = None

    def reset(self) -> None:
        """Begin: everything of the former session is to go."""
        self.channel.handler = self
        self._change = UserChange(self.credentials, self.scramble, self.capabilities)
        request = self._change.request()
        self.channel.send(bytearray(request), 0, len(request))

    def on_data(self, buf: bytearray, start: int, end: int) -> int:
        """The answers to the reset."""
        if self.clean or self._change is None:
            self.pool.discard(self)
            return end
        try:
            consumed, answer = self._change.feed(buf, start, end)
        except ProtocolError:
            self.pool.discard(self)
            return end
        if answer:
            self.channel.send(bytearray(answer), 0, len(answer))
        elif self._change.done:
            self.clean = True
            self.pool.has_agreed(self)
        return consumed

    def on_closed(self, reason: str) -> None:
        """The server has hung up."""
        self.pool.gone(self)

    def is_alive(self) -> bool:
        """Whether the server has neither hung up nor said anything."""
        return self.channel.is_quiet()


def wanted_by(session: Session) -> int:
    """The capabilities that a session's connections have to agree on."""
    return (session.capabilities | session.extra_capabilities) & ~_LOGIN_ONLY


def credentials_of(session: Session, database: str) -> Credentials:
    """What a connection of the session begins with, if this is its default database."""
    return Credentials(
        session.backend_user, session.backend_password, session.charset, database, session.attributes
    )


class PoolHost(Protocol):
    """What a pool needs of its worker, which is the data plane in earnest and the simulator in tests."""

    board: Board
    worker: int
    poller: Poller
    deadlines: Deadlines
    servers: dict[str, Server]
    sessions: dict[int, Session]

    def call_later(self, milliseconds: int, callback: Callable[[], None]) -> Any:
        """Call a function later."""

    def pooled_closed(self) -> None:
        """A descriptor of the pool was given back."""


class Pool:
    """The pools of one worker, by slot of the server."""

    def __init__(self, host: PoolHost) -> None:
        self._host = host
        self._board = host.board
        self._worker = host.worker
        # The one given back last is taken first.
        self._idle: dict[int, list[Idle]] = {}
        self._waiting: dict[int, deque[tuple[Session, Backend, int]]] = {}

    def _limit(self, server: Server) -> int:
        """How many connections this worker keeps for the server."""
        workers = max(1, self._board.workers)
        return (server.kept_max + workers - 1) // workers

    def _of(self, server: Server) -> list[Idle]:
        return self._idle.setdefault(server.slot, [])

    def kept(self, slot: int) -> tuple[Idle, ...]:
        """The connections to a server that no session has."""
        return tuple(self._idle.get(slot, ()))

    def _count(self, server: Server, cell: int, amount: int) -> None:
        self._board.add(worker_server_index(self._worker, server.slot, cell), amount)

    # -- giving back

    def keep(self, session: Session, backend: Backend, *, lent: bool = False) -> bool:
        """Take over the connection of a session that has no use for it; False if it is to be closed.

        `lent`: the session goes on and will want one again.
        """
        server: Server = backend.server
        idle = self._of(server)
        if len(idle) >= self._limit(server) and not self.is_waited_for(server.slot):
            return False
        if not backend.scramble or backend.pending or backend.backlog or backend.channel is None:
            return False
        if backend.opened_us <= server.changed_us:
            # It leads to where the server was before its address was changed.
            return False
        if backend.channel.blocked:
            # The session has stopped its client, and is the one that hears when the server takes data again.
            return False
        kept = Idle(self, server, session, backend)
        backend.release(lent)
        idle.append(kept)
        # It may have been stopped for a client that did not read.
        kept.channel.resume()
        if session.only_read() and not lent and self.starts_plain(session):
            kept.channel.handler = kept
            kept.clean = True
            self.is_clean(kept)
        else:
            self._count(server, _S_RESETTING, 1)
            kept.reset()
        return True

    def starts_plain(self, session: Session) -> bool:
        """Whether nothing is executed on connections of the session before its own statements."""
        return not session.watches_state and not (session.listener and session.listener.init_statements)

    def has_agreed(self, idle: Idle) -> None:
        """The reset is done."""
        self._count(idle.server, _S_RESETTING, -1)
        self.is_clean(idle)

    def is_clean(self, idle: Idle) -> None:
        """The connection may be used."""
        self._count(idle.server, _S_POOLED, 1)
        self._serve(idle.server)

    def gone(self, idle: Idle) -> None:
        """The connection is closed."""
        if idle in self._of(idle.server):
            self._of(idle.server).remove(idle)
            self._count(idle.server, _S_POOLED if idle.clean else _S_RESETTING, -1)
            self._host.pooled_closed()

    def discard(self, idle: Idle) -> None:
        """Close a connection of the pool."""
        idle.channel.close_with(_QUIT)
        self.gone(idle)

    # -- taking

    def supply(self, session: Session, backend: Backend) -> bool:
        """Whether the matter is settled without a new connection: the backend has one of the pool, or stays
        planned until there is a place. OSError if there may be none.
        """
        server: Server = backend.server
        database = session.database if backend.login_database is None else backend.login_database
        who = credentials_of(session, database)
        idle = self.take(session, server, who)
        if idle is not None:
            backend.adopt(idle.channel, idle.capabilities, idle.thread_id, idle.scramble)
            backend.tls = idle.tls
            if idle.credentials.same_as(who):
                session.backend_logged_in(backend)
            else:
                self._host.deadlines.opening(session, backend)
                change = UserChange(who, idle.scramble, idle.capabilities)
                backend.login = ReusedLogin(session, backend, change)
            return True
        self.missed(server)
        if not self.is_full(server):
            return False
        if not session.shares:
            raise OSError(f"'{server.name}' connection count limit reached")
        if not backend.is_planned():
            backend.plan()
        if backend.backlog:
            now_us = self._host.poller.now_us
            if not self.waits():
                self._host.call_later(LOOK_MS, self._look_again)
            self.wait(session, backend, now_us)
            self.lend(self._host.sessions.values(), server, now_us)
        return True

    def take(self, session: Session, server: Server, who: Credentials) -> Idle | None:
        """A connection for the session, best one of the same user; it may have to change its user."""
        idle = self._idle.get(server.slot)
        if not idle:
            return None
        wanted = wanted_by(session)
        best: Idle | None = None
        for each in reversed(idle):
            if not each.clean or each.wanted != wanted or (each.remote and each.remote != session.remote):
                continue
            if each.credentials.same_as(who):
                best = each
                break
            best = best or each
        if best is None:
            return None
        if not best.is_alive():
            self.discard(best)
            return self.take(session, server, who)
        idle.remove(best)
        self._count(server, _S_POOLED, -1)
        self._count(server, _S_REUSED, 1)
        return best

    def is_full(self, server: Server) -> bool:
        """Whether the server may get no more connections; what idles in vain here is closed for that."""
        limit = int(server.definition.params.get("max_routing_connections") or 0)
        if not limit:
            return False
        while self._used(server) >= limit:
            idle = [each for each in self._of(server) if each.clean]
            if not idle:
                return True
            self.discard(idle[0])
        return False

    def _used(self, server: Server) -> int:
        board, slot = self._board, server.slot
        return sum(board.sum_server(slot, cell) for cell in (S_CONNECTIONS, _S_POOLED, _S_RESETTING))

    def missed(self, server: Server) -> None:
        """A connection was wanted, and there was none."""
        if self._limit(server):
            self._count(server, _S_POOL_EMPTY, 1)

    # -- waiting

    def wait(self, session: Session, backend: Backend, now_us: int) -> None:
        """The backend waits for a place on its server."""
        queue = self._waiting.setdefault(backend.slot, deque())
        if not any(each is backend for _, each, _ in queue):
            queue.append((session, backend, now_us))
            self._show_waiting(backend.slot)

    def _show_waiting(self, slot: int) -> None:
        """Tell the other workers, who may have connections that nobody uses."""
        self._board.set(worker_server_index(self._worker, slot, S_WAITING), len(self._waiting[slot]))

    def waits(self) -> bool:
        """Whether anybody waits here."""
        return any(self._waiting.values())

    def _look_again(self) -> None:
        """Look for places for those that wait, as long as anybody does."""
        host = self._host
        for server in host.servers.values():
            if self._waiting.get(server.slot):
                self.freed(server)
                if self._waiting.get(server.slot):
                    self.lend(host.sessions.values(), server, host.poller.now_us)
        if self.waits():
            host.call_later(LOOK_MS, self._look_again)

    def session_idle(self, session: Session) -> None:
        """Somebody may wait for a connection of this session, which has nothing under way."""
        for backend in session.backends:
            if not backend.server.pools or not shareable(session, backend, 0):
                continue
            if self.is_waited_for(backend.slot):
                self._hand_over(session, backend)
            elif self.is_waited_for_elsewhere(backend.slot):
                self.make_room(session, backend)

    def is_waited_for_elsewhere(self, slot: int) -> bool:
        """Whether sessions of other workers wait for the server."""
        return self._board.sum_server(slot, S_WAITING) > len(self._waiting.get(slot, ()))

    def make_room(self, session: Session, backend: Backend) -> None:
        """Give up the connection of an idle session for one that another is waiting for."""
        channel = backend.channel
        if channel is not None and not channel.closed:
            backend.release(True)
            channel.close_with(_QUIT)
            self._host.pooled_closed()

    def is_waited_for(self, slot: int) -> bool:
        """Whether somebody waits for a place on the server."""
        return bool(self._waiting.get(slot))

    def _serve(self, server: Server) -> None:
        """There may be a place: the one that waits longest tries again."""
        queue = self._waiting.get(server.slot)
        while queue:
            session, backend, _ = queue.popleft()
            self._show_waiting(server.slot)
            if not session.closed and backend.is_planned():
                session.backend_needed(backend)
                return

    def freed(self, server: Server) -> None:
        """A connection of a session was closed."""
        if self._waiting.get(server.slot) and not self.is_full(server):
            self._serve(server)

    # -- time passes

    def tick(self, servers: dict[str, Server], sessions: dict[int, Session], now_us: int) -> None:
        """Close what is too old or too many, and end sessions that have waited too long."""
        present = {server.slot: server for server in servers.values()}
        for slot, idle in list(self._idle.items()):
            limit = self._limit(present[slot]) if slot in present else 0
            for each in list(idle):
                params = each.server.definition.params
                age_ms = (now_us - each.since_us) // 1000
                age_max_ms = int(params.get("persistmaxtime") or 0) if each.clean else RESET_TIMEOUT_MS
                if age_ms > age_max_ms or (each.clean and len(idle) > limit):
                    self.discard(each)
        for slot, server in present.items():
            if server.pools and self.is_waited_for_elsewhere(slot):
                found = idle_for_longest(sessions.values(), server, now_us)
                if found is not None:
                    self.make_room(*found)
                elif self._of(server) and self._of(server)[0].clean:
                    self.discard(self._of(server)[0])
            # Another worker may have made a place a moment ago.
            self.freed(server)
        self._end_waiting(now_us)

    def _end_waiting(self, now_us: int) -> None:
        for slot, queue in list(self._waiting.items()):
            for entry in list(queue):
                session, backend, since = entry
                timeout_ms = int(session.service.params.get("multiplex_timeout") or 0)
                if entry not in queue:
                    # The end of another one has made a place for it.
                    continue
                if session.closed or not backend.is_planned():
                    queue.remove(entry)
                    self._show_waiting(slot)
                elif now_us - since > timeout_ms * 1000:
                    queue.remove(entry)
                    self._show_waiting(slot)
                    session.close(
                        "Timed out when waiting for a connection",
                        log=f"No connection to '{backend.server.name}' became free",
                        code=1927,
                        message="Timed out when waiting for a connection.",
                    )

    def drop(self, server: Server) -> None:
        """The server is gone, or is another one now."""
        for each in list(self._of(server)):
            self.discard(each)

    def lend(self, sessions: Iterable[Session], server: Server, now_us: int) -> None:
        """Take the connection of a session that has been idle for long enough, for the one that waits."""
        found = idle_for_longest(sessions, server, now_us)
        if found is not None:
            self._hand_over(*found)

    def _hand_over(self, session: Session, backend: Backend) -> None:
        """The connection of an idle session goes to those who wait, or its place does: one from before a
        change of the server's configuration is of no use to others.
        """
        if not self.keep(session, backend, lent=True):
            self.make_room(session, backend)
            self.freed(backend.server)

    def close(self) -> None:
        """Close everything."""
        for idle in self._idle.values():
            for each in list(idle):
                self.discard(each)


def shareable(session: Session, backend: Backend, idle_ms: int) -> bool:
    """Whether another session may have this connection for a while (spec core.md b4)."""
    after_ms = int(session.service.params.get("idle_session_pool_time", -1))
    return (
        0 <= after_ms <= idle_ms
        and not session.history.pruned
        # One that waits for another server needs this connection as little as one that is idle.
        and (not session.expecting or waits_for_place(session))
        and not session.trx.active
        # Without autocommit there may be a transaction that only the server knows of.
        and session.trx.autocommit
        and backend.is_idle()
        and not (backend.channel is None or backend.channel.blocked)
        and not session.pinned
    )


def waits_for_place(session: Session) -> bool:
    """Whether what the session has under way waits for a connection to be opened."""
    return any(backend.is_planned() and backend.backlog for backend in session.backends)


def idle_for_longest(
    sessions: Iterable[Session], server: Server, now_us: int
) -> tuple[Session, Backend] | None:
    """A connection to the server whose session is idle: the one that is idle for longest."""
    best: tuple[Session, Backend] | None = None
    for session in sessions:
        if session.closed or (best is not None and session.active_us >= best[0].active_us):
            continue
        for backend in session.backends:
            if backend.server is server and shareable(session, backend, (now_us - session.active_us) // 1000):
                best = session, backend
    return best
