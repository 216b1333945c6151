"""Servers, services, listeners, filters, monitors over REST."""

from __future__ import annotations

from typing import Any

import pytest

KINDS = ("servers", "services", "listeners", "filters", "monitors")


def body(kind: str, name: str, parameters: Any = None, relationships: Any = None, **attributes: Any) -> Any:
    if parameters is not None:
        attributes["parameters"] = parameters
    data: dict[str, Any] = {"id": name, "type": kind, "attributes": attributes}
    if relationships:
        data["relationships"] = {key: refs(key, *names) for key, names in relationships.items()}
    return {"data": data}


def refs(kind: str, *names: str) -> Any:
    return {"data": [{"id": name, "type": kind} for name in names]}


def related(api: Any, path: str, kind: str) -> list[str]:
    found = api.data(path)["relationships"].get(kind, {"data": []})
    return [each["id"] for each in found["data"]]


# -- shapes


@pytest.mark.parametrize("kind", KINDS)
def test_collections_and_resources(api: Any, kind: str) -> None:
    document = api.get(kind).json()
    assert document["links"]["self"] == f"http://127.0.0.1:8989/v1/{kind}/"
    for each in document["data"]:
        assert each["type"] == kind
        assert each["links"]["self"] == f"http://127.0.0.1:8989/v1/{kind}/{each['id']}/"
        one = api.get(f"{kind}/{each['id']}").json()
        assert one["data"]["attributes"].keys() == each["attributes"].keys()
        assert one["links"]["self"] == each["links"]["self"]
        assert each["attributes"]["source"]["type"] == "static"
        for relation, shown in each["relationships"].items():
            assert shown["data"], "empty relationships are left out"
            assert shown["links"]["related"] == f"http://127.0.0.1:8989/v1/{relation}/"
            assert api.get(f"{kind}/{each['id']}/relationships/{relation}").json() == shown


def test_server(api: Any, product: Any) -> None:
    shown = api.attributes("servers/server1")
    assert shown["state"] == "Down"
    assert shown["version_string"] == "10.11.6-MariaDB"
    assert shown["gtid_current_pos"] == "0-1-7"
    assert shown["parameters"]["port"] == 3001
    assert shown["parameters"]["socket"] is None
    assert shown["statistics"]["connections"] == 0
    reads = shown["statistics"]["response_time_distribution"]["read"]
    assert reads["range_base"] == 10
    assert [each["time"] for each in reads["distribution"]][:2] == ["0.000001", "0.000010"]
    assert len(reads["distribution"]) == 12
    spare = api.attributes("servers/spare")["parameters"]
    assert (spare["address"], spare["port"], spare["socket"]) == (None, None, "/tmp/spare.sock")
    assert api.attributes("servers/server2")["statistics"]["max_pool_size"] == 10


def test_server_statistics(api: Any, product: Any) -> None:
    from fairlead.cluster import board as cells

    server = product.store.get("servers", "server1")
    for worker in (0, 1):
        product.board.set(cells.worker_server_index(worker, server.slot, cells.S_CONNECTIONS), 3)
        first = cells.worker_server_index(worker, server.slot, cells.S_HISTOGRAM_READ)
        product.board.set(first + 2 * 4, 10)
        product.board.set(first + 2 * 4 + 1, 50_000)
    product.board.set_server(server.slot, cells.STATUS, 1 | 1 << 5)
    shown = api.attributes("servers/server1")
    assert shown["state"] == "Draining, Running"
    statistics = shown["statistics"]
    assert statistics["connections"] == 6
    bucket = statistics["response_time_distribution"]["read"]["distribution"][4]
    assert bucket == {"time": "0.010000", "count": 20, "total": 0.1}
    assert statistics["adaptive_avg_select_time"] == "5ms"


