"""What has to be true when a seed is over, whatever happened in it.

The checkers know the ledger of the servers, what the clients were told, and the product's own state; they
know nothing of the workload or of the faults.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fairlead.cluster.board import LAG, RANK
from fairlead.session.backend import B_READY
from fairlead.workers.pool import shareable

if TYPE_CHECKING:
    from fairlead.session.server import Server

    from .host import SimHost
    from .server import Node
    from .world import Origin, World

# A connection that is idle for so long should have been found by one who waits for it, in microseconds.
NOTICED_US = 1_200_000


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
            foreign = server.temp_tables - model.temp_tables
            if foreign or len(server.prepared) > len(session.statements):
                where = f"{client.name}'s connection to {server.node.name}"
                world.finding(f"{where} has what it did not make: {foreign or server.prepared}")


def check_pool(host: SimHost, slot: int) -> None:
    """What waits in the pool for a next session is as after a login."""
    world = host.world
    for idle in host.pool.kept(slot):
        connection = world.nodes[slot].connections.get(idle.thread_id)
        if not idle.clean or connection is None:
            continue
        wanted = (idle.credentials.user, idle.credentials.database)
        if (connection.user, connection.database) != wanted or not connection.is_as_new():
            where = f"{world.nodes[slot].name}, connection {idle.thread_id}"
            world.finding(f"the pool has a connection that is not as after the login of {wanted}: {where}")


def check_limit(world: World, node: Node) -> None:
    """A connection was opened: no more than the server is to get."""
    limit = int(world.servers[node.slot].definition.params["max_routing_connections"])
    count = sum(channel.node is node for channel in world.network.channels) if limit else 0
    if count > limit:
        world.finding(f"{node.name} gets {count} connections, and its limit is {limit}")


def check_wait(host: SimHost, server: Server) -> None:
    """A session has waited for a connection in vain: there really was none."""
    world = host.world
    limit = int(server.definition.params["max_routing_connections"])
    used = sum(channel.node is world.nodes[server.slot] for channel in world.network.channels)
    if used < limit or not limit:
        world.finding(f"a session has waited in vain for {server.name}, which has {used} of {limit}")
    # Workers look at each other's needs once a second.
    patient = world.multiplex_timeout_us() > 2 * NOTICED_US
    for each in world.hosts if patient else [host]:
        if any(idle.clean for idle in each.pool.kept(server.slot)):
            world.finding(f"a session has waited in vain for {server.name}, and the pool has a connection")
        for session in each.sessions.values():
            for backend in session.backends:
                used_us = max(session.active_us, backend.opened_us, backend.written_us)
                idle_ms = (world.clock.now - used_us - NOTICED_US) // 1000
                if backend.slot == server.slot and shareable(session, backend, idle_ms):
                    world.finding(
                        f"a session has waited in vain for {server.name}, and session {session.id} is idle"
                    )


def check_arrival(world: World, node: Node, payload: bytes, origin: Origin) -> None:
    """A client's statement has reached a server: it had to."""
    text = payload[1:].decode(errors="replace")
    client = origin.client
    host = client.host
    if not origin.outside:
        return
    if host.is_paused() and origin.when >= host.paused_since:
        world.finding(f"{node.name} got a statement of {client.name} although the service is paused: {text}")
    session = host.sessions.get(client.session_id)
    if world.disturbed or session is None or not text.startswith("SELECT '") or node.is_primary:
        return
    params = session.service.params
    if params.get("lazy_connect", True):
        # The rank that counts is that of the primary in use; here there may be none.
        return
    primary = next(each for each in world.nodes if each.is_primary)
    ranks = [world.board.server(each.slot, RANK) for each in (node, primary)]
    if ranks[0] != ranks[1] and max(world.ranked_at) < origin.when:
        world.finding(f"{node.name} has rank {ranks[0]}, the primary {ranks[1]}, and it got {text}")
    limit = int(params["max_replication_lag"]) // 1000
    seconds = world.board.server(node.slot, LAG)
    if limit and world.lagged_at[node.slot] < origin.when and not 0 <= seconds < limit:
        world.finding(f"{node.name} lags {seconds} s, the limit is {limit} s, and it got {text}")


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
