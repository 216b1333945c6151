"""Which handler a method and a path lead to: a table, looked up by segments.

Invariant: a literal segment wins over a name, whatever the order of registration.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fairlead.admin.http import Answer, Call

Handler = Callable[[Call], Awaitable[Answer]]


class Routes:
    """The table of endpoints."""

    def __init__(self) -> None:
        self._routes: list[tuple[tuple[str, ...], dict[str, Handler]]] = []

    def add(self, method: str, path: str, handler: Handler) -> None:
        """Register an endpoint; a segment with a leading colon is a name."""
        pattern = tuple(path.strip("/").split("/")) if path.strip("/") else ()
        for known, handlers in self._routes:
            if known == pattern:
                assert method not in handlers, f"{method} {path} is registered twice"
                handlers[method] = handler
                return
        self._routes.append((pattern, {method: handler}))

    def find(self, method: str, segments: list[str]) -> tuple[Handler, dict[str, str]] | None:
        """The handler with the names in the path; HEAD is like GET."""
        wanted = "GET" if method == "HEAD" else method
        best: tuple[tuple[bool, ...], Handler, dict[str, str]] | None = None
        for pattern, handlers in self._routes:
            names = _match(pattern, segments)
            if names is not None and wanted in handlers:
                literal = tuple(not part.startswith(":") for part in pattern)
                if best is None or literal > best[0]:
                    best = literal, handlers[wanted], names
        return None if best is None else (best[1], best[2])

    def methods(self, segments: list[str]) -> list[str]:
        """What a path can be asked for."""
        found = {
            method
            for pattern, handlers in self._routes
            if _match(pattern, segments) is not None
            for method in handlers
        }
        return [method for method in ("GET", "PUT", "POST", "PATCH", "DELETE") if method in found]


def _match(pattern: tuple[str, ...], segments: list[str]) -> dict[str, str] | None:
    if len(pattern) != len(segments):
        return None
    names: dict[str, str] = {}
    for part, segment in zip(pattern, segments, strict=True):
        if part.startswith(":"):
            names[part[1:]] = segment
        elif part != segment:
            return None
    return names
