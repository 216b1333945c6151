"""A service as the sessions of a worker know it: its targets, its router, its accounts.

A change of configuration gives the service new `params` and `targets`; sessions keep what was current when
they began, apart from what the status board tells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fairlead.accounts.model import AccountSet
from fairlead.cluster.defs import ServiceDef
from fairlead.session.functions import ReadFunctions
from fairlead.session.router import RouterSession
from fairlead.session.server import Server

if TYPE_CHECKING:
    from fairlead.session.session import Session

# Lines kept for a session of a service that has session_trace on while the global parameter has no number.
TRACE_LINES = 100


class Standing:
    """What the versions of a service have in common, however often its configuration changes: a session may
    begin with a version that is not the present one any more.
    """

    def __init__(self) -> None:
        self.sessions: set[Session] = set()
        # They are held back.
        self.paused = False


RouterFactory = Callable[[Any, "ServiceRuntime"], RouterSession]


class ServiceRuntime:
    """`factory` makes the router's part of a session; `router_config` is the router's own view of the
    parameters.
    """

    def __init__(self, definition: ServiceDef) -> None:
        self.name = definition.name
        self.slot = definition.slot
        self.definition = definition
        self.params: dict[str, Any] = definition.params
        self.targets: list[Server] = []
        self.factory: RouterFactory | None = None
        self.router_config: Any = None
        self.accounts = AccountSet()
        self.accounts_version = 0
        self.accounts_loaded = False
        self.functions = ReadFunctions()
        self.standing = Standing()
        self.read_params()
        # Lines of the story of a session (0: none is kept), and what writes it to the log at its end.
        self.trace_lines = 0
        self.trace_match = ""
        # A hintfilter is in the filter chain.
        self.has_hints = False

    @property
    def sessions(self) -> set[Session]:
        """The sessions of all its versions."""
        return self.standing.sessions

    def new_router(self, session: Session) -> RouterSession:
        """The router's part of a new session."""
        assert self.factory is not None
        return self.factory(session, self)

    def read_params(self) -> None:
        """Read once what every session asks for."""
        params = self.params
        self.history_limit = int(params["max_sescmd_history"])
        self.history_prunes = bool(params["prune_sescmd_history"])
        self.history_disabled = bool(params["disable_sescmd_history"])
        self.shares = int(params.get("idle_session_pool_time", -1)) >= 0
        self.reuses_prepares = bool(params.get("reuse_prepared_statements"))
        # 0: no limit.
        self.max_connections = int(params.get("max_connections") or 0)
        self.functions.configure(params)

    def take_functions(self, old: ServiceRuntime) -> None:
        """Go on with what this service knew before its configuration changed, as its sessions do."""
        self.functions = old.functions
        self.functions.configure(self.params)

    def use_globals(self, global_params: dict[str, Any]) -> None:
        """Take over what global parameters say of the sessions of all services."""
        self.trace_lines = int(global_params.get("session_trace") or 0)
        if not self.trace_lines and self.params.get("session_trace"):
            self.trace_lines = TRACE_LINES
        self.trace_match = str(global_params.get("session_trace_match") or "")

    def retain_last_statements(self, global_params: dict[str, Any]) -> int:
        """How many statements each session keeps for the diagnostics."""
        own = int(self.params.get("retain_last_statements", -1))
        return own if own >= 0 else int(global_params.get("retain_last_statements", 0))
