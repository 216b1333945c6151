"""Who is primary and who is a replica: the rules, as pure functions of one tick's facts and what was before.

Invariant: a primary once chosen is kept unless it is invalid for one of the reasons in `why_invalid`, and
even then if there is nobody to replace it. Every decision carries its reason as a sentence for the log.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from msgspec import Struct

from fairlead.cluster.status import BLR, MASTER, RELAY, SLAVE
from fairlead.monitors.mariadbmon.topology import Topology, reach
from fairlead.monitors.model import IO_YES, ServerView, SlaveConnection

EXTERNAL_SOURCE = "Slave of External Server"


class RoleSettings(Struct, frozen=True):
    """The parameters that matter here. `secondary`: another instance holds the majority of the locks."""

    master_conditions: frozenset[str] = frozenset({"primary_monitor_master", "disk_space_ok"})
    slave_conditions: frozenset[str] = frozenset()
    failcount: int = 5
    enforce_writable_master: bool = False
    secondary: bool = False


class Memory(Struct, frozen=True):
    """What is remembered from tick to tick. `in_cycle`: the primary was in a ring when it was chosen."""

    master: str | None = None
    in_cycle: bool | None = False


class Choice(Struct, frozen=True):
    """The primary by its index, what to remember, and what to say about it.

    `problem` is a standing state of affairs, to be logged when it begins or changes; `news` is an event.
    """

    master: int | None
    memory: Memory
    news: str = ""
    problem: str = ""
    hint: str = ""


class Role(Struct, frozen=True):
    """What a server is now: its role bits, lag in seconds (-1: unknown), and why it has no better role."""

    bits: int = 0
    lag: int = -1
    details: str = ""
    reason: str = ""


# -- the primary


def why_unsuitable(view: ServerView, settings: RoleSettings, down_is_fine: bool = False) -> str:
    """Why a server cannot become the primary; empty if it can."""
    if not view.database:
        return "it is not a database server"
    if view.maintenance:
        return "it is in maintenance"
    if not view.running:
        return "" if down_is_fine else "it is down"
    if not view.permitted:
        return "the monitor's account lacks privileges on it"
    if view.read_only:
        return "it is read-only"
    if _must_be_marked(settings) and not view.marked:
        return "the instance that holds the locks has another primary"
    return ""


def why_invalid(
    views: Sequence[ServerView], topology: Topology, index: int, in_cycle: bool | None, settings: RoleSettings
) -> str:
    """Why the current primary cannot stay the primary; empty if it can."""
    view, node = views[index], topology.nodes[index]
    if not view.running:
        if view.failures > settings.failcount and not _has_living_replica(views, topology, index, settings):
            return f"it has been down for more than {settings.failcount} ticks and has no running replica"
        return ""
    if view.read_only and not settings.enforce_writable_master:
        return "it is read-only"
    if _must_be_marked(settings) and not view.marked:
        return "the instance that holds the locks has another primary"
    if in_cycle:
        if not node.cycle:
            return "it is no longer in its ring of replication"
        if topology.has_outside_source(node.cycle):
            return "its ring replicates from a server outside of the ring"
    elif in_cycle is False and node.parents:
        return f"it has begun to replicate from '{views[node.parents[0].index].name}'"
    return ""


def candidates(
    views: Sequence[ServerView], topology: Topology, settings: RoleSettings, down_is_fine: bool = False
) -> tuple[list[int], list[str]]:
    """Servers that can become the primary, and of all others why they cannot."""
    found: list[int] = []
    problems: list[str] = []

    def consider(index: int) -> bool:
        problem = why_unsuitable(views[index], settings, down_is_fine)
        if problem:
            problems.append(f"'{views[index].name}': {problem}")
        else:
            found.append(index)
        return not problem

    for index, node in enumerate(topology.nodes):
        if not node.parents and not node.failed_parents:
            consider(index)
        elif not node.cycle:
            source = (node.parents or node.failed_parents)[0].index
            problems.append(f"'{views[index].name}': it replicates from '{views[source].name}'")
    for number, members in topology.cycles.items():
        if topology.has_outside_source(number):
            problems.extend(f"'{views[one].name}': its ring has a source outside of it" for one in members)
        else:
            any(consider(one) for one in members)
    return found, problems


def choose_master(
    views: Sequence[ServerView], topology: Topology, memory: Memory, settings: RoleSettings
) -> Choice:
    """The primary of this tick."""
    current = next((i for i, view in enumerate(views) if view.name == memory.master), None)
    possible, problems = candidates(views, topology, settings)
    best = _best(views, topology, possible)
    if current is None:
        return _first_choice(views, topology, settings, best, problems)
    invalid = why_invalid(views, topology, current, memory.in_cycle, settings)
    if not invalid:
        keep = Memory(memory.master, memory.in_cycle)
        if memory.in_cycle is None:
            keep = Memory(memory.master, bool(topology.nodes[current].cycle))
        hint = ""
        if best is not None and best != current and views[current].running:
            if reach(topology, views, best) > reach(topology, views, current):
                hint = (
                    f"'{views[best].name}' would be a better primary than '{memory.master}', "
                    "which stays the primary because it is valid"
                )
        return Choice(current, keep, hint=hint)
    if best is None:
        problem = (
            f"The primary '{memory.master}' is not valid any more, because {invalid}, but no other server "
            f"can replace it ({'; '.join(problems) or 'there is none'})"
        )
        return Choice(current, memory, problem=problem)
    chosen = Memory(views[best].name, bool(topology.nodes[best].cycle))
    if best == current:
        return Choice(current, chosen)
    news = f"Setting '{views[best].name}' as primary. '{memory.master}' is not valid: {invalid}."
    return Choice(best, chosen, news=news)


def _first_choice(
    views: Sequence[ServerView],
    topology: Topology,
    settings: RoleSettings,
    best: int | None,
    problems: list[str],
) -> Choice:
    problem = ""
    if best is None:
        possible, _ = candidates(views, topology, settings, down_is_fine=True)
        best = _best(views, topology, possible)
        if best is None:
            return Choice(None, Memory(), problem=f"No server can be the primary ({'; '.join(problems)})")
        problem = (
            f"'{views[best].name}' is taken as the primary although it is down, as no running server can be"
        )
    chosen = Memory(views[best].name, bool(topology.nodes[best].cycle))
    return Choice(best, chosen, news=f"Setting '{views[best].name}' as primary.", problem=problem)


def _best(views: Sequence[ServerView], topology: Topology, possible: list[int]) -> int | None:
    return max(sorted(possible), key=lambda index: reach(topology, views, index), default=None)


def _must_be_marked(settings: RoleSettings) -> bool:
    return settings.secondary and "primary_monitor_master" in settings.master_conditions


def _has_living_replica(
    views: Sequence[ServerView], topology: Topology, start: int, settings: RoleSettings
) -> bool:
    seen = {start}
    waiting = [start]
    while waiting:
        node = topology.nodes[waiting.pop()]
        for child in (*node.children, *node.failed_children):
            if child.index in seen:
                continue
            view = views[child.index]
            if view.running or 0 < view.failures <= settings.failcount:
                return True
            seen.add(child.index)
            waiting.append(child.index)
    return False


# -- labels


def assign_roles(
    views: Sequence[ServerView], topology: Topology, master: int | None, settings: RoleSettings
) -> list[Role]:
    """The role of every server."""
    bits = [0] * len(views)
    lags = [-1] * len(views)
    reasons = [""] * len(views)
    if master is not None:
        view = views[master]
        reasons[master] = _why_not_master(views, topology, master, settings)
        if not reasons[master]:
            bits[master] |= MASTER
        if view.running:
            lags[master] = 0
        nobody = _why_no_replicas(view, bool(bits[master] & MASTER), settings)
        if nobody:
            for index in range(len(views)):
                if index != master:
                    reasons[index] = nobody
        else:
            if view.running and view.permitted and view.database and not bits[master] & MASTER:
                if _disk_allows(view, settings):
                    bits[master] |= SLAVE
            _label_replicas(views, topology, master, settings, bits, lags)
    roles = []
    for index, node in enumerate(topology.nodes):
        details = EXTERNAL_SOURCE if node.external and views[index].running else ""
        roles.append(
            Role(bits[index], lags[index], details, reasons[index] if not bits[index] & MASTER else "")
        )
    return roles


def _why_not_master(
    views: Sequence[ServerView], topology: Topology, master: int, settings: RoleSettings
) -> str:
    view, wanted = views[master], settings.master_conditions
    if not view.running:
        return "the server is down"
    if not view.permitted:
        return "the monitor's account lacks privileges"
    if not view.database:
        return "it is not a database server"
    if view.read_only:
        return "the server is read-only"
    if "disk_space_ok" in wanted and view.low_disk:
        return "its disk is full"
    if _must_be_marked(settings) and not view.marked:
        return "the instance that holds the locks has another primary"
    children = topology.nodes[master].children
    attempting = [child for child in children if child.connection.attempts]
    if "connecting_slave" in wanted and not attempting:
        return "no replica connects to it (master_conditions=connecting_slave)"
    if "connected_slave" in wanted and not any(child.connection.io == IO_YES for child in attempting):
        return "no replica is connected to it (master_conditions=connected_slave)"
    if "running_slave" in wanted and not any(views[child.index].running for child in attempting):
        return "no running replica connects to it (master_conditions=running_slave)"
    return ""


def _why_no_replicas(view: ServerView, labelled: bool, settings: RoleSettings) -> str:
    wanted = settings.slave_conditions
    if "writable_master" in wanted and not labelled:
        return "the primary cannot be written to (slave_conditions=writable_master)"
    if "running_master" in wanted and not view.running:
        return "the primary is down (slave_conditions=running_master)"
    if "primary_monitor_master" in wanted and settings.secondary and not view.marked:
        return "the instance that holds the locks has another primary"
    return ""


def _disk_allows(view: ServerView, settings: RoleSettings) -> bool:
    wanted = settings.master_conditions | settings.slave_conditions
    return not (view.low_disk and "disk_space_ok" in wanted)


def _label_replicas(
    views: Sequence[ServerView], topology: Topology, master: int, settings: RoleSettings,
    bits: list[int], lags: list[int],
) -> None:  # fmt: skip
    """Search outwards from the primary, servers with an unbroken chain first."""
    only_linked = "linked_master" in settings.slave_conditions
    need_disk = "disk_space_ok" in settings.slave_conditions
    seen = {master}
    queue: list[tuple[bool, int, int]] = [(not views[master].running, 0, master)]
    counter = 0
    while queue:
        broken, _, index = heapq.heappop(queue)
        for child in topology.nodes[index].children:
            if not child.connection.attempts:
                continue
            view = views[child.index]
            live = child.connection.io == IO_YES and views[index].running and not broken and view.running
            if only_linked and not live:
                continue
            if child.index != master and view.running:
                lags[child.index] = _smaller(lags[child.index], child.connection)
            if child.index == master or child.index in seen:
                continue
            counter += 1
            heapq.heappush(queue, (not live, counter, child.index))
        # A server is entered by its best chain, so it counts as seen only when it is taken from the queue.
        while queue and queue[0][2] in seen:
            heapq.heappop(queue)
        if queue:
            _enter(views, topology, queue[0], seen, need_disk, bits, lags)


def _enter(
    views: Sequence[ServerView], topology: Topology, entry: tuple[bool, int, int], seen: set[int],
    need_disk: bool, bits: list[int], lags: list[int],
) -> None:  # fmt: skip
    broken, _, index = entry
    seen.add(index)
    view = views[index]
    if not (view.running and view.permitted) or (need_disk and view.low_disk):
        lags[index] = -1
        return
    if not view.database:
        bits[index] |= BLR
        return
    bits[index] |= SLAVE
    children = topology.nodes[index].children
    if not broken and any(views[child.index].running and child.connection.attempts for child in children):
        bits[index] |= RELAY


def _smaller(lag: int, connection: SlaveConnection) -> int:
    if connection.lag is None:
        return lag
    return connection.lag if lag < 0 else min(lag, connection.lag)