def test_service(api: Any) -> None:
    shown = api.attributes("services/RWS")
    assert shown["router"] == "readwritesplit"
    assert shown["state"] == "Started"
    assert shown["started"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert shown["connections"] == shown["statistics"]["connections"] == 0
    assert shown["users"] == [{"user": "bob", "host": "%"}]
    assert [each["id"] for each in shown["listeners"]] == ["RWS-Listener"]
    assert shown["parameters"]["password"] == "*****"
    diagnostics = shown["router_diagnostics"]
    assert diagnostics["last_gtid"] is None
    assert {"queries", "route_master", "route_slave", "route_all", "rw_transactions", "ro_transactions",
            "replayed_transactions", "trx_max_size_exceeded"} <= diagnostics.keys()  # fmt: skip
    assert [each["id"] for each in diagnostics["server_query_statistics"]] == ["server1", "server2"]
    assert "avg_selects_per_session" in diagnostics["server_query_statistics"][0]


def test_service_of_a_monitor_shows_no_servers(api: Any) -> None:
    assert related(api, "services/RCR", "servers") == []
    assert related(api, "services/RCR", "monitors") == ["Monitor"]
    diagnostics = api.attributes("services/RCR")["router_diagnostics"]
    assert [each["id"] for each in diagnostics["server_query_statistics"]] == ["server1", "server2"]
    assert "avg_queries_per_session" in diagnostics["server_query_statistics"][0]


def test_monitor(api: Any) -> None:
    shown = api.attributes("monitors/Monitor")
    assert (shown["module"], shown["state"]) == ("mariadbmon", "Running")
    assert shown["monitor_diagnostics"]["master"] == "server1"
    assert shown["ticks"] > 0
    assert related(api, "monitors/Monitor", "servers") == ["server1", "server2"]
    assert related(api, "monitors/Monitor", "services") == ["RCR"]


def test_filter_and_listener(api: Any) -> None:
    assert api.attributes("filters/Hint")["module"] == "hintfilter"
    assert related(api, "filters/Hint", "services") == ["RWS"]
    assert api.attributes("listeners/RWS-Listener")["state"] == "Running"
    assert related(api, "listeners/RWS-Listener", "services") == ["RWS"]


def test_unknown_objects(api: Any) -> None:
    assert api.details("GET", "servers/RWS", 404) == "`RWS` is not a server"
    for kind in KINDS:
        for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", "")):
            assert api.request(method, f"{kind}/nobody{path}").status_code == 404
    assert api.put("services/nobody/stop").status_code == 404
    assert api.get("servers/server1/relationships/filters").status_code == 404


# -- altering


def test_alter_parameters(api: Any) -> None:
    path = "services/RWS"
    assert api.patch(path, json=body("services", "RWS", {"max_connections": 5})).status_code == 204
    assert api.attributes(path)["parameters"]["max_connections"] == 5
    assert api.attributes(path)["source"]["type"] == "runtime"
    assert api.patch(path, json=body("services", "RWS", {"max_connections": None})).status_code == 204
    assert api.attributes(path)["parameters"]["max_connections"] == 0


def test_alter_warns_of_static_definitions(api: Any) -> None:
    response = api.patch("services/RWS", json=body("services", "RWS", {"max_connections": 5}))
    assert "RWS" in response.headers["mxs-warning"]


def test_alter_without_id_and_type(api: Any) -> None:
    document = {"data": {"attributes": {"parameters": {"max_connections": 5}}}}
    assert api.patch("services/RWS", json=document).status_code == 204


def test_what_is_shown_can_be_sent_back(api: Any) -> None:
    """A client may change one thing in what it was shown and send everything, and nothing else changes."""
    for kind in KINDS:
        for each in api.data(kind):
            path = f"{kind}/{each['id']}"
            before = api.get(path).json()
            response = api.patch(path, json=before)
            assert response.status_code == 204, response.text
            after = api.get(path).json()["data"]
            assert after["relationships"] == before["data"]["relationships"]
            assert after["attributes"]["parameters"] == before["data"]["attributes"]["parameters"]


def test_refused_change_leaves_everything(api: Any) -> None:
    before = api.get("services/RWS").json()
    document = body("services", "RWS", {"max_connections": 5, "nonsense": 1})
    assert "nonsense" in api.details("PATCH", "services/RWS", 400, json=document)
    assert api.get("services/RWS").json() == before


def test_product_can_refuse(api: Any, product: Any) -> None:
    product.refuse = "The port is in use"
    text = api.details("PATCH", "services/RWS", 400, json=body("services", "RWS", {"max_connections": 5}))
    assert text == "The port is in use; and nothing has changed"
    assert api.attributes("services/RWS")["parameters"]["max_connections"] == 0


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "Missing request body"),
        (b"{", "Invalid JSON in request"),
        (b"[" * 100_000, "Invalid JSON in request"),
        (b"\xff\xfe", "Invalid JSON in request"),
        (b"null", "no object 'data'"),
        (b"[]", "no object 'data'"),
        (b'{"data": []}', "no object 'data'"),
        (b'{"data": {"attributes": 1}}', "'attributes' is not of type object"),
        (b'{"data": {"attributes": {"parameters": [1]}}}', "'parameters' is not of type object"),
        (b'{"data": {"id": "other"}}', "the request is for 'RWS'"),
        (b'{"data": {"id": 1}}', "'id'"),
        (b'{"data": {"type": "servers"}}', "'type' is 'servers'"),
        (b'{"data": {"attributes": {"parameters": {"user": "a\\nb"}}}}', "line break"),
        (b'{"data": {"relationships": {"servers": {}}}}', "no member 'data'"),
        (b'{"data": {"relationships": {"servers": {"data": "server1"}}}}', "is not an array"),
        (b'{"data": {"relationships": {"servers": {"data": [{"type": "servers"}]}}}}', "no 'id'"),
        (
            b'{"data": {"relationships": {"servers": {"data": [{"id": "Hint", "type": "filters"}]}}}}',
            "not of type",
        ),
        (
            b'{"data": {"relationships": {"servers": {"data": [{"id": "nobody", "type": "servers"}]}}}}',
            "nobody",
        ),
    ],
)
def test_bad_bodies(api: Any, content: bytes, text: str) -> None:
    version = api.data("services/RWS")
    assert text in api.details("PATCH", "services/RWS", 400, content=content)
    assert api.data("services/RWS") == version


