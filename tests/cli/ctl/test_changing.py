"""The changing commands send exactly the requests that the API documents."""

from __future__ import annotations

import pytest


def parameters(**given):
    return {"data": {"attributes": {"parameters": given}}}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("set server s1 maintenance", ("PUT", "servers/s1/set?state=maintenance", None)),
        ("set server s1 maintenance --force", ("PUT", "servers/s1/set?force=yes&state=maintenance", None)),
        ("clear server s1 drain", ("PUT", "servers/s1/clear?state=drain", None)),
        ("start service A", ("PUT", "services/A/start", None)),
        ("stop service A", ("PUT", "services/A/stop", None)),
        ("stop service A --force", ("PUT", "services/A/stop?force=yes", None)),
        ("stop listener L --force", ("PUT", "listeners/L/stop?force=yes", None)),
        ("stop monitor M", ("PUT", "monitors/M/stop", None)),
        ("enable log-priority info", ("PATCH", "maxscale/logs", parameters(log_info=True))),
        ("disable log-priority warning", ("PATCH", "maxscale/logs", parameters(log_warning=False))),
        (
            "alter server s1 port=3307 rank=secondary",
            ("PATCH", "servers/s1", parameters(port=3307, rank="secondary")),
        ),
        ("alter server s1 port 3307", ("PATCH", "servers/s1", parameters(port=3307))),
        ("alter maxscale ms_timestamp=true", ("PATCH", "maxscale", parameters(ms_timestamp=True))),
        ("alter logging maxlog=false", ("PATCH", "maxscale/logs", parameters(maxlog=False))),
        (
            "alter listener L MariaDBProtocol.allow_replication=false",
            ("PATCH", "listeners/L", parameters(MariaDBProtocol={"allow_replication": False})),
        ),
        (
            "alter user bob 1234",
            (
                "PATCH",
                "users/inet/bob",
                {"data": {"id": "bob", "type": "inet", "attributes": {"password": "1234"}}},
            ),
        ),
        (
            "alter service A max_connections=5 servers=s1,s2",
            (
                "PATCH",
                "services/A",
                {
                    "data": {
                        "attributes": {"parameters": {"max_connections": 5}},
                        "relationships": {
                            "servers": {
                                "data": [{"id": "s1", "type": "servers"}, {"id": "s2", "type": "servers"}]
                            }
                        },
                    }
                },
            ),
        ),
        (
            "alter service A filters=f|g",
            (
                "PATCH",
                "services/A",
                {
                    "data": {
                        "relationships": {
                            "filters": {
                                "data": [{"id": "f", "type": "filters"}, {"id": "g", "type": "filters"}]
                            }
                        }
                    }
                },
            ),
        ),
        (
            "alter service-filters A f",
            (
                "PATCH",
                "services/A",
                {"data": {"relationships": {"filters": {"data": [{"id": "f", "type": "filters"}]}}}},
            ),
        ),
        (
            "alter service-filters A",
            ("PATCH", "services/A", {"data": {"relationships": {"filters": {"data": []}}}}),
        ),
        ("rotate logs", ("POST", "maxscale/logs/flush", None)),
        ("reload service A", ("POST", "services/A/reload", None)),
        ("reload tls", ("POST", "maxscale/tls/reload", None)),
        ("reload session 5", ("POST", "sessions/5/restart", None)),
        ("reload sessions", ("POST", "sessions/restart", None)),
        ("destroy server s1", ("DELETE", "servers/s1", None)),
        ("destroy filter f --force", ("DELETE", "filters/f?force=yes", None)),
        ("destroy listener A L", ("DELETE", "listeners/L", None)),
        ("destroy listener L", ("DELETE", "listeners/L", None)),
        ("destroy user bob", ("DELETE", "users/inet/bob", None)),
        ("destroy session 5 --ttl 3", ("DELETE", "sessions/5?ttl=3", None)),
        ("set server s1 drain --skip-sync", ("PUT", "servers/s1/set?state=drain&sync=false", None)),
    ],
)
def test_request(api, run, words, expected):
    assert run.ok(*words.split()) == "OK\n"
    assert api.changes == [expected]


def test_several_states_are_several_requests(api, run):
    run.ok("set", "server", "s1", "maintenance", "drain")
    assert [path for _, path, _ in api.changes] == [
        "servers/s1/set?state=maintenance",
        "servers/s1/set?state=drain",
    ]


def test_stop_services_stops_each(api, run):
    api.get("services", [{"id": "A"}, {"id": "B"}])
    run.ok("stop", "services")
    assert [path for _, path, _ in api.changes] == ["services/A/stop", "services/B/stop"]


def test_numeric_passwords_stay_strings(api, run):
    run.ok(
        "alter",
        "monitor",
        "M",
        "user=007",
        "password=1234",
        "replication_password=5",
        "monitor_interval=2000",
    )
    (change,) = api.changes
    assert change[2] == parameters(
        user="007", password="1234", replication_password="5", monitor_interval=2000
    )


def test_null_is_refused(api, run):
    result = run("alter", "server", "s1", "port=null")
    assert result.exit_code == 1
    assert "null" in result.stderr
    assert api.asked == []


def test_link_keeps_what_is_linked(api, run):
    api.get("servers", [{"id": "s1"}, {"id": "s2"}])
    api.get("services", [{"id": "A"}])
    api.get("monitors", [])
    api.get("services/A", {"id": "A", "relationships": {"servers": {"data": [{"id": "s1"}]}}})
    run.ok("link", "service", "A", "s2")
    assert api.changes[0][2]["data"]["relationships"]["servers"]["data"] == [
        {"id": "s1", "type": "servers"},
        {"id": "s2", "type": "servers"},
    ]
    run.ok("unlink", "service", "A", "s1")
    assert api.changes[1][2]["data"]["relationships"]["servers"]["data"] == []
    assert run("link", "service", "A", "nope").exit_code == 1
    assert len(api.changes) == 2


def test_call_command_uses_the_verb_of_the_command(api, run):
    commands = [
        {"id": "switchover", "attributes": {"method": "POST"}},
        {"id": "fetch-cmd-result", "attributes": {"method": "GET"}},
    ]
    api.get("maxscale/modules/mariadbmon", {"id": "mariadbmon", "attributes": {"commands": commands}})
    api.answers["GET", "maxscale/modules/mariadbmon/fetch-cmd-result?M"] = (200, {"meta": {"result": "done"}})
    assert run.ok("call", "command", "mariadbmon", "switchover", "M", "server 2") == "OK\n"
    assert api.changes == [("POST", "maxscale/modules/mariadbmon/switchover?M&server%202", None)]
    assert '"result": "done"' in run.ok("call", "command", "mariadbmon", "fetch-cmd-result", "M")
    assert "switchover" in run("call", "command", "mariadbmon", "nonsense").stderr
