"""What the board says, in the shapes of the API: statistics of servers, services and workers.

Pure functions of the board and the configuration. Source: spec core.md d4, f; routers_monitors.md A.2, B.1.
"""

from __future__ import annotations

from typing import Any

from fairlead.cluster import board as cells
from fairlead.cluster.board import Board
from fairlead.cluster.defs import ServerDef, ServiceDef, Snapshot

Json = Any


def duration_text(microseconds: float) -> str:
    """A duration as clients of the reference know it: `0ns`, `120us`, `12ms`, `3.50s`."""
    if microseconds <= 0:
        return "0ns"
    if microseconds < 1:
        return f"{microseconds * 1000:.0f}ns"
    if microseconds < 1000:
        return f"{microseconds:.0f}us"
    if microseconds < 1_000_000:
        return f"{microseconds / 1000:.0f}ms"
    return f"{microseconds / 1e6:.2f}s"


def bucket_bounds() -> list[float]:
    """The upper bounds of the response time buckets, in seconds."""
    return [10.0 ** (exponent - 6) for exponent in range(cells.HISTOGRAM_BUCKETS)]


def histogram(board: Board, slot: int, first_cell: int) -> list[tuple[int, int]]:
    """(count, total microseconds) of every bucket, over all workers."""
    return [
        (board.sum_server(slot, first_cell + 2 * bucket), board.sum_server(slot, first_cell + 2 * bucket + 1))
        for bucket in range(cells.HISTOGRAM_BUCKETS)
    ]


def max_service(board: Board, slot: int, cell: int) -> int:
    """The largest of the workers' values."""
    return max(board.get(cells.worker_service_index(worker, slot, cell)) for worker in range(board.workers))


# -- servers


def server_statistics(board: Board, server: ServerDef) -> dict[str, Json]:
    """`servers.statistics`."""
    slot = server.slot
    reads = histogram(board, slot, cells.S_HISTOGRAM_READ)
    count, total = sum(bucket[0] for bucket in reads), sum(bucket[1] for bucket in reads)
    return {
        "connections": board.sum_server(slot, cells.S_CONNECTIONS),
        "total_connections": board.sum_server(slot, cells.S_TOTAL_CONNECTIONS),
        "max_connections": board.sum_server(slot, cells.S_MAX_CONNECTIONS),
        "active_operations": board.sum_server(slot, cells.S_ACTIVE),
        "routed_packets": board.sum_server(slot, cells.S_PACKETS),
        "failed_auths": board.sum_server(slot, cells.S_FAILED_AUTHS),
        "persistent_connections": board.sum_server(slot, cells.S_POOLED),
        "max_pool_size": int(server.params.get("persistpoolmax") or 0),
        "reused_connections": board.sum_server(slot, cells.S_REUSED),
        "connection_pool_empty": board.sum_server(slot, cells.S_POOL_EMPTY),
        "adaptive_avg_select_time": duration_text(total / count if count else 0),
        "response_time_distribution": {
            "read": _distribution("read", reads),
            "write": _distribution("write", histogram(board, slot, cells.S_HISTOGRAM_WRITE)),
        },
    }


def _distribution(operation: str, buckets: list[tuple[int, int]]) -> dict[str, Json]:
    return {
        "operation": operation,
        "range_base": 10,
        "distribution": [
            {"time": f"{bound:.6f}", "total": total / 1e6, "count": count}
            for bound, (count, total) in zip(bucket_bounds(), buckets, strict=True)
        ],
    }


# -- services


def service_statistics(board: Board, service: ServiceDef) -> dict[str, Json]:
    """`services.statistics`."""
    slot = service.slot
    ended = board.sum_service(slot, cells.V_ENDED_SESSIONS)
    return {
        "connections": board.sum_service(slot, cells.V_SESSIONS),
        "total_connections": board.sum_service(slot, cells.V_TOTAL_SESSIONS),
        "max_connections": board.sum_service(slot, cells.V_MAX_SESSIONS),
        "active_operations": board.sum_service(slot, cells.V_ACTIVE),
        "routed_packets": board.sum_service(slot, cells.V_PACKETS),
        "failed_auths": board.sum_service(slot, cells.V_FAILED_AUTHS),
        "paused": max_service(board, slot, cells.V_PAUSED_UNTIL_MS) > 0,
        "paused_until": max_service(board, slot, cells.V_PAUSED_UNTIL_MS) / 1000 or None,
        "waiting_sessions": board.sum_service(slot, cells.V_WAITING),
        "avg_sescmd_history_length": _ratio(board.sum_service(slot, cells.V_SESCMD_LEN_TOTAL), ended),
        "max_sescmd_history_length": max_service(board, slot, cells.V_SESCMD_LEN_MAX),
        "avg_session_lifetime": _ratio(board.sum_service(slot, cells.V_SESSION_MS_TOTAL), ended) / 1000,
        "max_session_lifetime": max_service(board, slot, cells.V_SESSION_MS_MAX) / 1000,
    }


