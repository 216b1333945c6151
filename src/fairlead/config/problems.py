"""What is wrong with a configuration: problems with their place, gathered so that all are told at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ConfigProblem:
    """One problem. `text` tells what was found and what is allowed; empty places are left out."""

    text: str
    section: str = ""
    parameter: str = ""
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        section = f"[{self.section}] " if self.section else ""
        parameter = f"{self.parameter}: " if self.parameter else ""
        return f"{place}{section}{parameter}{self.text}"


class ConfigErrors(Exception):
    """A configuration, or a change of it, is refused."""

    def __init__(self, problems: list[ConfigProblem]):
        assert problems
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def refuse(text: str, section: str = "", parameter: str = "") -> ConfigErrors:
    """The exception for a single problem of a change at run time."""
    return ConfigErrors([ConfigProblem(text, section, parameter)])
