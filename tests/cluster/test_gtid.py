"""GTID positions: text, comparison, and their cells on the status board."""

from __future__ import annotations

import pytest

from fairlead.cluster import gtid
from fairlead.cluster.board import GTIDS_MAX, SERVER_GTIDS, Board, server_index


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", {}),
        ("0-1-5", {0: (1, 5)}),
        ("2-3-7,0-1-5", {0: (1, 5), 2: (3, 7)}),
        (" 0-1-5 , nonsense,1-2", {0: (1, 5)}),
        ("0-1--5", {}),
    ],
)
def test_parse(text: str, position: gtid.Position) -> None:
    assert gtid.parse(text) == position


def test_text_is_ordered_by_domain() -> None:
    assert gtid.text_of(gtid.parse("2-3-7,0-1-5")) == "0-1-5,2-3-7"


def test_merge_never_goes_back() -> None:
    position = gtid.parse("0-1-5,1-1-9")
    gtid.merge(position, gtid.parse("0-2-6,1-1-3,4-1-1"))
    assert gtid.text_of(position) == "0-2-6,1-1-9,4-1-1"


@pytest.mark.parametrize(
    ("has", "wanted", "reached"),
    [
        ("0-1-5", "", True),
        ("0-1-5", "0-1-5", True),
        ("0-1-4", "0-1-5", False),
        ("0-1-9", "0-1-5,1-1-1", False),
    ],
)
def test_reaches(has: str, wanted: str, reached: bool) -> None:
    assert gtid.reaches(gtid.parse(has), gtid.parse(wanted)) is reached


def test_positions_on_the_board() -> None:
    board = Board.create(1)
    index = server_index(3, SERVER_GTIDS)
    assert gtid.read(board, index) == {}
    gtid.write(board, index, gtid.parse("0-1-5,7-2-8"))
    assert gtid.text_of(gtid.read(board, index)) == "0-1-5,7-2-8"
    gtid.write(board, index, gtid.parse("7-2-9"))
    assert gtid.text_of(gtid.read(board, index)) == "7-2-9"
    assert gtid.read(board, server_index(4, SERVER_GTIDS)) == {}
    many = {domain: (1, domain) for domain in range(GTIDS_MAX + 3)}
    gtid.write(board, index, many)
    assert len(gtid.read(board, index)) == GTIDS_MAX
    assert gtid.read(board, server_index(4, SERVER_GTIDS)) == {}


# -- MySQL

ONE = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
TWO = "f0000000-0000-0000-ffff-ffffffffffff"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{ONE}:23", f"{ONE}:1-23"),
        (f"{ONE.upper()}:1-5:7-9", f"{ONE}:1-9"),
        (f"{ONE}:1-5,\n{TWO}:3", f"{TWO}:1-3,{ONE}:1-5"),
        (f"{ONE}:tagged:1-5", ""),
        ("00000000-0000-0000-0000-000000000001:5", ""),
        (f"{ONE}:", ""),
        ("nonsense:5", ""),
    ],
)
def test_mysql_sets(text: str, expected: str) -> None:
    position = gtid.parse(text)
    assert gtid.text_of(position) == expected
    assert gtid.is_mysql(position) is bool(expected)


def test_mysql_positions_on_the_board() -> None:
    board = Board.create(1)
    position = gtid.parse(f"{ONE}:1-5,{TWO}:9")
    index = server_index(1, SERVER_GTIDS)
    gtid.write(board, index, position)
    assert gtid.read(board, index) == position
    assert gtid.reaches(position, gtid.parse(f"{TWO}:8"))
    assert not gtid.reaches(position, gtid.parse(f"{TWO}:10"))


def test_mariadb_is_not_mysql() -> None:
    assert not gtid.is_mysql(gtid.parse("4294967295-1-5")) and not gtid.is_mysql({})
