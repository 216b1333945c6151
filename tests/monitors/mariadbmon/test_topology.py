"""The graph of replication from facts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fairlead.monitors.mariadbmon import topology
from fairlead.monitors.model import IO_CONNECTING, IO_NO, IO_YES, ServerView, SlaveConnection


def server(number: int, *sources: SlaveConnection, host: str = "") -> ServerView:
    endpoints = frozenset({(host or f"db{number}", 3306)})
    return ServerView(f"server{number}", endpoints=endpoints, server_id=number, connections=sources)


def from_host(host: str, io: str = IO_YES, sql: bool = True, **facts: object) -> SlaveConnection:
    return SlaveConnection(host=host, io=io, sql=sql, **facts)  # type: ignore[arg-type]


def test_one_stopped_thread_makes_a_failed_parent() -> None:
    for io, sql, parents, failed in (
        (IO_YES, True, 1, 0), (IO_CONNECTING, True, 1, 0), (IO_NO, True, 0, 1), (IO_YES, False, 0, 1),
        (IO_NO, False, 0, 0),
    ):  # fmt: skip
        graph = topology.build([server(1), server(2, from_host("db1", io, sql))])
        assert (len(graph.nodes[1].parents), len(graph.nodes[1].failed_parents)) == (parents, failed)
        assert (len(graph.nodes[0].children), len(graph.nodes[0].failed_children)) == (parents, failed)


def test_a_name_is_found_by_its_address() -> None:
    views = [server(1, host="10.0.0.1"), server(2, from_host("primary.example"))]
    assert topology.unresolved_hosts(views) == {"primary.example", "10.0.0.1", "db2"}
    assert topology.build(views).nodes[1].external
    addresses = {"primary.example": frozenset({"10.0.0.1"}), "10.0.0.1": frozenset({"10.0.0.1"})}
    assert topology.build(views, True, addresses).nodes[1].parents[0].index == 0


def test_known_names_need_no_resolver() -> None:
    assert topology.unresolved_hosts([server(1), server(2, from_host("DB1"))]) == set()


def test_the_port_must_be_the_same_too() -> None:
    views = [server(1), server(2, from_host("db1", port=3307))]
    addresses = {"db1": frozenset({"10.0.0.1"})}
    assert topology.build(views, True, addresses).nodes[1].external


def test_server_id_counts_only_once_connected() -> None:
    views = [server(1), server(2, from_host("elsewhere", source_id=1, was_connected=False))]
    assert topology.build(views, by_address=False).nodes[1].external
    views = [server(1), server(2, from_host("elsewhere", source_id=1))]
    assert topology.build(views, by_address=False).nodes[1].parents[0].index == 0


def test_rings_and_their_sources() -> None:
    views = [
        server(1, from_host("db2")), server(2, from_host("db1"), from_host("db5", name="x")),
        server(3, from_host("db4")), server(4, from_host("db3")), server(5),
    ]  # fmt: skip
    graph = topology.build(views)
    assert graph.cycles == {1: (0, 1), 2: (2, 3)}
    assert [node.cycle for node in graph.nodes] == [1, 1, 2, 2, 0]
    assert graph.has_outside_source(1) and not graph.has_outside_source(2)


def test_a_server_that_replicates_from_itself_has_no_parent() -> None:
    graph = topology.build([server(1, from_host("db1"))])
    assert not graph.nodes[0].parents and not graph.cycles


@given(st.lists(st.tuples(st.integers(1, 7), st.integers(1, 7)), max_size=20))
def test_rings_are_exactly_the_mutually_reachable(pairs: list[tuple[int, int]]) -> None:
    sources: dict[int, set[int]] = {number: set() for number in range(1, 8)}
    for one, other in pairs:
        sources[one].add(other)
    views = [
        server(number, *(from_host(f"db{other}", name=str(other)) for other in sorted(sources[number])))
        for number in range(1, 8)
    ]
    graph = topology.build(views)

    def ancestors(start: int) -> set[int]:
        seen: set[int] = set()
        waiting = [start]
        while waiting:
            for parent in graph.nodes[waiting.pop()].parents:
                if parent.index not in seen:
                    seen.add(parent.index)
                    waiting.append(parent.index)
        return seen

    above = [ancestors(index) for index in range(7)]
    for one in range(7):
        for other in range(7):
            together = one != other and other in above[one] and one in above[other]
            same = graph.nodes[one].cycle != 0 and graph.nodes[one].cycle == graph.nodes[other].cycle
            assert (same and one != other) == together
    # Whoever can be reached is counted once.
    for index in range(7):
        assert 1 <= topology.reach(graph, views, index) <= 7
