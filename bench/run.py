"""`make bench`: CPU per query of Fairlead (one worker), HAProxy (TCP mode) and a direct connection, in turns.

Every round runs each case against each target for a moment, in changing order; what counts is the median of
the ratios of pairs that ran side by side, since machines are never quiet for long. The CPU time is that of
all processes and threads of the product, in nanoseconds from the scheduler, which the load generator reads
at both ends of its window.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from cluster import (  # noqa: E402
    APP_PASSWORD,
    APP_USER,
    DATABASE,
    MONITOR_PASSWORD,
    MONITOR_USER,
    SERVICE_PASSWORD,
    SERVICE_USER,
    Cluster,
    ClusterError,
    end,
    free_port,
    spawn,
    tail,
    wait_until,
)

PLACE = ROOT / ".bench"
DOCS = ROOT / "docs/benchmarks.md"
# The part of the page that `--docs` writes.
DOCS_BEGIN, DOCS_END = "<!-- results -->", "<!-- end of results -->"
# Pairs of Fairlead against itself, and the idle sessions beside active ones.
SELF_ROUNDS = 3
IDLE_SOME, IDLE_MANY = 2_000, 10_000
COMMAND = Path(sys.executable).with_name("fairlead")
POINTS = 10000
LARGE_ROWS = 200_000
TABLE = (
    "CREATE TABLE points (id INT PRIMARY KEY, k INT NOT NULL DEFAULT 0, c CHAR(120) NOT NULL)",
    f"INSERT INTO points SELECT seq, 0, RPAD(MD5(seq), 120, 'x') FROM seq_1_to_{POINTS}",
)


@dataclass(frozen=True)
class Case:
    """One kind of load. `writes`: it has to reach the primary. `unit`: what the CPU time is divided by.
    `bar`: what the ratio to HAProxy must not exceed (0: there is none).
    """

    name: str
    mode: str
    clients: int
    quick: bool = False
    writes: bool = False
    unit: str = "µs/query"
    bar: float = 0.0
    rows: int = 0
    # Fairlead keeps the server connections of sessions that have ended.
    pooled: bool = False


CASES = (
    # First, and only once: afterwards the memory of earlier sessions is there to be used again.
    Case("idle sessions", "idle", 1000, unit="KB/session", bar=12.0),
    Case("select, 1 client", "select", 1),
    Case("select, 8 clients", "select", 8, quick=True, bar=1.0),
    Case("select, 64 clients", "select", 64, quick=True, bar=1.0),
    Case("select, 256 clients", "select", 256),
    Case("prepared, 8 clients", "prepared", 8, quick=True, bar=1.0),
    Case("prepared, 64 clients", "prepared", 64, bar=1.0),
    Case("transactions, 8 clients", "trx", 8, quick=True, writes=True, bar=1.1),
    Case("session commands, 8 clients", "session", 8),
    Case("connect, query, quit; 8", "connect", 8, quick=True, unit="µs/connection", bar=1.6),
    Case("the same, pooled", "connect", 8, quick=True, unit="µs/connection", bar=0.8, pooled=True),
    Case("100 MB result set", "large", 1, unit="s/GB", rows=LARGE_ROWS // 2),
    Case("200 MB result set", "large", 1, quick=True, unit="s/GB", bar=1.0, rows=LARGE_ROWS),
)


@dataclass(frozen=True)
class Sample:
    """One run of one case against one target."""

    round: int
    case: str
    target: str
    cost: float
    rate: float
    p50_us: float
    p95_us: float
    load_us: float


def log(text: str) -> None:
    print(text, flush=True)


def load_program() -> Path:
    """The load generator, compiled when its source is newer."""
    PLACE.mkdir(exist_ok=True)
    source, program = ROOT / "bench/load.c", PLACE / "load"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["gcc", "-O2", "-Wall", "-o", str(program), str(source)], check=True)
    return program


def family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            children.setdefault(int(text.rsplit(")", 1)[1].split()[1]), []).append(int(entry))
    found = [pid]
    for member in found:
        found.extend(children.get(member, []))
    return found


def memory_kb(pids: list[int]) -> float:
    """Memory of the processes, shared pages counted once between them."""
    total = 0.0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += float(line.split()[1])
    return total


class Target:
    """Something to connect to: a port for reads, one for writes, and the process whose CPU counts."""

    name = ""

    def __init__(self, read_port: int, write_port: int) -> None:
        self.read_port = read_port
        self.write_port = write_port
        self.process: subprocess.Popen[bytes] | None = None

    def pids(self) -> list[int]:
        return family(self.process.pid) if self.process is not None else []

    def stop(self) -> None:
        end(self.process)
        self.process = None


class Direct(Target):
    name = "direct"

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster.replicas[0].port, cluster.primary.port)


class HAProxy(Target):
    name = "haproxy"

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(port := free_port(14301), free_port(port + 1))
        config = cluster.directory / "haproxy.cfg"
        servers = "\n".join(f"  server {s.name} 127.0.0.1:{s.port}" for s in cluster.replicas)
        config.write_text(
            "global\n  nbthread 1\n  maxconn 4000\n"
            "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n"
            f"listen reads\n  bind 127.0.0.1:{self.read_port}\n  balance leastconn\n{servers}\n"
            f"listen writes\n  bind 127.0.0.1:{self.write_port}\n"
            f"  server primary 127.0.0.1:{cluster.primary.port}\n"
        )
        output = cluster.directory / "haproxy.out"
        self.process = spawn(["haproxy", "-db", "-f", str(config)], output)
        wait_for_port(self, output)


class Fairlead(Target):
    """`lazy_port` belongs to a service that opens server connections only when they are needed."""

    name = "fairlead"

    def __init__(self, cluster: Cluster, threads: int = 1) -> None:
        port = free_port(14401)
        super().__init__(port, port)
        self.servers = [server.name for server in cluster.servers]
        self.rest_port = free_port(port + 1)
        self.lazy_port = free_port(self.rest_port + 1)
        names = ",".join(server.name for server in cluster.servers)
        parts = [
            f"[fairlead]\nthreads={threads}\nadmin_host=127.0.0.1\nadmin_port={self.rest_port}\nadmin_secure_gui=false\n",
            *(f"[{s.name}]\ntype=server\naddress=127.0.0.1\nport={s.port}\n" for s in cluster.servers),
            f"[Monitor]\ntype=monitor\nmodule=mariadbmon\nservers={names}\nuser={MONITOR_USER}\n"
            f"password={MONITOR_PASSWORD}\nmonitor_interval=2000ms\n",
            f"[Split]\ntype=service\nrouter=readwritesplit\nservers={names}\nuser={SERVICE_USER}\n"
            f"password={SERVICE_PASSWORD}\n",
            f"[Listener]\ntype=listener\nservice=Split\naddress=127.0.0.1\nport={port}\n",
            f"[Lazy]\ntype=service\nrouter=readwritesplit\nservers={names}\nuser={SERVICE_USER}\n"
            f"password={SERVICE_PASSWORD}\nlazy_connect=true\n",
            f"[LazyListener]\ntype=listener\nservice=Lazy\naddress=127.0.0.1\nport={self.lazy_port}\n",
        ]
        config = cluster.directory / f"fairlead{threads}.cnf"
        config.write_text("\n".join(parts))
        base = cluster.directory / f"fairlead{threads}"
        output = cluster.directory / f"fairlead{threads}.out"
        self.process = spawn([str(COMMAND), "serve", "--config", str(config), "--basedir", str(base)], output)
        wait_for_port(self, output, base / "var/log/maxscale/maxscale.log")


    def keep_connections(self, keep: bool) -> None:
        """Switch the pools of the servers on or off."""
        values = ("persistpoolmax=100", "persistmaxtime=300s") if keep else ("persistpoolmax=0",)
        for name in self.servers:
            words = [str(COMMAND), "ctl", "-h", f"127.0.0.1:{self.rest_port}", "alter", "server", name]
            subprocess.run([*words, *values], check=True, capture_output=True, timeout=30)


def wait_for_port(target: Target, *logs: Path) -> None:
    """Wait until a query through the target is answered."""

    def answers() -> bool:
        if target.process is not None and target.process.poll() is not None:
            raise ClusterError(
                f"{target.name} ended:\n" + "\n".join(tail(log) for log in logs if log.exists())
            )
        words = [
            "mariadb",
            "--no-defaults",
            "-h127.0.0.1",
            f"-P{target.read_port}",
            f"-u{APP_USER}",
            f"-p{APP_PASSWORD}",
            "-e",
            "SELECT 1",
        ]
        return subprocess.run(words, capture_output=True, timeout=20).returncode == 0

    wait_until(answers, f"{target.name} answers", 30, 0.2)


class Bench:
    """Runs the cases and keeps the samples."""

    def __init__(self, targets: list[Target], seconds: float, warmup: float) -> None:
        self.targets = targets
        self.seconds = seconds
        self.warmup = warmup
        self.program = load_program()
        self.samples: list[Sample] = []

    def run(self, number: int, case: Case, target: Target) -> Sample:
        pids = target.pids()
        words = [
            str(self.program),
            "--port",
            str(target.write_port if case.writes else target.read_port),
            "--user",
            APP_USER,
            "--password",
            APP_PASSWORD,
            "--database",
            DATABASE,
            "--clients",
            str(case.clients),
            "--case",
            case.mode,
            "--warmup",
            str(self.warmup),
            "--seconds",
            str(self.seconds),
            "--rows",
            str(case.rows or POINTS),
            "--pids",
            ",".join(map(str, pids)),
        ]
        if case.mode == "idle":
            return self.idle(number, case, target, words)
        if case.pooled and isinstance(target, Fairlead):
            target.keep_connections(True)
            try:
                return self.measured(number, case, target, words)
            finally:
                target.keep_connections(False)
        return self.measured(number, case, target, words)

    def measured(self, number: int, case: Case, target: Target, words: list[str]) -> Sample:
        """What the load generator says."""
        result = subprocess.run(words, capture_output=True, text=True, timeout=self.seconds * 4 + 60)
        if result.returncode:
            raise ClusterError(f"{case.name}, {target.name}: {result.stderr.strip()}")
        found = json.loads(result.stdout)
        amount = found["bytes"] if case.mode == "large" else found["done"]
        cost = found["cpu_ns"] / max(1, amount) / (1 if case.mode == "large" else 1000)
        rate = amount / found["seconds"] / (1e6 if case.mode == "large" else 1)
        return Sample(
            number,
            case.name,
            target.name,
            cost,
            rate,
            found["p50_us"],
            found["p95_us"],
            found["own_us"] / max(1, found["done"]),
        )

    def idle(self, number: int, case: Case, target: Target, words: list[str]) -> Sample:
        """Memory of sessions that have logged in and wait."""
        if target.process is None:
            return Sample(number, case.name, target.name, 0, 0, 0, 0, 0)
        before = memory_kb(target.pids())
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        time.sleep(self.warmup + self.seconds * 0.8)
        during = memory_kb(target.pids())
        process.wait()
        time.sleep(0.5)
        return Sample(number, case.name, target.name, (during - before) / case.clients, 0, 0, 0, 0)

    def round(self, number: int, cases: list[Case]) -> None:
        for case in cases:
            if case.mode == "idle" and number:
                continue
            order = self.targets[number % len(self.targets) :] + self.targets[: number % len(self.targets)]
            for target in order:
                self.samples.append(self.run(number, case, target))

    def of(self, case: Case, target: str) -> list[Sample]:
        return [s for s in self.samples if s.case == case.name and s.target == target]

    def median(self, case: Case, target: str, field: str) -> float:
        values = [getattr(sample, field) for sample in self.of(case, target)]
        return statistics.median(values) if values else 0.0

    def ratios(self, case: Case) -> list[float]:
        """Fairlead over HAProxy, pair by pair."""
        other = {sample.round: sample.cost for sample in self.of(case, "haproxy")}
        return [s.cost / other[s.round] for s in self.of(case, "fairlead") if other.get(s.round)]

    # -- Fairlead against itself

    def beside_idle(self, idle: int) -> str:
        """What idle sessions cost those who work: 8 clients with and without them, in turns."""
        target = next(each for each in self.targets if isinstance(each, Fairlead))
        case = Case("", "select", 8)
        words = [str(self.program), "--port", str(target.lazy_port), "--user", APP_USER]
        words += ["--password", APP_PASSWORD, "--database", DATABASE, "--clients", str(idle)]
        words += ["--case", "idle", "--warmup", "0", "--seconds", "600", "--rows", "1"]
        ratios = []
        for number in range(SELF_ROUNDS):
            alone = self.run(number, case, target)
            process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                time.sleep(idle / 3000 + 2)
                ratios.append(self.run(number, case, target).cost / alone.cost)
            finally:
                process.kill()
                process.wait()
            time.sleep(idle / 3000 + 1)
        median = statistics.median(ratios)
        verdict = "" if idle < IDLE_MANY else f" (bar: 1.10, {'held' if median <= 1.1 else 'missed'})"
        return (
            f"* {idle} idle sessions beside 8 active ones: the active ones cost **{median:.2f}** of what "
            f"they cost alone{verdict}."
        )

    def two_workers(self, cluster: Cluster) -> str:
        """What two workers can carry, by CPU: twice the work if a query costs the same."""
        one = next(each for each in self.targets if isinstance(each, Fairlead))
        two = Fairlead(cluster, threads=2)
        case = Case("", "select", 64)
        try:
            pairs = [
                (self.run(number, case, one), self.run(number, case, two)) for number in range(SELF_ROUNDS)
            ]
        finally:
            two.stop()
        ratio = statistics.median(2 * first.cost / second.cost for first, second in pairs)
        return (
            f"* Two workers carry **{ratio:.2f}** times as much as one (bar: 1.8, "
            f"{'held' if ratio >= 1.8 else 'missed'}): twice the cores, divided by what a query costs more "
            "with two. By CPU and not by throughput, since client and servers need the same two cores."
        )

    def large_results(self) -> str:
        """How much the product's memory grows while 200 MB pass."""
        target = next(each for each in self.targets if isinstance(each, Fairlead))
        time.sleep(1)
        before = memory_kb(target.pids())
        words = [str(self.program), "--port", str(target.read_port), "--user", APP_USER]
        words += ["--password", APP_PASSWORD, "--database", DATABASE, "--clients", "1", "--case", "large"]
        words += ["--warmup", "0", "--seconds", "2", "--rows", str(LARGE_ROWS)]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        most = 0.0
        while process.poll() is None:
            most = max(most, memory_kb(target.pids()) - before)
            time.sleep(0.02)
        return f"* 200 MB result sets: the product grows by **{max(0.0, most):.0f} KB** (bar: 2048)."


