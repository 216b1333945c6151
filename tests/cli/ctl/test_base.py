"""Global options, several hosts, errors and exit codes."""

from __future__ import annotations

import json
import socket

import pytest
from click.testing import CliRunner

from fairlead.cli.ctl.app import ctl


def test_errors_have_the_form_of_the_reference(api, run):
    api.answers["GET", "servers/nope"] = (404, {"errors": [{"detail": "nope is not a server"}]})
    result = run("show", "server", "nope")
    assert result.exit_code == 1
    first, *rest = result.stderr.splitlines()
    assert first == f"Error: Server at {api.host} responded with 404 Not Found to `GET servers/nope`"
    assert json.loads("\n".join(rest)) == {"errors": [{"detail": "nope is not a server"}]}


def test_no_connection(run):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        result = run("-h", f"127.0.0.1:{port}", "list", "servers")
    assert result.exit_code == 1
    assert f"Could not connect to 127.0.0.1:{port}" in result.stderr


def test_credentials(api, run):
    api.get("servers", [])
    run.ok("-u", "bob", "-p", "123", "list", "servers")
    run.ok("list", "servers", "--user=eve")
    assert [(a.user, a.password) for a in api.asked] == [("bob", "123"), ("eve", "mariadb")]


def test_empty_password_asks(api, run):
    api.get("servers", [])
    result = run("-p", "", "list", "servers", stdin="secret\n")
    assert result.exit_code == 0
    assert api.asked[0].password == "secret"


def test_quiet_prints_nothing(api, run):
    api.get("servers", [])
    assert run("-q", "list", "servers").output == ""
    result = run("-q", "show", "server", "nope")
    assert (result.output, result.exit_code) == ("", 1)


def test_several_hosts(api, run):
    api.get("servers", [{"id": "s1", "attributes": {}}])
    both = f"{api.host},{api.host}"
    output = run.ok("--hosts", both, "--tsv", "list", "servers")
    assert output.splitlines()[::2] == [api.host, api.host]
    assert len(api.asked) == 2


def test_several_hosts_one_fails(api, run):
    api.get("servers", [])
    result = run("--hosts", f"127.0.0.1:1,{api.host}", "list", "servers")
    assert result.exit_code == 1
    assert "Server" in result.stdout
    assert "Could not connect to 127.0.0.1:1" in result.stderr


def test_unknown_command_and_missing_argument(run):
    assert run("nonsense").exit_code != 0
    assert run("show", "server").exit_code != 0
    assert run("list").exit_code == 1


def test_piped_commands(api, run):
    api.get("servers", [{"id": "s1", "attributes": {}}])
    result = run("--tsv", stdin="# a comment\n\nlist servers\nset server s1 drain\nexit\nlist nonsense\n")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0].startswith("s1\t")
    assert result.stdout.splitlines()[1] == "OK"
    assert run(stdin="show server nope\nlist servers\n").exit_code == 1


def test_version_and_help():
    assert CliRunner().invoke(ctl, ["--version"]).exit_code == 0
    result = CliRunner().invoke(ctl, ["list", "servers", "--help"])
    assert result.exit_code == 0 and "Usage" in result.output


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["show", "server", ""], ["server1", "server2"]),
        (["show", "server", "server2"], ["server2"]),
        (["set", "server", "server1", "ma"], ["maintenance", "master"]),
        (["li"], ["link", "list"]),
    ],
)
def test_completion(api, run, line, expected):
    from click.shell_completion import ShellComplete

    api.get("servers", [{"id": "server1"}, {"id": "server2"}])
    completer = ShellComplete(ctl, {}, "fairctl", "_FAIRCTL_COMPLETE")
    *words, last = ["-h", api.host, *line]
    assert [item.value for item in completer.get_completions(words, last)] == expected


def test_completion_of_parameters(api, run):
    from click.shell_completion import ShellComplete

    api.get("servers/s1", {"id": "s1", "attributes": {"parameters": {"port": 1, "priority": 0, "rank": ""}}})
    api.get("maxscale", {"attributes": {"parameters": {"passive": False}}})
    api.get("maxscale/modules/rw", {"attributes": {"parameters": [{"name": "max_connections"}]}})
    completer = ShellComplete(ctl, {}, "fairctl", "_FAIRCTL_COMPLETE")
    for words, last, expected in (
        (["alter", "server", "s1"], "p", ["port=", "priority="]),
        (["alter", "server", "s1", "port=1"], "r", ["rank="]),
        (["alter", "maxscale"], "", ["passive="]),
        (["create", "service", "A", "rw"], "", ["max_connections="]),
        (["create", "service", "A", "unknown"], "", []),
    ):
        found = completer.get_completions(["-h", api.host, *words], last)
        assert [item.value for item in found] == expected


def test_completion_without_a_server_is_silent(run):
    from click.shell_completion import ShellComplete

    completer = ShellComplete(ctl, {}, "fairctl", "_FAIRCTL_COMPLETE")
    assert completer.get_completions(["-h", "127.0.0.1:1", "show", "server"], "") == []
