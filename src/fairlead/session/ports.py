"""What a session needs from outside: its host, which is a worker in earnest and the simulator in tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from fairlead.cluster.board import Board
from fairlead.session.kill import KillOrder
from fairlead.session.server import Server

if TYPE_CHECKING:
    from fairlead.session.backend import Backend
    from fairlead.session.service import ServiceRuntime
    from fairlead.session.session import Session


class Host(Protocol):
    """The surroundings of a session. Nothing here blocks."""

    board: Board
    worker: int
    globals: dict[str, Any]
    classifier: Any

    def connect(self, session: Session, backend: Backend) -> None:
        """Begin to open a connection and call `backend.opened`; OSError if that fails at once."""

    def open_later(self, session: Session) -> None:
        """Call `session.open_planned()` when the session has lived a moment."""

    def start_tls(self, session: Session, backend: Backend) -> None:
        """Switch the backend's channel to TLS; `backend.login.tls_ready()` follows."""

    def scramble(self) -> bytes:
        """20 random bytes without NUL."""

    def wall_clock(self) -> float:
        """Seconds since 1970."""

    def call_later(self, milliseconds: int, callback: Any) -> Any:
        """Call a function later; the result has `cancel()`."""

    def forward_kill(self, order: KillOrder, session: Session) -> None:
        """Carry the order out everywhere, then call `session.kill_done()`."""

    def reload_accounts(self, service: ServiceRuntime, callback: Callable[[], None]) -> None:
        """Ask for fresh accounts; the callback follows in any case, within a limit of time."""

    def accounts_doubtful(self, service: ServiceRuntime) -> None:
        """A server refused a login that our accounts allowed: they should be read again."""

    def backend_closed(self, backend: Backend) -> None:
        """A server connection was closed."""

    def keep(self, session: Session, backend: Backend) -> bool:
        """Take over an idle connection of a session that ends; False if it is to be closed."""

    def session_idle(self, session: Session) -> None:
        """A session whose connections others may use meanwhile has nothing under way."""

    def backend_refused(self, backend: Backend) -> None:
        """A server refused a login."""

    def server_blocks_us(self, server: Server, message: str) -> None:
        """A server said that our host is blocked (1129)."""

    def session_closed(self, session: Session) -> None:
        """The session has ended."""

    def log(self, level: int, text: str, session: Session | None) -> None:
        """Write to the log."""
