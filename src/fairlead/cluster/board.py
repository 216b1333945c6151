"""The status board: shared memory in which every counter has one writer and readers sum.

One array of signed 64-bit cells, mapped by the supervisor and every worker:

* the monitor's part: `SERVER_CELLS` cells for each server slot (status, rank, lag, ...), written by the
  supervisor;
* per worker: its own counters for itself, each server slot, each service slot, and each (service, server)
  pair.

No locks: a cell is an aligned 64-bit word and has exactly one writing process. A worker that died leaves
gauges (connections, active operations) behind; `clear_gauges` is called by the supervisor before it is
replaced.
"""

from __future__ import annotations

import mmap
import os

SERVERS_MAX = 128
SERVICES_MAX = 64
# What a service may use: servers, and behind them services.
TARGETS_MAX = SERVERS_MAX + SERVICES_MAX
WORKERS_MAX = 64

# -- cells of a server, written by the supervisor
STATUS = 0
RANK = 1
LAG = 2  # seconds; -1: not measured
SERVER_ID = 3
PING_US = 4
TRIGGERED_AT = 5  # unix seconds of the last state change
STARTED = 6
SERVER_GTIDS = 8  # GTIDS_MAX x (domain + 1, server id, sequence): what the monitor has seen there
GTIDS_MAX = 8
GTID_CELLS = 3
SERVER_CELLS = 32

# -- counters of a worker
W_SESSIONS = 0
W_ACCEPTS = 1
W_READS = 2
W_WRITES = 3
W_ERRORS = 4
W_HANGUPS = 5
W_QC_HITS = 6
W_QC_MISSES = 7
W_QC_INSERTS = 8
W_QC_EVICTIONS = 9
W_QC_SIZE = 10
W_FDS = 11
W_FDS_TOTAL = 12
W_NEXT_SESSION = 13
W_BUSY_US = 14  # time spent in handlers
W_ALIVE_MS = 15  # monotonic clock of the last turn of the loop
W_WAKEUPS = 16
W_CELLS = 24

# -- counters of a worker for a server
S_CONNECTIONS = 0
S_TOTAL_CONNECTIONS = 1
S_ACTIVE = 2
S_PACKETS = 3
S_FAILED_AUTHS = 4
S_POOLED = 5
S_REUSED = 6
S_POOL_EMPTY = 7
S_MAX_CONNECTIONS = 8
S_READS = 9
S_WRITES = 10
S_AVERAGE_US = 11  # moving average of the time of a read, of this worker; 0: not measured yet
S_HISTOGRAM_READ = 12  # 12 buckets x (count, total microseconds)
S_HISTOGRAM_WRITE = 36
HISTOGRAM_BUCKETS = 12  # upper bounds 1 us, 10 us, ... 10^5 s
S_WAITING = 60  # sessions that wait for a connection to the server
S_RESETTING = 61  # connections on their way into the pool
S_CELLS = 62

# -- counters of a worker for a service
V_SESSIONS = 0
V_TOTAL_SESSIONS = 1
V_QUERIES = 2
V_ROUTE_MASTER = 3
V_ROUTE_SLAVE = 4
V_ROUTE_ALL = 5
V_RW_TRX = 6
V_RO_TRX = 7
V_REPLAYED = 8
V_TRX_TOO_LARGE = 9
V_FAILED_AUTHS = 10
V_PACKETS = 11
V_ACTIVE = 12
V_MAX_SESSIONS = 13
V_SESCMD_LEN_TOTAL = 14
V_SESCMD_LEN_MAX = 15
V_SESSION_MS_TOTAL = 16
V_SESSION_MS_MAX = 17
V_ENDED_SESSIONS = 18
V_PAUSED_UNTIL_MS = 19  # unix milliseconds; 0: not paused
V_WAITING = 20  # sessions that a pause holds back
V_REUSED_PREPARES = 21
V_LAGGING_READS = 22  # whose replica had fallen behind when the answer came
V_GTIDS = 24  # like SERVER_GTIDS: the last writes that this worker has seen
V_CELLS = 48

# -- counters of a worker for a pair of service and server
P_TOTAL = 0
P_READ = 1
P_WRITE = 2
P_SESSIONS = 3  # sessions that had a connection and ended
P_SESSION_MS = 4
P_ACTIVE_MS = 5
P_SELECTS = 6
P_CELLS = 8

HEADER_CELLS = 8
GENERATION = 0  # raised whenever a status, rank or lag verdict changes

_PER_WORKER = W_CELLS + TARGETS_MAX * S_CELLS + SERVICES_MAX * V_CELLS + SERVICES_MAX * TARGETS_MAX * P_CELLS
_SERVERS_BASE = HEADER_CELLS
_WORKERS_BASE = _SERVERS_BASE + TARGETS_MAX * SERVER_CELLS
_SERVER_CELLS = SERVER_CELLS
_S_CELLS = S_CELLS
_COUNTERS_BASE = _WORKERS_BASE + W_CELLS
_SERVICES_BASE = _COUNTERS_BASE + TARGETS_MAX * S_CELLS
_V_CELLS = V_CELLS
_PAIRS_BASE = _SERVICES_BASE + SERVICES_MAX * V_CELLS
_P_CELLS = P_CELLS
_TARGETS_MAX = TARGETS_MAX
BOARD_BYTES = (_WORKERS_BASE + WORKERS_MAX * _PER_WORKER) * 8

