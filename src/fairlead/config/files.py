"""The syntax of configuration files: text to sections of values that know their file and line.

Reads the main file and the directory beside it, resolves includes and environment variables. Nothing here
knows what a parameter means; whatever is wrong becomes a problem with its place, and reading goes on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from fairlead.config.problems import ConfigProblem
from fairlead.config.values import did_you_mean, split_list

NAME_BYTES_MAX = 1023
LINE_BYTES_MAX = 16 * 1024 * 1024
GLOBAL_NAMES = ("maxscale", "fairlead")
OBJECT_TYPES = ("server", "service", "listener", "monitor", "filter")
_SAFE_NAME = re.compile(r"[A-Za-z0-9_.~-]+")


@dataclass(frozen=True)
class Value:
    """The text of a parameter and where it stands."""

    text: str
    file: str = ""
    line: int = 0


@dataclass
class Section:
    """One section. `values` are in the order of the file."""

    name: str
    file: str
    line: int
    values: dict[str, Value] = field(default_factory=dict)

    @property
    def is_global(self) -> bool:
        return self.name.lower() in GLOBAL_NAMES

    def text(self, key: str) -> str | None:
        """The text of a parameter, if it is given."""
        value = self.values.get(key)
        return None if value is None else value.text


@dataclass
class Reading:
    """What has been read so far, with everything that was wrong or odd."""

    sections: list[Section] = field(default_factory=list)
    problems: list[ConfigProblem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def error(self, text: str, section: str = "", key: str = "", file: str = "", line: int = 0) -> None:
        self.problems.append(ConfigProblem(text, section, key, file, line))

    def warn(self, text: str, section: str = "", key: str = "", file: str = "", line: int = 0) -> None:
        self.warnings.append(str(ConfigProblem(text, section, key, file, line)))


class _Parser:
    """Parses one file. The previous key decides what an indented line and a repeated key mean."""

    def __init__(self, file: str, reading: Reading):
        self.file = file
        self.reading = reading
        self.section: Section | None = None
        self.previous: str | None = None
        self.skipping = False

    def parse(self, text: str) -> None:
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
            self.line(number, line.removesuffix("\r"))

    def line(self, number: int, line: str) -> None:
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            return
        if len(line) > LINE_BYTES_MAX:
            self.error(f"the line is longer than {LINE_BYTES_MAX} bytes", "", number)
        elif line[0].isspace() and self.previous is not None:
            self.continuation(number, stripped)
        elif stripped[0] == "[":
            self.header(number, stripped)
        else:
            self.assignment(number, stripped)

    def error(self, text: str, key: str, number: int) -> None:
        name = self.section.name if self.section else ""
        self.reading.error(text, name, key, self.file, number)

    def warn(self, text: str, key: str, number: int) -> None:
        name = self.section.name if self.section else ""
        self.reading.warn(text, name, key, self.file, number)

    def continuation(self, number: int, piece: str) -> None:
        if self.section is None or self.previous is None:
            return
        if re.fullmatch(r"\[[^\]]+\]|[a-z_.]+\s*=.*", piece):
            self.warn(
                f"the indented line '{piece}' continues the value of the line above", self.previous, number
            )
        self.append(self.previous, piece)

    def append(self, key: str, piece: str) -> None:
        assert self.section is not None
        old = self.section.values[key]
        self.section.values[key] = replace(old, text=old.text + piece)

    def header(self, number: int, text: str) -> None:
        self.previous = None
        self.section = None
        self.skipping = True
        name, bracket, rest = text[1:].partition("]")
        name = name.strip()
        if not bracket or (rest.strip() and rest.strip()[0] not in "#;"):
            self.reading.error(f"'{text}' is not a section; allowed: [name]", "", "", self.file, number)
        elif not name:
            self.reading.error("the section has no name; allowed: [name]", "", "", self.file, number)
        elif len(name.encode()) > NAME_BYTES_MAX:
            self.reading.error(
                f"the name is longer than {NAME_BYTES_MAX} bytes", name[:40], "", self.file, number
            )
        else:
            self.skipping = False
            self.section = Section(name, self.file, number)
            self.reading.sections.append(self.section)

    def assignment(self, number: int, text: str) -> None:
        if self.section is None:
            if not self.skipping:
                self.error(
                    f"'{text}' stands before the first section; allowed: a [section] first", "", number
                )
            return
        match = re.search(r"[=:]", text)
        key = (text[: match.start()] if match else text).strip()
        value = text[match.end() :].strip() if match else ""
        if not key:
            self.error(f"'{text}' has no parameter name; allowed: name=value", "", number)
        elif len(key.encode()) > NAME_BYTES_MAX:
            self.error(f"the name is longer than {NAME_BYTES_MAX} bytes", key[:40], number)
        elif key not in self.section.values:
            self.section.values[key] = Value(value, self.file, number)
            self.previous = key
        elif key == self.previous:
            self.warn("is given again on the next line; the values are joined", key, number)
            self.append(key, value)
        else:
            first = self.section.values[key].line
            self.error(f"is given twice, first in line {first}; allowed: once", key, number)
            self.previous = None


def parse_text(text: str, file: str, reading: Reading) -> None:
    """Parse the text of one file."""
    _Parser(file, reading).parse(text)


def parse_file(path: Path, reading: Reading) -> bool:
    """Parse one file; False if it cannot be read."""
    file = str(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        reading.error(f"cannot be read: {error.strerror}", file=file)
        return False
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        reading.error("is not valid UTF-8", file=file, line=line)
        return False
    parse_text(text, file, reading)
    return True


def name_problem(name: str) -> str | None:
    """What is wrong with the name of an object, if anything."""
    if not name:
        return "the name is empty; allowed: a name without white space"
    if re.search(r"\s", name):
        return f"the name '{name}' contains white space; allowed: letters, digits and _ . ~ -"
    if name.startswith("@@"):
        return f"the name '{name}' begins with @@, which is reserved; allowed: letters, digits and _ . ~ -"
    if len(name.encode()) > NAME_BYTES_MAX:
        return f"the name is longer than {NAME_BYTES_MAX} bytes"
    return None


def name_warning(name: str) -> str | None:
    """What is odd about the name of an object, if anything."""
    if _SAFE_NAME.fullmatch(name):
        return None
    return f"the name '{name}' cannot be written in a URL as it is; better: letters, digits and _ . ~ -"


def _files_below(directory: Path, reading: Reading) -> Iterator[Path]:
    """The .cnf files of a directory tree in order, without hidden ones and links to directories."""
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError as error:
        reading.error(f"cannot be read: {error.strerror}", file=str(directory))
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files_below(Path(entry.path), reading)
        elif entry.is_dir():
            reading.warn("is a symbolic link to a directory and is skipped", file=entry.path)
        elif entry.name.endswith(".cnf"):
            yield Path(entry.path)


def _resolve_includes(reading: Reading, first: int) -> None:
    """Copy the parameters of includes into the sections of the file that ask for them; drop the includes."""
    scope = reading.sections[first:]
    includes = {each.name: each for each in scope if each.text("type") == "include"}
    used: set[str] = set()
    for section in scope:
        wanted = section.values.pop("@include", None)
        if wanted is None:
            continue
        if section.name in includes:
            reading.error("an include may not include", section.name, "@include", wanted.file, wanted.line)
            continue
        if "type" not in section.values and not section.is_global:
            text = "a section with @include must have its own type"
            reading.error(text, section.name, "@include", wanted.file, wanted.line)
        own = dict(section.values)
        inherited: dict[str, Value] = {}
        for name in split_list(wanted.text, ","):
            used.add(name)
            if name not in includes:
                hint = did_you_mean(name, includes)
                text = f"there is no include '{name}' in this file; allowed: one with type=include{hint}"
                reading.error(text, section.name, "@include", wanted.file, wanted.line)
                continue
            inherited.update(
                {k: v for k, v in includes[name].values.items() if k not in ("type", "@include")}
            )
        section.values = {**inherited, **own}
    for name, include in includes.items():
        if name not in used:
            reading.warn("the include is not used", name, "", include.file, include.line)
    reading.sections[first:] = [each for each in scope if each.name not in includes]


def _check_names(reading: Reading, main_file: str) -> None:
    """Refuse sections that are there twice, and the global section anywhere but in the main file."""
    seen: dict[str, Section] = {}
    kept: list[Section] = []
    for section in reading.sections:
        key = "maxscale" if section.is_global else section.name
        if section.is_global and section.file != main_file:
            text = "the global section is allowed in the main file only"
            reading.error(text, section.name, "", section.file, section.line)
            continue
        if key in seen:
            first = seen[key]
            reading.error(f"the section is there twice, first in {first.file}:{first.line}; allowed: once",
                          section.name, "", section.file, section.line)  # fmt: skip
            continue
        seen[key] = section
        kept.append(section)
        if section.is_global:
            if section.name not in GLOBAL_NAMES:
                reading.warn(f"the section should be written [{section.name.lower()}]", section.name, "",
                             section.file, section.line)  # fmt: skip
            continue
        problem, warning = name_problem(section.name), name_warning(section.name)
        if problem:
            reading.error(problem, section.name, "", section.file, section.line)
        elif warning:
            reading.warn(warning, section.name, "", section.file, section.line)
    reading.sections = kept


def _substitute(reading: Reading, environment: Mapping[str, str]) -> None:
    """Replace every value `$NAME` by that variable of the environment."""
    for section in reading.sections:
        for key, value in section.values.items():
            if len(value.text) < 2 or value.text[0] != "$":
                continue
            name = value.text[1:]
            if name not in environment:
                text = f"the environment variable '{name}' is not set; allowed: the name of one that is"
                reading.error(text, section.name, key, value.file, value.line)
            else:
                section.values[key] = replace(value, text=environment[name])


def wants_substitution(section: Section | None) -> bool:
    """Whether the global section switches $NAME on."""
    text = section.text("substitute_variables") if section else None
    return text is not None and text.lower() in ("true", "yes", "on", "1")


def read_static(main: Path, environment: Mapping[str, str] | None = None) -> Reading:
    """The main file and the files of the directory `<main>.d`."""
    reading = Reading()
    if parse_file(main, reading):
        _resolve_includes(reading, 0)
    directory = Path(f"{main}.d")
    if directory.is_dir():
        for path in _files_below(directory, reading):
            first = len(reading.sections)
            parse_file(path, reading)
            _resolve_includes(reading, first)
    _check_names(reading, str(main))
    if wants_substitution(next((s for s in reading.sections if s.is_global), None)):
        _substitute(reading, os.environ if environment is None else environment)
    return reading


def read_persisted(directory: Path) -> Reading:
    """What has been changed at run time: one file for each object."""
    reading = Reading()
    if directory.is_dir():
        for path in _files_below(directory, reading):
            parse_file(path, reading)
    return reading
