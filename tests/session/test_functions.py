"""Which calls are covered by what a service declares and learns."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.accounts.model import LearnedFunctions
from fairlead.routers.readwritesplit.params import FunctionList
from fairlead.session.functions import ReadFunctions


def functions(
    declared: str = "", learned: LearnedFunctions | None = None, learns: bool = True
) -> ReadFunctions:
    known = ReadFunctions()
    known.configure({"read_functions": FunctionList().parse(declared), "learn_read_functions": learns})
    known.learn(learned or LearnedFunctions())
    return known


@pytest.mark.parametrize(
    ("declared", "called", "database", "covered"),
    [
        ("", "f", "a", False),
        ("f", "f", "a", True),
        ("f", "f", "", True),
        ("F", "b.f", "", True),
        ("f", "g", "a", False),
        ("a.F", "a.f", "", True),
        ("a.f", "f", "a", True),
        ("a.f", "f", "", False),
        ("a.f", "f", "b", False),
        ("a.f", "b.f", "a", False),
        ("A.f", "a.f", "", False),
        ("A.f", "f", "a", False),
        ("f, a.g", "f g", "a", True),
        ("f, a.g", "f g", "b", False),
    ],
)
def test_declared(declared: str, called: str, database: str, covered: bool) -> None:
    assert functions(declared).cover(tuple(called.split()), database) is covered


@pytest.mark.parametrize(
    ("called", "database", "covered"),
    [
        ("a.f", "", True),
        ("f", "a", True),
        ("f", "", False),
        ("f", "b", False),
        ("A.f", "", False),
        ("a.abs", "", True),
        ("abs", "a", False),
        ("a.f h", "a", False),
    ],
)
def test_learned(called: str, database: str, covered: bool) -> None:
    learned = LearnedFunctions(("a.f", "a.abs"), ("a.f",))
    assert functions("", learned).cover(tuple(called.split()), database) is covered
    assert not functions("", learned, learns=False).cover(tuple(called.split()), database)


def test_what_is_not_known_any_more_is_not_covered() -> None:
    known = functions("g", LearnedFunctions(("a.f",), ("a.f",)))
    assert known.cover(("f", "g"), "a")
    known.learn(LearnedFunctions())
    assert not known.cover(("f",), "a")
    known.configure({})
    assert not known.cover(("g",), "a")


def test_names_as_they_are_declared() -> None:
    parameter = FunctionList()
    assert parameter.parse(" F , Db.G,") == ("f", "Db.g")
    assert parameter.from_json(["F", "Db.G"]) == parameter.from_json("F,Db.G") == ("f", "Db.g")
    assert parameter.to_json(("f", "Db.g")) == ["f", "Db.g"] and parameter.to_text(("f", "Db.g")) == "f,Db.g"


@pytest.mark.parametrize("text", ["a.b.c", "f()", "`f`", "a b", ".f", "f.", "fé", "get_lock", "a.NEXTVAL"])
def test_names_that_cannot_be_declared(text: str) -> None:
    for parse in (FunctionList().parse, lambda value: FunctionList().from_json([value])):
        with pytest.raises(ValueError, match=r"function|locks or counts"):
            parse(text)


def test_parameters_of_other_routers() -> None:
    known = ReadFunctions()
    params: dict[str, Any] = {"router": "readconnroute"}
    known.configure(params)
    assert not known.cover(("f",), "a")