def table(bench: Bench, cases: list[Case]) -> str:
    """The result in Markdown."""
    lines = [
        "| case | unit | HAProxy | Fairlead | ratio (range) | per second: direct | HAProxy | Fairlead |"
        " p95 µs: direct | HAProxy | Fairlead | bar |",
        "|---|---|--:|--:|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for case in cases:
        ratios = bench.ratios(case)
        ratio = f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f}-{max(ratios):.2f})" if ratios else ""
        digits = 2 if case.mode == "large" else 1
        costs = [f"{bench.median(case, name, 'cost'):.{digits}f}" for name in ("haproxy", "fairlead")]
        rates, tails = (
            [f"{bench.median(case, name, field):.0f}" for name in ("direct", "haproxy", "fairlead")]
            for field in ("rate", "p95_us")
        )
        if case.mode == "large":
            rates = [f"{rate} MB" for rate in rates]
        if case.mode in ("idle", "large"):
            tails = ["", "", ""]
        if case.mode == "idle":
            rates = ["", "", ""]
        bar = ""
        if case.bar and ratios:
            found = (
                bench.median(case, "fairlead", "cost") if case.mode == "idle" else statistics.median(ratios)
            )
            bar = f"{case.bar:.1f} {'held' if round(found, 2) <= case.bar else 'missed'}"
        lines.append(f"| {' | '.join([case.name, case.unit, *costs, ratio, *rates, *tails, bar])} |")
    return "\n".join(lines)


