"""The syntax of files: every rule, and every error with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.config.files import Reading, parse_text, read_persisted, read_static


def parsed(text: str) -> Reading:
    reading = Reading()
    parse_text(text, "f.cnf", reading)
    return reading


def values(text: str) -> dict[str, str]:
    reading = parsed(text)
    assert not reading.problems
    return {key: value.text for key, value in reading.sections[-1].values.items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1\nb: 2\n c", {"a": "1", "b": "2c"}),
        ("a = 1 # x ", {"a": "1 # x"}),
        ("# c\n  ; c\na=1", {"a": "1"}),
        ("a=one\n  two\n\tthree", {"a": "onetwothree"}),
        ("a=1\n # between\n 2", {"a": "12"}),
        ("bare", {"bare": ""}),
        ("a=x:y=z", {"a": "x:y=z"}),
        ("a=1\na=2", {"a": "12"}),
        ("  a=1\nb=2", {"a": "1", "b": "2"}),
        ("a=1\r\nb=2\r\n", {"a": "1", "b": "2"}),
        ("a=\nb=", {"a": "", "b": ""}),
    ],
)
def test_values(text: str, expected: dict[str, str]) -> None:
    assert values(f"\ufeff[s]\n{text}\n") == expected


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a=1\n[s]", 1, "before the first section"),
        ("[]\na=1", 1, "has no name"),
        ("\n[s\n", 2, "is not a section"),
        ("[s] x", 1, "is not a section"),
        ("[s]\na=1\nb=2\na=3", 4, "is given twice, first in line 2"),
        ("[s]\n=1", 2, "has no parameter name"),
        (f"[{'n' * 1024}]", 1, "longer than 1023"),
        (f"[s]\n{'k' * 1024}=1", 2, "longer than 1023"),
    ],
)
def test_problems(text: str, line: int, words: str) -> None:
    problems = parsed(text).problems
    assert [(p.file, p.line) for p in problems] == [("f.cnf", line)]
    assert words in str(problems[0])


def test_oddities_are_warned_about() -> None:
    warnings = parsed("[s]\na=1\na=2\n [t]\n").warnings
    assert len(warnings) == 2
    assert "joined" in warnings[0] and "f.cnf:3" in warnings[0]
    assert "continues the value" in warnings[1]


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    reading = parsed(text)
    assert all(problem.line > 0 for problem in reading.problems)


def write(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        path = directory / name.replace("__", "/").replace("_cnf", ".cnf")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory / "main.cnf"


def test_directory_beside_the_main_file(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main_cnf="[maxscale]\n",
        **{"main.cnf.d__b_cnf": "[b]\n", "main.cnf.d__a__c_cnf": "[c]\n", "main.cnf.d__.hidden_cnf": "[h]\n",
           "main.cnf.d__notes.txt": "[n]\n"},
    )  # fmt: skip
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.cnf").write_text("[x]\n")
    (tmp_path / "main.cnf.d" / "link").symlink_to(outside)
    (tmp_path / "main.cnf.d" / "file.cnf").symlink_to(outside / "x.cnf")
    reading = read_static(main)
    assert [section.name for section in reading.sections] == ["maxscale", "c", "b", "x"]
    assert ["link" in warning for warning in reading.warnings] == [True]


def test_global_section_belongs_in_the_main_file(tmp_path: Path) -> None:
    main = write(tmp_path, main_cnf="[MaxScale]\n", **{"main.cnf.d__b_cnf": "[maxscale]\n[s]\n"})
    reading = read_static(main)
    assert "main file only" in str(reading.problems[0])
    assert "should be written" in reading.warnings[0]
    assert [section.name for section in reading.sections] == ["MaxScale", "s"]


@pytest.mark.parametrize("other", ["maxscale", "fairlead", "MAXSCALE"])
def test_global_section_twice(tmp_path: Path, other: str) -> None:
    reading = read_static(write(tmp_path, main_cnf=f"[maxscale]\n[{other}]\n"))
    assert "there twice" in str(reading.problems[0])


def test_names(tmp_path: Path) -> None:
    reading = read_static(write(tmp_path, main_cnf="[a b]\n[@@c]\n[d/e]\n[ok]\n[ok]\n"))
    assert [problem.line for problem in reading.problems] == [1, 2, 5]
    assert "URL" in reading.warnings[0]


def test_includes(tmp_path: Path) -> None:
    text = """
[A]
type=include
x=a
y=a
[B]
type=include
y=b
[unused]
type=include
[s]
type=server
@include=A,B
x=own
"""
    reading = read_static(write(tmp_path, main_cnf=text))
    assert not reading.problems
    (section,) = reading.sections
    assert {key: value.text for key, value in section.values.items()} == {
        "x": "own",
        "y": "b",
        "type": "server",
    }
    assert section.values["y"].line == 8
    assert "unused" in reading.warnings[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[A]\ntype=include\n@include=B\n[B]\ntype=include\n", "may not include"),
        ("[A]\ntype=include\n[s]\n@include=A\n", "its own type"),
        ("[Abc]\ntype=include\n[s]\ntype=server\n@include=Abd\n", "did you mean Abc?"),
    ],
)
def test_wrong_includes(tmp_path: Path, text: str, words: str) -> None:
    reading = read_static(write(tmp_path, main_cnf=text))
    assert words in str(reading.problems[0])


def test_an_include_of_another_file_is_out_of_scope(tmp_path: Path) -> None:
    main = write(
        tmp_path, main_cnf="[A]\ntype=include\n", **{"main.cnf.d__b_cnf": "[s]\ntype=server\n@include=A\n"}
    )
    assert "there is no include 'A'" in str(read_static(main).problems[0])


def test_environment(tmp_path: Path) -> None:
    text = "[maxscale]\nsubstitute_variables=true\n[s]\na=$HERE\nb=x$HERE\nc=$\nd=$GONE\n"
    reading = read_static(write(tmp_path, main_cnf=text), {"HERE": "value"})
    assert {k: v.text for k, v in reading.sections[1].values.items()} == {
        "a": "value", "b": "x$HERE", "c": "$", "d": "$GONE"
    }  # fmt: skip
    assert [problem.line for problem in reading.problems] == [7]
    plain = read_static(write(tmp_path, main_cnf="[s]\na=$HERE\n"), {"HERE": "value"})
    assert plain.sections[0].values["a"].text == "$HERE"


def test_unreadable_files(tmp_path: Path) -> None:
    assert "cannot be read" in str(read_static(tmp_path / "none.cnf").problems[0])
    (tmp_path / "main.cnf").write_bytes(b"[s]\na=\xff\n")
    problem = read_static(tmp_path / "main.cnf").problems[0]
    assert problem.line == 2 and "UTF-8" in problem.text
    assert read_persisted(tmp_path / "none").sections == []