def test_large_body(api: Any) -> None:
    assert api.patch("services/RWS", content=b" " * (4 * 1024 * 1024 + 1)).status_code == 413


# -- relationships


def test_relationships_are_replaced(api: Any) -> None:
    document = {"data": {"relationships": {"servers": refs("servers", "server2", "spare")}}}
    assert api.patch("services/RWS", json=document).status_code == 204
    assert sorted(related(api, "services/RWS", "servers")) == ["server2", "spare"]
    assert related(api, "services/RWS", "filters") == ["Hint"]


def test_parameters_and_relationships_in_one_step(api: Any) -> None:
    document = body("services", "RWS", {"max_connections": 7}, {"filters": []})
    assert api.patch("services/RWS", json=document).status_code == 204
    assert related(api, "services/RWS", "filters") == []
    assert api.attributes("services/RWS")["parameters"]["max_connections"] == 7


def test_relationship_endpoints(api: Any) -> None:
    path = "services/RWS/relationships/servers"
    assert api.patch(path, json=refs("servers", "server1")).status_code == 204
    assert related(api, "services/RWS", "servers") == ["server1"]
    assert api.patch("services/RWS/relationships/filters", json={"data": None}).status_code == 204
    assert related(api, "services/RWS", "filters") == []
    assert api.get("services/RWS/relationships/filters").json()["data"] == []
    assert api.patch(path, json={}).status_code == 400
    assert api.patch("services/RWS/relationships/listeners", json={"data": []}).status_code == 404


def test_server_relationships(api: Any) -> None:
    assert (
        api.patch("servers/spare/relationships/monitors", json=refs("monitors", "Monitor")).status_code == 204
    )
    assert related(api, "monitors/Monitor", "servers") == ["server1", "server2", "spare"]
    assert related(api, "servers/spare", "services") == ["RCR"]


# -- creating and destroying


def test_create_and_destroy_everything(api: Any) -> None:
    address = {"address": "127.0.0.1", "port": 3009}
    assert api.post("servers", json=body("servers", "new", address)).status_code == 204
    assert api.attributes("servers/new")["source"]["type"] == "runtime"
    assert api.post("filters", json=body("filters", "Hint2", module="hintfilter")).status_code == 204
    credentials = {"user": "u", "password": "p"}
    service = body(
        "services", "S", credentials, {"servers": ["new"], "filters": ["Hint2"]}, router="readconnroute"
    )
    assert api.post("services", json=service).status_code == 204
    monitor = body("monitors", "M", credentials, {"servers": ["new"]}, module="mariadbmon")
    assert api.post("monitors", json=monitor).status_code == 204
    listener = body("listeners", "L", {"port": 4009}, {"services": ["S"]})
    assert api.post("listeners", json=listener).status_code == 204
    assert related(api, "services/S", "listeners") == ["L"]
    assert "S" in api.details("DELETE", "servers/new", 400)
    assert api.delete("listeners/L").status_code == 204
    assert api.delete("services/S").status_code == 400
    assert api.delete("services/S?force=yes").status_code == 204
    assert api.delete("monitors/M?force=yes").status_code == 204
    assert api.delete("servers/new").status_code == 204
    assert api.delete("filters/Hint2").status_code == 204


