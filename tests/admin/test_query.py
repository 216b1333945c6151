"""Query options: fields, filters, pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.admin.query import BadQuery, page_of, parse_filters, sparse, switch

SERVER = {
    "id": "s",
    "type": "servers",
    "links": {"self": "x"},
    "attributes": {"state": "Down", "statistics": {"connections": 1, "total": 2}, "a": [{"b": 1, "c": 2}]},
    "relationships": {"services": {"data": []}, "monitors": {"data": []}},
}


def kept(option: str, text: str) -> bool:
    return all(test(SERVER) for test in parse_filters([(option, text)]))


def test_fields_keep_what_is_named() -> None:
    found = sparse(SERVER, {"servers": ["state", "statistics/connections", "monitors"]})
    assert found["attributes"] == {"state": "Down", "statistics": {"connections": 1}}
    assert found["relationships"] == {"monitors": {"data": []}}
    assert found["id"] == "s"


def test_fields_reach_into_lists() -> None:
    assert sparse(SERVER, {"servers": ["a/b"]})["attributes"] == {"a": [{"b": 1}]}


def test_fields_of_another_type_change_nothing() -> None:
    assert sparse(SERVER, {"services": ["state"]}) == SERVER


def test_fields_that_are_not_there() -> None:
    found = sparse(SERVER, {"servers": ["nothing"]})
    assert "attributes" not in found and "relationships" not in found


@pytest.mark.parametrize(
    ("option", "text", "expected"),
    [
        ("filter", '/attributes/state="Down"', True),
        ("filter", '/attributes/state="Running"', False),
        ("filter", "/attributes/nothing=1", False),
        ("filter[/attributes/statistics/connections]", "1", True),
        ("filter[/attributes/statistics/connections]", "eq(1)", True),
        ("filter[/attributes/statistics/connections]", "eq(true)", False),
        ("filter[/attributes/statistics/connections]", "ne(1)", False),
        ("filter[/attributes/statistics/connections]", "gt(0)", True),
        ("filter[/attributes/statistics/connections]", 'gt("a")', False),
        ("filter[/attributes/statistics/connections]", "and(ge(1),le(1))", True),
        ("filter[/attributes/statistics/connections]", "or(lt(1),not(eq(2)))", True),
        ("filter[$.attributes.statistics.total]", "2", True),
        ("filter[$.attributes.a[0].c]", "2", True),
        ("filter[$.attributes.a[*].c]", "not(eq(2))", False),
        ("filter[$['attributes']['state']]", 'or(eq("a,b"),eq("Down"))', True),
    ],
)
def test_filters(option: str, text: str, expected: bool) -> None:
    assert kept(option, text) is expected


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("filter", "/attributes/state"),
        ("filter", "/attributes/state=Down"),
        ("filter[/a]", "eq(x)"),
        ("filter[/a]", "not(1,2)"),
        ("filter[/a]", "not(" * 50 + "1" + ")" * 50),
        ("filter[$.a..]", "1"),
    ],
)
def test_bad_filters(option: str, text: str) -> None:
    with pytest.raises(BadQuery):
        parse_filters([(option, text)])


@given(st.text(), st.text())
def test_no_filter_crashes(where: str, text: str) -> None:
    """Whatever is asked, it is a filter or a bad query."""
    try:
        for test in parse_filters([(f"filter[{where}]", text), ("filter", text)]):
            test(SERVER)
    except BadQuery:
        pass


def test_pages() -> None:
    assert page_of({}) is None
    assert page_of({"page[size]": "2"}) == (2, 0)
    assert page_of({"page[size]": "2", "page[number]": "3"}) == (2, 3)
    for bad in ("0", "-1", "x", "9" * 30, "²"):
        with pytest.raises(BadQuery):
            page_of({"page[size]": bad})


def test_switches() -> None:
    assert switch({"force": "yes"}, "force") and switch({"force": ""}, "force")
    assert not switch({"force": "no"}, "force") and not switch({}, "force")
    with pytest.raises(BadQuery):
        switch({"force": "perhaps"}, "force")
