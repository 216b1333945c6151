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

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from identity import Identity  # noqa: E402
from targets import CIPHER, Direct, Fairlead, FairleadTls, HAProxy, Target  # noqa: E402

from cluster import APP_PASSWORD, APP_USER, DATABASE, Cluster, ClusterError  # noqa: E402

PLACE = ROOT / ".bench"
DOCS = ROOT / "docs/benchmarks.md"
# The parts of the page that `--docs` writes, each if it was measured.
PARTS = ("results", "results over TLS")
# Pairs of Fairlead against itself, and the idle sessions beside active ones.
SELF_ROUNDS = 3
IDLE_SOME, IDLE_MANY = 2_000, 10_000
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
    tls: bool = False


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
    Case("TLS: select, 8 clients", "select", 8, tls=True),
    Case("TLS: select, 64 clients", "select", 64, tls=True),
    Case("TLS: connect, query, quit; 8", "connect", 8, unit="µs/connection", tls=True),
    Case("TLS: 200 MB result set", "large", 1, unit="s/GB", rows=LARGE_ROWS, tls=True),
)


@dataclass(frozen=True)
class Sample:
    """One run of one case against one target. `servers`: what it cost them, in the unit of `cost`."""

    round: int
    case: str
    target: str
    cost: float
    servers: float
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
        words = ["gcc", "-O2", "-Wall", "-o", str(program), str(source), "-lssl", "-lcrypto"]
        subprocess.run(words, check=True)
    return program


def memory_kb(pids: list[int]) -> float:
    """Memory of the processes, shared pages counted once between them."""
    total = 0.0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += float(line.split()[1])
    return total


class Bench:
    """Runs the cases and keeps the samples."""

    def __init__(self, targets: list[Target], servers: list[int], seconds: float, warmup: float) -> None:
        self.targets = targets
        self.servers = servers
        self.seconds = seconds
        self.warmup = warmup
        self.program = load_program()
        self.samples: list[Sample] = []

    def run(self, number: int, case: Case, target: Target) -> Sample:
        pids = target.pids()
        words = [
            str(self.program),
            "--port",
            str(target.port(writes=case.writes, tls=case.tls)),
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
            "--servers",
            ",".join(map(str, self.servers)),
            *(["--ciphers", CIPHER] if case.tls else []),
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
        divisor = max(1, amount) * (1 if case.mode == "large" else 1000)
        rate = amount / found["seconds"] / (1e6 if case.mode == "large" else 1)
        return Sample(
            number,
            case.name,
            target.name,
            found["cpu_ns"] / divisor,
            found["servers_ns"] / divisor,
            rate,
            found["p50_us"],
            found["p95_us"],
            found["own_us"] / max(1, found["done"]),
        )

    def idle(self, number: int, case: Case, target: Target, words: list[str]) -> Sample:
        """Memory of sessions that have logged in and wait."""
        if target.process is None:
            return Sample(number, case.name, target.name, 0, 0, 0, 0, 0, 0)
        before = memory_kb(target.pids())
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        time.sleep(self.warmup + self.seconds * 0.8)
        during = memory_kb(target.pids())
        process.wait()
        time.sleep(0.5)
        return Sample(number, case.name, target.name, (during - before) / case.clients, 0, 0, 0, 0, 0)

    def round(self, number: int, cases: list[Case]) -> None:
        for case in cases:
            if case.mode == "idle" and number:
                continue
            targets = [target for target in self.targets if case.tls in target.kinds]
            order = targets[number % len(targets) :] + targets[: number % len(targets)]
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

    def total_ratios(self, case: Case, target: str) -> list[float]:
        """Product and servers together, over HAProxy and servers, pair by pair."""
        other = {sample.round: sample.cost + sample.servers for sample in self.of(case, "haproxy")}
        found = self.of(case, target)
        return [(s.cost + s.servers) / other[s.round] for s in found if other.get(s.round)]

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
        ratio = spread(ratios)
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


def tls_table(bench: Bench, cases: list[Case]) -> str:
    """The cases over TLS: who encrypts differs, so product and servers are shown together too."""
    lines = [
        "| case | unit | who | product | servers | together | ratio (range) | per second | p95 µs |",
        "|---|---|---|--:|--:|--:|---|--:|--:|",
    ]
    for case in cases:
        large = case.mode == "large"
        for target in bench.targets:
            samples = bench.of(case, target.name)
            cost, servers, rate, late = (
                bench.median(case, target.name, field) for field in ("cost", "servers", "rate", "p95_us")
            )
            together = statistics.median(s.cost + s.servers for s in samples)
            costs = [f"{value:.{2 if large else 1}f}" for value in (cost, servers, together)]
            words = [f"{rate:.0f} MB" if large else f"{rate:.0f}", "" if large else f"{late:.0f}"]
            ratio = spread(bench.total_ratios(case, target.name))
            lines.append(f"| {' | '.join([case.name, case.unit, target.says, *costs, ratio, *words])} |")
    return "\n".join(lines)


def spread(ratios: list[float]) -> str:
    """The median, and how far they lie apart."""
    if not ratios:
        return ""
    return f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f}-{max(ratios):.2f})"


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


