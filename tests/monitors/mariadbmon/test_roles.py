"""The rules of mariadbmon on tables of facts: who becomes primary, who is a replica, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import pytest

from fairlead.cluster.status import BLR, MASTER, RELAY, RUNNING, SLAVE, status_text
from fairlead.monitors.mariadbmon import roles, topology
from fairlead.monitors.mariadbmon.roles import Memory, RoleSettings
from fairlead.monitors.model import IO_CONNECTING, IO_NO, IO_YES, ServerView, SlaveConnection

ALL = ("server1", "server2", "server3", "server4")
M, S, R, D = "Master, Running", "Slave, Running", "Running", "Down"
RELAY_STATE = "Relay Master, Slave, Running"


def number(name: str) -> int:
    return int(name.removeprefix("server"))


def link(source: str, **facts: object) -> SlaveConnection:
    values: dict[str, object] = {
        "host": "127.0.0.1", "port": 3000 + number(source), "source_id": number(source), "io": IO_YES,
        "sql": True, "lag": 0,
    }  # fmt: skip
    return SlaveConnection(**{**values, **facts})  # type: ignore[arg-type]


def cluster(
    links: dict[str, Sequence[str]], read_only: Sequence[str] = (), monitored: Sequence[str] = ALL
) -> list[ServerView]:
    return [
        ServerView(
            name,
            endpoints=frozenset({("127.0.0.1", 3000 + number(name))}),
            server_id=number(name),
            read_only=name in read_only,
            connections=tuple(link(source) for source in links.get(name, ())),
        )
        for name in monitored
    ]


@dataclass
class Watch:
    """A monitor without servers: facts in, states out, with its memory in between."""

    views: list[ServerView]
    settings: RoleSettings = field(default_factory=RoleSettings)
    by_address: bool = True
    memory: Memory = field(default_factory=Memory)
    choice: roles.Choice | None = None
    found: list[roles.Role] = field(default_factory=list)

    def tick(self) -> tuple[str, ...]:
        graph = topology.build(self.views, self.by_address)
        self.choice = roles.choose_master(self.views, graph, self.memory, self.settings)
        self.memory = self.choice.memory
        self.found = roles.assign_roles(self.views, graph, self.choice.master, self.settings)
        return tuple(
            status_text(role.bits | (RUNNING if view.running else 0))
            for view, role in zip(self.views, self.found, strict=True)
        )

    def change(self, name: str, **facts: object) -> None:
        index = [view.name for view in self.views].index(name)
        self.views[index] = msgspec.structs.replace(self.views[index], **facts)

    def lose(self, *names: str, ticks: int = 1) -> None:
        for name in names:
            self.change(name, running=False, failures=ticks)
            for index, view in enumerate(self.views):
                lost = tuple(
                    msgspec.structs.replace(c, io=IO_CONNECTING, lag=None)
                    if c.source_id == number(name) and view.running else c
                    for c in view.connections
                )  # fmt: skip
                self.views[index] = msgspec.structs.replace(view, connections=lost)

    @property
    def master(self) -> str | None:
        return self.memory.master

    def role(self, name: str) -> roles.Role:
        return self.found[[view.name for view in self.views].index(name)]


@dataclass
class Case:
    name: str
    links: dict[str, Sequence[str]]
    states: tuple[str, ...]
    read_only: tuple[str, ...] = ()
    monitored: tuple[str, ...] = ALL
    by_address: bool = True


STAR = {"server2": ["server1"], "server3": ["server1"], "server4": ["server1"]}
PAIR = {"server1": ["server2"], "server2": ["server1"], "server3": ["server1"], "server4": ["server1"]}
CHAIN = {"server2": ["server1"], "server3": ["server2"], "server4": ["server3"]}
THREE = ("server1", "server2", "server3")

CASES = [
    Case("star", STAR, (M, S, S, S)),
    Case(
        "star_around_another",
        {"server1": ["server3"], "server2": ["server3"], "server4": ["server3"]}, (S, S, M, S),
    ),
    Case("chain", CHAIN, (M, RELAY_STATE, RELAY_STATE, S)),
    Case(
        "chain_backwards", {"server3": ["server4"], "server2": ["server3"], "server1": ["server2"]},
        (S, RELAY_STATE, RELAY_STATE, M),
    ),
    Case(
        "tree",
        {"server2": ["server1"], "server3": ["server1"], "server4": ["server3"]}, (M, S, RELAY_STATE, S),
    ),
    Case("standalone", {}, (M, R, R, R)),
    Case("standalone_first_read_only", {}, (R, M, R, R), read_only=("server1",)),
    Case(
        "standalone_order_of_the_list", {}, (M, R, R, R),
        monitored=("server3", "server1", "server2", "server4"),
    ),
    Case("two_trees", {"server3": ["server2"], "server4": ["server2"]}, (R, M, S, S)),
    Case("two_trees_of_one_size", {"server2": ["server1"], "server4": ["server3"]}, (M, S, R, R)),
    Case("read_only_primary", STAR, (R, R, R, R), read_only=ALL),
    Case("pair", PAIR, (M, RELAY_STATE, S, S), read_only=("server2",)),
    Case("pair_second_writable", PAIR, (RELAY_STATE, M, S, S), read_only=("server1",)),
    Case(
        "pair_both_writable", {"server1": ["server2"], "server2": ["server1"], "server3": ["server2"]},
        (M, RELAY_STATE, S, R),
    ),
    Case(
        "ring",
        {"server1": ["server4"], "server2": ["server1"], "server3": ["server2"], "server4": ["server3"]},
        (RELAY_STATE, RELAY_STATE, M, RELAY_STATE), read_only=("server1", "server2", "server4"),
    ),
    Case("multi_source", {"server3": ["server1", "server2"], "server4": ["server1"]}, (M, R, S, S)),
    Case(
        "diamond", {"server2": ["server1"], "server3": ["server1"], "server4": ["server2", "server3"]},
        (M, RELAY_STATE, RELAY_STATE, S),
    ),
    Case(
        "external_source", {"server1": ["server4"], "server2": ["server1"], "server3": ["server1"]},
        (M, S, S), monitored=THREE,
    ),
    Case(
        "external_source_of_a_replica", {"server2": ["server1", "server4"], "server3": ["server1"]},
        (M, S, S), monitored=THREE,
    ),
    Case(
        "external_source_only", {"server2": ["server1"], "server3": ["server4"]}, (M, S, R), monitored=THREE
    ),
    Case("chain_by_server_id", CHAIN, (M, RELAY_STATE, RELAY_STATE, S), by_address=False),
    Case("pair_by_server_id", PAIR, (RELAY_STATE, M, S, S), read_only=("server1",), by_address=False),
    # A ring that is fed from outside has its primary outside.
    Case(
        "ring_with_a_source", {"server2": ["server3", "server1"], "server3": ["server2"]},
        (M, RELAY_STATE, RELAY_STATE, R),
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_states_follow_from_the_graph(case: Case) -> None:
    watch = Watch(cluster(case.links, case.read_only, case.monitored), by_address=case.by_address)
    assert watch.tick() == case.states
    assert watch.tick() == case.states


# -- replication that stops, servers that are lost


@pytest.mark.parametrize("facts", [{"io": IO_NO}, {"sql": False}, {"io": IO_NO, "sql": False}])
def test_stopped_replication_is_no_role(facts: dict[str, object]) -> None:
    watch = Watch(cluster(STAR))
    watch.tick()
    watch.change("server3", connections=(link("server1", **facts),))
    assert watch.tick() == (M, S, R, S)


def test_interrupted_chain() -> None:
    watch = Watch(cluster({"server2": ["server1"], "server3": ["server2"], "server4": ["server1"]}))
    assert watch.tick() == (M, RELAY_STATE, S, S)
    watch.change("server2", connections=(link("server1", io=IO_NO),))
    states = watch.tick()
    assert (states[0], states[1], states[3]) == (M, R, S)


def test_replica_of_a_lost_relay_stays_readable() -> None:
    watch = Watch(cluster({"server2": ["server1"], "server3": ["server2"], "server4": ["server1"]}))
    watch.tick()
    watch.lose("server2")
    assert watch.tick() == (M, D, S, S)


def test_replicas_of_a_lost_primary_stay_replicas() -> None:
    watch = Watch(cluster(STAR))
    watch.tick()
    watch.lose("server1", ticks=99)
    assert watch.tick() == (D, S, S, S)
    assert watch.master == "server1"


def test_lost_primary_is_found_at_the_start() -> None:
    watch = Watch(cluster(STAR))
    watch.lose("server1")
    assert watch.tick() == (D, S, S, S)
    assert watch.choice is not None and "although it is down" in watch.choice.problem


def test_refused_replication_is_no_role() -> None:
    watch = Watch(cluster(STAR))
    watch.change("server3", connections=(link("server1", io=IO_CONNECTING, io_errno=1045),))
    assert watch.tick() == (M, S, R, S)
    watch.change("server3", connections=(link("server1", io=IO_CONNECTING, io_errno=2003),))
    assert watch.tick() == (M, S, S, S)


def test_account_without_privileges_gives_no_role() -> None:
    watch = Watch(cluster(STAR))
    watch.change("server2", permitted=False, connections=())
    assert watch.tick() == (M, R, S, S)
    watch.change("server1", permitted=False)
    assert watch.tick()[0] == R


# -- conditions


SLAVE_CONDITIONS = [
    ("none", "down", S), ("running_master", "down", R), ("writable_master", "down", R),
    ("linked_master", "down", R), ("none", "read_only", S), ("running_master", "read_only", S),
    ("writable_master", "read_only", R),
]  # fmt: skip


@pytest.mark.parametrize("condition, primary, state", SLAVE_CONDITIONS)
def test_slave_conditions(condition: str, primary: str, state: str) -> None:
    conditions = frozenset() if condition == "none" else frozenset({condition})
    watch = Watch(cluster(STAR, ALL[1:]), RoleSettings(slave_conditions=conditions))
    watch.tick()
    if primary == "down":
        watch.lose("server1")
        assert watch.tick() == (D, state, state, state)
    else:
        watch.change("server1", read_only=True)
        assert watch.tick() == (state, state, state, state)


@pytest.mark.parametrize(
    "condition, without, lost",
    [("none", M, M), ("connecting_slave", S, M), ("connected_slave", S, M), ("running_slave", S, S)],
)
def test_master_conditions(condition: str, without: str, lost: str) -> None:
    conditions = frozenset() if condition == "none" else frozenset({condition})
    watch = Watch(cluster(STAR, ALL[1:]), RoleSettings(master_conditions=conditions))
    assert watch.tick() == (M, S, S, S)
    watch.lose("server2", "server3", "server4")
    assert watch.tick() == (lost, D, D, D)
    stopped = Watch(cluster({}, ALL[1:]), RoleSettings(master_conditions=conditions), memory=watch.memory)
    assert stopped.tick() == (without, R, R, R)


def test_full_disks() -> None:
    both = RoleSettings(slave_conditions=frozenset({"disk_space_ok"}))
    watch = Watch(cluster(CHAIN), both)
    watch.change("server2", low_disk=True)
    # Without a label it still leads to those behind it.
    assert watch.tick() == (M, R, RELAY_STATE, S)
    watch.change("server1", low_disk=True)
    assert watch.tick()[0] == R


# -- the primary over time


def test_valid_primary_stays_although_another_is_better() -> None:
    watch = Watch(cluster(STAR, ALL[1:]))
    watch.tick()
    watch.views = cluster({"server3": ["server2"], "server4": ["server2"]})
    assert watch.tick() == (M, R, R, R)
    assert watch.choice is not None and "better primary" in watch.choice.hint
    watch.lose("server1", ticks=5)
    assert watch.tick() == (D, R, R, R)
    watch.lose("server1", ticks=6)
    assert watch.tick() == (D, M, S, S)


def test_read_only_primary_is_replaced_and_does_not_come_back() -> None:
    watch = Watch(cluster({"server3": ["server1"], "server4": ["server1"]}))
    assert watch.tick() == (M, R, S, S)
    watch.change("server1", read_only=True)
    assert watch.tick() == (R, M, R, R)
    watch.change("server1", read_only=False)
    assert watch.tick() == (R, M, R, R)


def test_read_only_primary_without_alternative_is_kept() -> None:
    watch = Watch(cluster(STAR, ALL[1:]))
    watch.tick()
    watch.change("server1", read_only=True)
    assert watch.tick() == (S, S, S, S)
    assert watch.master == "server1"
    assert watch.choice is not None and "'server2': it replicates from 'server1'" in watch.choice.problem
    watch.change("server1", read_only=False)
    assert watch.tick() == (M, S, S, S)


def test_writable_master_that_will_be_enforced_stays_valid() -> None:
    watch = Watch(cluster({}), RoleSettings(enforce_writable_master=True))
    watch.tick()
    watch.change("server1", read_only=True)
    assert watch.tick() == (S, R, R, R)
    assert watch.master == "server1"


def test_recently_lost_replica_keeps_its_primary() -> None:
    watch = Watch(cluster({"server2": ["server1"]}, read_only=("server2",)))
    watch.tick()
    watch.lose("server1", ticks=9)
    watch.lose("server2", ticks=5)
    watch.tick()
    assert watch.master == "server1"
    watch.lose("server2", ticks=6)
    assert watch.tick() == (D, D, M, R)


def test_primary_that_begins_to_replicate_is_replaced() -> None:
    watch = Watch(cluster({"server2": ["server1"]}))
    watch.tick()
    watch.views = cluster({"server2": ["server1"], "server1": ["server3"]})
    assert watch.tick() == (RELAY_STATE, S, M, R)
    assert watch.choice is not None and "begun to replicate from 'server3'" in watch.choice.news


def test_pair_changes_its_writable_side() -> None:
    watch = Watch(cluster(PAIR, ("server2",)))
    watch.tick()
    watch.views = cluster(PAIR, ("server1", "server2"))
    assert watch.tick()[1] == RELAY_STATE
    assert watch.master == "server1"
    watch.views = cluster(PAIR, ("server1",))
    assert watch.tick() == (RELAY_STATE, M, S, S)


def test_pair_loses_one_side() -> None:
    watch = Watch(cluster({"server1": ["server2"], "server2": ["server1"]}, ("server3", "server4")))
    assert watch.tick() == (M, RELAY_STATE, R, R)
    watch.lose("server1", ticks=50)
    assert watch.tick() == (D, S, R, R)


def test_primary_that_leaves_its_ring_is_chosen_again() -> None:
    watch = Watch(cluster({"server1": ["server2"], "server2": ["server1"]}))
    watch.tick()
    assert watch.memory.in_cycle
    watch.views = cluster({"server1": ["server2"]})
    assert watch.tick() == (S, M, R, R)


def test_primary_of_the_journal_is_kept() -> None:
    watch = Watch(cluster({}), memory=Memory("server2", None))
    assert watch.tick() == (R, M, R, R)
    assert watch.memory == Memory("server2", False)


def test_secondary_follows_the_mark() -> None:
    watch = Watch(cluster({}), RoleSettings(secondary=True))
    assert watch.tick() == (R, R, R, R)
    watch.change("server3", marked=True)
    assert watch.tick() == (R, R, M, R)
    watch.change("server3", marked=False)
    watch.change("server4", marked=True)
    assert watch.tick() == (R, R, R, M)


def test_maintenance_excludes_from_the_choice() -> None:
    watch = Watch(cluster({}))
    watch.change("server1", maintenance=True)
    assert watch.tick() == (R, M, R, R)


# -- lag, details, relays of the binary log


def test_lag() -> None:
    views = cluster({"server2": ["server1"], "server3": ["server1"], "server4": ["server2", "server3"]})
    watch = Watch(views)
    watch.change("server2", connections=(link("server1", lag=7),))
    watch.change("server3", connections=(link("server1", lag=None),))
    watch.change("server4", connections=(link("server2", lag=9), link("server3", lag=4)))
    watch.tick()
    assert [role.lag for role in watch.found] == [0, 7, -1, 4]


def test_lag_of_a_stopped_replica_is_unknown() -> None:
    watch = Watch(cluster(STAR))
    watch.change("server2", connections=(link("server1", sql=False, lag=3),))
    watch.tick()
    assert watch.role("server2").lag == -1


def test_external_source_is_a_detail() -> None:
    watch = Watch(cluster({"server1": ["server4"], "server2": ["server1"]}, monitored=THREE))
    watch.tick()
    assert [role.details for role in watch.found] == [roles.EXTERNAL_SOURCE, "", ""]


def test_binlog_relay() -> None:
    watch = Watch(cluster({"server2": ["server1"], "server3": ["server2"]}))
    watch.change("server2", database=False)
    watch.tick()
    assert watch.role("server1").bits == MASTER
    assert watch.role("server2").bits == BLR
    assert watch.role("server3").bits == SLAVE
    assert not watch.role("server2").bits & RELAY
