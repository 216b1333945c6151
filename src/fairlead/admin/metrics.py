"""`/metrics`: everything on the board for Prometheus, as text 0.0.4 or OpenMetrics 1.0.

Invariant: names and labels are part of the public surface; docs/admin.md lists every family, a test compares.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from fairlead import __version__
from fairlead.admin import numbers
from fairlead.cluster import board as cells
from fairlead.cluster import status
from fairlead.cluster.board import Board
from fairlead.cluster.defs import ServerDef, Snapshot
from fairlead.workers.ports import Product

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_STATES = (
    ("running", status.RUNNING),
    ("maintenance", status.MAINT),
    ("auth_error", status.AUTH_ERROR),
    ("master", status.MASTER),
    ("slave", status.SLAVE),
    ("draining", status.DRAINING),
    ("low_disk_space", status.DISK_SPACE_EXHAUSTED),
    ("relay", status.RELAY),
    ("synced", status.JOINED),
)

# Families by (name, type, help, cell). Counters are written without `_total` here.
_SERVER_FAMILIES = (
    (
        "connections",
        "gauge",
        "Open connections to the server, pooled ones not included.",
        cells.S_CONNECTIONS,
    ),
    ("connections_opened", "counter", "Connections opened to the server.", cells.S_TOTAL_CONNECTIONS),
    ("active_operations", "gauge", "Operations the server is executing.", cells.S_ACTIVE),
    ("routed_packets", "counter", "Packets sent to the server.", cells.S_PACKETS),
    ("reads", "counter", "Reading operations sent to the server.", cells.S_READS),
    ("writes", "counter", "Writing operations sent to the server.", cells.S_WRITES),
    ("failed_auths", "counter", "Logins the server has refused.", cells.S_FAILED_AUTHS),
    ("pooled_connections", "gauge", "Idle connections in the pools.", cells.S_POOLED),
    ("reused_connections", "counter", "Connections taken from a pool.", cells.S_REUSED),
    ("pool_misses", "counter", "Times that a pool was empty.", cells.S_POOL_EMPTY),
)
_SERVICE_FAMILIES = (
    ("sessions", "gauge", "Client sessions.", cells.V_SESSIONS),
    ("sessions_opened", "counter", "Client sessions that were opened.", cells.V_TOTAL_SESSIONS),
    ("active_operations", "gauge", "Operations in progress.", cells.V_ACTIVE),
    ("queries", "counter", "Statements routed.", cells.V_QUERIES),
    ("routed_packets", "counter", "Packets received from clients.", cells.V_PACKETS),
    ("failed_auths", "counter", "Logins that were refused.", cells.V_FAILED_AUTHS),
    ("rw_transactions", "counter", "Read-write transactions that have ended.", cells.V_RW_TRX),
    ("ro_transactions", "counter", "Read-only transactions that have ended.", cells.V_RO_TRX),
    ("replayed_transactions", "counter", "Transactions replayed on another server.", cells.V_REPLAYED),
    ("trx_max_size_exceeded", "counter", "Transactions too large to be replayed.", cells.V_TRX_TOO_LARGE),
    ("lagging_reads", "counter", "Reads whose replica fell behind meanwhile.", cells.V_LAGGING_READS),
)
_THREAD_FAMILIES = (
    ("sessions", "gauge", "Client sessions of the worker.", cells.W_SESSIONS),
    ("accepts", "counter", "Client connections accepted.", cells.W_ACCEPTS),
    ("reads", "counter", "Readable events handled.", cells.W_READS),
    ("writes", "counter", "Writable events handled.", cells.W_WRITES),
    ("errors", "counter", "Error events handled.", cells.W_ERRORS),
    ("hangups", "counter", "Hang-up events handled.", cells.W_HANGUPS),
    ("wakeups", "counter", "Turns of the event loop.", cells.W_WAKEUPS),
    ("descriptors", "gauge", "Descriptors being watched.", cells.W_FDS),
    ("descriptors_opened", "counter", "Descriptors ever watched.", cells.W_FDS_TOTAL),
    ("classifier_cache_bytes", "gauge", "Size of the classifier's cache.", cells.W_QC_SIZE),
    ("classifier_cache_hits", "counter", "Statements found in the cache.", cells.W_QC_HITS),
    ("classifier_cache_misses", "counter", "Statements not found in the cache.", cells.W_QC_MISSES),
    ("classifier_cache_inserts", "counter", "Statements put into the cache.", cells.W_QC_INSERTS),
    ("classifier_cache_evictions", "counter", "Statements pushed out of the cache.", cells.W_QC_EVICTIONS),
)
_ROUTES = (("master", cells.V_ROUTE_MASTER), ("slave", cells.V_ROUTE_SLAVE), ("all", cells.V_ROUTE_ALL))
_OPERATIONS = (("read", cells.S_HISTOGRAM_READ), ("write", cells.S_HISTOGRAM_WRITE))

Labels = dict[str, str]


class Page:
    """The text of an answer, family by family."""

    def __init__(self, openmetrics: bool) -> None:
        self._openmetrics = openmetrics
        self._lines: list[str] = []

    def family(self, name: str, kind: str, text: str, samples: Iterable[tuple[Labels, float]]) -> None:
        """A gauge or a counter with its samples."""
        counter = kind == "counter"
        declared = f"fairlead_{name}_total" if counter and not self._openmetrics else f"fairlead_{name}"
        self._declare(declared, kind, text)
        written = f"fairlead_{name}_total" if counter else f"fairlead_{name}"
        for labels, value in samples:
            self._lines.append(f"{written}{_labels(labels)} {_number(value)}")

    def histogram(
        self, name: str, text: str, samples: Iterable[tuple[Labels, list[tuple[int, int]]]]
    ) -> None:
        """A histogram of seconds; each sample has (count, microseconds) per bucket."""
        self._declare(f"fairlead_{name}", "histogram", text)
        bounds = [f"{bound:.10g}" for bound in numbers.bucket_bounds()]
        for labels, buckets in samples:
            count, total = 0, 0
            for bound, (in_bucket, microseconds) in zip(bounds, buckets, strict=True):
                count += in_bucket
                total += microseconds
                shown = f"{float(bound)!r}" if self._openmetrics else bound
                self._lines.append(f"fairlead_{name}_bucket{_labels({**labels, 'le': shown})} {count}")
            self._lines.append(f"fairlead_{name}_bucket{_labels({**labels, 'le': '+Inf'})} {count}")
            self._lines.append(f"fairlead_{name}_sum{_labels(labels)} {_number(total / 1e6)}")
            self._lines.append(f"fairlead_{name}_count{_labels(labels)} {count}")

    def _declare(self, name: str, kind: str, text: str) -> None:
        self._lines.append(f"# HELP {name} {text}")
        self._lines.append(f"# TYPE {name} {kind}")

    def content(self) -> bytes:
        """The whole page."""
        end = ["# EOF"] if self._openmetrics else []
        return ("\n".join([*self._lines, *end]) + "\n").encode()


def _labels(labels: Labels) -> str:
    pairs = ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.17g}"


def wants_openmetrics(accept: str) -> bool:
    """Whether a client prefers OpenMetrics to the plain text format."""
    weights = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for part in accept.split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
        if name in weights:
            weights[name] = max(weights[name], weight)
    return weights["application/openmetrics-text"] > 0 and (
        weights["application/openmetrics-text"] >= weights["text/plain"]
    )


def render(product: Product, openmetrics: bool) -> bytes:
    """The page for the state of this moment."""
    board, snapshot = product.board, product.store.snapshot()
    page = Page(openmetrics)
    page.family("build_info", "gauge", "Version of the product.", [({"version": __version__}, 1)])
    page.family("uptime_seconds", "gauge", "Age of the product.", [({}, time.time() - product.started_at)])
    page.family("config_version", "gauge", "Version of the configuration.", [({}, snapshot.version)])
    _servers(page, board, snapshot)
    _services(page, board, snapshot)
    _pairs(page, board, snapshot)
    _monitors(page, product, snapshot)
    _threads(page, board)
    return page.content()


def _servers(page: Page, board: Board, snapshot: Snapshot) -> None:
    servers = [({"server": server.name}, server.slot) for server in snapshot.servers]
    page.family(
        "server_state",
        "gauge",
        "1 for every state the server is in.",
        [
            ({**labels, "state": name}, int(bool(board.server(slot, cells.STATUS) & bit)))
            for labels, slot in servers
            for name, bit in _STATES
        ],
    )
    measured = [(labels, slot) for labels, slot in servers if board.server(slot, cells.LAG) >= 0]
    page.family(
        "server_replication_lag_seconds",
        "gauge",
        "Replication lag, where it is measured.",
        [(labels, board.server(slot, cells.LAG)) for labels, slot in measured],
    )
    page.family(
        "server_ping_seconds",
        "gauge",
        "What the monitor's last ping took.",
        [(labels, board.server(slot, cells.PING_US) / 1e6) for labels, slot in servers],
    )
    page.family(
        "server_last_change_timestamp_seconds",
        "gauge",
        "When the state has changed last.",
        [(labels, board.server(slot, cells.TRIGGERED_AT)) for labels, slot in servers],
    )
    for name, kind, text, cell in _SERVER_FAMILIES:
        samples = [(labels, board.sum_server(slot, cell)) for labels, slot in servers]
        page.family(f"server_{name}", kind, text, samples)
    page.histogram(
        "server_response_time_seconds",
        "Time from a statement to the end of its result.",
        [
            ({**labels, "operation": operation}, numbers.histogram(board, slot, first))
            for labels, slot in servers
            for operation, first in _OPERATIONS
        ],
    )


def _services(page: Page, board: Board, snapshot: Snapshot) -> None:
    services = [({"service": each.name, "router": each.router}, each.slot) for each in snapshot.services]
    for name, kind, text, cell in _SERVICE_FAMILIES:
        samples = [(labels, board.sum_service(slot, cell)) for labels, slot in services]
        page.family(f"service_{name}", kind, text, samples)
    page.family(
        "service_routed",
        "counter",
        "Statements by the target they were planned for.",
        [
            ({**labels, "target": target}, board.sum_service(slot, cell))
            for labels, slot in services
            for target, cell in _ROUTES
        ],
    )


def _pairs(page: Page, board: Board, snapshot: Snapshot) -> None:
    by_name: dict[str, ServerDef] = {server.name: server for server in snapshot.servers}
    pairs = [
        ({"service": service.name, "server": name}, service.slot, by_name[name].slot)
        for service in snapshot.services
        for name in service.servers
        if name in by_name
    ]
    for name, text, cell in (
        ("queries", "Statements of the service sent to the server.", cells.P_TOTAL),
        ("reads", "Reading ones of them.", cells.P_READ),
        ("writes", "Writing ones of them.", cells.P_WRITE),
    ):
        samples = [(labels, board.sum_pair(service, server, cell)) for labels, service, server in pairs]
        page.family(f"service_server_{name}", "counter", text, samples)


def _monitors(page: Page, product: Product, snapshot: Snapshot) -> None:
    monitors = [({"monitor": each.name, "module": each.module}, each.name) for each in snapshot.monitors]
    page.family(
        "monitor_ticks",
        "counter",
        "How often the monitor has looked.",
        [(labels, product.monitors.ticks(name)) for labels, name in monitors],
    )
    page.family(
        "monitor_running",
        "gauge",
        "Whether the monitor runs.",
        [(labels, int(product.monitors.state(name) == "Running")) for labels, name in monitors],
    )


def _threads(page: Page, board: Board) -> None:
    workers = [({"thread": str(worker)}, worker) for worker in range(board.workers)]
    for name, kind, text, cell in _THREAD_FAMILIES:
        samples = [(labels, board.get(cells.worker_index(worker, cell))) for labels, worker in workers]
        page.family(f"thread_{name}", kind, text, samples)
    page.family(
        "thread_busy_seconds",
        "counter",
        "Time spent in handlers.",
        [(labels, board.get(cells.worker_index(w, cells.W_BUSY_US)) / 1e6) for labels, w in workers],
    )
