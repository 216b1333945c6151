"""Loading: what becomes of a file, and everything that is refused at the start."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fairlead.cluster.defs import Snapshot
from fairlead.config import secrets


def with_line(text: str, section: str, line: str) -> str:
    """The text with one more line in a section."""
    return text.replace(f"[{section}]\n", f"[{section}]\n{line}\n", 1)


def test_snapshot(store: Any) -> None:
    snapshot = store.snapshot()
    assert snapshot.version == 1
    assert snapshot.globals["threads"] == 2
    assert [(s.name, s.slot, s.address) for s in snapshot.servers] == [
        ("server1", 0, "127.0.0.1:3001"), ("server2", 1, "127.0.0.1:3002")
    ]  # fmt: skip
    rws, rcr = snapshot.services
    assert (rws.router, rws.servers, rws.filters, rws.cluster) == (
        "readwritesplit", ("server1", "server2"), ("Hint",), None
    )  # fmt: skip
    assert (rcr.servers, rcr.cluster, rcr.params["router_options"]) == (
        ("server1", "server2"),
        "Monitor",
        ("slave",),
    )
    (listener,) = snapshot.listeners
    assert listener.service == "RWS"
    assert listener.params["mariadbprotocol.allow_replication"] is True
    (monitor,) = snapshot.monitors
    assert monitor.params["monitor_interval"] == 200
    assert monitor.params["master_conditions"] == ("primary_monitor_master", "disk_space_ok")
    assert snapshot.filters[0].module == "hintfilter"
    assert store.warnings == []


def test_snapshot_crosses_the_bus(store: Any) -> None:
    data = msgspec.msgpack.encode(store.snapshot())
    assert msgspec.msgpack.decode(data, type=Snapshot).services[0].name == "RWS"


def test_directories_are_below_the_base(place: Any, store: Any) -> None:
    assert store.paths.logdir == place.base / "var/log/maxscale"
    assert store.paths.persistdir == place.persistdir
    assert store.paths.secretsdir == store.paths.datadir
    for path in (store.paths.logdir, store.paths.datadir, store.paths.cachedir, store.paths.piddir):
        assert path.is_dir()
    assert store.snapshot().globals["logdir"] == str(store.paths.logdir)


def test_given_directories_are_taken_as_they_are(place: Any, conf: Any, tmp_path: Path) -> None:
    store = place.load(with_line(conf, "maxscale", f"logdir={tmp_path}/logs"))
    assert store.paths.logdir == tmp_path / "logs"


def test_command_line_wins(place: Any, conf: Any) -> None:
    store = place.load(conf, overrides={"threads": "3", "passive": "true"})
    assert store.snapshot().globals["threads"] == 3
    assert store.snapshot().globals["passive"] is True


def test_fairlead_is_another_name_of_the_global_section(place: Any, conf: Any) -> None:
    store = place.load(conf.replace("[maxscale]", "[fairlead]"))
    assert store.snapshot().globals["threads"] == 2


def test_no_global_section_is_needed(place: Any, conf: Any) -> None:
    assert place.load(conf[conf.index("[server1]") :]).snapshot().globals["admin_port"] == 8989


def test_old_names(place: Any, conf: Any) -> None:
    text = conf.replace("module=mariadbmon", "module=MySQLMon")
    text = with_line(text, "RWS-Listener", "protocol=mysqlclient\nauthenticator=mysqlauth")
    text = with_line(text, "RWS", "connection_timeout=10s\nmax_slave_replication_lag=5s")
    text = with_line(text, "server1", "protocol=mariadbbackend")
    store = place.load(text)
    snapshot = store.snapshot()
    assert snapshot.monitors[0].module == "mariadbmon"
    assert snapshot.listeners[0].params["protocol"] == "mariadbprotocol"
    assert snapshot.services[0].params["wait_timeout"] == 10_000
    assert snapshot.services[0].params["max_replication_lag"] == 5000
    assert any("mysqlclient" in warning for warning in store.warnings)


def test_targets_are_told_apart(place: Any, conf: Any) -> None:
    text = conf.replace(
        "servers=server1,server2\nuser=service_user", "targets=RCR,server2\nuser=service_user"
    )
    service = place.load(text).snapshot().services[0]
    assert (service.servers, service.services) == (("server2",), ("RCR",))


@pytest.mark.parametrize(
    ("section", "line", "problem"),
    [
        ("maxscale", "thread=1", "2: [maxscale] thread: is not a parameter of the global section"),
        ("maxscale", "writeq_low_water=64Ki", "[maxscale] writeq_low_water: 65536 is not below"),
        ("maxscale", "threads_max=1", "[maxscale] threads: 2 is out of range"),
        ("maxscale", "admin_ssl_key=/etc/hostname", "[maxscale] admin_ssl_cert: is not given"),
        ("maxscale", "skip_name_resolve=1\nadmin_readonly_hosts=%.x.com", "is a host name"),
        ("maxscale", "users_refresh_interval=10", "(did you mean 10s?)"),
        ("maxscale", "config_sync_cluster=Monitr", "there is no monitor 'Monitr' (did you mean Monitor?)"),
        ("server1", "socket=/tmp/s", "both address and socket"),
        ("server1", "monitoruser=x", "[server1] monitorpw: is not given"),
        ("server1", "ssl_cert=/no/such/file", "the file '/no/such/file' does not exist"),
        ("server1", "rank=Primary", "did you mean primary?"),
        ("RWS", "cluster=Monitor", "servers and cluster are given"),
        ("RWS", "idle_session_pool_tim=1s", "did you mean idle_session_pool_time?"),
        ("RWS", "wait_timeout=1s\nconnection_timeout=1s", "is the same as"),
        ("RWS", "user_accounts_file_usage=file_only_always", "[RWS] user_accounts_file: is not given"),
        ("RWS-Listener", "socket=/tmp/x", "both port and socket"),
        ("RWS-Listener", "ssl=true\nssl_key=/etc/hostname", "[RWS-Listener] ssl_cert: is not given"),
        ("RWS-Listener", "authenticator=pamauth", "'pamauth' is known but not available"),
        ("RWS-Listener", "authenticator_options=skip_auth=1", "did you mean skip_authentication?"),
        ("RWS-Listener", "authenticator_options=match_host=x", "is not a boolean"),
        ("RWS-Listener", "connection_metadata=x", "is no pair"),
        ("RWS-Listener", "protocol=cdc", "the protocol 'cdc' is known but not available"),
        ("Monitor", "script=/no/such/script", "does not exist"),
        ("Monitor", "script=no-such-program $EVENT", "is not found"),
        ("Monitor", "events=master_down,slave_dwn", "did you mean slave_down?"),
        ("Monitor", "replication_user=r", "[Monitor] replication_password: is not given"),
        ("Monitor", "auto_failover=true\nassume_unique_hostnames=false", "auto_failover: is true while"),
        ("Monitor", "promotion_sql_file=/no/such.sql", "does not exist"),
        ("Monitor", "servers_no_promotion=server3", "there is no server 'server3'"),
        ("Hint", "x=1", "[Hint] x: is not a parameter of hintfilter"),
    ],
)  # fmt: skip
def test_refused_lines(place: Any, conf: Any, section: str, line: str, problem: str) -> None:
    problems = place.problems(with_line(conf, section, line))
    assert len(problems) == 1
    assert problem in problems[0]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("type=server\naddress=127.0.0.1\nport=3002", "type=servr", "did you mean server?"),
        ("type=filter\n", "", "[Hint] type is not given"),
        ("module=hintfilter", "module=masking", "the filter 'masking' is known but not available"),
        ("module=hintfilter", "module=hintfiltre", "did you mean hintfilter?"),
        ("module=hintfilter", "module=mariadbmon", "is the name of a monitor"),
        ("module=mariadbmon", "module=galeramon", "the monitor 'galeramon' is known but not available"),
        (
            "router=readconnroute",
            "router=schemarouter",
            "the router 'schemarouter' is known but not available",
        ),
        ("port=3002", "port=3001", "127.0.0.1:3001 is the address of 'server1' already"),
        ("filters=Hint", "filters=Hnt", "there is no filter 'Hnt' (did you mean Hint?)"),
        ("filters=Hint", "filters=server1", "'server1' is a server; allowed: a filter"),
        ("service=RWS\n", "service=RWZ\n", "there is no service 'RWZ'"),
        ("service=RWS\n", "", "[RWS-Listener] service: is not given"),
        ("user=monitor_user\n", "", "[Monitor] user: is not given; allowed: it is mandatory"),
        ("user=monitor_user\n", "user=\n", "[Monitor] user: is empty"),
        ("address=127.0.0.1\nport=3001", "port=3001", "neither address nor socket"),
        ("address=127.0.0.1\nport=3001", "address=/tmp/x\nport=3001", "use socket"),
        ("port=4006\n", "", "neither port nor socket"),
        ("port=4006\n", "port=4006\nssl=true\n", "[RWS-Listener] ssl_key: is not given"),
        ("=200ms", "=0ms", "monitor_interval: is 0; allowed: a time from 1ms"),
        ("cluster=Monitor\n", "targets=RCR\n", "lead in a circle: RCR -> RCR"),
    ],
)
def test_refused_texts(place: Any, conf: Any, old: str, new: str, problem: str) -> None:
    assert old in conf
    problems = place.problems(conf.replace(old, new, 1))
    assert any(problem in each for each in problems), problems


def test_script_must_be_executable(place: Any, conf: Any, tmp_path: Path) -> None:
    script = tmp_path / "script.sh"
    script.write_text("#!/bin/sh\n")
    text = with_line(conf, "Monitor", f"script={script} --event=$EVENT")
    assert "is not executable" in place.problems(text)[0]
    script.chmod(0o755)
    assert place.load(text).snapshot().monitors[0].params["script"] == f"{script} --event=$EVENT"


def test_every_problem_is_told(place: Any, conf: Any) -> None:
    text = with_line(
        with_line(with_line(conf, "server1", "prot=1"), "RWS", "filter=x"), "Monitor", "failcount=0"
    )
    assert len(place.problems(text)) == 3


def test_a_server_has_one_monitor(place: Any, conf: Any) -> None:
    text = conf + "\n[Other]\ntype=monitor\nmodule=mariadbmon\nuser=a\npassword=b\nservers=server2\n"
    assert "'server2' is monitored by 'Monitor' already" in place.problems(text)[0]


def test_listeners_on_one_port(place: Any, conf: Any) -> None:
    text = conf + "\n[Other]\ntype=listener\nservice=RCR\naddress=127.0.0.1\nport=4006\n"
    assert "'RWS-Listener' listens on 127.0.0.1:4006 already" in place.problems(text)[0]


@pytest.mark.parametrize(
    ("section", "line", "warning"),
    [
        ("RWS", "net_write_timeout=1s", "net_write_timeout: is known but has no effect"),
        ("RWS", "auth_all_servers=true", "auth_all_servers: is deprecated"),
        ("RWS", "disable_sescmd_history=true", "switches master_reconnection off"),
        ("RWS", "wait_timeout=1500ms", "shortened to 1s"),
        ("maxscale", "session_trace_match=abc", "between slashes"),
        ("RWS-Listener", "authenticator_options=cache_dir=/tmp", "cache_dir has no effect"),
    ],
)
def test_warnings(place: Any, conf: Any, section: str, line: str, warning: str) -> None:
    warnings = place.load(with_line(conf, section, line)).warnings
    assert any(warning in each for each in warnings), warnings


def test_repeated_names_are_warned_about(place: Any, conf: Any) -> None:
    store = place.load(conf.replace("servers=server1,server2\nuser=m", "servers=server1,server1\nuser=m"))
    assert "named more than once" in store.warnings[0]
    assert store.snapshot().monitors[0].servers == ("server1",)


def test_defaults_of_parsed_only_parameters_are_silent(place: Any, conf: Any) -> None:
    assert place.load(with_line(conf, "RWS", "causal_reads=false")).warnings == []


def test_implied_settings(place: Any, conf: Any) -> None:
    text = with_line(
        conf, "RWS", "lazy_connect=true\nmaster_reconnection=false\nmaster_failure_mode=error_on_write"
    )
    store = place.load(text)
    params = store.parameters_json("services", "RWS")
    assert params["master_reconnection"] is True
    assert params["master_failure_mode"] == "fail_on_write"
    simple = place.load(with_line(conf, "Monitor", "enforce_simple_topology=true"))
    shown = simple.parameters_json("monitors", "Monitor")
    assert shown["auto_failover"] is True and shown["auto_rejoin"] is True


def test_encrypted_passwords(place: Any, conf: Any) -> None:
    datadir = place.base / "var/lib/maxscale"
    datadir.mkdir(parents=True)
    secrets.create_key(datadir)
    text = conf.replace("service_pw", secrets.encrypt(datadir, "hidden"))
    store = place.load(text)
    assert store.snapshot().services[0].params["password"] == "hidden"
    assert store.snapshot().monitors[0].params["password"] == "monitor_pw"
    os.chmod(datadir / ".secrets", 0o644)
    assert "mode 0644" in place.problems(text)[0]


def test_paths_start_from_module_configdir(place: Any, conf: Any) -> None:
    directory = place.base / "etc/maxscale.modules.d"
    directory.mkdir(parents=True)
    (directory / "users.json").write_text("{}")
    store = place.load(with_line(conf, "RWS", "user_accounts_file=users.json"))
    assert store.snapshot().services[0].params["user_accounts_file"] == str(directory / "users.json")


def test_allow_duplicate_servers(place: Any, conf: Any) -> None:
    text = with_line(conf.replace("port=3002", "port=3001"), "maxscale", "debug=allow-duplicate-servers")
    assert len(place.load(text).snapshot().servers) == 2


def test_missing_file(place: Any) -> None:
    from fairlead.config.store import ConfigErrors, ConfigStore

    with pytest.raises(ConfigErrors, match="cannot be read"):
        ConfigStore.load(place.file, basedir=place.base)
