"""GTID positions: as text, as values, and as cells of the status board.

A position is a map from replication domain to (server id, sequence number). A set of MySQL's GTIDs is one,
too: what is before the first colon, a UUID, is split into domain (its upper half) and server id (the lower
half), both signed, and the sequence is the highest number. So a position says "everything of this origin up
to here", which is what has to be waited for. On the board it takes `GTIDS_MAX` places of three cells:
domain + 1 (0: the place is empty), server id, sequence. Source: MariaDB documentation, "Global Transaction
ID"; MySQL Reference Manual, "GTID Format and Storage".
"""

from __future__ import annotations

from uuid import UUID

from fairlead.cluster.board import GTID_CELLS, GTIDS_MAX, Board

Position = dict[int, tuple[int, int]]

# Domains of MariaDB are smaller.
_DOMAINS = 1 << 32
_HALF = 1 << 63
_WORD = 1 << 64


def parse(text: str) -> Position:
    """A position from its text, `0-1-5,2-3-7` or `3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7`; what is not
    a GTID is left out."""
    position: Position = {}
    for each in text.split(","):
        each = each.strip()
        if ":" in each:
            _parse_set(each, position)
            continue
        parts = each.split("-")
        if len(parts) == 3 and all(part.isdigit() for part in parts):
            position[int(parts[0])] = (int(parts[1]), int(parts[2]))
    return position


def _parse_set(text: str, position: Position) -> None:
    """GTIDs of one origin of MySQL. Those with tags, and origins that look like domains, are left out."""
    origin, *intervals = text.split(":")
    try:
        number = UUID(origin).int
        highest = max(int(interval.strip().rpartition("-")[2]) for interval in intervals)
    except ValueError:
        return
    domain = _signed(number >> 64)
    if not _of_mariadb(domain) and domain != -1:
        position[domain] = (_signed(number % _WORD), highest)


def _of_mariadb(domain: int) -> bool:
    return 0 <= domain < _DOMAINS


def _signed(half: int) -> int:
    return half - _WORD if half >= _HALF else half


def is_mysql(position: Position) -> bool:
    """Whether these are GTIDs of MySQL."""
    return not all(map(_of_mariadb, position))


def text_of(position: Position) -> str:
    """The text of a position, for the kind of server that it is of; empty for an empty one."""
    gtids = sorted((domain, server, sequence) for domain, (server, sequence) in position.items())
    return ",".join(
        f"{domain}-{server}-{sequence}"
        if _of_mariadb(domain)
        else f"{UUID(int=(domain % _WORD << 64) + server % _WORD)}:1-{sequence}"
        for domain, server, sequence in gtids
    )


def merge(into: Position, other: Position) -> None:
    """Raise the domains of a position to those of another."""
    for domain, (server, sequence) in other.items():
        if domain not in into or into[domain][1] < sequence:
            into[domain] = (server, sequence)


def read(board: Board, index: int) -> Position:
    """The position that stands at this index of the board."""
    position: Position = {}
    for at in range(index, index + GTIDS_MAX * GTID_CELLS, GTID_CELLS):
        domain = board.get(at)
        if domain:
            position[domain - 1] = (board.get(at + 1), board.get(at + 2))
    return position


def write(board: Board, index: int, position: Position) -> None:
    """Put a position there; domains beyond the places there are, are left out."""
    entries = list(position.items())[:GTIDS_MAX]
    for place in range(GTIDS_MAX):
        at = index + place * GTID_CELLS
        if place < len(entries):
            domain, (server, sequence) = entries[place]
            if board.get(at) != domain + 1:
                board.set(at, 0)
            board.set(at + 1, server)
            board.set(at + 2, sequence)
            board.set(at, domain + 1)
        else:
            board.set(at, 0)


def reaches(position: Position, wanted: Position) -> bool:
    """Whether the position contains everything that is wanted."""
    return all(
        domain in position and position[domain][1] >= sequence for domain, (_, sequence) in wanted.items()
    )
