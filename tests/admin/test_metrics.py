"""The page for Prometheus: both formats, every family documented."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fairlead.admin import metrics
from fairlead.cluster import board as cells

DOCS = Path(__file__).parents[2] / "docs" / "admin.md"


def samples(text: str) -> dict[str, float]:
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            key, value = line.rsplit(" ", 1)
            assert key not in found, key
            found[key] = float(value)
    return found


def test_text(api: Any, product: Any) -> None:
    slot = product.store.get("servers", "server1").slot
    product.board.set_server(slot, cells.STATUS, 1 | 8)
    product.board.set(cells.worker_server_index(1, slot, cells.S_CONNECTIONS), 4)
    first = cells.worker_server_index(0, slot, cells.S_HISTOGRAM_READ)
    for bucket, (count, total) in {3: (2, 1000), 5: (1, 50_000)}.items():
        product.board.set(first + 2 * bucket, count)
        product.board.set(first + 2 * bucket + 1, total)
    response = api.get("http://127.0.0.1:8989/metrics")
    assert response.headers["content-type"] == metrics.TEXT_TYPE
    found = samples(response.text)
    assert found['fairlead_server_state{server="server1",state="master"}'] == 1
    assert found['fairlead_server_state{server="server1",state="slave"}'] == 0
    assert found['fairlead_server_connections{server="server1"}'] == 4
    name = 'fairlead_server_response_time_seconds_bucket{server="server1",operation="read",le="%s"}'
    assert [found[name % bound] for bound in ("0.0001", "0.001", "0.01", "0.1", "+Inf")] == [0, 2, 2, 3, 3]
    assert found['fairlead_server_response_time_seconds_sum{server="server1",operation="read"}'] == 0.051
    assert found['fairlead_service_queries_total{service="RWS",router="readwritesplit"}'] == 0
    assert found['fairlead_service_server_reads_total{service="RCR",server="server2"}'] == 0
    assert found['fairlead_thread_accepts_total{thread="1"}'] == 0
    assert 'fairlead_server_replication_lag_seconds{server="server1"}' in found


def test_openmetrics(api: Any) -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    response = api.get("metrics", headers={"Accept": accept})
    assert response.headers["content-type"] == metrics.OPENMETRICS_TYPE
    assert response.text.endswith("# EOF\n")
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", response.text, re.MULTILINE))
    assert types["fairlead_service_queries"] == "counter"
    assert not any(name.endswith("_total") for name in types)
    for key in samples(response.text):
        name = key.partition("{")[0]
        stem = re.sub(r"_(total|bucket|sum|count)$", "", name)
        assert types.get(name) == "gauge" or types.get(stem) in ("counter", "histogram"), name


@pytest.mark.parametrize(
    ("accept", "expected"),
    [("", False), ("*/*", False), ("text/plain", False), ("application/openmetrics-text", True),
     ("application/openmetrics-text;q=0.1,text/plain", False), ("application/openmetrics-text;q=x", False)],
)  # fmt: skip
def test_choice_of_format(accept: str, expected: bool) -> None:
    assert metrics.wants_openmetrics(accept) is expected


def test_labels_are_escaped() -> None:
    page = metrics.Page(False)
    page.family("x", "gauge", "X.", [({"name": 'a"b\\c\nd'}, 1)])
    assert 'fairlead_x{name="a\\"b\\\\c\\nd"} 1' in page.content().decode()


def test_credentials_are_needed(api: Any) -> None:
    api.auth = None
    assert api.get("metrics").status_code == 401


def test_documentation_names_every_family(api: Any) -> None:
    shown = set(re.findall(r"^# TYPE (\S+)", api.get("metrics").text, re.MULTILINE))
    documented = set(re.findall(r"^\| `(fairlead_\w+)`", DOCS.read_text(), re.MULTILINE))
    assert documented == shown
