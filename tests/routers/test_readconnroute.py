"""readconnroute: which server a new session gets (spec routers_monitors.md B.1)."""

from __future__ import annotations

import os

import pytest

from fairlead.cluster.board import LAG, RANK, S_CONNECTIONS, STATUS, Board, worker_server_index
from fairlead.cluster.status import DRAINING, MAINT, MASTER, RUNNING, SLAVE
from fairlead.routers.readconnroute.router import ReadConnConfig, choose

M, S = RUNNING | MASTER, RUNNING | SLAVE


@pytest.fixture
def board() -> Board:
    board = Board.create(1)
    yield board
    os.close(board.fd)


def arrange(board: Board, *servers: tuple[int, int, int, int]) -> list[int]:
    """(status, rank, lag, connections) of each server; returns their slots."""
    for slot, (status, rank, lag, connections) in enumerate(servers):
        board.set_server(slot, STATUS, status)
        board.set_server(slot, RANK, rank)
        board.set_server(slot, LAG, lag)
        board.set(worker_server_index(0, slot, S_CONNECTIONS), connections)
    return list(range(len(servers)))


def config(*options: str, lag: int = 0, accept: bool = True) -> ReadConnConfig:
    return ReadConnConfig(
        {"router_options": options, "master_accept_reads": accept, "max_replication_lag": lag * 1000}
    )


CASES = [
    (config("master"), [(M, 1, 0, 9), (S, 1, 0, 0)], 0),
    (config("master"), [(S, 1, 0, 0)], -1),
    (config("master"), [(M, 2, 0, 0), (M, 1, 0, 5)], 1),
    (config("slave"), [(M, 1, 0, 0), (S, 1, 0, 3), (S, 1, 0, 2)], 2),
    (config("slave"), [(M, 1, 0, 0), (S, 2, 0, 0), (S, 1, 0, 9)], 2),
    (config("slave"), [(M, 1, 0, 0)], 0),
    (config("slave"), [(M, 1, 0, 0), (S | DRAINING, 1, 0, 0)], 0),
    (config("slave"), [(M | MAINT, 1, 0, 0), (S | MAINT, 1, 0, 0)], -1),
    (config("running"), [(M, 1, 0, 2), (S, 1, 0, 1), (RUNNING, 1, 0, 0)], 2),
    (config("running", accept=False), [(M, 1, 0, 0), (S, 1, 0, 1)], 1),
    (config("slave", lag=5), [(M, 1, 0, 0), (S, 1, 5, 0), (S, 1, 4, 7)], 2),
    (config("slave", lag=5), [(M, 1, 0, 0), (S, 1, -1, 0)], 1),
    (config("running"), [(M, 1, 0, 1), (S, 1, 0, 1)], 0),
]


@pytest.mark.parametrize(("parameters", "servers", "expected"), CASES)
def test_choice(
    board: Board, parameters: ReadConnConfig, servers: list[tuple[int, int, int, int]], expected: int
) -> None:
    position, reason = choose(board, arrange(board, *servers), parameters)
    assert position == expected, reason
    assert reason