_GAUGES_OF_SERVER = (S_CONNECTIONS, S_ACTIVE, S_POOLED, S_WAITING, S_RESETTING)
_GAUGES_OF_SERVICE = (V_SESSIONS, V_ACTIVE, V_PAUSED_UNTIL_MS, V_WAITING)
_GAUGES_OF_WORKER = (W_SESSIONS, W_FDS)


def server_index(slot: int, cell: int) -> int:
    """Index of a monitor's cell of a server."""
    return _SERVERS_BASE + slot * SERVER_CELLS + cell


def service_target_slot(slot: int) -> int:
    """The slot, among those of the servers, of a service that is a target; `slot`: its own."""
    return SERVERS_MAX + slot


def worker_index(worker: int, cell: int) -> int:
    """Index of a worker's own counter."""
    return _WORKERS_BASE + worker * _PER_WORKER + cell


def worker_server_index(worker: int, slot: int, cell: int) -> int:
    """Index of a worker's counter for a server."""
    return _COUNTERS_BASE + worker * _PER_WORKER + slot * _S_CELLS + cell


def worker_service_index(worker: int, slot: int, cell: int) -> int:
    """Index of a worker's counter for a service."""
    return _SERVICES_BASE + worker * _PER_WORKER + slot * _V_CELLS + cell


def worker_pair_index(worker: int, service: int, server: int, cell: int) -> int:
    """Index of a worker's counter for a server as a target of a service."""
    return _PAIRS_BASE + worker * _PER_WORKER + (service * _TARGETS_MAX + server) * _P_CELLS + cell


class Board:
    """The mapped cells. `workers`: how many workers the readers sum over."""

    def __init__(self, fd: int, workers: int) -> None:
        self.fd = fd
        self.workers = workers
        self._map = mmap.mmap(fd, BOARD_BYTES)
        self.cells = memoryview(self._map).cast("q")

    @staticmethod
    def create(workers: int) -> Board:
        """A new board in anonymous shared memory; its descriptor is passed to the workers."""
        fd = os.memfd_create("fairlead-board", os.MFD_CLOEXEC)
        os.ftruncate(fd, BOARD_BYTES)
        return Board(fd, workers)

    def get(self, index: int) -> int:
        """The value of a cell."""
        return self.cells[index]

    def set(self, index: int, value: int) -> None:
        """Write a cell. Only its one writer may do it."""
        self.cells[index] = value

    def add(self, index: int, amount: int) -> None:
        """Add to a cell. Only its one writer may do it."""
        self.cells[index] += amount

    def server(self, slot: int, cell: int) -> int:
        """A monitor's cell of a server."""
        return self.cells[_SERVERS_BASE + slot * _SERVER_CELLS + cell]

    def sum_server(self, slot: int, cell: int) -> int:
        """A counter of a server, over all workers."""
        return self._sum(_COUNTERS_BASE + slot * _S_CELLS + cell)

    def sum_service(self, slot: int, cell: int) -> int:
        """A counter of a service, over all workers."""
        return self._sum(_SERVICES_BASE + slot * _V_CELLS + cell)

    def sum_pair(self, service: int, server: int, cell: int) -> int:
        """A counter of a (service, server) pair, over all workers."""
        return self._sum(worker_pair_index(0, service, server, cell))

    def _sum(self, index: int) -> int:
        """A counter over all workers; `index`: that of the first one."""
        total = 0
        for _ in range(self.workers):
            total += self.cells[index]
            index += _PER_WORKER
        return total

    def set_server(self, slot: int, cell: int, value: int) -> bool:
        """Write a monitor's cell and raise the generation if it changed. Supervisor only."""
        index = server_index(slot, cell)
        if self.cells[index] == value:
            return False
        self.cells[index] = value
        self.cells[GENERATION] += 1
        return True

    def reset_server(self, slot: int) -> None:
        """Zero everything about a slot that is given to a new server. Supervisor only."""
        for cell in range(SERVER_CELLS):
            self.cells[server_index(slot, cell)] = 0
        self.cells[server_index(slot, LAG)] = -1
        for worker in range(self.workers):
            for cell in range(S_CELLS):
                self.cells[worker_server_index(worker, slot, cell)] = 0

    def clear_gauges(self, worker: int) -> None:
        """Take back what a worker that died had counted as present. Supervisor only, while no such worker
        runs.
        """
        for cell in _GAUGES_OF_WORKER:
            self.cells[worker_index(worker, cell)] = 0
        for slot in range(TARGETS_MAX):
            for cell in _GAUGES_OF_SERVER:
                self.cells[worker_server_index(worker, slot, cell)] = 0
        for slot in range(SERVICES_MAX):
            for cell in _GAUGES_OF_SERVICE:
                self.cells[worker_service_index(worker, slot, cell)] = 0
