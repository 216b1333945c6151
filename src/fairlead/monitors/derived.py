"""The status of a service as a target of other services: derived from what it can reach.

A service that reaches a primary is one to the service above, one that reaches only replicas is a replica; its
rank is its own parameter. Written to the board in the slot behind those of the servers that belongs to the
service, so that a router need not know which of its targets are services.
"""

from __future__ import annotations

from fairlead.cluster.board import LAG, RANK, STATUS, Board, service_target_slot
from fairlead.cluster.defs import ServiceDef, Snapshot
from fairlead.cluster.status import MASTER, RUNNING, SLAVE, is_usable

RANKS = {"primary": 1, "secondary": 2}


def show_services(board: Board, snapshot: Snapshot) -> None:
    """Write the status of every service that is a target of another one."""
    services = {service.name: service for service in snapshot.services}
    slots = {server.name: server.slot for server in snapshot.servers}
    wanted = {name for service in snapshot.services for name in service.services}
    done: set[str] = set()
    for name in wanted:
        _show(board, services, slots, name, done)


def _show(
    board: Board, services: dict[str, ServiceDef], slots: dict[str, int], name: str, done: set[str]
) -> None:
    """Write the status of a service, and before it those of the services below."""
    service = services.get(name)
    if service is None or name in done:
        return
    done.add(name)
    targets = [slots[server] for server in service.servers if server in slots]
    for below in service.services:
        _show(board, services, slots, below, done)
        if below in services:
            targets.append(service_target_slot(services[below].slot))
    usable = [slot for slot in targets if is_usable(board.server(slot, STATUS))]
    status = 0
    if usable:
        roles = [board.server(slot, STATUS) for slot in usable]
        status = RUNNING
        if any(role & MASTER for role in roles):
            status |= MASTER
        elif any(role & SLAVE for role in roles):
            status |= SLAVE
    lags = [lag for lag in (board.server(slot, LAG) for slot in usable) if lag >= 0]
    own = service_target_slot(service.slot)
    board.set_server(own, RANK, RANKS.get(str(service.params.get("rank")), 1))
    board.set_server(own, LAG, min(lags, default=-1))
    board.set_server(own, STATUS, status)
