"""What goes wrong in a seed: cut and stalled connections, crashed servers, a moved primary, maintenance, lag,
and what administrators do: pauses, other ranks, changes of configuration.

`plan` schedules it all and says when the last of it has been healed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .server import Node
    from .world import World

# The time in which faults begin, in microseconds.
SPAN_US = 400_000
# A stalled connection goes on after this time; beyond the limit for connecting, too.
STALL_US = (1_000, 15_000_000)
DOWN_US = (10_000, 5_000_000)
# How long a service is paused, in milliseconds.
PAUSES_MS = (20, 100, 500, 2_000, 20_000)
# The monitor notices after this time, in microseconds.
MONITOR_US = (1_000, 400_000)


def plan(world: World) -> int:
    """Schedule the faults of this seed; the time when everything is well again."""
    rng = random.Random(world.rng.random())
    end = world.clock.now
    for _ in range(rng.choice((0, 0, 0, 0, 1, 2))):
        world.clock.after(rng.randint(0, SPAN_US), partial(pause, world, rng))
        end = world.clock.now + PAUSES_MS[-1] * 1200
    if rng.random() < 0.25:
        return end
    faults = _PEACEFUL if rng.random() < 0.3 else _FAULTS
    for _ in range(rng.randint(1, 5)):
        fault = rng.choice(faults)
        when = rng.randint(0, SPAN_US)
        world.clock.after(when, partial(fault, world, rng))
    return end + SPAN_US + STALL_US[1] + DOWN_US[1] + MONITOR_US[1] * 2


def _begin(world: World, what: str) -> None:
    world.disturbed = True
    world.note("FAULT", what)


def cut(world: World, rng: random.Random) -> None:
    """A connection breaks at some byte, in one direction or the other."""
    wires = list(world.network.wires)
    if not wires:
        return
    wire = rng.choice(wires)
    stream = rng.choice(wire.streams)
    _begin(world, f"{wire.name} is going to be cut")
    stream.cut_at = stream.delivered + rng.randint(0, 200)
    stream.on_cut = wire.reset


def reset(world: World, rng: random.Random) -> None:
    """A connection breaks at once."""
    wires = list(world.network.wires)
    if wires:
        wire = rng.choice(wires)
        _begin(world, f"{wire.name} is reset")
        wire.reset()


def stall(world: World, rng: random.Random) -> None:
    """Nothing passes for a while."""
    wires = list(world.network.wires)
    if wires:
        wire = rng.choice(wires)
        _begin(world, f"{wire.name} stalls")
        for stream in wire.streams:
            stream.stalled_until = world.clock.now + rng.randint(*STALL_US)


def _later(world: World, rng: random.Random, bounds: tuple[int, int], action: Callable[[], object]) -> None:
    world.clock.after(rng.randint(*bounds), action)


def crash(world: World, rng: random.Random) -> None:
    """A server dies and comes back; if it was the primary, another one may take its place."""
    up = [node for node in world.nodes if node.up]
    if not up:
        return
    node = rng.choice(up)
    _begin(world, f"{node.name} crashes")
    node.crash()
    _later(world, rng, MONITOR_US, lambda: _noticed(world, rng, node))
    _later(world, rng, DOWN_US, lambda: _back(world, rng, node))


def _noticed(world: World, rng: random.Random, node: Node) -> None:
    if node.up:
        return
    world.set_status(node, 0)
    if node.is_primary and rng.random() < 0.7:
        _promote(world, rng, node)


def _promote(world: World, rng: random.Random, former: Node) -> None:
    others = [node for node in world.nodes if node.up and node is not former]
    if not others:
        return
    chosen = rng.choice(others)
    former.is_primary = False
    chosen.is_primary = True
    world.note("monitor", f"{chosen.name} becomes the primary")
    world.set_status(chosen, world.status_of(chosen))


def _back(world: World, rng: random.Random, node: Node) -> None:
    node.up = True
    world.note("FAULT", f"{node.name} is back")
    _later(world, rng, MONITOR_US, lambda: world.set_status(node, world.status_of(node) if node.up else 0))


def move(world: World, rng: random.Random) -> None:
    """The primary is moved: its connections are cut, as a switchover does."""
    primaries = [node for node in world.nodes if node.is_primary and node.up]
    if not primaries or len(world.nodes) < 2:
        return
    former = primaries[0]
    _begin(world, f"{former.name} is demoted")
    former.is_primary = False
    for connection in list(former.connections.values()):
        connection.killed(False)
    world.set_status(former, world.status_of(former))
    _later(world, rng, (0, 50_000), lambda: _promote(world, rng, former))


def maintenance(world: World, rng: random.Random) -> None:
    """A server is put in maintenance, and taken out again."""
    node = rng.choice(world.nodes)
    _begin(world, f"{node.name} goes into maintenance")
    world.maintain(node, True)
    _later(world, rng, DOWN_US, lambda: world.maintain(node, False))


def drain(world: World, rng: random.Random) -> None:
    """A replica runs dry, with a deadline, and is used again later."""
    node = rng.choice([each for each in world.nodes if not each.is_primary] or world.nodes)
    if node.is_primary:
        return
    world.note("admin", f"drains {node.name}")
    world.drain(node, rng.randint(1_000, 300_000))
    _later(world, rng, DOWN_US, lambda: world.refill(node))


def lag(world: World, rng: random.Random) -> None:
    """A replica falls behind, and catches up."""
    node = rng.choice(world.nodes)
    seconds = rng.choice((0, 5, 1000, -1))
    world.note("FAULT", f"{node.name} lags {seconds} s")
    world.set_lag(node, seconds)
    _later(world, rng, DOWN_US, lambda: world.set_lag(node, 0))


def rank(world: World, rng: random.Random) -> None:
    """A server gets another rank."""
    world.set_rank(rng.choice(world.nodes), rng.choice(("primary", "secondary")))


def change(world: World, rng: random.Random) -> None:
    """The configuration changes."""
    if rng.random() < 0.7:
        world.reconfigure(rng)
    else:
        world.change_pools(rng)


def pause(world: World, rng: random.Random) -> None:
    """The service is paused, and goes on by itself or before; the primary may be moved meanwhile."""
    milliseconds = rng.choice(PAUSES_MS)
    world.pause(rng, milliseconds)
    if rng.random() < 0.2:
        _later(world, rng, (0, milliseconds * 1000), lambda: move(world, rng))
    if rng.random() < 0.2:
        _later(world, rng, (0, milliseconds * 1000), lambda: change(world, rng))
    if rng.random() < 0.6:
        _later(world, rng, (0, milliseconds * 1200), lambda: world.resume(rng))


# What clients must not notice.
_PEACEFUL = (lag, rank, change, drain)
_FAULTS = (
    cut, cut, reset, reset, stall, crash, crash, move, maintenance, drain, lag, lag, rank, change, change,
)  # fmt: skip
