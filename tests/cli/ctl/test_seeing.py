"""list and show: the columns and rows of the reference, in every form of output."""

from __future__ import annotations

import json
from typing import Any

SERVER = {
    "id": "server1",
    "type": "servers",
    "attributes": {
        "parameters": {"address": "10.0.0.1", "port": 3306, "socket": None},
        "state": "Master, Running",
        "state_details": "Low disk space",
        "gtid_current_pos": "0-1-7",
        "version_string": "10.11.6-MariaDB",
        "statistics": {"connections": 5, "total_connections": 9, "max_connections": 7},
        "master_id": -1,
        "node_id": 1,
        "source": {"file": "/etc/maxscale.cnf", "type": "static"},
        "uptime": 12,
    },
    "relationships": {
        "monitors": {"data": [{"id": "Monitor", "type": "monitors"}]},
        "services": {"data": [{"id": "RWS", "type": "services"}, {"id": "RCR", "type": "services"}]},
    },
}
SOCKET_SERVER: dict[str, Any] = {
    "id": "server2",
    "type": "servers",
    "attributes": {
        "parameters": {"address": None, "port": 3306, "socket": "/tmp/s.sock"},
        "state": "Down",
        "statistics": {"connections": 0},
    },
}


def test_list_servers_has_the_columns_of_the_reference(api, run):
    api.get("servers", [SERVER, SOCKET_SERVER])
    lines = run.ok("list", "servers").splitlines()
    cells = [[part.strip() for part in line.strip("│").split("│")] for line in lines if line.startswith("│")]
    assert cells == [
        ["Server", "Address", "Port", "Connections", "State", "GTID", "Monitor"],
        ["server1", "10.0.0.1", "3306", "5", "Master, Running, Low disk space", "0-1-7", "Monitor"],
        ["server2", "/tmp/s.sock", "", "0", "Down", "", ""],
    ]


def test_tsv_has_neither_headers_nor_borders(api, run):
    api.get("servers", [SERVER])
    expected = "server1\t10.0.0.1\t3306\t5\tMaster, Running, Low disk space\t0-1-7\tMonitor\n"
    assert run.ok("--tsv", "list", "servers") == expected
    assert run.ok("list", "servers", "--tsv") == expected


def test_json_is_the_data_of_the_api(api, run):
    api.get("servers", [SERVER])
    assert json.loads(run.ok("list", "servers", "--json")) == [SERVER]


def test_empty_list_still_shows_its_columns(api, run):
    api.get("sessions", [])
    output = run.ok("list", "sessions")
    titles = ["Id", "User", "Host", "Connected", "Idle", "Service", "Memory", "I/O-Activity"]
    assert [part.strip() for part in output.splitlines()[1].strip("│").split("│")] == titles


def test_list_columns(api, run):
    expected = {
        "services": ["Service", "Router", "Connections", "Total Connections", "Targets"],
        "listeners": ["Name", "Port", "Host", "State", "Service"],
        "monitors": ["Monitor", "State", "Servers"],
        "filters": ["Filter", "Service", "Module"],
        "users": ["Name", "Type", "Privileges", "Created", "Last Updated", "Last Login"],
        "threads": ["Id", "Current FDs", "Total FDs", "Load (1s)", "Load (1m)", "Load (1h)"],
    }
    api.get("maxscale/threads", [])
    for kind, titles in expected.items():
        api.get(kind, [])
        line = run.ok("list", kind).splitlines()[1]
        assert [part.strip() for part in line.strip("│").split("│")] == titles


def test_list_services_counts_services_as_targets(api, run):
    api.get(
        "services",
        [
            {
                "id": "A",
                "attributes": {"router": "readconnroute", "connections": 1, "total_connections": 2},
                "relationships": {"services": {"data": [{"id": "B"}]}, "servers": {"data": [{"id": "s1"}]}},
            }
        ],
    )
    assert run.ok("list", "services", "--tsv") == "A\treadconnroute\t1\t2\ts1, B\n"


def test_list_listeners_of_one_service(api, run):
    listener = {"id": "L", "attributes": {"state": "Running", "parameters": {"port": 4006, "address": "::"}}}
    api.get("services/RWS", {"id": "RWS", "attributes": {"listeners": [listener]}})
    assert run.ok("list", "listeners", "RWS", "--tsv") == "L\t4006\t::\tRunning\tRWS\n"


