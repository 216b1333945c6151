"""What has to be true when a seed is over, whatever happened in it.

The checkers know the ledger of the servers, what the clients were told, and the product's own state; they
know nothing of the workload or of the faults.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fairlead.session.backend import B_READY

if TYPE_CHECKING:
    from .world import World


def check_everything(world: World) -> None:
    """All checks; what they find goes to the world."""
    check_nobody_hangs(world)
    check_states(world)
    check_writes(world)
    for client in world.clients:
        if client.state not in ("gone", "greeting"):
            client.done = True
            client.state = "gone"
            client.hang_up()
    world.settle(20_000_000)
    world.over = True
    check_leaks(world)


def check_nobody_hangs(world: World) -> None:
    """Every client has come to its end."""
    if world.findings:
        return
    for client in world.clients:
        if not client.done:
            under_way = [sent.sql for sent in client.sent]
            world.finding(f"{client.name} hangs in state {client.state}, waiting for {under_way}")


def check_writes(world: World) -> None:
    """An acknowledged write was applied once; one that failed never; one of unknown fate at most once."""
    applied = Counter(commit.token for commit in world.ledger)
    known = set()
    for client in world.clients:
        for write in client.writes:
            known.add(write.token)
            count = applied[write.token]
            if count > 1:
                world.finding(f"write {write.token} was applied {count} times")
            if write.outcome == "acked" and count != 1:
                world.finding(f"write {write.token} was acknowledged and applied {count} times")
            if write.outcome in ("failed", "undone", "lost") and count:
                world.finding(f"write {write.token} was {write.outcome}, but applied")
    for token in applied:
        if token not in known:
            world.finding(f"write {token} was applied, but nobody sent it")


def check_states(world: World) -> None:
    """Every server connection that is ready has the state that its client believes in."""
    if world.findings:
        return
    for client in world.clients:
        session = world.sessions.get(client.session_id)
        if session is None or client.state != "ready" or client.sent:
            continue
        for backend in session.backends:
            if backend.state != B_READY or backend.pending:
                continue
            server = world.nodes[backend.slot].connections.get(backend.thread_id)
            if server is None:
                continue
            model = client.model
            wanted = (model.a, model.b, model.database, model.sql_mode)
            found = (server.variables["a"], server.variables["b"], server.database or None, server.sql_mode)
            if wanted != found:
                world.finding(f"{client.name} has {wanted} but its connection to {server.node.name} {found}")


def check_leaks(world: World) -> None:
    """Nothing is left of sessions that have ended."""
    if world.sessions:
        world.finding(f"sessions are left: {sorted(world.sessions)}")
    for name, value in world.gauges().items():
        if value:
            world.finding(f"the gauge '{name}' is {value} though nobody is there")
    if world.network.channels:
        names = sorted(channel.wire.name for channel in world.network.channels)
        world.finding(f"channels are left open: {names}")
    for node in world.nodes:
        for connection in node.connections.values():
            world.finding(f"{node.name} still has connection {connection.thread_id} of {connection.user}")