def machine() -> str:
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"


def write_docs(text: str, rounds: int, seconds: float) -> None:
    """Put the results into the page, between its marks."""
    page = DOCS.read_text()
    before, rest = page.split(DOCS_BEGIN)
    after = rest.split(DOCS_END)[1]
    head = f"{time.strftime('%Y-%m-%d')}, {machine()}; {rounds} rounds of {seconds:g} s"
    DOCS.write_text(f"{before}{DOCS_BEGIN}\n{head}:\n\n{text}\n{DOCS_END}{after}")


def compiled() -> bool:
    return any((ROOT / "src/fairlead").rglob("channel*.so")) and os.environ.get("FAIRLEAD_PURE") != "1"


def main() -> int:
    parser = argparse.ArgumentParser(description="CPU per query against HAProxy and a direct connection.")
    parser.add_argument("--quick", action="store_true", help="fewer cases and rounds: about a minute")
    parser.add_argument("--rounds", type=int, help="rounds (5, quick: 2)")
    parser.add_argument("--seconds", type=float, help="length of one measurement (3, quick: 1)")
    parser.add_argument("--docs", action="store_true", help="write the results into docs/benchmarks.md")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    parser.add_argument("--targets", default="direct,haproxy,fairlead", help="what to measure")
    given = parser.parse_args()
    rounds = given.rounds or (2 if given.quick else 5)
    seconds = given.seconds or (1.0 if given.quick else 3.0)
    cases = [
        case for case in CASES if (case.quick or not given.quick or given.only) and given.only in case.name
    ]
    kinds: dict[str, Any] = {"direct": Direct, "haproxy": HAProxy, "fairlead": Fairlead}
    chosen = [name for name in given.targets.split(",") if name in kinds]
    if not compiled():
        log("NOTE: the hot modules are not compiled; this measures pure Python")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    targets: list[Target] = []
    try:
        with Cluster(3, "fairlead-bench-", 13501) as cluster:
            log(f"==> {machine()}")
            log(f"==> starting three MariaDB servers and {', '.join(chosen)}")
            cluster.start(TABLE, ["--max-connections=2000", "--back-log=1000"])
            extras: list[str] = []
            try:
                for name in chosen:
                    targets.append(kinds[name](cluster))
                bench = Bench(targets, seconds, 0.3)
                for number in range(rounds):
                    log(f"==> round {number + 1} of {rounds}: {len(cases)} cases, {len(targets)} targets")
                    bench.round(number, cases)
                if not given.quick and not given.only and "fairlead" in chosen:
                    log("==> Fairlead against itself")
                    extras = [
                        bench.beside_idle(IDLE_SOME),
                        bench.beside_idle(IDLE_MANY),
                        bench.two_workers(cluster),
                        bench.large_results(),
                    ]
            finally:
                for target in targets:
                    target.stop()
    except KeyboardInterrupt:
        return 130
    except (ClusterError, subprocess.TimeoutExpired) as error:
        log(f"bench: {error}")
        return 1
    text = "\n".join([table(bench, cases), *([""] if extras else []), *extras])
    log(f"\n{text}\n")
    stamp = time.strftime("%Y%m%d-%H%M%S")
    (PLACE / f"{stamp}.json").write_text(
        json.dumps({"machine": machine(), "samples": [asdict(sample) for sample in bench.samples]}, indent=1)
    )
    (PLACE / f"{stamp}.md").write_text(f"{machine()}, {rounds} rounds of {seconds:g} s\n\n{text}\n")
    if given.docs:
        write_docs(text, rounds, seconds)
    log(
        f"CPU time of all processes of the product; ratio: median of {rounds} pairs. Kept in .bench/{stamp}.*"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
