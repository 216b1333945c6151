"""`make classify-score`: judges the classifier by all statements of the server's own test programs."""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

from classify_score import mysqltest
from classify_score.live import Live
from classify_score.score import Score
from classify_score.server import Oracle
from classify_score.static import Static
from cluster import ClusterError

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "classifier.md"
REPORT = ROOT / "build" / "classify-score.txt"
BEGIN, END = "<!-- score: begin -->", "<!-- score: end -->"
QUICK = 5000  # statements
QUICK_FILES = 400  # to choose them from


def say(text: str) -> None:
    print(f"==> {text}", flush=True)


def all_statements(files: list[Path]) -> list[str]:
    """Every statement once, in order of the files."""
    seen: dict[str, None] = {}
    for path in files:
        seen.update(dict.fromkeys(mysqltest.statements(path)))
    return list(seen)


def quick_statements(seed: int) -> list[str]:
    """A sample of them."""
    source = random.Random(seed)
    tests = [path for path in mysqltest.files() if path.suffix == ".test"]
    found = all_statements(source.sample(tests, min(QUICK_FILES, len(tests))))
    return source.sample(found, min(QUICK, len(found)))


def write_report(score: Score) -> None:
    """Everything that was found, for reading."""
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(score.details(1000) + "\n", errors="surrogateescape")


def write_docs(score: Score) -> None:
    """Put the table between the markers of the page."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    summary = (
        f"Besides {score.variants:,} variants that mean the same, {score.writing:,} that write "
        f"and {score.spoiled:,} spoiled ones; {score.executed:,} statements of {score.files:,} test programs "
        "were executed so that their tables exist."
    )
    PAGE.write_text(f"{before}{BEGIN}\n{score.table()}\n\n{summary}\n{END}{after}")


def main() -> int:
    def progress(text: str) -> None:
        say(text)
        write_report(score)

    parser = argparse.ArgumentParser(prog="make classify-score", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} statements, without a server")
    parser.add_argument("--no-server", action="store_true", help="all statements, without a server")
    parser.add_argument("--only", default="", help="test programs whose path contains this")
    parser.add_argument("--docs", action="store_true", help=f"write the table into {PAGE.name}")
    parser.add_argument("--minutes", type=float, default=60.0, help="the server is asked no longer than this")
    parser.add_argument("--samples", type=int, default=3, help="of each kind of disagreement")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if not mysqltest.ROOT.is_dir():
        say("the test programs are missing: tools/setup.sh mariadb-test-data")
        return 2
    started = time.monotonic()
    score = Score()
    files = [path for path in mysqltest.files() if arguments.only in str(path)]
    statements = quick_statements(arguments.seed) if arguments.quick else all_statements(files)
    say(f"{len(statements)} statements of {len(files)} files")
    Static(score, arguments.seed).judge(statements)
    say(f"without a server: {time.monotonic() - started:.0f} s")
    if not arguments.quick and not arguments.no_server:
        score.with_server = True
        try:
            with Oracle() as oracle:
                Live(score, oracle, arguments.seed).play(files, arguments.minutes * 60, progress)
        except ClusterError as error:
            say(str(error))
            return 2
    print(f"\n{score.details(arguments.samples)}\n\n{score.table()}\n")
    write_report(score)
    say(f"{score.variants} variants, {score.writing} that write, {score.spoiled} spoiled")
    say(f"{time.monotonic() - started:.0f} s; server restarts: {score.restarts}; all: {REPORT}")
    if arguments.docs:
        write_docs(score)
    missed = score.missed()
    for sentence in missed:
        say(f"missed: {sentence}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
