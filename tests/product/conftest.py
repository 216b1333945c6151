"""The whole product in front of a private cluster, once for all tests of this folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))


@pytest.fixture(scope="session")
def product() -> Iterator[Any]:
    """One primary, two replicas, and Fairlead with a readwritesplit and a readconnroute service."""
    from cluster import Cluster
    from demo import Demo

    with Cluster(3, "fairlead-test-", 14301) as cluster:
        cluster.start()
        demo = Demo(cluster)
        try:
            demo.start()
            yield demo
        finally:
            demo.stop()
