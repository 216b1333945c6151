"""Who replicates from whom: the graph of the monitored servers, from the facts of one tick.

Pure functions. Servers are known by their index, which is their place in the configuration. A link needs both
threads of a connection; with one stopped the source is only a *failed parent*; with both there is no link.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from fairlead.monitors.model import ServerView, SlaveConnection

Addresses = Mapping[str, frozenset[str]]


class Source(Struct, frozen=True):
    """A connection and the index of the server at its other end."""

    index: int
    connection: SlaveConnection


class Node(Struct):
    """The neighbours of one server. `cycle` is the number of the ring it belongs to, 0 for none."""

    parents: list[Source] = []
    failed_parents: list[Source] = []
    external: list[SlaveConnection] = []
    children: list[Source] = []
    failed_children: list[Source] = []
    cycle: int = 0


class Topology(Struct):
    """The whole graph. `cycles`: the members of every ring, in the order of the configuration."""

    nodes: list[Node]
    cycles: dict[int, tuple[int, ...]]

    def has_outside_source(self, cycle: int) -> bool:
        """Somebody in this ring replicates from a monitored server outside of it."""
        members = self.cycles[cycle]
        return any(parent.index not in members for one in members for parent in self.nodes[one].parents)

    def describe(self, views: Sequence[ServerView]) -> tuple[tuple[object, ...], ...]:
        """What must differ for a warning about the graph to be given again."""
        return tuple(
            (
                view.name, view.read_only, view.server_id,
                tuple((c.name, c.host, c.port, c.source_id, c.io, c.sql) for c in view.connections),
            )
            for view in views
        )  # fmt: skip


def find_source(
    views: Sequence[ServerView], connection: SlaveConnection, by_address: bool, addresses: Addresses
) -> int | None:
    """The monitored server that a connection replicates from; None if it is none of them."""
    if not by_address:
        if not connection.was_connected or connection.source_id < 0:
            return None
        return next((i for i, one in enumerate(views) if one.server_id == connection.source_id), None)
    endpoint = (connection.host.lower(), connection.port)
    for index, view in enumerate(views):
        if endpoint in view.endpoints:
            return index
    found = addresses.get(endpoint[0], frozenset())
    if found:
        for index, view in enumerate(views):
            for host, port in view.endpoints:
                if port == connection.port and found & addresses.get(host, frozenset()):
                    return index
    return None


def unresolved_hosts(views: Sequence[ServerView]) -> set[str]:
    """Names whose addresses would help: empty if every source is found by its name already."""
    known = {endpoint for view in views for endpoint in view.endpoints}
    wanted = {
        connection.host.lower()
        for view in views
        for connection in view.connections
        if not connection.stopped and (connection.host.lower(), connection.port) not in known
    }
    if not wanted:
        return set()
    return wanted | {host for host, _ in known}


def build(
    views: Sequence[ServerView], by_address: bool = True, addresses: Addresses | None = None
) -> Topology:
    """The graph of these servers. `by_address`: recognise sources by host and port, else by server id."""
    nodes = [Node(parents=[], failed_parents=[], external=[], children=[], failed_children=[]) for _ in views]
    for index, view in enumerate(views):
        node = nodes[index]
        for connection in view.connections:
            source = find_source(views, connection, by_address, addresses or {})
            if source is None:
                if not connection.stopped:
                    node.external.append(connection)
            elif source == index:
                continue
            elif connection.linked:
                node.parents.append(Source(source, connection))
                nodes[source].children.append(Source(index, connection))
            elif connection.half_stopped:
                node.failed_parents.append(Source(source, connection))
                nodes[source].failed_children.append(Source(index, connection))
    cycles = {}
    for number, members in enumerate(_components(nodes), 1):
        cycles[number] = members
        for index in members:
            nodes[index].cycle = number
    return Topology(nodes, cycles)


def reach(topology: Topology, views: Sequence[ServerView], start: int) -> int:
    """How many running servers get what is written on this one, itself included."""
    seen = {start}
    waiting = [start]
    while waiting:
        for child in topology.nodes[waiting.pop()].children:
            if child.index not in seen:
                seen.add(child.index)
                waiting.append(child.index)
    return sum(views[index].running for index in seen)


def _components(nodes: Sequence[Node]) -> list[tuple[int, ...]]:
    """Strongly connected components of at least two servers (Tarjan), by their first member."""
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    found: list[tuple[int, ...]] = []

    def visit(index: int) -> None:
        order[index] = low[index] = len(order)
        stack.append(index)
        for parent in nodes[index].parents:
            if parent.index not in order:
                visit(parent.index)
                low[index] = min(low[index], low[parent.index])
            elif parent.index in stack:
                low[index] = min(low[index], order[parent.index])
        if low[index] == order[index]:
            position = stack.index(index)
            members = stack[position:]
            del stack[position:]
            if len(members) > 1:
                found.append(tuple(sorted(members)))

    for index in range(len(nodes)):
        if index not in order:
            visit(index)
    return sorted(found)