def test_server_joins_at_creation(api: Any) -> None:
    document = body("servers", "new", {"address": "127.0.0.1", "port": 3009},
                    {"services": ["RWS"], "monitors": ["Monitor"]})  # fmt: skip
    assert api.post("servers", json=document).status_code == 204
    assert "new" in related(api, "services/RWS", "servers")
    assert "new" in related(api, "monitors/Monitor", "servers")


def test_null_parameters_at_creation(api: Any) -> None:
    parameters = {"address": "127.0.0.1", "port": 3009, "socket": None, "monitoruser": None}
    assert api.post("servers", json=body("servers", "new", parameters)).status_code == 204


@pytest.mark.parametrize("name", ["server1", "RWS", "a b", "@@x", "", None])
def test_refused_names(api: Any, name: Any) -> None:
    document = body("servers", name, {"address": "127.0.0.1", "port": 3009})
    assert api.post("servers", json=document).status_code == 400


def test_refused_creations(api: Any) -> None:
    assert api.post("servers", json=body("servers", "new", {"port": 3009})).status_code == 400
    assert api.post("services", json=body("services", "new", {})).status_code == 400
    assert api.post("filters", json=body("filters", "new", module="nonsense")).status_code == 400
    assert api.post("listeners", json=body("listeners", "new", {"port": 4009})).status_code == 400
    assert "new" not in [each["id"] for kind in KINDS for each in api.data(kind)]


def test_forced_removal_of_a_server(api: Any, product: Any) -> None:
    assert api.delete("servers/server2?force=yes").status_code == 204
    assert related(api, "services/RWS", "servers") == ["server1"]
    assert product.calls[0][0] == "close_cut_off"


def test_listeners_of_a_service(api: Any) -> None:
    assert [each["id"] for each in api.data("services/RWS/listeners")] == ["RWS-Listener"]
    assert api.post("services/RWS/listeners", json=body("listeners", "L", {"port": 4009})).status_code == 204
    assert api.data("services/RWS/listeners/L")["type"] == "listeners"
    assert api.get("services/RCR/listeners/L").status_code == 404
    assert api.delete("services/RWS/listeners/L").status_code == 204


# -- states


@pytest.mark.parametrize("path", ["services/RWS", "listeners/RWS-Listener", "monitors/Monitor"])
def test_start_and_stop(api: Any, path: str) -> None:
    running = api.attributes(path)["state"]
    assert api.put(f"{path}/stop").status_code == 204
    assert api.attributes(path)["state"] == "Stopped"
    assert api.put(f"{path}/start").status_code == 204
    assert api.attributes(path)["state"] == running


def test_forced_stop(api: Any, product: Any) -> None:
    api.put("services/RWS/stop")
    assert product.calls == []
    api.put("services/RWS/stop?force=yes")
    assert product.calls[0][0] == "close_cut_off"


def test_set_and_clear(api: Any, product: Any) -> None:
    assert api.put("servers/server1/set?state=maintenance&force=yes").status_code == 204
    assert api.attributes("servers/server1")["state"] == "Maintenance, Down"
    assert api.put("servers/server1/clear?state=maintenance").status_code == 204
    assert product.monitors.calls == [
        ("set", "server1", "maintenance", "True"),
        ("clear", "server1", "maintenance"),
    ]
    assert api.put("servers/server1/set?state=drain&timeout=1500ms").status_code == 204
    assert product.monitors.calls[2:] == [("set", "server1", "drain", "False", "1500")]
    for wrong in ("soon", "0s"):
        assert "timeout" in api.details("PUT", f"servers/server1/set?state=drain&timeout={wrong}", 400)
    assert api.details("PUT", "servers/server1/set?state=odd", 400) == "'odd' is not a state"
    assert api.put("servers/server1/set").status_code == 400
    assert api.put("servers/nobody/set?state=drain").status_code == 404


def test_reload(api: Any, product: Any) -> None:
    assert api.post("services/RWS/reload").status_code == 204
    assert product.calls == [("reload_accounts", "RWS")]


