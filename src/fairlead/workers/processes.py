"""The worker processes: started, watched, replaced when they die, stopped.

Invariant: each index from 0 has at most one living process; a process that has ended is reaped, its gauges on
the status board are cleared, and its end of the bus is closed before its successor starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from fairlead.cluster.board import W_ALIVE_MS, W_SESSIONS, Board, worker_index
from fairlead.cluster.defs import Snapshot
from fairlead.cluster.loglevels import ALERT, NOTICE
from fairlead.workers.bus import (
    ANSWER_TIMEOUT_S,
    BusClosed,
    BusConnection,
    RequestFailed,
    encode_frame,
)
from fairlead.workers.loglines import LogSettings
from fairlead.workers.messages import (
    Configure,
    Configured,
    Reply,
    Request,
    Stop,
    ToSupervisor,
    ToWorker,
    WorkerStart,
)

logger = logging.getLogger(__name__)

# A worker that has lived this long has started well: its successor starts at once.
EARLY_DEATH_S = 10.0
# Pauses before the successor of a worker that died early: the first none, then doubling.
RESTART_PAUSE_S = 0.1
RESTART_PAUSE_S_MAX = 10.0
# Early deaths in a row of one worker, before the first configuration was in force, that end the product.
START_DEATHS_MAX = 3
# A worker whose loop does not turn for so many checks in a row is ended; the next ones make sure.
CHECK_INTERVAL_S = 1.0
SILENT_CHECKS_MAX = 30
SILENT_CHECKS_KILL = SILENT_CHECKS_MAX + 3
# How long a worker may take to take over a configuration.
CONFIGURE_TIMEOUT_S = 15.0
# What a worker may take longer than its drain time before it is killed.
STOP_GRACE_S = 2.0
# How long the sessions of a worker that is no longer wanted may go on.
SHRINK_DRAIN_MS = 300_000


class WorkersCannotStart(Exception):
    """A worker dies again and again while the product starts."""


class State(enum.Enum):
    """The life of one worker process."""

    STARTING = "starting"  # until it has answered its first configuration
    RUNNING = "running"
    STOPPING = "stopping"  # told to end
    ENDED = "ended"


_EDGES = {
    State.STARTING: {State.RUNNING, State.STOPPING, State.ENDED},
    State.RUNNING: {State.STOPPING, State.ENDED},
    State.STOPPING: {State.ENDED},
    State.ENDED: set[State](),
}


class Events(Protocol):
    """What the table tells its owner."""

    def message(self, index: int, message: ToSupervisor) -> None:
        """A worker has sent something that is no answer."""

    def welcome(self, index: int) -> Iterable[ToWorker]:
        """What a new worker must know besides its configuration."""

    def gone(self, index: int) -> None:
        """A worker has ended."""


class Worker:
    """One process."""

    def __init__(self, index: int, process: subprocess.Popen[bytes]) -> None:
        self.index = index
        self.process = process
        self.started_at = time.monotonic()
        self.state = State.STARTING
        self.snapshot: Snapshot | None = None
        self.silent_checks = 0
        self.last_sign = 0
        self.bus: BusConnection[ToSupervisor] | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return f"<Worker {self.index} pid={self.process.pid} {self.state.value}>"

    def set_state(self, state: State) -> None:
        """Go to another state; the edges of the table only."""
        assert state in _EDGES[self.state], (self, state)
        self.state = state

    def send(self, message: msgspec.Struct) -> bool:
        """Send a message; False if the worker is no longer there."""
        return self.bus is not None and self.bus.send(message)

    def signal(self, number: int) -> None:
        """Send a signal; the process is not reaped elsewhere, so its id is its own."""
        if self.state is not State.ENDED:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)


class ProcessTable:
    """All workers of the product."""

    def __init__(
        self,
        board: Board,
        events: Events,
        *,
        paths: dict[str, str],
        log_path: Path | None,
        plane: str = "fairlead.workers.plane:Plane",
    ) -> None:
        self._board = board
        self._events = events
        self._paths = paths
        self._log_path = log_path
        self._plane = plane
        self._workers: dict[int, Worker] = {}
        self._early_deaths: dict[int, int] = {}
        self._restarts: dict[int, asyncio.TimerHandle] = {}
        self._wanted = 0
        self._is_stopping = False
        self._was_configured = False
        self._snapshot: Snapshot | None = None
        self._log_settings = LogSettings()
        self._request_ids = itertools.count(1)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._check_timer: asyncio.TimerHandle | None = None
        self._start_errors: dict[str, str] = {}
        self._start_failure = ""
        self._progress = asyncio.Event()

    # -- looking

    @property
    def workers(self) -> list[Worker]:
        """Those that have not ended, by index."""
        return [self._workers[index] for index in sorted(self._workers)]

    def indexes(self) -> list[int]:
        """The indexes of the workers that can be talked to."""
        return [worker.index for worker in self.workers if worker.bus is not None and worker.bus.is_open]

    @property
    def all_answer(self) -> bool:
        """Whether every worker that should run does, and its loop turns."""
        if len(self._workers) < self._wanted:
            return False
        return all(worker.silent_checks < SILENT_CHECKS_MAX for worker in self._workers.values())

    @property
    def is_resizing(self) -> bool:
        """Whether workers that are no longer wanted have not ended yet."""
        return any(worker.state is State.STOPPING for worker in self._workers.values())

    # -- starting and growing

    def start(self, count: int, snapshot: Snapshot, log_settings: LogSettings) -> None:
        """Start so many processes with this configuration; `configured` waits for their answers."""
        self._snapshot = snapshot
        self._log_settings = log_settings
        self._wanted = count
        for index in range(count):
            self._spawn(index)
        self._check_timer = asyncio.get_running_loop().call_later(CHECK_INTERVAL_S, self._check)

    def _spawn(self, index: int) -> None:
        assert index not in self._workers
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            start = WorkerStart(
                index=index,
                workers=self._board.workers,
                supervisor=os.getpid(),
                bus_fd=theirs.fileno(),
                board_fd=self._board.fd,
                paths=self._paths,
                log_path=str(self._log_path or ""),
                log=self._log_settings,
                plane=self._plane,
            )
            argument = msgspec.json.encode(start).decode()
            # On the main thread: "die with the parent" means the thread that started the process.
            process = subprocess.Popen(
                [sys.executable, "-m", "fairlead.workers.worker", argument],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), self._board.fd),
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        worker = Worker(index, process)
        self._workers[index] = worker
        arguments = (worker, asyncio.get_running_loop(), self._process_ended)
        threading.Thread(target=_wait_for_end, args=arguments, name=f"wait-w{index}", daemon=True).start()
        self._run(self._talk(worker, ours))

    async def _talk(self, worker: Worker, bus_socket: socket.socket) -> None:
        """Connect the bus and tell a new worker all it must know."""
        bus_socket.setblocking(False)
        bus: BusConnection[ToSupervisor] = BusConnection(
            ToSupervisor,
            lambda message: self._received(worker, message),
            lambda reason: self._bus_lost(worker, reason),
        )
        await asyncio.get_running_loop().create_unix_connection(lambda: bus, sock=bus_socket)
        worker.bus = bus
        snapshot = self._snapshot
        assert snapshot is not None
        configuring = asyncio.ensure_future(self._configure(worker, snapshot))
        # Let it send its message before the others are sent.
        await asyncio.sleep(0)
        for message in self._events.welcome(worker.index):
            worker.send(message)
        try:
            errors = await configuring
        except (BusClosed, RequestFailed, TimeoutError) as error:
            if worker.state is State.STARTING:
                logger.error(
                    "Worker %d has not taken over its configuration: %s", worker.index, _reason(error)
                )
                worker.signal(signal.SIGKILL)
            return
        if worker.state is not State.STARTING:
            return
        worker.set_state(State.RUNNING)
        if self._was_configured:
            for name, text in errors.items():
                logger.error("Listener '%s' does not run in worker %d: %s", name, worker.index, text)
            await self._converge([worker])
        else:
            self._start_errors.update(errors)
            self._progress.set()

    async def configured(self) -> dict[str, str]:
        """Wait until all workers have taken over the first configuration; returns errors by listener."""
        while True:
            self._progress.clear()
            if self._start_failure:
                raise WorkersCannotStart(self._start_failure)
            if sum(worker.state is State.RUNNING for worker in self._workers.values()) >= self._wanted:
                self._was_configured = True
                return dict(self._start_errors)
            await self._progress.wait()

    # -- configuration

    async def _configure(
        self, worker: Worker, snapshot: Snapshot, frame: bytes = b"", number: int = 0
    ) -> dict[str, str]:
        if worker.bus is None:
            raise BusClosed("the worker has ended")
        message = Configure(number or next(self._request_ids), snapshot)
        answer = await worker.bus.request(message, message.id, CONFIGURE_TIMEOUT_S, frame)
        assert isinstance(answer, Configured)
        worker.snapshot = snapshot
        return answer.errors

    async def apply(self, snapshot: Snapshot) -> dict[str, str]:
        """Let every worker take over a configuration; returns errors by listener, "*" for those of a worker.

        A worker that ends meanwhile is no error: its successor gets the configuration that is in force then.
        """
        number = next(self._request_ids)
        frame = encode_frame(Configure(number, snapshot))
        workers = [worker for worker in self.workers if worker.state is State.RUNNING]
        answers = await asyncio.gather(
            *(self._configure(worker, snapshot, frame, number) for worker in workers), return_exceptions=True
        )
        errors: dict[str, str] = {}
        for worker, answer in zip(workers, answers, strict=True):
            if isinstance(answer, TimeoutError):
                errors["*"] = f"worker {worker.index} has not answered within {CONFIGURE_TIMEOUT_S:g} s"
            elif isinstance(answer, BusClosed):
                continue
            elif isinstance(answer, BaseException):
                raise answer
            else:
                errors.update(answer)
        return errors

    async def commit(self, snapshot: Snapshot, log_settings: LogSettings) -> None:
        """The configuration is in force: for those that missed it, and for the workers to come."""
        self._snapshot = snapshot
        self._log_settings = log_settings
        await self._converge(self.workers)

    async def roll_back(self) -> None:
        """Return to the configuration in force."""
        await self._converge(self.workers)

    async def _converge(self, workers: list[Worker]) -> None:
        snapshot = self._snapshot
        assert snapshot is not None
        for worker in workers:
            if worker.state is State.RUNNING and worker.snapshot is not snapshot:
                try:
                    errors = await self._configure(worker, snapshot)
                except BusClosed:
                    continue
                except (RequestFailed, TimeoutError) as error:
                    errors = {"*": _reason(error)}
                for name, text in errors.items():
                    logger.error("Configuration of worker %d: %s: %s", worker.index, name, text)

    def resize(self, count: int) -> None:
        """Run so many workers from now on; raises ValueError while an earlier change is under way."""
        if self.is_resizing:
            raise ValueError("The number of threads cannot be changed while threads are still terminating")
        self._wanted = count
        for index in range(count):
            if index not in self._workers and index not in self._restarts:
                self._early_deaths.pop(index, None)
                self._spawn(index)
        for worker in self.workers:
            if worker.index >= count:
                self._ask_to_stop(worker, SHRINK_DRAIN_MS)

    # -- talking

    def send(self, index: int, message: ToWorker) -> bool:
        """Send to one worker; False if it does not run."""
        worker = self._workers.get(index)
        return worker is not None and worker.send(message)

    def broadcast(self, message: ToWorker) -> None:
        """Send to all workers that run."""
        frame = encode_frame(message)
        for worker in self.workers:
            if worker.bus is not None:
                worker.bus.send_frame(frame)

    async def request(
        self, index: int, what: str, args: dict[str, Any] | None = None, timeout_s: float = ANSWER_TIMEOUT_S
    ) -> Any:
        """Ask one worker; raises KeyError (not there), BusClosed, RequestFailed or TimeoutError."""
        worker = self._workers[index]
        if worker.bus is None:
            raise BusClosed("the worker is starting or has ended")
        message = Request(next(self._request_ids), what, args or {})
        return await worker.bus.request(message, message.id, timeout_s)

    async def request_all(
        self, what: str, args: dict[str, Any] | None = None, timeout_s: float = ANSWER_TIMEOUT_S
    ) -> dict[int, Any]:
        """Ask all workers that run; those that end, fail or do not answer are missing in the result."""
        indexes = self.indexes()
        answers = await asyncio.gather(
            *(self.request(index, what, args, timeout_s) for index in indexes), return_exceptions=True
        )
        results: dict[int, Any] = {}
        for index, answer in zip(indexes, answers, strict=True):
            if isinstance(answer, BaseException):
                logger.info("Worker %d has no answer to '%s': %s", index, what, _reason(answer))
            else:
                results[index] = answer
        return results

    def _received(self, worker: Worker, message: ToSupervisor) -> None:
        assert worker.bus is not None
        if isinstance(message, Configured):
            worker.bus.pending.answer(message.id, message)
        elif isinstance(message, Reply):
            if message.error:
                worker.bus.pending.fail(message.id, RequestFailed(message.error))
            else:
                worker.bus.pending.answer(message.id, message.result)
        else:
            self._events.message(worker.index, message)

    # -- ending

    def _bus_lost(self, worker: Worker, reason: str) -> None:
        worker.bus = None
        if worker.state in (State.STARTING, State.RUNNING):
            # It is ending, or it must: nothing can be told to it any more.
            asyncio.get_running_loop().call_later(STOP_GRACE_S, worker.signal, signal.SIGKILL)

    def _process_ended(self, worker: Worker) -> None:
        status = worker.process.wait()
        was_stopping = worker.state is State.STOPPING
        worker.set_state(State.ENDED)
        index = worker.index
        del self._workers[index]
        sessions = self._board.get(worker_index(index, W_SESSIONS))
        self._board.clear_gauges(index)
        if worker.bus is not None:
            worker.bus.close()
        self._events.gone(index)
        worker.ended.set_result(None)
        if was_stopping and status == 0:
            logger.info("Worker %d has ended", index)
        else:
            logger.log(
                logging.WARNING if was_stopping else ALERT,
                "Worker %d (process %d) %s; %d sessions are lost",
                index,
                worker.process.pid,
                describe_status(status),
                sessions,
            )
        if not self._is_stopping and index < self._wanted:
            self._replace(worker)

    def _replace(self, worker: Worker) -> None:
        index = worker.index
        if time.monotonic() - worker.started_at >= EARLY_DEATH_S:
            self._early_deaths[index] = 0
        deaths = self._early_deaths[index] = self._early_deaths.get(index, 0) + 1
        if not self._was_configured and deaths >= START_DEATHS_MAX:
            self._start_failure = f"worker {index} {describe_status(worker.process.returncode)}"
            self._progress.set()
            return
        pause = restart_pause_s(deaths)
        self._restarts[index] = asyncio.get_running_loop().call_later(pause, self._restart, index, pause)

    def _restart(self, index: int, pause: float) -> None:
        del self._restarts[index]
        if self._is_stopping or index >= self._wanted or index in self._workers:
            return
        try:
            self._spawn(index)
        except OSError as error:
            logger.error("Worker %d cannot be started: %s", index, error)
            pause = min(max(pause, RESTART_PAUSE_S) * 2, RESTART_PAUSE_S_MAX)
            self._restarts[index] = asyncio.get_running_loop().call_later(pause, self._restart, index, pause)
            return
        process_id = self._workers[index].process.pid
        logger.log(NOTICE, "Worker %d has been started again as process %d", index, process_id)

    def _ask_to_stop(self, worker: Worker, drain_ms: int) -> None:
        if worker.state in (State.STARTING, State.RUNNING):
            worker.set_state(State.STOPPING)
        if not worker.send(Stop(drain_ms)):
            worker.signal(signal.SIGKILL)

    async def stop(self, drain_ms: int) -> None:
        """End all workers: sessions may finish for `drain_ms`. Returns when none is left."""
        self._is_stopping = True
        self._wanted = 0
        for timer in self._restarts.values():
            timer.cancel()
        self._restarts.clear()
        workers = self.workers
        for worker in workers:
            self._ask_to_stop(worker, drain_ms)
        ends = [worker.ended for worker in workers]
        if ends:
            _done, late = await asyncio.wait(ends, timeout=drain_ms / 1000 + STOP_GRACE_S)
            for worker in self.workers if late else ():
                logger.warning("Worker %d has not ended in time and is killed", worker.index)
            self.kill_all()
            await asyncio.wait(ends)
        if self._check_timer is not None:
            self._check_timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def kill_all(self) -> None:
        """End all processes at once."""
        for worker in self.workers:
            worker.signal(signal.SIGKILL)

    # -- watching

    def _check(self) -> None:
        for worker in self.workers:
            sign = self._board.get(worker_index(worker.index, W_ALIVE_MS))
            if sign != worker.last_sign:
                worker.last_sign = sign
                worker.silent_checks = 0
                continue
            # Checks are counted, not time: after a pause of the whole machine nobody is to blame.
            worker.silent_checks += 1
            if worker.silent_checks == SILENT_CHECKS_MAX:
                logger.log(ALERT, "Worker %d does not react any more and is ended", worker.index)
                worker.signal(signal.SIGABRT)
            elif worker.silent_checks >= SILENT_CHECKS_KILL:
                worker.signal(signal.SIGKILL)
        self._check_timer = asyncio.get_running_loop().call_later(CHECK_INTERVAL_S, self._check)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def restart_pause_s(early_deaths: int) -> float:
    """How long to wait before a worker is started again that died early so many times in a row."""
    if early_deaths <= 1:
        return 0.0
    return float(min(RESTART_PAUSE_S * 2 ** min(early_deaths - 2, 30), RESTART_PAUSE_S_MAX))


def describe_status(status: int) -> str:
    """How a process ended, in words."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def _reason(error: BaseException) -> str:
    return str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)


def _wait_for_end(worker: Worker, loop: asyncio.AbstractEventLoop, ended: Callable[[Worker], None]) -> None:
    """Thread: wait for the end of a process without reaping it, so that its id stays its own until then."""
    os.waitid(os.P_PID, worker.process.pid, os.WEXITED | os.WNOWAIT)
    # The loop may be closed by now if the product ends at once.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(ended, worker)
