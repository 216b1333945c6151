"""Whole monitors on real servers: states, requests, events, read_only, the journal, locks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fairlead.cluster.board import LAG, RANK, STATUS
from fairlead.cluster.defs import ListenerDef, Snapshot
from fairlead.cluster.status import OVERDUE
from fairlead.monitors.runner import wanted_variables

M, S, R, D = "Master, Running", "Slave, Running", "Running", "Down"

Play = Callable[..., None]
Pair = list[Any]


async def until(condition: Callable[[], object], seconds: float = 8) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def aside(function: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
    """Run something slow without keeping the monitors from their work."""
    return asyncio.get_running_loop().run_in_executor(None, function, *args)


def test_wanted_variables() -> None:
    assert "tx_isolation" in wanted_variables(Snapshot(1, {}))
    metadata = ("maxscale=auto", "Wait_Timeout=auto", "mine=5")
    listener = ListenerDef("L", "S", {"connection_metadata": metadata})
    found = wanted_variables(Snapshot(1, {}, listeners=(listener,)))
    assert found == {"wait_timeout", "tx_isolation", "transaction_isolation"}


def test_unmonitored_servers_take_any_state(play: Play) -> None:
    async def scenario(world: Any) -> None:
        await world.monitors.apply(Snapshot(1, {}, servers=tuple(world.servers)))
        set_state, clear = world.monitors.set_state, world.monitors.clear_state
        assert world.state("server1") == D
        await set_state("server1", "running", False)
        await set_state("server1", "master", False)
        assert world.state("server1") == M
        await clear("server1", "master")
        assert world.host.hung_up == [("server1", "the server has lost its role")]
        await set_state("server1", "maint", True)
        assert world.host.hung_up[1:] == [("server1", "maintenance of the server was forced")]
        with pytest.raises(ValueError, match="'odd' is not a state"):
            await set_state("server1", "odd", False)
        with pytest.raises(ValueError, match="no server"):
            await set_state("none", "running", False)
        assert world.monitors.server_attributes("server1")["version_string"] is None

    class Nowhere:
        port = 1

    play([Nowhere()], scenario)


def test_draining_has_a_deadline(play: Play) -> None:
    """Then the workers are told, and the server stays overdue until draining is cleared."""

    async def scenario(world: Any) -> None:
        await world.monitors.apply(Snapshot(1, {}, servers=tuple(world.servers)))
        monitors, slot = world.monitors, world.servers[0].slot
        await monitors.set_state("server1", "running", False)
        with pytest.raises(ValueError, match="goes with 'drain'"):
            await monitors.set_state("server1", "maintenance", False, 10)
        await monitors.set_state("server1", "drain", False, 10)
        assert not world.board.server(slot, STATUS) & OVERDUE
        await until(lambda: world.host.hung_up)
        assert world.host.hung_up == [("server1", "Server 'server1' has been drained")]
        assert world.board.server(slot, STATUS) & OVERDUE
        assert world.state("server1") == "Drained, Running"
        await monitors.clear_state("server1", "drain")
        assert world.state("server1") == "Running" and not world.board.server(slot, STATUS) & OVERDUE
        # Cleared before the deadline, or set anew: the old deadline is void.
        await monitors.set_state("server1", "drain", False, 10)
        await monitors.clear_state("server1", "drain")
        await monitors.set_state("server1", "drain", False)
        await monitors.set_state("server1", "drain", False, 10)
        await monitors.set_state("server1", "drain", False)
        await asyncio.sleep(0.03)
        assert not world.board.server(slot, STATUS) & OVERDUE and len(world.host.hung_up) == 1

    class Nowhere:
        port = 1

    play([Nowhere()], scenario)


def test_nobody_there(play: Play) -> None:
    """Servers that refuse connections are down; the monitor ticks on and says so once."""

    async def scenario(world: Any) -> None:
        await world.apply()
        await world.tick(3)
        assert world.states == [D, D]
        assert world.monitors.ticks("M") >= 3
        assert world.monitors.state("M") == "Running"
        assert world.host.hung_up == []
        await world.monitors.set_state("server1", "maintenance", False)
        assert world.state("server1") == "Maintenance, Down"

    class Nowhere:
        port = 1

    play([Nowhere(), Nowhere()], scenario)


def test_unknown_module_is_an_error_in_the_log(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: Any) -> None:
        from fairlead.cluster.defs import MonitorDef

        monitor = MonitorDef("X", "nosuchmon", (), {})
        await world.monitors.apply(Snapshot(1, {}, monitors=(monitor,)))
        assert world.monitors.state("X") == "Stopped" and world.monitors.diagnostics("X") == {}

    play([], scenario)
    assert "no module 'nosuchmon'" in caplog.text


@pytest.mark.server
def test_states_facts_and_what_is_shown(play: Play, pair: Pair) -> None:
    async def scenario(world: Any) -> None:
        await world.apply()
        assert world.states == [M, S]
        facts = world.host.known["server2"]
        assert facts.version.startswith("10.") and facts.variables["tx_isolation"] == "REPEATABLE-READ"
        assert facts.capabilities >> 32
        sent = world.host.facts_sent
        await world.tick(12)
        assert world.host.facts_sent == sent
        assert world.board.server(1, LAG) == 0 and world.board.server(1, RANK) == 1
        shown = world.monitors.diagnostics("M")
        assert (
            shown["master"] == "server1" and shown["master_gtid_domain_id"] == 0 and shown["primary"] is None
        )
        one, two = shown["server_info"]
        assert one["slave_connections"] == [] and one["read_only"] is False and one["server_id"] == 1
        (connection,) = two["slave_connections"]
        assert connection["master_server_name"] == "server1" and connection["slave_io_running"] == "Yes"
        attributes = world.monitors.server_attributes("server2")
        assert (attributes["node_id"], attributes["master_id"], attributes["replication_lag"]) == (2, 1, 0)
        assert attributes["state_details"] is None and attributes["last_event"] == "slave_up"
        assert world.monitors.server_attributes("server1")["slaves"] == [2]

    play(pair, scenario)


@pytest.mark.server
def test_lost_and_found(play: Play, pair: Pair) -> None:
    async def scenario(world: Any) -> None:
        await world.apply()
        pair[1].end()
        await until(lambda: world.states == [M, D])
        assert ("server2", "the server is down") in world.host.hung_up
        assert world.monitors.server_attributes("server2")["last_event"] == "slave_down"
        await aside(pair[1].start)
        await until(lambda: world.states == [M, S])

    play(pair, scenario)


@pytest.mark.server
def test_silent_server_is_down(play: Play, pair: Pair) -> None:
    import signal

    async def scenario(world: Any) -> None:
        await world.apply(backend_connect_timeout=300, backend_read_timeout=300)
        pair[1].process.send_signal(signal.SIGSTOP)
        try:
            await until(lambda: world.states == [M, D])
        finally:
            pair[1].process.send_signal(signal.SIGCONT)
        await until(lambda: world.states == [M, S])

    play(pair, scenario)


@pytest.mark.server
def test_cut_connections_are_no_loss(play: Play, pair: Pair) -> None:
    async def scenario(world: Any) -> None:
        await world.apply()
        for _ in range(5):
            await aside(pair[1].run, "KILL USER 'mon'")
            await world.tick()
            assert world.states == [M, S]
        assert world.host.hung_up == []

    play(pair, scenario)


@pytest.mark.server
def test_refused_account(play: Play, pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: Any) -> None:
        world.servers[1] = msgspec.structs.replace(
            world.servers[1], params={**world.servers[1].params, "monitoruser": "mon", "monitorpw": "wrong"}
        )
        await world.apply()
        await world.tick(3)
        assert world.states == [M, "Auth Error, Down"]
        world.servers[1].params["monitorpw"] = "mon_pw"
        world.servers[1] = msgspec.structs.replace(world.servers[1], params=dict(world.servers[1].params))
        await world.apply()
        await until(lambda: world.states == [M, S])

    play(pair, scenario)
    assert caplog.text.count("Cannot connect to server 'server2'") == 1


@pytest.mark.server
def test_missing_privilege(play: Play, pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    pair[1].run(
        "SET sql_log_bin=0; CREATE OR REPLACE USER 'poor'@'%' IDENTIFIED BY 'poor'; "
        "GRANT PROCESS ON *.* TO 'poor'@'%'"
    )

    async def scenario(world: Any) -> None:
        world.servers[1].params.update(monitoruser="poor", monitorpw="poor")
        await world.apply()
        await world.tick(2)
        assert world.states == [M, "Auth Error, Running"]

    play(pair, scenario)
    assert "GRANT SLAVE MONITOR ON *.* TO 'poor'" in caplog.text


@pytest.mark.server
def test_maintenance_and_draining(play: Play, pair: Pair) -> None:
    async def scenario(world: Any) -> None:
        await world.apply()
        monitors = world.monitors
        await monitors.set_state("server2", "maintenance", False)
        assert world.state("server2") == "Maintenance, Running"
        assert world.host.hung_up == []
        await monitors.set_state("server2", "maintenance", True)
        assert world.host.hung_up == [("server2", "maintenance of the server was forced")]
        await monitors.clear_state("server2", "maintenance")
        assert world.state("server2") == S
        await monitors.set_state("server2", "drain", False)
        assert world.state("server2") == "Drained, Slave, Running"
        await monitors.clear_state("server2", "drain")
        for state in ("maintenance", "drain"):
            with pytest.raises(ValueError, match="First perform a switchover"):
                await monitors.set_state("server1", state, False)
        with pytest.raises(ValueError, match="only maintenance and drain status"):
            await monitors.set_state("server2", "master", False)
        assert monitors.server_attributes("server2")["last_event"] == "slave_up"

    play(pair, scenario)


@pytest.mark.server
def test_requests_in_the_middle_of_ticks(play: Play, pair: Pair) -> None:
    """Whatever the moment of a request: no state between two looks is ever shown."""

    async def scenario(world: Any) -> None:
        await world.apply(monitor_interval=1)
        seen = set()

        async def look() -> None:
            while True:
                seen.add((world.board.server(1, STATUS), world.board.server(2, STATUS)))
                await asyncio.sleep(0)

        looking = asyncio.ensure_future(look())
        for _ in range(10):
            await world.monitors.set_state("server2", "drain", False)
            await world.monitors.clear_state("server2", "drain")
        looking.cancel()
        assert len(seen) == 2

    play(pair, scenario)


@pytest.mark.server
def test_script_hears_of_events(play: Play, pair: Pair, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    script = tmp_path / "note.sh"
    script.write_text(f'#!/bin/sh\necho "$*" >> {notes}\n')
    script.chmod(0o755)

    async def scenario(world: Any) -> None:
        command = f"{script} $EVENT $INITIATOR m=$MASTERLIST s=$SLAVELIST p=$PARENT c=$CHILDREN n=$NODELIST"
        await world.apply(script=f"{command} $CREDENTIALS", events=("lost_slave",))
        await world.tick()
        assert not notes.exists()
        await aside(pair[1].run, "STOP SLAVE")
        await until(notes.exists)
        one, two = (f"[127.0.0.1]:{server.port}" for server in pair)
        await until(lambda: notes.read_text())
        assert notes.read_text() == (
            f"lost_slave {two} m={one} s= p= c= n={one},{two} mon:mon_pw@{one},mon:mon_pw@{two}\n"
        )
        await aside(pair[1].run, "START SLAVE")
        await until(lambda: world.states == [M, S])
        assert notes.read_text().count("\n") == 1

    play(pair, scenario)


@pytest.mark.server
def test_slow_script_holds_only_its_own_monitor(play: Play, pair: Pair) -> None:
    async def scenario(world: Any) -> None:
        await world.apply(script="/bin/sleep 1", events=("slave_up", "master_up"))
        ticks = world.monitors.ticks("M")
        assert world.states == [M, S]
        assert world.monitors.activity("M") == "Executing scripts"
        await asyncio.sleep(0.3)
        assert world.monitors.ticks("M") == ticks

    play(pair, scenario)


@pytest.mark.server
def test_lag_events_ignore_the_mask(play: Play, pair: Pair, tmp_path: Path) -> None:
    notes = tmp_path / "notes"

    async def scenario(world: Any) -> None:
        await world.apply(
            script=f"/bin/sh -c 'echo $EVENT >> {notes}'", events=(), script_max_replication_lag=0
        )
        await aside(
            pair[1].run,
            "STOP SLAVE; CHANGE MASTER TO MASTER_DELAY=3; START SLAVE",
        )
        await aside(pair[0].run, "CREATE OR REPLACE TABLE mysql.lag (id INT)")
        await until(lambda: notes.exists() and notes.read_text() == "rlag_above\nrlag_below\n", 15)

    try:
        play(pair, scenario)
    finally:
        pair[1].run("STOP SLAVE; CHANGE MASTER TO MASTER_DELAY=0; START SLAVE")


@pytest.mark.server
def test_read_only_is_enforced(play: Play, pair: Pair) -> None:
    async def scenario(world: Any) -> None:
        await world.apply(enforce_writable_master=True, enforce_read_only_slaves=True)
        await aside(pair[0].run, "SET GLOBAL read_only=1")
        await aside(pair[1].run, "SET GLOBAL read_only=0")
        for server, value in ((pair[0], "0"), (pair[1], "1")):
            for _ in range(50):
                if await aside(server.run, "SELECT @@global.read_only") == value:
                    break
            else:
                pytest.fail(f"read_only is not {value}")
        await until(lambda: world.states == [M, S])

    play(pair, scenario)


@pytest.mark.server
def test_passive_changes_nothing(play: Play, pair: Pair) -> None:
    async def scenario(world: Any) -> None:
        world.globals["passive"] = True
        await world.apply(enforce_read_only_slaves=True)
        await aside(pair[1].run, "SET GLOBAL read_only=0")
        await world.tick(5)
        assert await aside(pair[1].run, "SELECT @@global.read_only") == "0"

    play(pair, scenario)


@pytest.mark.server
def test_journal_keeps_states_and_the_primary(play: Play, pair: Pair) -> None:
    async def first(world: Any) -> None:
        await world.apply()
        await world.monitors.set_state("server2", "drain", False)

    async def second(world: Any) -> None:
        await world.apply(monitor_interval=3600000)
        assert world.states == [M, "Drained, Slave, Running"]
        assert world.monitors.server_attributes("server2")["last_event"] is None

    play(pair, first)
    play(pair, second)


@pytest.mark.server
def test_stop_start_and_other_parameters(play: Play, pair: Pair) -> None:
    async def scenario(world: Any) -> None:
        await world.apply(monitor_interval=3600000)
        await aside(pair[1].run, "STOP SLAVE")
        assert world.states == [M, S]
        world.stopped = True
        await world.apply()
        assert world.monitors.state("M") == "Stopped"
        await world.monitors.set_state("server2", "synced", False)
        assert world.state("server2") == "Slave, Synced, Running"
        world.stopped = False
        await world.apply()
        assert world.monitors.state("M") == "Running" and world.states == [M, R]
        await aside(pair[1].run, "START SLAVE")
        ticks = world.monitors.ticks("M")
        await world.apply(monitor_interval=20)
        await until(lambda: world.states == [M, S] and world.monitors.ticks("M") > ticks + 5)
        # A server that leaves its monitor keeps its state, and people may change it.
        world.monitored = ("server1",)
        await world.apply()
        await world.tick()
        assert world.states == [M, S]
        await world.monitors.clear_state("server2", "slave")
        assert world.states == [M, R]
        world.monitored = ("server1", "server2")
        await world.apply()
        await until(lambda: world.states == [M, S])

    play(pair, scenario)


@pytest.mark.server
def test_many_changes_of_the_configuration(play: Play, pair: Pair) -> None:
    async def scenario(world: Any) -> None:
        for number in range(60):
            world.monitored = ("server1", "server2") if number % 3 else ("server1",)
            await world.apply(monitor_interval=1 + number % 5, failcount=1 + number % 7)
            await asyncio.sleep(0.002 * (number % 4))
        world.monitored = ("server1", "server2")
        await world.apply(monitor_interval=50)
        await until(lambda: world.states == [M, S])

        # Every connection that was given up is closed.
        async def connections() -> list[str]:
            sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE USER='mon' AND COMMAND='Sleep'"
            return [await aside(server.run, sql) for server in pair]

        for _ in range(50):
            if await connections() == ["1", "1"]:
                return
            await asyncio.sleep(0.1)
        pytest.fail(f"connections: {await connections()}")

    play(pair, scenario)


@pytest.mark.server
def test_proxy_header_and_extra_port(play: Play, pair: Pair) -> None:
    async def scenario(world: Any) -> None:
        # Nobody listens on the extra port, so the other one is used.
        world.servers[0].params.update(proxy_protocol=True, extra_port=1)
        await world.apply()
        assert world.states == [M, S]

    play(pair, scenario)


@pytest.mark.server
def test_tick_that_fails_is_logged_and_not_the_last(
    play: Play, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(world: Any) -> None:
        await world.apply()
        module = world.monitors._tasks["M"].module
        decide, module.decide = module.decide, None
        await asyncio.sleep(0.5)
        module.decide = decide
        await aside(pair[1].run, "STOP SLAVE")
        await until(lambda: world.states == [M, R])

    play(pair, scenario)
    assert "A look at the servers of monitor 'M' failed" in caplog.text


@pytest.mark.server
def test_locks(play: Play, pair: Pair, tmp_path: Path) -> None:
    async def scenario(world: Any) -> None:
        other = type(world)([server.port for server in pair], tmp_path / "other")
        (tmp_path / "other").mkdir()
        try:
            locks = {"cooperative_monitoring_locks": "majority_of_all"}

            def primary(one: Any) -> object:
                return one.monitors.diagnostics("M")["primary"]

            await world.apply(**locks)
            assert primary(world) is True and world.states == [M, S]
            await other.apply(**locks)
            await until(lambda: primary(other) is False and other.states == [M, S])
            infos = world.monitors.diagnostics("M")["server_info"]
            assert [info["lock_held"] for info in infos] == [True, True]
            assert await aside(pair[1].run, "SELECT IS_USED_LOCK('maxscale_mariadbmonitor_master')") == "NULL"
            await world.monitors.command("mariadbmon", "release-locks", ["M"])
            await until(lambda: primary(other) is True and primary(world) is False)
            with pytest.raises(ValueError, match="holds no locks"):
                await world.monitors.command("mariadbmon", "release-locks", ["M"])
            with pytest.raises(KeyError):
                await world.monitors.command("mariadbmon", "no-such-command", ["M"])
            # Between the release and the new mark there is no primary for the other one.
            await until(lambda: world.states == [M, S])
            await other.apply(cooperative_monitoring_locks="none")
            await until(lambda: primary(other) is None)
        finally:
            await other.monitors.stop()

    play(pair, scenario)
