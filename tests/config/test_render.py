"""The configuration in the REST API."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.config.modules import BUILT_IN


def test_parameters(store: Any) -> None:
    shown = store.parameters_json("services", "RWS")
    assert shown["password"] == "*****"
    assert shown["connection_keepalive"] == "300000ms"
    assert shown["transaction_replay_max_size"] == 1048576
    assert shown["user_accounts_file"] is None
    assert shown["router"] == "readwritesplit" and shown["type"] == "service"
    assert not {"servers", "targets", "cluster", "filters"} & set(shown)


def test_servers_hide_what_is_old(store: Any) -> None:
    shown = store.parameters_json("servers", "server1")
    assert (shown["address"], shown["port"], shown["socket"]) == ("127.0.0.1", 3001, None)
    assert not {"type", "protocol", "authenticator"} & set(shown)


def test_dotted_names_are_nested(store: Any) -> None:
    listener = store.parameters_json("listeners", "RWS-Listener")
    assert listener["MariaDBProtocol"] == {"allow_replication": True}
    top = store.parameters_json("maxscale")
    assert top["event"]["authentication_failure"] == {"facility": "LOG_USER", "level": "LOG_WARNING"}
    assert top["log_throttling"] == {"count": 0, "window": 0, "suppress": 0}
    assert top["threads"] == 2


def test_module(store: Any) -> None:
    module = store.module_info("readwritesplit")
    attributes = module["attributes"]
    assert (module["id"], module["type"], attributes["module_type"]) == (
        "readwritesplit",
        "modules",
        "Router",
    )
    parameters = {each["name"]: each for each in attributes["parameters"]}
    assert parameters["master_failure_mode"]["enum_values"] == [
        "fail_instantly",
        "fail_on_write",
        "error_on_write",
    ]
    assert parameters["max_replication_lag"]["default_value"] == "0ms"
    assert parameters["max_replication_lag"]["unit"] == "ms"
    assert parameters["user"]["mandatory"] is True and "default_value" not in parameters["user"]
    assert parameters["router"]["modifiable"] is False
    assert parameters["auth_all_servers"]["deprecated"] is True


def test_pseudo_modules(store: Any) -> None:
    names = [each["id"] for each in store.module_info()]
    assert names[:6] == ["maxscale", "servers", "services", "listeners", "filters", "monitors"]
    assert set(names[6:]) == {spec.name for spec in BUILT_IN}
    assert store.module_info("mysqlmon")["id"] == "mariadbmon"
    with pytest.raises(KeyError):
        store.module_info("nothing")
