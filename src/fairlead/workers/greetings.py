"""What a worker tells a client before and after its login: the greeting, the scramble, and the variables that
are reported with the OK.

A greeting is made once for each listener and used until something about its servers has changed. Source:
spec core.md c1.
"""

from __future__ import annotations

import secrets

from fairlead import __version__
from fairlead.cluster.board import GENERATION, STATUS, V_SESSIONS, Board
from fairlead.cluster.status import MASTER, RUNNING, SLAVE
from fairlead.protocol.charsets import charset_of
from fairlead.protocol.constants import (
    BASE_CAPABILITIES,
    CLIENT_DEPRECATE_EOF,
    CLIENT_MYSQL,
    CLIENT_SESSION_TRACK,
    CLIENT_SSL,
    EXTENDED_CAPABILITIES,
)
from fairlead.protocol.handshake import Greeting, GreetingTemplate
from fairlead.session.listener import ALWAYS_REPORTED, ListenerRuntime
from fairlead.session.server import Server
from fairlead.session.service import ServiceRuntime
from fairlead.session.session import Session

# Scrambles made of one reading of the random source.
SCRAMBLES_AT_ONCE = 128
# Version shown when no server is known.
UNKNOWN_VERSION = "10.11.0"
# Maps random bytes to characters that every client takes in a scramble.
_PRINTABLE = bytes(33 + byte % 94 for byte in range(256))


class Greetings:
    """`of` is what the listener's clients are greeted with."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._templates: dict[ListenerRuntime, GreetingTemplate] = {}
        self._best: dict[ServiceRuntime, Server | None] = {}
        # The generation of the board that the two tables are of.
        self._generation = -1
        self._scrambles: list[bytes] = []

    def changed(self) -> None:
        """There is a new configuration, or news of the servers."""
        self._generation = -1

    def scramble(self) -> bytes:
        """20 random printable bytes."""
        if not self._scrambles:
            fresh = secrets.token_bytes(20 * SCRAMBLES_AT_ONCE).translate(_PRINTABLE)
            self._scrambles = [fresh[at : at + 20] for at in range(0, len(fresh), 20)]
        return self._scrambles.pop()

    def of(self, listener: ListenerRuntime) -> GreetingTemplate:
        """The greeting of a listener."""
        self._refresh()
        template = self._templates.get(listener)
        if template is None:
            template = self._templates[listener] = GreetingTemplate(self._make(listener))
        return template

    def _refresh(self) -> None:
        generation = self._board.get(GENERATION)
        if generation != self._generation:
            self._generation = generation
            self._templates.clear()
            self._best.clear()

    def _make(self, listener: ListenerRuntime) -> Greeting:
        """Version of the oldest server, capabilities that all servers have, character set of the best one."""
        facts = [server.facts for server in listener.service.targets if server.facts.version]
        version = str(listener.service.params.get("version_string") or "")
        capabilities = BASE_CAPABILITIES
        charset = 8
        if facts:
            lowest = min(facts, key=lambda each: _version_key(each.version))
            if not version:
                version = lowest.version
                if version.startswith("10"):
                    version = f"5.5.5-{version}"
            common = -1
            for each in facts:
                common &= each.capabilities
            capabilities &= common | CLIENT_MYSQL
            if all(
                "mariadb" in each.version.lower() and not each.capabilities & CLIENT_MYSQL for each in facts
            ):
                capabilities = (capabilities & ~CLIENT_MYSQL) | (EXTENDED_CAPABILITIES & common)
            best = self._best_server(listener.service)
            if best is not None:
                charset = best.facts.charset or 8
        else:
            capabilities &= ~(CLIENT_SESSION_TRACK | CLIENT_DEPRECATE_EOF)
        if listener.tls is not None:
            capabilities |= CLIENT_SSL
        return Greeting(
            version or f"5.5.5-{UNKNOWN_VERSION}-fairlead-{__version__}", 0, bytes(20), capabilities, charset
        )

    def _best_server(self, service: ServiceRuntime) -> Server | None:
        """The server whose variables and character set stand for the service."""
        if service not in self._best:
            known = [server for server in service.targets if server.facts.version]
            self._best[service] = max(known, key=self._worth, default=None)
        return self._best[service]

    def _worth(self, server: Server) -> int:
        status = self._board.server(server.slot, STATUS)
        return 3 if status & MASTER else 2 if status & SLAVE else 1 if status & RUNNING else 0

    def login_variables(self, listener: ListenerRuntime, session: Session) -> dict[str, str]:
        """What the OK of a login reports."""
        self._refresh()
        best = self._best_server(listener.service)
        values = best.facts.variables if best is not None else {}
        version = best.facts.version if best is not None else ""
        reported = {
            "threads_connected": str(self._board.sum_service(listener.service.slot, V_SESSIONS)),
            "connection_id": str(session.id & 0xFFFFFFFF),
        }
        assert set(reported) == set(ALWAYS_REPORTED)
        for name, value in listener.metadata:
            if value is None:
                found = _auto_value(name, values, version, session)
                if found is None:
                    continue
                name, value = found
            reported[name] = value
        return reported


def _auto_value(name: str, values: dict[str, str], version: str, session: Session) -> tuple[str, str] | None:
    """Name and value of a variable that is reported as the server has it; None if it is not known."""
    if name == "maxscale":
        return name, __version__
    if name in ("character_set_client", "character_set_connection", "character_set_results"):
        charset = charset_of(session.charset)
        return (name, charset) if charset else None
    if name == "tx_isolation" and _version_key(version) >= (11,):
        name = "transaction_isolation"
    value = values.get(name) or values.get("tx_isolation" if name == "transaction_isolation" else name)
    return None if value is None else (name, value)


def _version_key(version: str) -> tuple[int, ...]:
    """The numbers at the beginning of a version."""
    numbers = []
    for part in version.replace("-", ".").split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)
