"""Whether the disks of a server are full, by the limits of the configuration. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

EVERY_PATH = "*"


def full_disks(disks: Iterable[tuple[str, int, int]], limits: Mapping[str, int]) -> list[str]:
    """The (path, total, available) rows that reach their limit, as text. `*`: paths without a limit."""
    full = []
    for path, total, available in disks:
        limit = limits.get(path, limits.get(EVERY_PATH))
        if limit is None or total <= 0:
            continue
        used = (total - available) * 100 / total
        if used >= limit:
            full.append(f"{path} is {used:.0f}% full, the limit is {limit}%")
    return full


def unknown_paths(disks: Iterable[tuple[str, int, int]], limits: Mapping[str, int]) -> list[str]:
    """Paths that have a limit but that the server does not know."""
    known = {path for path, _, _ in disks}
    return [path for path in limits if path != EVERY_PATH and path not in known]
