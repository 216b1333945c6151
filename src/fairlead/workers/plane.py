"""The data plane of a worker: its listeners, its sessions, and what the sessions need from outside.

It is the sessions' `Host`: it opens their server connections, resolves names, carries KILL, and asks the
supervisor for fresh accounts. A new configuration is taken over as a whole; sessions keep what was current
when they began.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fairlead.accounts.blocker import AuthBlocker
from fairlead.cluster.board import (
    S_FAILED_AUTHS,
    V_FAILED_AUTHS,
    V_SESSIONS,
    W_ACCEPTS,
    W_FDS,
    W_FDS_TOTAL,
    W_NEXT_SESSION,
    W_QC_EVICTIONS,
    W_QC_HITS,
    W_QC_INSERTS,
    W_QC_MISSES,
    W_QC_SIZE,
    W_SESSIONS,
    W_WAKEUPS,
    Board,
    service_target_slot,
    worker_index,
    worker_server_index,
    worker_service_index,
)
from fairlead.cluster.defs import ServerDef, ServerFacts, ServiceDef, Snapshot
from fairlead.cluster.loglevels import NOTICE
from fairlead.config.modules import router_entry
from fairlead.net.channel import Channel, Handler
from fairlead.net.poller import Poller, Watched, WorkerLoop
from fairlead.net.syscalls import sys_accept, sys_close, sys_send
from fairlead.net.tls import listener_context, peer_problem, server_context
from fairlead.net.tlschannel import TlsChannel
from fairlead.protocol import packets
from fairlead.protocol.handshake import GreetingTemplate
from fairlead.session.backend import Backend
from fairlead.session.client import ClientConnection
from fairlead.session.kill import KillOrder, matches
from fairlead.session.listener import ListenerRuntime, init_statements
from fairlead.session.login import Login
from fairlead.session.server import Server
from fairlead.session.service import ServiceRuntime
from fairlead.session.session import Session
from fairlead.sql.classifier import Classifier
from fairlead.workers.acceptor import EXHAUSTED_PAUSE_MS, Acceptor, listen_on
from fairlead.workers.answers import answer
from fairlead.workers.deadlines import TICK_SECONDS, Deadlines
from fairlead.workers.dialer import dial, preamble
from fairlead.workers.greetings import Greetings
from fairlead.workers.killer import carry_out
from fairlead.workers.messages import (
    Accounts,
    ForwardKill,
    Kill,
    KillDone,
    MaintainServer,
    ReloadAccounts,
    Reply,
    ToSupervisor,
)
from fairlead.workers.names import NameResolver
from fairlead.workers.pauses import Pauses
from fairlead.workers.pool import Pool

# A session that lives so long gets the server connections it has planned but not needed yet, in milliseconds.
OPEN_LATER_MS = 10
# How long a login waits for the accounts to be read again, in milliseconds.
ACCOUNTS_WAIT_MS = 8_000

_log = logging.getLogger("fairlead.session")


class Undertaker(Watched):
    """Takes ended connections apart in the turn after their end, when nobody is in the middle of them."""

    def __init__(self, poller: Poller) -> None:
        super().__init__(-1)
        self._poller = poller
        self._ended: list[ClientConnection] = []

    def bury(self, connection: ClientConnection) -> None:
        """The connection and its session have ended."""
        if not self._ended:
            self._poller.defer(self)
        self._ended.append(connection)

    def on_deferred(self) -> None:
        ended, self._ended = self._ended, []
        for connection in ended:
            if connection.session is not None:
                connection.session.dismantle()
            connection.channel = None
            connection.login = None


class SpareDescriptor:
    """A descriptor kept for the moment when there is no other: enough to tell one client at a time."""

    def __init__(self) -> None:
        self._fd = -1
        self.take_back()

    def lend(self) -> bool:
        """Make room for one descriptor; False if there is none to give."""
        if self._fd < 0:
            self.take_back()
        if self._fd < 0:
            return False
        os.close(self._fd)
        self._fd = -1
        return True

    def take_back(self) -> None:
        """Keep it again, if nobody else was faster."""
        try:
            self._fd = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1


class Plane:
    """All sessions of one worker."""

    def __init__(
        self,
        index: int,
        board: Board,
        send: Callable[[ToSupervisor], None],
        loop: asyncio.AbstractEventLoop,
        paths: dict[str, str],
    ) -> None:
        assert isinstance(loop, WorkerLoop)
        self.worker = index
        self.board = board
        self.send = send
        self.loop = loop
        self.poller: Poller = loop.poller
        self.poller.on_error = self._handler_failed
        self.paths = paths
        self.globals: dict[str, Any] = {}
        self.classifier = Classifier(0)
        self.servers: dict[str, Server] = {}
        # Services as targets of services.
        self.services_below: dict[str, Server] = {}
        self.services: dict[str, ServiceRuntime] = {}
        self.listeners: dict[str, ListenerRuntime] = {}
        self.acceptors: dict[str, Acceptor] = {}
        self.sessions: dict[int, Session] = {}
        self.connections: set[ClientConnection] = set()
        self.blocker = AuthBlocker()
        self.names = NameResolver(loop)
        # Cells of the board that this worker writes for every client.
        self._own = worker_index(index, 0)
        self._accepts = worker_index(index, W_ACCEPTS)
        self._fds = worker_index(index, W_FDS)
        self._fds_total = worker_index(index, W_FDS_TOTAL)
        self._open_sessions = worker_index(index, W_SESSIONS)
        self._next_session = worker_index(index, W_NEXT_SESSION)
        # Global parameters that every client asks for.
        self._high_water = 1 << 62
        self._low_water = 0
        self._failures_max = 0
        self._new_servers: dict[str, Server] = {}
        self._new_services_below: dict[str, Server] = {}
        self._waiting_for_accounts: dict[str, list[Callable[[], None]]] = {}
        self._reload_timers: dict[str, asyncio.TimerHandle] = {}
        self._kills: dict[int, Session] = {}
        self._last_kill = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.greetings = Greetings(board)
        self._undertaker = Undertaker(self.poller)
        self.spare = SpareDescriptor()
        self.deadlines = Deadlines()
        self.pool = Pool(self)
        self.pauses = Pauses(board, index, loop)
        # Sessions with planned connections and when to open them (microseconds), oldest first.
        self._planned: deque[tuple[int, Session]] = deque()
        self._stride = max(1, board.workers)
        if board.get(self._next_session) == 0:
            board.set(self._next_session, index + 1)
        loop.call_later(TICK_SECONDS, self._tick)
        if index == 0 and self.poller.outbox is None:
            _log.log(NOTICE, "There is no io_uring to be had: each send is a system call of its own")

    # -- configuration

    def apply(self, snapshot: Snapshot) -> dict[str, str]:
        """Take over a configuration; errors by listener name, and then nothing has changed."""
        services = self._services(snapshot)
        listeners: dict[str, ListenerRuntime] = {}
        acceptors: dict[str, Acceptor] = {}
        errors: dict[str, str] = {}
        for definition in snapshot.listeners:
            service = services.get(definition.service)
            if service is None:
                continue
            try:
                runtime = ListenerRuntime(definition, service)
                if definition.params.get("ssl"):
                    runtime.tls = listener_context(definition.params)
                if definition.params.get("connection_init_sql_file"):
                    runtime.init_statements = init_statements(definition.params["connection_init_sql_file"])
                if definition.params.get("user_mapping_file"):
                    from fairlead.accounts.files import load_mapping

                    runtime.mapping = load_mapping(definition.params["user_mapping_file"], self._decrypt)
                acceptors[definition.name] = self._acceptor(runtime)
                listeners[definition.name] = runtime
            except (OSError, ValueError) as error:
                errors[definition.name] = str(error)
        if errors:
            for name, acceptor in acceptors.items():
                if self.acceptors.get(name) is not acceptor:
                    acceptor.close()
            return errors
        self._commit(snapshot, services, listeners, acceptors)
        return {}

    def _decrypt(self, text: str) -> str:
        """A password of a side file, which may be encrypted."""
        from fairlead.config.secrets import decrypt, load_key

        directory = Path(self.globals.get("secretsdir") or self.paths.get("datadir") or ".")
        if load_key(directory) is None:
            return text
        try:
            return decrypt(directory, text)
        except ValueError:
            return text

    def _services(self, snapshot: Snapshot) -> dict[str, ServiceRuntime]:
        servers: dict[str, Server] = {}
        for definition in snapshot.servers:
            server = self.servers.get(definition.name)
            if server is None or server.slot != definition.slot:
                server = Server(definition)
            servers[definition.name] = server
        self._new_servers = servers
        used = {name for each in snapshot.services for name in each.services}
        below = {each.name: self._as_target(each) for each in snapshot.services if each.name in used}
        self._new_services_below = below
        hinting = {each.name: each.module == "hintfilter" for each in snapshot.filters}
        services: dict[str, ServiceRuntime] = {}
        for service_definition in snapshot.services:
            old = self.services.get(service_definition.name)
            runtime = ServiceRuntime(service_definition)
            runtime.use_globals(snapshot.globals)
            if old is not None and old.slot == service_definition.slot:
                runtime.accounts = old.accounts
                runtime.accounts_version = old.accounts_version
                runtime.accounts_loaded = old.accounts_loaded
                runtime.standing = old.standing
            runtime.targets = [servers[name] for name in service_definition.servers if name in servers]
            runtime.targets += [below[name] for name in service_definition.services if name in below]
            make_session, make_config = router_entry(service_definition.router)
            runtime.factory = make_session
            runtime.router_config = make_config(service_definition.params)
            runtime.has_hints = any(hinting.get(name) for name in service_definition.filters)
            services[service_definition.name] = runtime
        return services

    def _as_target(self, service: ServiceDef) -> Server:
        """A service as a target of others."""
        slot = service_target_slot(service.slot)
        old = self.services_below.get(service.name)
        if old is not None and old.slot == slot:
            return old
        target = Server(ServerDef(service.name, slot, {}))
        target.service = service.name
        return target

    def _acceptor(self, runtime: ListenerRuntime) -> Acceptor:
        """The listening socket: the present one if the address is the same."""
        old = self.acceptors.get(runtime.name)
        if old is not None and _address(old.listener.params) == _address(runtime.params):
            return old
        if runtime.params.get("socket") and self.worker != 0:
            return Acceptor(self, self.poller, socket.socket(socket.AF_UNIX), runtime)
        return Acceptor(self, self.poller, listen_on(runtime.params), runtime)

    def _commit(
        self,
        snapshot: Snapshot,
        services: dict[str, ServiceRuntime],
        listeners: dict[str, ListenerRuntime],
        acceptors: dict[str, Acceptor],
    ) -> None:
        self.globals = dict(snapshot.globals)
        self._high_water = int(self.globals.get("writeq_high_water") or (1 << 62))
        self._low_water = int(self.globals.get("writeq_low_water") or 0)
        self._failures_max = int(self.globals.get("max_auth_errors_until_block", 10))
        cache = int(self.globals.get("query_classifier_cache_size") or 0)
        mode = 1 if self.globals.get("sql_mode") == "oracle" else 0
        if self.classifier.cache.limit != cache // self._stride or self.classifier.sql_mode != mode:
            self.classifier = Classifier(cache // self._stride, mode)
        for definition in snapshot.servers:
            server = self._new_servers[definition.name]
            if server.definition.params != definition.params:
                self.pool.drop(server)
                server.changed_us = self.poller.now_us
            server.define(definition)
            server.tls = server_context(definition.params) if definition.params.get("ssl") else None
        for name, old in self.services.items():
            if name in services and old.slot == services[name].slot:
                services[name].take_functions(old)
        self.servers = self._new_servers
        self.services_below = self._new_services_below
        self.services = services
        for name, acceptor in self.acceptors.items():
            if acceptors.get(name) is not acceptor:
                acceptor.close()
        self.acceptors = acceptors
        self.listeners = listeners
        self.deadlines.configured()
        self.greetings.changed()
        for name, runtime in listeners.items():
            acceptor = acceptors[name]
            acceptor.listener = runtime
            stopped = runtime.definition.stopped or runtime.service.definition.stopped or self._stopping
            is_mine = not runtime.params.get("socket") or self.worker == 0
            acceptor.set_accepting(is_mine and not stopped)

    def set_accounts(self, message: Accounts) -> None:
        """New accounts of a service, or the news that there are none."""
        service = self.services.get(message.service)
        if service is not None and message.version != service.accounts_version:
            service.accounts = message.accounts
            service.accounts_version = message.version
            service.accounts_loaded = message.loaded
            service.functions.learn(message.accounts.functions)
            for listener in self.listeners.values():
                if listener.service is service:
                    listener.accounts_changed()
        self._accounts_answered(message.service)

    def set_facts(self, facts: list[ServerFacts]) -> None:
        """What the monitors have learned of the servers."""
        for each in facts:
            server = self.servers.get(each.name)
            if server is not None:
                server.facts = each
        self.greetings.changed()

    # -- clients

    def accepted(self, fd: int, address: str, port: int, listener: ListenerRuntime) -> None:
        """A client has connected; without an address it came through a Unix socket."""
        local = not address
        remote = "localhost" if local else _reduced(address)
        board = self.board
        board.add(self._accepts, 1)
        refused = self._refuse_at_door(remote, listener)
        if refused:
            _send_and_close(fd, packets.build_err(0, *refused))
            return
        session_id = self._new_session_id()
        connection = ClientConnection(self, listener, session_id)
        channel = self._channel(fd, connection, encrypted=listener.tls is not None)
        try:
            session = Session(self, listener.service, session_id, connection, channel)
            session.listener = listener
            session.remote = remote
            session.remote_port = port
            session.local_socket = local
            self.connections.add(connection)
            self.deadlines.login_begins(connection)
            connection.begin(channel, session, Login(connection, session))
        except Exception:
            channel.close()
            connection.on_closed("internal error")
            raise

    def _new_session_id(self) -> int:
        session_id = self.board.get(self._next_session)
        self.board.set(self._next_session, session_id + self._stride)
        return session_id

    def _refuse_at_door(self, remote: str, listener: ListenerRuntime) -> tuple[int, str, str] | None:
        limit = self._failures_max
        if limit and self.blocker.is_blocked(remote, time.monotonic(), limit):
            return (
                1129,
                "HY000",
                f"Host '{remote}' is temporarily blocked due to too many authentication failures.",
            )
        if self._is_full(listener.service):
            return 1040, "08004", "Too many connections"
        return None

    def _is_full(self, service: ServiceRuntime) -> bool:
        most = service.max_connections
        return most > 0 and self.board.sum_service(service.slot, V_SESSIONS) >= most

    def _channel(self, fd: int, handler: Handler, encrypted: bool, connecting: bool = False) -> Channel:
        self.board.add(self._fds, 1)
        self.board.add(self._fds_total, 1)
        kind = TlsChannel if encrypted else Channel
        channel = kind(self.poller, fd, handler, connecting)
        channel.high_water = self._high_water
        channel.low_water = self._low_water
        return channel

    def out_of_descriptors(self, acceptor: Acceptor) -> None:
        """No descriptor is left for a new client: turn it away, or leave it in the backlog for a moment."""
        _log.error(
            "Out of file descriptors: new clients are refused", extra={"object": acceptor.listener.name}
        )
        while self.spare.lend():
            fd = sys_accept(acceptor.fd)[0]
            if fd >= 0:
                _send_and_close(fd, packets.build_err(0, 1040, "08004", "Too many connections"))
            self.spare.take_back()
            if fd < 0:
                break
        acceptor.set_accepting(False)
        self.loop.call_later(EXHAUSTED_PAUSE_MS / 1000, self._accept_again, acceptor)

    def _accept_again(self, acceptor: Acceptor) -> None:
        if self.acceptors.get(acceptor.listener.name) is acceptor and not self._stopping:
            acceptor.set_accepting(True)

    def client_gone(self, connection: ClientConnection) -> None:
        """The client's channel is closed."""
        self.connections.discard(connection)
        self.deadlines.client_gone(connection)
        self.board.add(self._fds, -1)
        self._undertaker.bury(connection)

    # -- Host: logins

    def scramble(self) -> bytes:
        """20 random printable bytes."""
        return self.greetings.scramble()

    def greeting(self, listener: ListenerRuntime) -> GreetingTemplate:
        """The greeting of a listener."""
        return self.greetings.of(listener)

    def login_variables(self, listener: ListenerRuntime, session: Session) -> dict[str, str]:
        """What the OK of a login reports."""
        return self.greetings.login_variables(listener, session)

    def wall_clock(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def call_later(self, milliseconds: int, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call a function later."""
        return self.loop.call_later(milliseconds / 1000, callback)

    def resolves_names(self) -> bool:
        """Whether the addresses of clients may be resolved to names."""
        return not self.globals.get("skip_name_resolve")

    def resolve_name(self, address: str, callback: Callable[[str | None], None]) -> None:
        """Tell the host name of an address."""
        self.names.resolve(address, callback)

    def reload_accounts(self, service: ServiceRuntime, callback: Callable[[], None]) -> None:
        """Ask for fresh accounts; the callback follows in any case, within a limit of time."""
        name = service.name
        waiting = self._waiting_for_accounts.setdefault(name, [])
        waiting.append(callback)
        if len(waiting) == 1:
            self.send(ReloadAccounts(name, service.accounts_version))
            self._reload_timers[name] = self.loop.call_later(
                ACCOUNTS_WAIT_MS / 1000, self._accounts_answered, name
            )

    def _accounts_answered(self, name: str) -> None:
        timer = self._reload_timers.pop(name, None)
        if timer is not None:
            timer.cancel()
        for callback in self._waiting_for_accounts.pop(name, ()):
            try:
                callback()
            except Exception:
                # A bug of ours: it costs the one who waited (its login runs out of time), not the others.
                _log.exception("Unexpected error of one that waited for the accounts")

    def accounts_doubtful(self, service: ServiceRuntime) -> None:
        """A server refused a login that our accounts allowed."""
        self.send(ReloadAccounts(service.name, service.accounts_version))

    def login_failed(self, service: ServiceRuntime, session: Session, user: str, *, known: bool) -> None:
        """A client was refused: count it, and look whether the accounts have changed."""
        self.board.add(worker_service_index(self.worker, service.slot, V_FAILED_AUTHS), 1)
        limit = self._failures_max
        if limit:
            self.blocker.failed(session.remote, time.monotonic(), limit)
        if known:
            self.send(ReloadAccounts(service.name, service.accounts_version))

    def admit(self, session: Session) -> str:
        """Why there is no place for a session that has logged in; empty if there is."""
        if self._is_full(session.service):
            return "Too many connections"
        self.deadlines.login_ends(session.connection)
        self.sessions[session.id] = session
        session.service.sessions.add(session)
        self.board.set(self._open_sessions, len(self.sessions))
        return ""

    def start_client_tls(self, connection: ClientConnection) -> None:
        """Switch a client's channel to TLS."""
        channel = connection.channel
        assert isinstance(channel, TlsChannel)
        params = connection.listener.params

        def ready() -> None:
            session = connection.session
            assert session is not None
            problem = peer_problem(channel.tls_object(), params, session.remote)
            if problem is not None:
                session.log_warning(f"Client {session.remote} is refused: {problem}")
                channel.fail_soon(problem)

        channel.start_tls(connection.listener.tls, server_side=True, on_ready=ready)

    # -- Host: servers

    def connect(self, session: Session, backend: Backend) -> None:
        """Open a connection to a server, or take one that nobody uses; where there is no place for one more
        the backend stays planned until there is.
        """
        server: Server = backend.server
        if server.service:
            self._connect_service(session, backend, self.services.get(server.service))
            return
        if server.pools and self.pool.supply(session, backend):
            return
        params = server.definition.params
        header = preamble(self.names, session, params)
        fd = dial(self.names, params, str(self.globals.get("local_address") or ""))
        channel = self._channel(fd, backend, encrypted=server.tls is not None, connecting=True)
        backend.opened(channel)
        self.deadlines.opening(session, backend)
        if header:
            channel.send(bytearray(header), 0, len(header))

    def _connect_service(self, upper: Session, backend: Backend, service: ServiceRuntime | None) -> None:
        """A session on the service below, with the client that the session above has; OSError if that is
        refused.

        Both sides are connections like any other: their ends are a pair of sockets.
        """
        if service is None:
            raise OSError(f"there is no service '{backend.server.service}' any more")
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        session_id = self._new_session_id()
        connection = ClientConnection(self, upper.listener, session_id)
        channel = self._channel(far.detach(), connection, encrypted=False)
        session = Session(self, service, session_id, connection, channel)
        session.come_from(upper)
        self.connections.add(connection)
        connection.continue_with(channel, session)
        reason = self.admit(session) or session.start()
        if reason:
            near.close()
            session.close(reason)
            raise OSError(f"{service.name}: {reason}")
        near_channel = self._channel(near.detach(), backend, encrypted=False)
        backend.adopt(near_channel, session.capabilities, session_id, b"")
        upper.backend_logged_in(backend)

    def keep(self, session: Session, backend: Backend) -> bool:
        """Keep the connection of a session that ends for the next one."""
        return self.pool.keep(session, backend)

    def session_idle(self, session: Session) -> None:
        """Somebody may wait for a connection of this session."""
        self.pool.session_idle(session)

    def pooled_closed(self) -> None:
        """A descriptor of the pool was given back."""
        self.board.add(self._fds, -1)

    def open_later(self, session: Session) -> None:
        """Have the session open its planned connections when it has lived a moment."""
        if not self._planned:
            self.loop.call_later(OPEN_LATER_MS / 1000, self._open_planned)
        self._planned.append((self.poller.now_us + OPEN_LATER_MS * 1000, session))

    def _open_planned(self) -> None:
        planned, now = self._planned, self.poller.now_us
        while planned and (planned[0][0] <= now or planned[0][1].closed):
            session = planned.popleft()[1]
            if not session.closed:
                session.open_planned()
        if planned:
            self.loop.call_later(max(1000, planned[0][0] - now) / 1e6, self._open_planned)

    def start_tls(self, session: Session, backend: Backend) -> None:
        """Switch a server connection to TLS."""
        channel = backend.channel
        assert isinstance(channel, TlsChannel)
        params = backend.server.definition.params
        channel.start_tls(
            backend.server.tls,
            server_side=False,
            hostname=str(params.get("address") or "localhost"),
            on_ready=backend.login.tls_ready,
        )

    def backend_closed(self, backend: Backend) -> None:
        """A server connection was closed."""
        self.deadlines.backend_closed(backend)
        self.board.add(self._fds, -1)
        if backend.server.pools:
            self.pool.freed(backend.server)

    def backend_refused(self, backend: Backend) -> None:
        """A server refused a login."""
        self.board.add(worker_server_index(self.worker, backend.slot, S_FAILED_AUTHS), 1)

    def server_blocks_us(self, server: Server, message: str) -> None:
        """A server said 1129."""
        self.send(MaintainServer(server.name, message))

    def hang_up(self, server: str, reason: str, gently: bool) -> None:
        """A server is gone, or its draining is over and its connections are to end gently."""
        if server in self.servers:
            self.pool.drop(self.servers[server])
        for session in list(self.sessions.values()):
            for backend in session.backends:
                if backend.server.name == server and backend.in_use() and not session.closed:
                    if gently:
                        session.router.leave(backend, reason)
                    else:
                        session.router.hang_up(backend, reason)

    # -- KILL

    def forward_kill(self, order: KillOrder, session: Session) -> None:
        """Have a KILL carried out in all workers."""
        self._last_kill += 1
        self._kills[self._last_kill] = session
        credentials = {"user": order.issuer_user, "password": order.issuer_password}
        self.send(
            ForwardKill(
                Kill(
                    self._last_kill,
                    self.worker,
                    order.kind,
                    order.hard,
                    order.session,
                    order.user,
                    order.issuer,
                    credentials,
                )
            )
        )

    def reply(self, message: Reply) -> None:
        """A KILL of one of our sessions is done."""
        session = self._kills.pop(message.id, None)
        if session is not None:
            session.kill_done()

    def kill(self, message: Kill) -> None:
        """Carry out a KILL for the sessions of this worker."""
        order = KillOrder(
            message.kind,
            message.hard,
            message.session,
            message.user,
            message.issuer,
            str(message.credentials["user"]),
            bytes(message.credentials["password"]),
        )
        victims = [session for session in self.sessions.values() if matches(order, session)]
        victims += [below for session in victims for below in self._sessions_below(session)]
        if not victims:
            self.send(KillDone(message.id, message.origin))
            return
        self._start(self._carry_out(message, order, victims))

    def _sessions_below(self, session: Session) -> list[Session]:
        """The sessions on services that this one uses, and theirs."""
        found = []
        for backend in session.backends:
            below = self.sessions.get(backend.thread_id) if backend.server.service else None
            if below is not None:
                found += [below, *self._sessions_below(below)]
        return found

    async def _carry_out(self, message: Kill, order: KillOrder, victims: list[Session]) -> None:
        try:
            await carry_out(order, victims, str(self.globals.get("local_address") or ""))
        finally:
            self.send(KillDone(message.id, message.origin))

    # -- requests of the supervisor

    async def request(self, what: str, args: dict[str, Any]) -> Any:
        """Answer a question about this worker."""
        return answer(self, what, args)

    # -- life

    def _tick(self) -> None:
        self.loop.call_later(TICK_SECONDS, self._tick)
        self.deadlines.tick(self.sessions, self.poller.now_us)
        self.pool.tick(self.servers, self.sessions, self.poller.now_us)
        board, own, classifier = self.board, self._own, self.classifier
        board.set(own + W_QC_HITS, classifier.hits)
        board.set(own + W_QC_MISSES, classifier.misses)
        board.set(own + W_QC_INSERTS, classifier.inserts)
        board.set(own + W_QC_EVICTIONS, classifier.evictions)
        board.set(own + W_QC_SIZE, classifier.size)
        board.set(own + W_WAKEUPS, self.poller.wakeups)

    def session_closed(self, session: Session) -> None:
        """A session has ended."""
        connection = session.connection
        if connection.channel is not None and connection.channel.finishing:
            self.deadlines.goodbye(connection, self.poller.now_us)
        if self.sessions.pop(session.id, None) is not None:
            session.service.sessions.discard(session)
            self.board.set(self._open_sessions, len(self.sessions))

    def _handler_failed(self, watched: Watched, error: Exception) -> None:
        """A handler raised: that is a bug of ours, and it costs one session."""
        handler = getattr(watched, "handler", None)
        session = getattr(handler, "session", None) or getattr(handler, "owner", None)
        _log.error("Unexpected error, the session ends", exc_info=error)
        if isinstance(session, Session):
            try:
                session.close("internal error", code=1105, sqlstate="HY000", message="Internal error")
            except Exception:
                _log.exception("Closing the session failed as well")
            if not session.client.finishing:
                self._abandon(session)
        elif isinstance(watched, Channel):
            watched.close()

    def _abandon(self, session: Session) -> None:
        """Take a session away whose end did not come to its end: its descriptors at least are given back."""
        for backend in session.backends:
            with contextlib.suppress(Exception):
                backend.close()
        self.session_closed(session)
        if not session.client.closed:
            session.client.close()
            session.connection.on_closed("internal error")

    async def stop(self, drain_ms: int) -> None:
        """Accept nothing more, give sessions time to end, then end them."""
        self._stopping = True
        for acceptor in self.acceptors.values():
            acceptor.close()
        deadline = self.loop.time() + drain_ms / 1000
        while self.sessions and self.loop.time() < deadline:
            for session in list(self.sessions.values()):
                if not session.expecting and not session.trx.active:
                    session.close("shutting down", code=1053, message="Server shutdown in progress")
            await asyncio.sleep(0.02)
        for session in list(self.sessions.values()):
            session.close("shutting down", code=1053, message="Server shutdown in progress")
        self.pool.close()
        for acceptor in self.acceptors.values():
            if acceptor.listener.params.get("socket") and self.worker == 0:
                try:
                    os.unlink(acceptor.listener.params["socket"])
                except OSError:
                    continue

    def _start(self, work: Any) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def log(self, level: int, text: str, session: Session | None) -> None:
        """Write to the log."""
        if session is None:
            _log.log(level, "%s", text)
        else:
            _log.log(level, "%s", text, extra={"session": session.id, "object": session.service.name})


def _address(params: dict[str, Any]) -> tuple[Any, ...]:
    return params.get("socket"), params.get("address"), params.get("port")


def _reduced(address: str) -> str:
    """An IPv4 address that came mapped into IPv6, as IPv4."""
    return address.removeprefix("::ffff:") if "." in address else address


def _send_and_close(fd: int, data: bytes) -> None:
    """Say why and hang up."""
    sys_send(fd, bytearray(data), 0, len(data))
    sys_close(fd)