def test_show_server_has_the_rows_of_the_reference(api, run):
    api.get("servers/server1", SERVER)
    rows = [line.split("\t") for line in run.ok("show", "server", "server1", "--tsv").splitlines()]
    assert [row[0] for row in rows] == [
        "Server",
        "Source",
        "Address",
        "Port",
        "State",
        "Version",
        "Uptime",
        "Last Event",
        "Triggered At",
        "Services",
        "Monitors",
        "Master ID",
        "Node ID",
        "Slave Server IDs",
        "Current Connections",
        "Total Connections",
        "Max Connections",
        "Statistics",
        "Parameters",
    ]
    values = {row[0]: row[1] for row in rows}
    assert values["Source"] == "/etc/maxscale.cnf"
    assert values["Services"] == "RWS, RCR"
    assert json.loads(values["Parameters"])["port"] == 3306


def test_show_all_servers_gives_a_table_each(api, run):
    api.get("servers", [SERVER, SOCKET_SERVER])
    assert run.ok("show", "servers").count("┌") == 2


def test_show_names_in_a_path_are_quoted(api, run):
    api.get("servers/a%2Fb%20c", SERVER)
    assert "server1" in run.ok("show", "server", "a/b c")


def test_show_threads_puts_them_side_by_side(api, run):
    stats = {"reads": 4, "load": {"last_second": 1, "last_minute": 2, "last_hour": 3}, "state": "Active"}
    api.get(
        "maxscale/threads",
        [{"id": "0", "attributes": {"stats": stats}}, {"id": "1", "attributes": {"stats": {}}}],
    )
    assert "Reads\t4\t\n" in run.ok("show", "threads", "--tsv")


def test_show_replication(api, run):
    link = {
        "master_server_name": "server1",
        "slave_io_running": "Yes",
        "slave_sql_running": "No",
        "gtid_io_pos": "0-1-5",
        "using_gtid": "Slave_Pos",
        "seconds_behind_master": None,
    }
    info = [{"name": "server1", "slave_connections": []}, {"name": "server2", "slave_connections": [link]}]
    api.get("monitors", [{"id": "M", "attributes": {"monitor_diagnostics": {"server_info": info}}}])
    assert run.ok("show", "replication", "--tsv") == "server2\tserver1\tYes\tNo\t0-1-5\tSlave_Pos\t\n"


def test_show_dbusers(api, run):
    user = {
        "user": "app",
        "host": "%",
        "plugin": "",
        "ssl": False,
        "super_priv": True,
        "global_priv": True,
        "proxy_priv": False,
        "default_role": "",
    }
    api.get("services/RWS", {"id": "RWS", "attributes": {"users": [user]}})
    assert run.ok("show", "dbusers", "RWS", "--tsv") == "app\t%\t\tfalse\ttrue\ttrue\tfalse\t\n"


def test_list_queries_wants_statements_to_be_kept(api, run):
    api.get("maxscale", {"attributes": {"parameters": {"retain_last_statements": 0}}})
    result = run("list", "queries")
    assert result.exit_code == 1
    assert "retain_last_statements" in result.stderr


def test_list_queries_shows_what_is_running_cut_to_length(api, run):
    api.get("maxscale", {"attributes": {"parameters": {"retain_last_statements": 5}}})
    done = {
        "statement": "SELECT 1",
        "received": "2026-01-01T00:00:00.000",
        "completed": "2026-01-01T00:00:01.000",
    }
    busy = {"statement": "SELECT " + "x" * 200, "received": "2026-01-01T00:00:00.000", "completed": None}
    api.get(
        "sessions",
        [
            {"id": "7", "attributes": {"user": "app", "remote": "h", "queries": [done, busy]}},
            {"id": "8", "attributes": {"queries": [done]}},
        ],
    )
    (line,) = run.ok("list", "queries", "--tsv").splitlines()
    cells = line.split("\t")
    assert cells[:3] == ["7", "app", "h"]
    assert cells[4] == "SELECT " + "x" * 113 + "..."
    assert run.ok("list", "queries", "--tsv", "-l", "10").rstrip().endswith("\tSELECT xxx...")


def test_options_of_queries_are_passed_on(api, run):
    api.get("sessions?rdns=true", [])
    api.get("maxscale/modules?load=all", [])
    run.ok("list", "sessions", "--rdns")
    run.ok("show", "modules", "--load-all")


def test_classify(api, run):
    path = "maxscale/query_classifier/classify?sql=SELECT%201"
    api.get(path, {"id": "classify", "attributes": {"operation": "sql::OP_SELECT", "parse_result": "PARSED"}})
    assert "Operation\tsql::OP_SELECT" in run.ok("classify", "SELECT 1", "--tsv")
