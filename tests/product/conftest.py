"""The whole product in front of a private cluster, once for all tests of this folder."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
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


_PORTS = itertools.count(14371)


@pytest.fixture
def service(product: Any) -> Iterator[Callable[..., int]]:
    """Make a service with a listener; gives its port."""
    made: list[str] = []

    def make(router: str = "readwritesplit", servers: str = "", **params: Any) -> int:
        from demo import SERVICE_PASSWORD, SERVICE_USER

        port = next(_PORTS)
        name = f"S{port}"
        names = servers or ",".join(server.name for server in product.cluster.servers)
        values = [f"{key}={value}" for key, value in params.items()]
        product.ctl(
            "create", "service", name, router, f"user={SERVICE_USER}", f"password={SERVICE_PASSWORD}",
            *values, "--servers", *names.split(","),
        )  # fmt: skip
        made.append(name)
        product.ctl("create", "listener", name, f"L{port}", str(port), "address=127.0.0.1")
        return port

    yield make
    for name in made:
        product.ctl("destroy", "service", name, "--force")
