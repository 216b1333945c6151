"""Reads the language of the server's own test programs: from a .test or .inc file to the SQL in it, in order.

Statements whose text is only known while the test runs (variables set by queries) are left out; blocks of
`if` and `while` are read once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/usr/share/mysql/mysql-test")
LONGEST_STATEMENT = 100_000  # bytes
_DEEPEST_SOURCE = 6  # files that include each other
_MOST_STATEMENTS = 20_000  # of one file, with what it includes

_RUNNERS = frozenset(("query", "query_vertical", "query_horizontal", "send"))
_EXPANDING = frozenset(("eval", "evalp", "send_eval"))
_COMMANDS = frozenset(
    """
    append_file assert cat_file change_user character_set chmod connect connection copy_file
    copy_files_wildcard dec delimiter die diff_files dirty_close disconnect echo else end end_timer error
    eval evalp exec execw exit file_exists horizontal_results if inc let lets list_files
    list_files_append_file list_files_write_file lowercase_result mkdir move_file optimizer_trace output perl
    ping print query_get_value real_sleep reap recv remove_file remove_files_wildcard replace_column
    replace_numeric_round replace_regex replace_result require reset_connection result result_format rmdir
    rpl_probe save_master_pos send_quit send_shutdown shutdown_server skip sleep sorted_result source
    start_timer sync_slave_with_master sync_with_master system vertical_results wait_for_slave_to_stop while
    write_file write_line
    """.split()  # noqa: SIM905
)
_DOCUMENTS = frozenset(("append_file", "perl", "write_file"))  # text up to a line follows
_WORD = re.compile(r"\s*([a-zA-Z_]+)")
_VARIABLE = re.compile(r"\\?\$\{?(\w+)\}?")
_QUOTES = "'\"`"


def files(root: Path = ROOT) -> list[Path]:
    """Every test program of the package."""
    return sorted(path for path in root.rglob("*") if path.suffix in (".test", ".inc") and path.is_file())


class Reader:
    """The pieces of one file, as the test program would read them: (is a command line, text)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.delimiter = ";"

    def line(self) -> str:
        """The rest of this line."""
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        line = self.text[self.at : end]
        self.at = end + 1
        return line

    def skip_document(self, argument: str) -> None:
        """Pass over the text that ends with a line of its own."""
        words = argument.split()
        stop = words[-1] if words and re.fullmatch(r"[A-Z_]+", words[-1]) else "EOF"
        while self.at < len(self.text):
            if self.line().strip().rstrip(";") == stop:
                return

    def pieces(self) -> Iterator[tuple[bool, str]]:
        """Command lines and whatever ends with the delimiter."""
        text = self.text
        while self.at < len(text):
            while self.at < len(text) and text[self.at] in " \t\r\n{}":
                self.at += 1
            if text.startswith("#", self.at):
                self.line()
            elif text.startswith("--", self.at):
                yield True, self.line()[2:].strip()
            elif self.at < len(text):
                yield False, self.delimited()

    def delimited(self) -> str:
        """Everything to the next delimiter that is not quoted, or to the brace of `if (...) {`."""
        text = self.text
        begin = i = self.at
        quote = ""
        block = re.match(r"(if|while)\s*\(", text[i : i + 40], re.I) is not None
        while i < len(text):
            c = text[i]
            if quote:
                if c == "\\" and quote != "`":
                    i += 1
                elif c == quote:
                    quote = ""
            elif text.startswith(self.delimiter, i):
                self.at = i + len(self.delimiter)
                return text[begin:i]
            elif c in _QUOTES:
                quote = c
            elif block and c == "{":
                self.at = i + 1
                return text[begin:i]
            i += 1
        self.at = len(text)
        return text[begin:]


class Program:
    """One test program, with what it includes."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self.variables: dict[str, str] = {}
        self.statements: list[str] = []

    def read(self, path: Path, depth: int = 0) -> list[str]:
        """The statements of a file, in order."""
        reader = Reader(path.read_bytes().decode("latin-1"))
        for is_command, piece in reader.pieces():
            if len(self.statements) >= _MOST_STATEMENTS:
                break
            found = _WORD.match(piece)
            word = found.group(1).lower() if found else ""
            argument = piece[found.end() :].strip() if found else piece
            if word == "delimiter":
                reader.delimiter = argument.split(None, 1)[0] if argument else ";"
            elif word in _DOCUMENTS:
                reader.skip_document(argument.rstrip(";"))
            elif word == "let":
                self.let(argument)
            elif word == "source":
                self.include(path, argument, depth)
            elif word in _EXPANDING:
                self.add(self.expand(argument))
            elif word in _RUNNERS:
                self.add(argument)
            elif not is_command and word not in _COMMANDS and not word.startswith(("disable_", "enable_")):
                self.add(piece.strip())
        return self.statements

    def add(self, statement: str | None) -> None:
        """Keep a statement."""
        if statement and len(statement) <= LONGEST_STATEMENT:
            self.statements.append(statement)

    def expand(self, text: str) -> str | None:
        """The text with its variables replaced, None if one is not known."""
        for _ in range(5):
            names = [name for name in _VARIABLE.findall(text) if name in self.variables]
            if not names:
                break
            text = _VARIABLE.sub(lambda found: self.variables.get(found.group(1), found.group(0)), text)
            if len(text) > LONGEST_STATEMENT:
                return None
        return None if _VARIABLE.search(text) else text

    def let(self, argument: str) -> None:
        """`let $name= value`: what a query or a function decides is not known."""
        name, _, value = argument.partition("=")
        name = name.strip().lstrip("$")
        value = value.strip()
        known = None if "`" in value or value.startswith("query_get_value") else self.expand(value)
        if known is None:
            self.variables.pop(name, None)
        else:
            self.variables[name] = known

    def include(self, path: Path, argument: str, depth: int) -> None:
        """`source file`."""
        name = self.expand(argument.strip().strip("'\"").rstrip(";"))
        if name is None or depth >= _DEEPEST_SOURCE:
            return
        for place in (self.root / name, path.parent / name):
            if place.is_file():
                self.read(place, depth + 1)
                return


def statements(path: Path, root: Path = ROOT) -> list[str]:
    """The SQL of one test program; one character is one byte of the file."""
    return Program(root).read(path)
