"""create, report and api: bodies of requests, old and new spelling."""

from __future__ import annotations

import gzip
import json


def refs(kind, *ids):
    return {"data": [{"id": name, "type": kind} for name in ids]}


def created(api):
    ((method, path, body),) = api.changes
    assert method == "POST"
    return path, body["data"]


def test_create_server(api, run):
    run.ok(
        "create", "server", "s9", "address=10.0.0.9", "port=3306", "--services", "A", "B", "--monitors", "M"
    )
    path, data = created(api)
    assert path == "servers"
    assert data == {
        "id": "s9",
        "type": "servers",
        "attributes": {"parameters": {"address": "10.0.0.9", "port": 3306}},
        "relationships": {"services": refs("services", "A", "B"), "monitors": refs("monitors", "M")},
    }


def test_create_server_old_form(api, run):
    run.ok("create", "server", "s9", "10.0.0.9", "3307", "rank=secondary")
    parameters = created(api)[1]["attributes"]["parameters"]
    assert parameters == {"address": "10.0.0.9", "port": 3307, "rank": "secondary"}


def test_create_service_takes_relationships_as_options_and_as_parameters(api, run):
    run.ok(
        "create",
        "service",
        "A",
        "readwritesplit",
        "user=u",
        "password=42",
        "servers=s1,s2",
        "--filters",
        "f",
        "g",
    )
    path, data = created(api)
    assert path == "services"
    assert data["attributes"] == {"router": "readwritesplit", "parameters": {"user": "u", "password": "42"}}
    assert data["relationships"] == {
        "servers": refs("servers", "s1", "s2"),
        "filters": refs("filters", "f", "g"),
    }


def test_create_service_with_cluster(api, run):
    run.ok("create", "service", "A", "readconnroute", "--cluster", "M", "user=u")
    assert created(api)[1]["relationships"] == {"monitors": refs("monitors", "M")}


def test_create_monitor_filter_listener_user(api, run):
    run.ok("create", "monitor", "M", "mariadbmon", "user=u", "monitor_interval=1s", "--servers", "s1", "s2")
    run.ok("create", "filter", "F", "hintfilter")
    run.ok("create", "listener", "A", "L", "4006", "address=127.0.0.1")
    run.ok("create", "user", "bob", "123", "--type=admin")
    monitor, filter_, listener, user = (body["data"] for _, _, body in api.changes)
    assert monitor["attributes"] == {
        "module": "mariadbmon",
        "parameters": {"user": "u", "monitor_interval": "1s"},
    }
    assert monitor["relationships"] == {"servers": refs("servers", "s1", "s2")}
    assert filter_["attributes"] == {"module": "hintfilter", "parameters": {}}
    assert listener["attributes"]["parameters"] == {"port": 4006, "address": "127.0.0.1"}
    assert listener["relationships"] == {"services": refs("services", "A")}
    assert user == {"id": "bob", "type": "inet", "attributes": {"password": "123", "account": "admin"}}
    assert [path for _, path, _ in api.changes] == ["monitors", "filters", "listeners", "users/inet"]


def test_report_holds_everything_and_says_what_is_missing(api, run, tmp_path):
    api.get("servers", [{"id": "s1"}])
    report = json.loads(run.ok("create", "report"))
    assert report["servers"]["data"] == [{"id": "s1"}]
    assert "404" in report["filters"]["error"]
    target = tmp_path / "report.gz"
    assert run.ok("create", "report", str(target), "--archive") == "OK\n"
    assert json.loads(gzip.decompress(target.read_bytes()))["servers"]["data"] == [{"id": "s1"}]


def test_api_get_selects_a_part(api, run):
    api.get("servers", [{"id": "s1", "attributes": {"n": 2}}, {"id": "s2", "attributes": {"n": 3}}])
    assert json.loads(run.ok("api", "get", "servers", "data[].id")) == ["s1", "s2"]
    assert json.loads(run.ok("api", "get", "servers", "data[1].attributes.n")) == 3
    assert run.ok("api", "get", "--sum", "servers", "data[].attributes.n") == "5\n"


def test_api_patch_sends_the_body_as_it_is(api, run):
    run.ok("api", "patch", "maxscale", '{"data": {"attributes": {}}}')
    assert api.changes == [("PATCH", "maxscale", {"data": {"attributes": {}}})]
    assert run("api", "post", "maxscale", "{nonsense").exit_code == 1
