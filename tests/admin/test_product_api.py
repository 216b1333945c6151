"""Sessions, users, globals, workers, log, modules, classifier over REST."""

from __future__ import annotations

import asyncio
from typing import Any

from fairlead.admin import app

USER = {"data": {"id": "bob", "type": "inet", "attributes": {"password": "pw", "account": "basic"}}}


# -- sessions


def test_sessions(api: Any) -> None:
    assert [each["id"] for each in api.data("sessions")] == ["1", "7"]
    shown = api.data("sessions/1")
    assert shown["attributes"]["user"] == "bob"
    assert shown["relationships"]["services"]["data"] == [{"id": "RWS", "type": "services"}]
    assert shown["relationships"]["filters"]["data"] == [{"id": "Hint", "type": "filters"}]
    assert "filters" not in api.data("sessions/7")["relationships"]
    assert api.get("sessions/7/relationships/filters").json()["data"] == []
    assert api.get("sessions/1/relationships/services").json()["data"][0]["id"] == "RWS"
    for missing in ("2", "x", "-1", "9" * 40):
        assert api.get(f"sessions/{missing}").status_code == 404


def test_close_session(api: Any, product: Any) -> None:
    assert api.delete("sessions/1?ttl=5").status_code == 200
    assert product.calls == [("close_session", 1, 5)]
    assert api.delete("sessions/1").status_code == 404
    assert api.delete("sessions/7?ttl=x").status_code == 400


def test_alter_session(api: Any, product: Any) -> None:
    document = {"data": {"id": "1", "type": "sessions", "attributes": {"parameters": {"log_info": True}}}}
    assert api.patch("sessions/1", json=document).status_code == 200
    assert product.calls == [("alter_session", 1, {"log_info": True}, None)]
    assert api.patch("sessions/1/relationships/filters", json={"data": []}).status_code == 200
    assert product.calls[-1] == ("alter_session", 1, {}, [])
    assert api.patch("sessions/2/relationships/filters", json={"data": []}).status_code == 404


def test_restart_sessions(api: Any, product: Any) -> None:
    assert api.post("sessions/1/restart").status_code == 200
    assert api.post("sessions/restart").status_code == 200
    assert api.post("sessions/2/restart").status_code == 404
    assert product.calls[:2] == [("restart_sessions", 1), ("restart_sessions", None)]


# -- users


def test_users(api: Any) -> None:
    assert api.post("users/inet", json=USER).status_code == 204
    assert [each["id"] for each in api.data("users")] == ["admin", "bob"]
    shown = api.data("users/inet/bob")
    assert shown["type"] == "inet"
    assert shown["attributes"]["account"] == "basic"
    assert shown["attributes"]["last_login"] is None
    assert "password" not in shown["attributes"]
    assert shown["links"]["self"].endswith("/v1/users/inet/bob/")
    change = {"data": {"attributes": {"password": "other"}}}
    assert api.patch("users/inet/bob", json=change).status_code == 204
    api.auth = ("bob", "other")
    assert api.get("servers").status_code == 200
    api.auth = ("admin", "mariadb")
    assert api.delete("users/inet/bob").status_code == 204
    assert api.get("users/inet/bob").status_code == 404


def test_refused_users(api: Any) -> None:
    assert "last user" in api.details("DELETE", "users/inet/admin", 400)
    assert api.delete("users/inet/nobody").status_code == 404
    assert api.patch("users/inet/admin", json={"data": {"attributes": {}}}).status_code == 400
    assert api.post("users/inet", json={"data": {"id": "x", "type": "inet"}}).status_code == 400
    assert api.post("users/inet", json={"data": {"attributes": {"password": "x"}}}).status_code == 400
    assert api.data("users/unix") == []
    assert api.post("users/unix", json=USER).status_code == 400


# -- the product


def test_maxscale(api: Any) -> None:
    shown = api.attributes("maxscale")
    assert shown["parameters"]["threads"] == 2
    assert shown["uptime"] >= 10
    assert shown["system"]["maxscale"]["threads"] == 2
    assert shown["system"]["os"]["sysname"] == "Linux"
    assert api.get("maxscale").json()["links"]["self"].endswith("/v1/maxscale/")


def test_alter_maxscale(api: Any) -> None:
    document = {"data": {"attributes": {"parameters": {"log_info": True}}}}
    assert api.patch("maxscale", json=document).status_code == 204
    assert api.attributes("maxscale")["parameters"]["log_info"] is True
    document = {"data": {"attributes": {"parameters": {"admin_port": 1}}}}
    assert "admin_port" in api.details("PATCH", "maxscale", 400, json=document)


def test_threads(api: Any) -> None:
    first, second = api.data("maxscale/threads")
    assert first["id"] == "0" and first["attributes"]["stats"]["zombies"] == 1
    assert second["attributes"]["stats"]["load"] == {"last_second": 1, "last_minute": 2, "last_hour": 3}
    assert {"accepts", "current_descriptors", "query_classifier_cache", "state", "listening", "memory"} <= (
        first["attributes"]["stats"].keys()
    )
    assert api.data("maxscale/threads/1")["id"] == "1"
    assert api.get("maxscale/threads/2").status_code == 404


