"""`make sim`: many seeds on all cores, or one seed with its transcript.

python -m tests.sim.run --seeds 10000 [--first 1] [--jobs 2]
python -m tests.sim.run --seed 123
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import sys
import time
import traceback

from .world import World

# Failing seeds that are reported at most.
FAILURES_MAX = 20


def one(seed: int) -> tuple[int, list[str]]:
    """Live through a seed."""
    world = World(seed)
    try:
        return seed, world.run()
    except Exception:
        return seed, [*world.findings, f"a model raised: {traceback.format_exc()}"]


def report(seed: int, findings: list[str]) -> str:
    """What to say of a failing seed, and how to see it again."""
    lines = [f"seed {seed} failed; replay it with: make sim SEED={seed}"]
    lines += [f"    {finding}" for finding in findings[:5]]
    return "\n".join(lines)


def replay(seed: int) -> int:
    """Print the transcript of a seed."""
    world = World(seed)
    try:
        findings = world.run()
    finally:
        print("\n".join(world.transcript))
    print(report(seed, findings) if findings else f"seed {seed} passed")
    return 1 if findings else 0


def many(first: int, count: int, jobs: int) -> int:
    """Many seeds; the failing ones are reported as they are found."""
    started = time.monotonic()
    failures = done = 0
    with multiprocessing.Pool(jobs) as pool:
        for seed, findings in pool.imap_unordered(one, range(first, first + count), chunksize=20):
            done += 1
            if findings:
                failures += 1
                print(report(seed, findings), flush=True)
                if failures >= FAILURES_MAX:
                    pool.terminate()
                    break
    print(f"{done} seeds, {failures} failed, {time.monotonic() - started:.1f} s")
    return 1 if failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Simulate sessions under faults.")
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seed", type=int, help="one seed, with its transcript")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    # What sessions say is in the transcript.
    logging.getLogger("fairlead").addHandler(logging.NullHandler())
    if given.seed is not None:
        return replay(given.seed)
    return many(given.first, given.seeds, given.jobs)


if __name__ == "__main__":
    sys.exit(main())
