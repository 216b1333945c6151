"""Time of one classification: found in the cache, parsed anew, and the canonical form alone."""

from __future__ import annotations

import time
from collections.abc import Callable

import fairlead.sql.classifier as module
from fairlead.sql.classifier import Classifier

SELECT = (
    b"SELECT c.id, c.name, o.total, o.created FROM customers c JOIN orders o ON o.customer = c.id "
    b"WHERE c.id = 4711 AND o.state IN ('open', 'paid') ORDER BY o.created LIMIT 25 "
)
FLOOR_CACHED_US = 0.5
FLOOR_COLD_US = 20.0


def microseconds(run: Callable[[], object], rounds: int) -> float:
    """Best of seven."""
    best = float("inf")
    for _ in range(7):
        begin = time.perf_counter()
        for _ in range(rounds):
            run()
        best = min(best, time.perf_counter() - begin)
    return best / rounds * 1e6


def main() -> None:
    compiled = not str(module.__file__).endswith(".py")
    rounds = 20000 if compiled else 200
    buf = bytearray(b"\x03" + SELECT)
    end = len(buf)
    warm = Classifier(1 << 20)
    warm.classify(buf, 1, end)
    cold = Classifier(0)
    cached_us = microseconds(lambda: warm.classify(buf, 1, end), rounds)
    cold_us = microseconds(lambda: cold.classify(buf, 1, end), max(rounds // 10, 50))
    canonical_us = microseconds(lambda: warm.canonical(buf, 1, end), rounds)
    print(f"{'compiled' if compiled else 'pure'}, SELECT of {len(SELECT)} bytes")
    print(f"cached classification {cached_us:8.3f} us   (bar {FLOOR_CACHED_US})")
    print(f"cold classification   {cold_us:8.3f} us   (bar {FLOOR_COLD_US})")
    print(f"canonical form        {canonical_us:8.3f} us")


if __name__ == "__main__":
    main()