def test_memory(api: Any) -> None:
    assert api.attributes("maxscale/memory") == {
        "query_classifier": 5, "sessions": 6, "zombies": 0, "total": 11,
    }  # fmt: skip


def test_monitor_wait(api: Any) -> None:
    assert api.get("maxscale/debug/monitor_wait").status_code == 200


def test_tls_reload(api: Any, product: Any) -> None:
    assert api.post("maxscale/tls/reload").status_code == 204
    assert product.calls == [("reload_tls",)]


# -- the log


def test_log(api: Any, product: Any) -> None:
    product.log_path.write_text(
        "2026-11-20 10:00:00   notice : [workers] started\n"
        "2026-11-20 10:00:01   warning: (7) [readwritesplit] (RWS); slow\n"
        "no line of the log\n"
        "2026-11-20 10:00:02   error  : [monitors] (server1); gone: why\n"
    )
    shown = api.get("maxscale/logs/data?page[size]=2").json()
    entries = shown["data"]["attributes"]["log"]
    assert [entry["priority"] for entry in entries] == ["warning", "error"]
    assert entries[0]["session"] == "7"
    assert (entries[0]["module"], entries[0]["object"], entries[0]["message"]) == (
        "readwritesplit",
        "RWS",
        "slow",
    )
    assert entries[1]["message"] == "gone: why"
    before = api.get(shown["links"]["prev"]).json()
    assert [entry["message"] for entry in before["data"]["attributes"]["log"]] == ["started"]
    assert "prev" not in before["links"]
    found = api.data("maxscale/logs/entries?priority=error,alert")
    assert [each["attributes"]["priority"] for each in found] == ["error"]
    assert api.get("maxscale/logs/data?priority=loud").status_code == 400
    assert api.get("maxscale/logs/data?page[cursor]=x").status_code == 400
    shown = api.attributes("maxscale/logs")
    assert shown["log_file"] == str(product.log_path)
    assert "error" in shown["log_priorities"] and "info" not in shown["log_priorities"]


def test_no_log_file(api: Any, product: Any) -> None:
    assert "cannot be read" in api.details("GET", "maxscale/logs/data", 400)
    product.log_path = None
    assert api.attributes("maxscale/logs/data")["log"] == []


def test_log_settings(api: Any, product: Any) -> None:
    document = {"data": {"attributes": {"parameters": {"highprecision": True}}}}
    assert api.patch("maxscale/logs", json=document).status_code == 204
    assert api.attributes("maxscale/logs")["parameters"]["highprecision"] is True
    assert api.post("maxscale/logs/flush").status_code == 204
    assert product.calls == [("rotate_logs",)]


# -- modules, commands, classifier


def test_modules(api: Any) -> None:
    modules = {each["id"]: each for each in api.data("maxscale/modules?load=all")}
    assert {"maxscale", "servers", "services", "readwritesplit", "mariadbmon"} <= modules.keys()
    shown = api.attributes("maxscale/modules/readwritesplit")
    assert shown["module_type"] == "Router"
    assert {"name", "type", "description", "mandatory", "modifiable"} <= shown["parameters"][0].keys()
    assert api.get("maxscale/modules/nonsense").status_code == 404


def test_commands(api: Any, product: Any) -> None:
    path = "maxscale/modules/mariadbmon"
    assert api.post(f"{path}/failover?Monitor&pretty=true").status_code == 204
    assert api.details("POST", f"{path}/failover?Nobody", 400) == "There is no such monitor"
    assert api.get(f"{path}/failover?Monitor").status_code == 404
    assert api.post(f"{path}/nonsense").status_code == 404
    assert api.get(f"{path}/fetch-cmd-result?Monitor").json()["meta"] == {"state": "done"}
    api.post(f"{path}/switchover?Mon%20itor&server%261")
    assert product.calls[-1] == ("command", "mariadbmon", "switchover", ("Mon itor", "server&1"), "POST")


def test_classifier(api: Any) -> None:
    assert api.attributes("maxscale/query_classifier/classify?sql=select+1") == {"canonical": "SELECT 1"}
    assert api.get("maxscale/query_classifier/classify").status_code == 400
    (entry,) = api.data("maxscale/query_classifier/cache?top=5")
    assert entry["id"] == "SELECT ?" and entry["attributes"]["hits"] == 3
    document = {"data": {"attributes": {"parameters": {"cache_size": 1048576}}}}
    assert api.patch("maxscale/query_classifier", json=document).status_code == 204
    assert api.attributes("maxscale/query_classifier")["parameters"] == {"cache_size": 1048576}


# -- what goes wrong


def test_internal_errors(api: Any, product: Any, monkeypatch: Any, caplog: Any) -> None:
    async def fail(*_: Any) -> Any:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(product, "sessions", fail)
    text = api.details("GET", "sessions", 500)
    assert "secret detail" not in text
    assert "secret detail" in caplog.text


def test_slow_requests(api: Any, product: Any, monkeypatch: Any) -> None:
    async def hang(*_: Any) -> Any:
        await asyncio.sleep(30)

    monkeypatch.setattr(app, "REQUEST_TIMEOUT_S", 0.05)
    monkeypatch.setattr(product, "sessions", hang)
    assert "not completed" in api.details("GET", "sessions", 503)