# -- query options and conditions


def test_fields(api: Any) -> None:
    (first, *_) = api.data("servers?fields[servers]=state,statistics/connections")
    assert first["attributes"] == {"state": "Down", "statistics": {"connections": 0}}
    assert "relationships" not in first


def test_filter(api: Any) -> None:
    found = api.data("servers?filter=/attributes/parameters/port=3002")
    assert [each["id"] for each in found] == ["server2"]
    assert api.get("servers?filter=x").status_code == 400


def test_pages(api: Any) -> None:
    document = api.get("servers?page[size]=2").json()
    assert [each["id"] for each in document["data"]] == ["server1", "server2"]
    assert document["meta"] == {"total": 3}
    assert set(document["links"]) == {"self", "first", "next", "last"}
    following = api.get(document["links"]["next"]).json()
    assert [each["id"] for each in following["data"]] == ["spare"]
    assert set(following["links"]) == {"self", "first", "prev", "last"}
    whole = api.get("servers?page[size]=3").json()
    assert "meta" not in whole and set(whole["links"]) == {"self"}


def test_pretty(api: Any) -> None:
    text = api.get("servers").text
    assert text.startswith('{\n    "data": [\n        {\n            "attributes"')
    assert "\n" not in api.get("servers?pretty=false").text
    assert api.get("servers?pretty=maybe").status_code == 400


def test_conditional_reading(api: Any) -> None:
    first = api.get("filters/Hint")
    etag, changed = first.headers["etag"], first.headers["last-modified"]
    assert etag.startswith('"') and len(etag) == 42
    assert api.get("filters/Hint?pretty=false").headers["etag"] == etag
    assert api.get("filters/Hint", headers={"If-None-Match": etag}).status_code == 304
    assert api.get("filters/Hint", headers={"If-None-Match": '"x"'}).status_code == 200
    assert api.get("filters/Hint", headers={"If-Modified-Since": changed}).status_code == 304
    assert (
        api.get("filters/Hint", headers={"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}).status_code
        == 200
    )
    assert api.get("filters/Hint", headers={"If-Modified-Since": "nonsense"}).status_code == 200
    assert api.get("filters/Hint", headers={"If-Match": '"x"'}).status_code == 412


def test_conditional_changing(api: Any) -> None:
    etag = api.get("services/RWS").headers["etag"]
    document = body("services", "RWS", {"max_connections": 5})
    assert api.patch("services/RWS", json=document, headers={"If-Match": '"x"'}).status_code == 412
    assert api.attributes("services/RWS")["parameters"]["max_connections"] == 0
    assert api.patch("services/RWS", json=document, headers={"If-Match": etag}).status_code == 204
    assert api.patch("services/RWS", json=document, headers={"If-Match": etag}).status_code == 412
    past = {"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}
    assert api.patch("services/RWS", json=document, headers=past).status_code == 412


def test_paths(api: Any) -> None:
    base = "http://127.0.0.1:8989"
    for path in ("/v1/servers", "/servers", "//v1//servers//", "/servers/"):
        assert api.get(base + path).status_code == 200, path
    assert api.get("servers/server%31").status_code == 200
    assert api.get(base + "/").status_code == 200


def test_links_follow_the_host_header(api: Any) -> None:
    document = api.get("servers/server1", headers={"Host": "proxy.example:80"}).json()
    assert document["links"]["self"] == "http://proxy.example:80/v1/servers/server1/"


def test_methods(api: Any) -> None:
    response = api.request("OPTIONS", "services/RWS")
    assert response.status_code == 200
    assert response.headers["accept"] == "GET, DELETE"
    assert "PATCH" in response.headers["allow"]
    head = api.request("HEAD", "servers")
    assert head.status_code == 200 and head.content == b""
    assert int(head.headers["content-length"]) == len(api.get("servers").content)
    assert api.request("TRACE", "servers").status_code == 405
    assert api.request("DELETE", "servers").status_code == 404
    assert "not an endpoint" in api.details("GET", "nothing", 404)
    assert "not available" in api.details("POST", "sql", 404)


def test_headers(api: Any) -> None:
    headers = api.get("servers").headers
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-cache"
    assert headers["x-frame-options"] == "Deny"
    assert headers["x-xss-protection"] == "1"
    assert headers["referrer-policy"] == "same-origin"
