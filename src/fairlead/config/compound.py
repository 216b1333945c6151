"""Value types whose values have parts: hosts, host patterns, throttling, disk limits."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from fairlead.config.values import Count, Duration, StringList, ValueType, shown, split_list, unquote


class Host(ValueType):
    """`address:port` or `[v6]:port`."""

    name = "host"

    def __init__(self, default_port: int | None = None):
        self.default_port = default_port

    def parse(self, text: str) -> str | None:
        text = unquote(text)
        if not text:
            return None
        match = re.fullmatch(r"(\[[0-9A-Fa-f:.%\w]+\]|[^:\[\]\s]+)(?::([0-9]{1,5}))?", text)
        if (
            match is None
            or (match[2] is None and self.default_port is None)
            or int(match[2] or 1) not in range(65536)
        ):
            raise ValueError(f"'{text}' is not a host with a port; allowed: {self.allowed()}")
        return text if match[2] is not None else f"{text}:{self.default_port}"

    def allowed(self) -> str:
        return "address:port or [IPv6 address]:port"


class HostPatterns(StringList):
    """Addresses, networks (a.b.c.d/n), patterns such as 10.1.%.% and of host names, separated by commas."""

    name = "host pattern list"

    def parse(self, text: str) -> tuple[str, ...]:
        return self._checked(super().parse(text))

    def from_json(self, value: Any) -> tuple[str, ...]:
        return self._checked(super().from_json(value))

    def _checked(self, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            if "/" in pattern:
                try:
                    ipaddress.ip_network(pattern, strict=False)
                except ValueError:
                    raise ValueError(f"'{pattern}' is not a network; allowed: {self.allowed()}") from None
            elif not re.fullmatch(r"[\w.:%*-]+", pattern):
                raise ValueError(f"'{pattern}' is not a host pattern; allowed: {self.allowed()}")
        return patterns

    def to_json(self, native: Any) -> Any:
        return ",".join(native) or None

    def allowed(self) -> str:
        return "addresses, networks (10.0.0.0/8), patterns (10.1.%.%, %.example.com) separated by commas"


def is_address_pattern(pattern: str) -> bool:
    """Whether a host pattern needs no name resolution."""
    return "/" in pattern or ":" in pattern or not re.search(r"[A-Za-z]", pattern)


class Throttling(ValueType):
    """`count, window, suppress`: so many equal lines in a window, then silence for a while. In ms."""

    name = "throttling"

    def parse(self, text: str) -> dict[str, int]:
        pieces = split_list(unquote(text), ",")
        if len(pieces) != 3:
            raise ValueError(f"'{text}' has {len(pieces)} parts; allowed: {self.allowed()}")
        span = Duration()
        window, suppress = span.parse(pieces[1]), span.parse(pieces[2])
        return {"count": Count().parse(pieces[0]), "window": window, "suppress": suppress}

    def from_json(self, value: Any) -> dict[str, int]:
        if isinstance(value, str):
            return self.parse(value)
        if not isinstance(value, Mapping) or set(value) != {"count", "window", "suppress"}:
            raise ValueError(f"{shown(value)} is not a throttling; allowed: {self.allowed()}")
        found = {"count": Count().from_json(value["count"])}
        for key in ("window", "suppress"):
            span = value[key]
            found[key] = Duration().parse(span) if isinstance(span, str) else Count().from_json(span)
        return found

    def to_text(self, native: Any) -> str:
        return f"{native['count']},{native['window']}ms,{native['suppress']}ms"

    def allowed(self) -> str:
        return "count, window, suppress time, for example 10,1000ms,10000ms"


class DiskLimits(ValueType):
    """`path:percent` pairs; the path `*` stands for all others."""

    name = "disk_space_limits"

    def parse(self, text: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for piece in split_list(unquote(text), ","):
            path, colon, percent = piece.rpartition(":")
            path, percent = path.strip(), percent.strip()
            if (
                not colon
                or not (path == "*" or path.startswith("/"))
                or not re.fullmatch(r"[0-9]{1,3}", percent)
            ):
                raise ValueError(f"'{piece}' is not a limit; allowed: {self.allowed()}")
            found[path] = self._share(int(percent))
        return found

    def _share(self, percent: Any) -> int:
        if isinstance(percent, bool) or not isinstance(percent, int) or not 0 <= percent <= 100:
            raise ValueError(f"{percent} is not a percentage; allowed: {self.allowed()}")
        return percent

    def from_json(self, value: Any) -> dict[str, int]:
        if isinstance(value, Mapping):
            return {str(path): self._share(percent) for path, percent in value.items()}
        return dict(super().from_json(value))

    def to_json(self, native: Any) -> Any:
        return native or None

    def to_text(self, native: Any) -> str:
        return ",".join(f"{path}:{percent}" for path, percent in native.items())

    def allowed(self) -> str:
        return "path:percent pairs separated by commas, for example /data:80,*:90"
