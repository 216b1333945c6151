"""What crosses the control bus: typed messages, msgpack in length-prefixed frames, one socket per worker.

A request carries `id`; its answer is a `Reply` with the same id. Everything else is fire-and-forget.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from fairlead.accounts.model import AccountSet
from fairlead.cluster.defs import ServerFacts, Snapshot
from fairlead.workers.loglines import LogSettings

# Largest frame on the bus, in bytes: a snapshot or the accounts of a service.
FRAME_BYTES_MAX = 256 * 1024 * 1024


# -- supervisor -> worker


class Configure(Struct, tag=True):
    """Take over this configuration; the worker answers with `Configured`."""

    id: int
    snapshot: Snapshot


class Accounts(Struct, tag=True):
    """The accounts of a service; `loaded` is False if no server could be asked yet."""

    service: str
    version: int
    loaded: bool
    accounts: AccountSet


class Facts(Struct, tag=True):
    """What is known of the servers."""

    facts: list[ServerFacts]


class HangUp(Struct, tag=True):
    """Close every connection to this server: it is down, or its maintenance is forced; `gently`: each as
    soon as it is in no statement and no transaction, because the server's draining is over."""

    server: str
    reason: str
    gently: bool = False


class Kill(Struct, tag=True):
    """A KILL, for every worker (see `fairlead.session.kill`); `id` and `origin` go back in `KillDone`."""

    id: int
    origin: int
    kind: str  # "connection", "query", "user", "query_user"
    hard: str  # "", "HARD ", "SOFT "
    session: int
    user: str
    issuer: int
    credentials: dict[str, Any]


class Request(Struct, tag=True):
    """Ask the worker: what = ping | rotate_logs | sessions | session | close_session | threads | classify
    ...
    """

    id: int
    what: str
    args: dict[str, Any] = {}


class Stop(Struct, tag=True):
    """End: accept nothing more, let sessions finish for `drain_ms`, then close them."""

    drain_ms: int


# -- worker -> supervisor


class Configured(Struct, tag=True):
    """Answer to `Configure`: errors by listener name, empty if everything runs."""

    id: int
    version: int
    errors: dict[str, str] = {}


class ReloadAccounts(Struct, tag=True):
    """A login missed: please read the accounts of this service again, within the refresh rules.

    The answer is an `Accounts` message, with an unchanged version if the rules forbid reading.
    """

    service: str
    version: int


class ForwardKill(Struct, tag=True):
    """Send this KILL to every worker, the sender included; `Reply` to `kill.id` comes when all are done."""

    kill: Kill


class KillDone(Struct, tag=True):
    """One worker has finished a KILL."""

    id: int
    origin: int


class Reply(Struct, tag=True):
    """Answer to a `Request` or a `ForwardKill`."""

    id: int
    result: Any = None
    error: str = ""


class MaintainServer(Struct, tag=True):
    """A server said 1129 (host is blocked): put it into maintenance."""

    server: str
    reason: str


ToWorker = Configure | Accounts | Facts | HangUp | Kill | Request | Stop | Reply
ToSupervisor = Configured | ReloadAccounts | ForwardKill | KillDone | Reply | MaintainServer


# -- the start of a worker


class WorkerStart(Struct):
    """What a worker process is told on its command line, as JSON.

    `bus_fd` and `board_fd` are descriptors that it inherits; `log_path` empty: standard output;
    `plane`: the class of the data plane, `module:Class`.
    """

    index: int
    workers: int
    supervisor: int  # process id
    bus_fd: int
    board_fd: int
    paths: dict[str, str]
    log_path: str
    log: LogSettings
    plane: str = "fairlead.workers.plane:Plane"


def restore_tuples(snapshot: Snapshot) -> Snapshot:
    """Make tuples again of the lists that parameter values have become on the bus; changes it in place."""
    objects: tuple[Any, ...] = (
        *snapshot.servers,
        *snapshot.services,
        *snapshot.listeners,
        *snapshot.filters,
        *snapshot.monitors,
    )
    for values in (snapshot.globals, *(item.params for item in objects)):
        for name, value in values.items():
            if isinstance(value, list):
                values[name] = _tuple_of(value)
    return snapshot


def _tuple_of(value: list[Any]) -> tuple[Any, ...]:
    return tuple(_tuple_of(item) if isinstance(item, list) else item for item in value)
