"""Changes as transactions: complete validation, no effect before the commit, and what is kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fairlead.config import secrets
from fairlead.config.store import Change, ConfigErrors, ConfigStore


def done(store: ConfigStore, change: Change) -> Change:
    store.commit(change)
    return change


def refused(make: Callable[[], Change], words: str) -> None:
    with pytest.raises(ConfigErrors) as error:
        make()
    assert words in str(error.value)


def service(store: ConfigStore, name: str = "RWS") -> Any:
    return store.get("services", name)


# -- alter


def test_alter(place: Any, store: Any) -> None:
    change = store.alter("services", "RWS", {"max_connections": 5, "wait_timeout": "10s"})
    assert service(store).params["max_connections"] == 0
    assert change.changed == ("RWS",)
    store.commit(change)
    assert service(store).params["max_connections"] == 5
    assert store.snapshot().version == 2
    text = place.persisted()["RWS"]
    for line in ("[RWS]", "type=service", "router=readwritesplit", "servers=server1,server2", "filters=Hint",
                 "max_connections=5", "wait_timeout=10000ms", "max_slave_connections=1"):  # fmt: skip
        assert line in text.splitlines()


def test_static_definition(place: Any, store: Any) -> None:
    """A warning at the first change; the file goes when the object is again as in the static file."""
    assert store.source("services", "RWS") == {"file": str(place.file), "type": "static"}
    change = done(store, store.alter("services", "RWS", {"max_connections": 5}))
    assert "takes the place" in change.warnings[0]
    assert store.source("services", "RWS") == {"file": str(place.persistdir / "RWS.cnf"), "type": "runtime"}
    assert store.alter("services", "RWS", {"max_connections": 6}).warnings == []
    done(store, store.alter("services", "RWS", {"max_connections": None}))
    assert place.persisted() == {}
    assert store.source("services", "RWS")["type"] == "static"


def test_reload_after_changes(place: Any, store: Any) -> None:
    done(store, store.alter("services", "RWS", {"max_connections": 5, "user": "'odd'"}))
    done(store, store.alter("maxscale", "maxscale", {"passive": True}))
    done(store, store.create("servers", "server3", None, {"address": "127.0.0.1", "port": 3003}))
    again = place.load()
    assert service(again).params == service(store).params
    assert again.snapshot().globals == store.snapshot().globals
    assert again.names("servers") == ["server1", "server2", "server3"]
    assert sum("takes the place of this section" in warning for warning in again.warnings) == 1
    assert again.source("servers", "server3")["type"] == "runtime"


def test_persisted_files_can_be_ignored(place: Any, store: Any, conf: Any) -> None:
    done(store, store.alter("services", "RWS", {"max_connections": 5}))
    text = conf.replace("[maxscale]", "[maxscale]\nload_persisted_configs=false")
    assert service(place.load(text)).params["max_connections"] == 0


def test_volatile_changes(place: Any, conf: Any) -> None:
    store = place.load(conf.replace("[maxscale]", "[maxscale]\npersist_runtime_changes=false"))
    change = done(store, store.alter("services", "RWS", {"max_connections": 5}))
    assert "until the next restart" in change.warnings[0]
    assert place.persisted() == {}
    assert store.source("services", "RWS") == {"file": None, "type": "volatile"}
    done(store, store.create("filters", "F", "hintfilter"))
    assert store.source("filters", "F") == {"file": None, "type": "volatile"}


@pytest.mark.parametrize(
    ("kind", "name", "params", "words"),
    [
        ("services", "RWS", {"max_conections": 5}, "did you mean max_connections?"),
        ("services", "RWS", {"max_connections": "many"}, "is not a whole number"),
        ("services", "RWS", {"wait_timeout": 10}, "a string with"),
        ("services", "RWS", {"user": None}, "it is mandatory"),
        ("services", "RWS", {"user": "a\nb=c"}, "line break"),
        ("services", "RWS", {"servers": "server1"}, "change the relationship"),
        ("services", "RWS", {"router": "readconnroute"}, "cannot be changed at run time"),
        ("listeners", "RWS-Listener", {"port": 4007}, "cannot be changed at run time"),
        ("listeners", "RWS-Listener", {"connection_metadata": ["a=1\nb=2"]}, "line break"),
        ("listeners", "RWS-Listener", {"ssl": True}, "ssl_cert: is not given"),
        ("servers", "server1", {"port": 3002}, "is the address of"),
        ("servers", "server1", {"socket": "/tmp/s"}, "both address and socket"),
        ("monitors", "Monitor", {"script": "/no/such"}, "does not exist"),
        ("monitors", "Monitor", {"type": "service"}, "cannot be changed"),
        ("maxscale", "maxscale", {"admin_port": 9000}, "cannot be changed at run time"),
        ("maxscale", "maxscale", {"threads": 300}, "threads_max"),
        ("filters", "Hint", {"module": "masking"}, "cannot be changed at run time"),
    ],
)
def test_refused_alterations(
    place: Any, store: Any, kind: str, name: str, params: dict[str, Any], words: str
) -> None:
    before = store.snapshot()
    refused(lambda: store.alter(kind, name, params), words)
    assert store.snapshot() is before
    assert place.persisted() == {}


def test_what_a_client_was_shown_can_be_sent_back(store: Any) -> None:
    before = store.snapshot()
    for kind in ("servers", "services", "listeners", "filters", "monitors"):
        for name in store.names(kind):
            shown = store.parameters_json(kind, name)
            done(store, store.alter(kind, name, shown))
            assert store.parameters_json(kind, name) == shown
    done(store, store.alter("maxscale", "maxscale", store.parameters_json("maxscale")))
    after = store.snapshot()
    assert (after.servers, after.services) == (before.servers, before.services)
    assert after.listeners == before.listeners
    assert after.globals == before.globals


def test_nested_parameters(store: Any) -> None:
    for written in (
        {"MariaDBProtocol": {"allow_replication": False}},
        {"mariadbprotocol.allow_replication": "0"},
    ):
        change = store.alter("listeners", "RWS-Listener", written)
        assert change.snapshot.listeners[0].params["mariadbprotocol.allow_replication"] is False
    event = {"event": {"authentication_failure": {"level": "LOG_ERR"}}}
    change = store.alter(
        "maxscale", "maxscale", event | {"log_throttling": {"count": 1, "window": 2, "suppress": 3}}
    )
    assert change.snapshot.globals["event.authentication_failure.level"] == "LOG_ERR"
    assert change.snapshot.globals["log_throttling"] == {"count": 1, "window": 2, "suppress": 3}


def test_address_is_exchanged_for_a_socket(store: Any) -> None:
    done(store, store.alter("servers", "server1", {"address": None, "socket": "/tmp/s1"}))
    shown = store.parameters_json("servers", "server1")
    assert (shown["address"], shown["port"], shown["socket"]) == (None, None, "/tmp/s1")
    assert store.get("servers", "server1").address == "/tmp/s1"


def test_changes_do_not_mix(store: Any) -> None:
    first = store.alter("services", "RWS", {"max_connections": 5})
    second = store.alter("services", "RWS", {"max_connections": 6})
    store.commit(first)
    refused(lambda: store.commit(second), "in the meantime")


def test_a_change_that_cannot_be_kept_has_no_effect(place: Any, store: Any) -> None:
    change = store.alter("services", "RWS", {"max_connections": 5})
    place.persistdir.rmdir()
    place.persistdir.write_text("a file")
    refused(lambda: store.commit(change), "cannot be kept")
    assert service(store).params["max_connections"] == 0


def test_passwords_are_kept_encrypted(place: Any, conf: Any) -> None:
    datadir = place.base / "var/lib/maxscale"
    datadir.mkdir(parents=True)
    secrets.create_key(datadir)
    store = place.load(conf)
    done(store, store.alter("services", "RWS", {"password": "brand new"}))
    assert "brand new" not in place.persisted()["RWS"]
    assert service(place.load(conf)).params["password"] == "brand new"


def test_parameters_and_relationships_in_one_step(store: Any) -> None:
    change = store.alter(
        "services", "RWS", {"max_connections": 5}, {"servers": [], "monitors": ["Monitor"], "filters": []}
    )
    after = change.snapshot.services[0]
    assert (after.cluster, after.servers, after.filters) == ("Monitor", ("server1", "server2"), ())
    refused(
        lambda: store.alter("services", "RWS", {"user": "x"}, {"servers": ["server9"]}), "no server 'server9'"
    )


# -- create


def test_create_everything(place: Any, store: Any) -> None:
    done(store, store.create("servers", "server3", None, {"address": "127.0.0.1", "port": 3003},
                             {"services": ["RWS"], "monitors": ["Monitor"]}))  # fmt: skip
    done(store, store.create("filters", "F", "hintfilter"))
    account = {"user": "u", "password": "p"}
    done(store, store.create("services", "S", "readconnroute", {**account, "router_options": "master,slave"},
                             {"servers": ["server3"], "filters": ["F", "Hint"]}))  # fmt: skip
    done(store, store.create("services", "T", "readwritesplit", account, {"services": ["S"]}))
    done(store, store.create("listeners", "L", None, {"port": 4100}, {"services": ["S"]}))
    done(store, store.create("monitors", "M", "mariadbmon", account, {"services": []}))
    again = place.load()
    for each in (store, again):
        assert each.get("monitors", "Monitor").servers == ("server1", "server2", "server3")
        assert service(each).servers == ("server1", "server2", "server3")
        assert service(each, "S").filters == ("F", "Hint")
        assert service(each, "T").services == ("S",)
        assert each.get("listeners", "L").service == "S"
        assert each.relationships("services", "S")["listeners"] == ["L"]
        assert each.relationships("servers", "server3") == {
            "services": ["RWS", "RCR", "S"], "monitors": ["Monitor"]
        }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name", "module", "params", "relationships", "words"),
    [
        ("servers", "server1", None, {"address": "x"}, {}, "exists already"),
        ("servers", "RWS", None, {"address": "x"}, {}, "exists already"),
        ("servers", "a b", None, {"address": "x"}, {}, "white space"),
        ("servers", "@@a", None, {"address": "x"}, {}, "reserved"),
        ("servers", "MaxScale", None, {"address": "x"}, {}, "global section"),
        ("servers", "s", None, {}, {}, "neither address nor socket"),
        ("servers", "s", None, {"address": "x"}, {"services": ["nope"]}, "no service 'nope'"),
        ("servers", "s", None, {"address": "x"}, {"filters": ["Hint"]}, "cannot be changed"),
        ("services", "S", None, {"user": "u", "password": "p"}, {}, "router: is not given"),
        ("services", "S", "schemarouter", {"user": "u", "password": "p"}, {}, "not available"),
        ("services", "S", "readconnroute", {"user": "u"}, {}, "password: is not given"),
        ("filters", "F", "masking", {}, {}, "not available"),
        ("filters", "F", "hintfilter", {"rules": "x"}, {}, "is not a parameter of hintfilter"),
        ("listeners", "L", None, {"port": 4100}, {}, "service: is not given"),
        ("listeners", "L", None, {"port": 4100}, {"services": ["RWS", "RCR"]}, "2 services are named"),
        ("listeners", "L", None, {"port": 4006, "address": "127.0.0.1"}, {"services": ["RWS"]}, "already"),
        ("listeners", "L", None, {"port": 1, "ssl": True, "ssl_cert": "/no", "ssl_key": "/no"},
         {"services": ["RWS"]}, "'/no' does not exist"),
        ("monitors", "M", "mariadbmon", {"user": "u", "password": "p"}, {"servers": ["server1"]}, "already"),
        ("monitors", "M", "mariadbmon", {"user": "u", "password": "p", "type": "server"}, {}, "not the type"),
    ],
)  # fmt: skip
def test_refused_creations(
    store: Any, kind: str, name: str, module: str | None, params: dict[str, Any],
    relationships: dict[str, list[str]], words: str,
) -> None:  # fmt: skip
    before = store.snapshot()
    refused(lambda: store.create(kind, name, module, params, relationships), words)
    assert store.snapshot() is before


def test_names_that_are_no_urls_are_warned_about(store: Any) -> None:
    assert "URL" in store.create("filters", "a/b", "hintfilter").warnings[0]


# -- destroy


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("servers", "server1", "is used by the monitor 'Monitor'"),
        ("filters", "Hint", "is used by the service 'RWS'"),
        ("monitors", "Monitor", "still has servers server1, server2"),
        ("services", "RWS", "is used by the listener 'RWS-Listener'"),
    ],
)
def test_used_objects_stay(store: Any, kind: str, name: str, words: str) -> None:
    refused(lambda: store.destroy(kind, name), words)


def test_destroy_by_force(place: Any, store: Any) -> None:
    change = done(store, store.destroy("servers", "server1", force=True))
    assert any("there again after a restart" in warning for warning in change.warnings)
    assert service(store).servers == ("server2",)
    assert store.get("monitors", "Monitor").servers == ("server2",)
    done(store, store.destroy("monitors", "Monitor", force=True))
    assert service(store, "RCR").cluster is None
    done(store, store.destroy("services", "RWS", force=True))
    assert store.names("listeners") == []
    done(store, store.destroy("filters", "Hint"))
    assert place.persisted().keys() == {"RCR"}


def test_destroy_what_was_created(place: Any, store: Any) -> None:
    done(store, store.create("servers", "s", None, {"address": "x"}))
    assert "s" in place.persisted()
    assert done(store, store.destroy("servers", "s")).warnings == []
    assert place.persisted() == {}
    done(store, store.destroy("listeners", "RWS-Listener"))
    assert store.names("listeners") == []


def test_unknown_objects(store: Any) -> None:
    makes: list[Callable[[], object]] = [
        lambda: store.get("servers", "x"),
        lambda: store.alter("servers", "RWS", {}),
        lambda: store.destroy("filters", "x"),
        lambda: store.source("services", "x"),
    ]
    for make in makes:
        with pytest.raises(KeyError):
            make()


# -- relationships


def test_relationships_from_every_side(place: Any, store: Any) -> None:
    done(store, store.relate("servers", "server1", "services", []))
    assert service(store).servers == ("server2",)
    done(store, store.relate("servers", "server1", "monitors", []))
    assert store.get("monitors", "Monitor").servers == ("server2",)
    assert service(store, "RCR").servers == ("server2",)
    done(store, store.relate("monitors", "Monitor", "servers", ["server2", "server1"]))
    assert store.get("monitors", "Monitor").servers == ("server2", "server1")
    done(store, store.relate("monitors", "Monitor", "services", []))
    assert service(store, "RCR").cluster is None
    done(store, store.relate("services", "RCR", "services", ["RWS"]))
    assert place.load().get("services", "RCR").services == ("RWS",)


def test_refused_relationships(store: Any) -> None:
    refused(lambda: store.relate("services", "RCR", "servers", ["server1"]), "has a monitor")
    refused(lambda: store.relate("monitors", "Monitor", "services", ["RWS"]), "has a monitor")
    refused(lambda: store.relate("services", "RWS", "services", ["RWS"]), "circle")
    refused(lambda: store.relate("services", "RWS", "filters", ["server1"]), "there is no filter 'server1'")
    refused(lambda: store.relate("filters", "Hint", "services", ["RCR"]), "cannot be changed")


# -- reload


def test_reload(place: Any, store: Any, conf: Any) -> None:
    done(store, store.start_stop("services", "RWS", True))
    done(store, store.alter("servers", "server1", {"priority": 3}))
    text = conf.replace("max_slave_connections=1", "max_slave_connections=2")
    text = text.replace("threads=2", "threads=3\nadmin_port=9000")
    text = text.replace("[server1]", "[server0]\ntype=server\naddress=first\n\n[server1]")
    place.file.write_text(text)
    change = done(store, store.reload())
    assert service(store).params["max_slave_connections"] == 2
    assert service(store).stopped
    assert store.snapshot().globals["threads"] == 3
    assert store.snapshot().globals["admin_port"] == 8989
    assert any("after a restart" in warning for warning in change.warnings)
    assert {s.name: s.slot for s in store.snapshot().servers} == {"server0": 2, "server1": 0, "server2": 1}
    assert store.get("servers", "server1").params["priority"] == 3
    assert set(place.persisted()) == {"server1"}


def test_a_wrong_file_changes_nothing(place: Any, store: Any, conf: Any) -> None:
    before = store.snapshot()
    place.file.write_text(conf.replace("threads=2", "threads=-2"))
    refused(store.reload, "threads")
    assert store.snapshot() is before


def test_the_command_line_is_not_kept(place: Any, conf: Any) -> None:
    store = place.load(conf, overrides={"passive": "true"})
    done(store, store.alter("maxscale", "maxscale", {"log_info": True}))
    assert "log_info=true" in place.persisted()["maxscale"]
    assert "passive" not in place.persisted()["maxscale"]
    assert place.load(conf).snapshot().globals["passive"] is False


# -- start and stop, slots


def test_start_stop(place: Any, store: Any) -> None:
    done(store, store.start_stop("services", "RWS", True))
    assert service(store).stopped
    assert place.persisted() == {}
    done(store, store.alter("services", "RWS", {"max_connections": 1}))
    assert service(store).stopped
    done(store, store.start_stop("services", "RWS", False))
    assert not service(store).stopped
    refused(lambda: store.start_stop("servers", "server1", True), "neither started nor stopped")


def test_slots_stay_with_their_objects(store: Any) -> None:
    done(store, store.destroy("servers", "server1", force=True))
    done(store, store.create("servers", "server3", None, {"address": "x"}))
    assert {server.name: server.slot for server in store.snapshot().servers} == {"server2": 1, "server3": 2}


def test_export(place: Any, store: Any, tmp_path: Any) -> None:
    done(store, store.alter("services", "RWS", {"max_connections": 5}))
    text = store.export_text()
    for path in place.persistdir.iterdir():
        path.unlink()
    again = place.load(text)
    assert again.snapshot().services == store.snapshot().services
