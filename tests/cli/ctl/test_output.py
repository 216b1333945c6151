"""Drawing: widths, several lines, control characters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fairlead.cli.ctl.output import Document, Sheets, Table, Text, cell, draw, render, width


def test_table():
    text = draw(["A", "Long"], [["1", "x"], ["2\n3", "日本"]])
    assert text.splitlines() == [
        "┌───┬──────┐",
        "│ A │ Long │",
        "├───┼──────┤",
        "│ 1 │ x    │",
        "├───┼──────┤",
        "│ 2 │ 日本 │",
        "│ 3 │      │",
        "└───┴──────┘",
    ]


def test_cells():
    assert cell(None, True) == ""
    assert cell(True, True) == "true"
    assert cell(["a", "b"], True) == "a, b"
    assert cell(["a", "b"], False) == "a\nb"
    assert cell({"a": 1}, True) == '{"a": 1}'
    assert cell([], False) == ""
    assert cell("a\tb\nc", True) == "a\\tb\\nc"
    assert cell("\x1b[31mred", False) == "?[31mred"


@given(st.lists(st.lists(st.text(max_size=9), min_size=2, max_size=2), max_size=4))
def test_all_lines_are_equally_wide(rows):
    rows = [[cell(value, False) for value in row] for row in rows]
    lines = draw(["a", "b"], rows).split("\n")
    assert len({width(line) for line in lines}) == 1


@given(st.lists(st.lists(st.text(max_size=9), min_size=2, max_size=2), max_size=4))
def test_tsv_has_one_line_per_row(rows):
    text = render(Table(["a", "b"], rows), tsv=True)
    lines = text.split("\n") if rows else []
    assert len(lines) == len(rows)
    assert all(line.count("\t") == 1 for line in lines)


def test_forms():
    assert render(Text("OK"), as_document=True) == '{\n    "result": "OK"\n}'
    assert render(Document([1], pretty=False)) == "[1]"
    assert render(Sheets([[("a", 1)], [("b", {})]]), tsv=True) == "a\t1\n\nb\t{}"
    assert "\x1b[31m" in draw(["State"], [["Down"]], colour=True)
