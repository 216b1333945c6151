"""A short piece of `make chaos`: money is neither lost nor made while servers die, hang and move."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

pytestmark = pytest.mark.server


def test_transfers_while_servers_die_and_move() -> None:
    from chaos import Chaos, prepare
    from cluster import Cluster
    from demo import Demo

    with Cluster(3, "fairlead-chaos-", 14401) as cluster:
        cluster.start()
        product = Demo(cluster)
        product.start()
        try:
            prepare(product)
            chaos = Chaos(product, 4)
            chaos.run(6)
            assert chaos.check() == []
            assert len(chaos.acknowledged) > 100
        finally:
            product.stop()