def _ratio(total: float, count: float) -> float:
    return total / count if count else 0.0


def router_diagnostics(board: Board, snapshot: Snapshot, service: ServiceDef) -> dict[str, Json]:
    """What the board tells of a router; the router itself may add to it."""
    slot = service.slot
    shown: dict[str, Json] = {
        "queries": board.sum_service(slot, cells.V_QUERIES),
        "server_query_statistics": [
            _query_statistics(board, service, server)
            for server in snapshot.servers
            if server.name in service.servers
        ],
    }
    if service.router == "readwritesplit":
        for name, cell in (
            ("route_master", cells.V_ROUTE_MASTER),
            ("route_slave", cells.V_ROUTE_SLAVE),
            ("route_all", cells.V_ROUTE_ALL),
            ("rw_transactions", cells.V_RW_TRX),
            ("ro_transactions", cells.V_RO_TRX),
            ("replayed_transactions", cells.V_REPLAYED),
            ("trx_max_size_exceeded", cells.V_TRX_TOO_LARGE),
            ("lagging_reads", cells.V_LAGGING_READS),
        ):
            shown[name] = board.sum_service(slot, cell)
        if service.params.get("reuse_prepared_statements"):
            shown["prepared_statements_reused"] = board.sum_service(slot, cells.V_REUSED_PREPARES)
    return shown


def _query_statistics(board: Board, service: ServiceDef, server: ServerDef) -> dict[str, Json]:
    def of(cell: int) -> int:
        return board.sum_pair(service.slot, server.slot, cell)

    sessions, session_ms, total = of(cells.P_SESSIONS), of(cells.P_SESSION_MS), of(cells.P_TOTAL)
    shown: dict[str, Json] = {
        "id": server.name,
        "total": total,
        "read": of(cells.P_READ),
        "write": of(cells.P_WRITE),
        "avg_sess_duration": duration_text(_ratio(session_ms, sessions) * 1000),
    }
    if service.router == "readwritesplit":
        shown["avg_sess_active_pct"] = _ratio(of(cells.P_ACTIVE_MS), session_ms) * 100
        shown["avg_selects_per_session"] = round(_ratio(of(cells.P_SELECTS), sessions))
    else:
        shown["avg_queries_per_session"] = round(_ratio(total, sessions))
    return shown


# -- workers


def thread_statistics(board: Board, worker: int, load: tuple[int, int, int]) -> dict[str, Json]:
    """`threads.stats`, as far as the board knows."""

    def of(cell: int) -> int:
        return board.get(cells.worker_index(worker, cell))

    wakeups = of(cells.W_WAKEUPS)
    size = of(cells.W_QC_SIZE)
    return {
        "accepts": of(cells.W_ACCEPTS),
        "reads": of(cells.W_READS),
        "writes": of(cells.W_WRITES),
        "errors": of(cells.W_ERRORS),
        "hangups": of(cells.W_HANGUPS),
        "avg_event_queue_length": round(_ratio(of(cells.W_READS) + of(cells.W_WRITES), wakeups)),
        "max_event_queue_length": 0,
        "max_exec_time": 0,
        "max_queue_time": 0,
        "current_descriptors": of(cells.W_FDS),
        "total_descriptors": of(cells.W_FDS_TOTAL),
        "load": {"last_second": load[0], "last_minute": load[1], "last_hour": load[2]},
        "query_classifier_cache": {
            "size": size,
            "inserts": of(cells.W_QC_INSERTS),
            "hits": of(cells.W_QC_HITS),
            "misses": of(cells.W_QC_MISSES),
            "evictions": of(cells.W_QC_EVICTIONS),
        },
        "sessions": of(cells.W_SESSIONS),
        "zombies": 0,
        "memory": {"query_classifier": size, "zombies": 0, "sessions": 0, "total": size},
    }