def write_docs(texts: dict[str, str], rounds: int, seconds: float) -> None:
    """Put the results into the page, between the marks of their part."""
    page = DOCS.read_text()
    head = f"{time.strftime('%Y-%m-%d')}, {machine()}; {rounds} rounds of {seconds:g} s"
    for part, text in texts.items():
        begin, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
        before, rest = page.split(begin)
        page = f"{before}{begin}\n{head}:\n\n{text}\n{end}{rest.split(end)[1]}"
    DOCS.write_text(page)


def make_target(name: str, cluster: Cluster, identity: Identity | None) -> Target:
    if name == "fairlead":
        return Fairlead(cluster, identity=identity)
    return Direct(cluster) if name == "direct" else HAProxy(cluster)


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
    chosen = given.targets.split(",")
    encrypted = any(case.tls for case in cases)
    if not compiled():
        log("NOTE: the hot modules are not compiled; this measures pure Python")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    targets: list[Target] = []
    try:
        with Cluster(3, "fairlead-bench-", 13501) as cluster:
            log(f"==> {machine()}")
            log(f"==> starting three MariaDB servers and {', '.join(chosen)}")
            identity = Identity(cluster.directory) if encrypted else None
            options = identity.server_options() if identity is not None else []
            cluster.start(TABLE, ["--max-connections=2000", "--back-log=1000", *options])
            extras: list[str] = []
            try:
                for name in chosen:
                    targets.append(make_target(name, cluster, identity))
                if identity is not None and "fairlead" in chosen:
                    targets.append(FairleadTls(cluster, identity))
                servers = [server.process.pid for server in cluster.servers if server.process is not None]
                bench = Bench(targets, servers, seconds, 0.3)
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
    texts: dict[str, str] = {}
    for part, make, tls in zip(PARTS, (table, tls_table), (False, True), strict=True):
        if some := [case for case in cases if case.tls == tls]:
            texts[part] = make(bench, some)
    if extras:
        texts[PARTS[0]] += "\n\n" + "\n".join(extras)
    text = "\n\n".join(texts.values())
    log(f"\n{text}\n")
    stamp = time.strftime("%Y%m%d-%H%M%S")
    (PLACE / f"{stamp}.json").write_text(
        json.dumps({"machine": machine(), "samples": [asdict(sample) for sample in bench.samples]}, indent=1)
    )
    (PLACE / f"{stamp}.md").write_text(f"{machine()}, {rounds} rounds of {seconds:g} s\n\n{text}\n")
    if given.docs:
        write_docs(texts, rounds, seconds)
    log(
        f"CPU time of all processes of the product; ratio: median of {rounds} pairs. Kept in .bench/{stamp}.*"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
