"""What a parameter and a module are: each is declared once, and everyone reads it here.

A leaf: no room of the product is imported, so that every room may declare its own parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from fairlead.config.values import Path, ValueType


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Final = _Required()

# How far this release honours a parameter.
IMPLEMENTED: Final = "implemented"
PARSED_ONLY: Final = (
    "parsed only"  # taken, checked, without effect: a warning when it is set to another value
)
REFUSED: Final = "refused"  # an error when it is set to another value: ignoring it would be dangerous


@dataclass(frozen=True)
class Param:
    """One parameter. `default`: the text as it would be written, a function giving it, or REQUIRED.

    `relation`: the parameter is shown and changed as a relationship at run time, not as a parameter.
    """

    name: str
    type: ValueType
    default: str | _Required | Callable[[], str]
    doc: str
    dynamic: bool = False
    unit: str | None = None
    since: str = "0.1"
    aliases: tuple[str, ...] = ()
    deprecated: bool = False
    hidden: bool = False
    support: str = IMPLEMENTED
    relation: bool = False
    default_doc: str | None = None

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    def default_text(self) -> str:
        """The default as it would be written; empty for a mandatory parameter."""
        if isinstance(self.default, _Required):
            return ""
        return self.default() if callable(self.default) else self.default

    def default_value(self) -> Any:
        """The default as native value; None for a mandatory parameter."""
        if self.required:
            return None
        text = self.default_text()
        return None if not text and isinstance(self.type, Path) else self.type.parse(text)


@dataclass(frozen=True)
class CommandArgument:
    """An argument of a module command."""

    type: str
    doc: str
    required: bool = True


@dataclass(frozen=True)
class Command:
    """A command of a module, as REST clients see it. `method` is GET for those that only look."""

    name: str
    doc: str
    method: str = "POST"
    arguments: tuple[CommandArgument, ...] = ()


# What a check of a whole object finds wrong: (parameter, text).
Finding = tuple[str, str]


def no_findings(params: dict[str, Any]) -> Iterable[Finding]:
    """The check of a module that has none."""
    return ()


def nothing_implied(params: dict[str, Any]) -> list[str]:
    """The implied settings of a module that has none."""
    return []


@dataclass(frozen=True)
class ModuleSpec:
    """A module: its name, what it is, and its own parameters (not those that all modules of its kind have).

    `check` tells what is wrong with a complete set of native values. `imply` changes such a set where one
    parameter demands another, and returns warnings.
    """

    name: str
    kind: str  # Router, Filter, Monitor, Protocol, Authenticator
    description: str
    params: tuple[Param, ...] = ()
    commands: tuple[Command, ...] = ()
    version: str = "V1.0.0"
    maturity: str = "GA"
    api: str = ""
    check: Callable[[dict[str, Any]], Iterable[Finding]] = no_findings
    imply: Callable[[dict[str, Any]], list[str]] = nothing_implied
    aliases: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


def by_name(params: Iterable[Param]) -> dict[str, Param]:
    """Parameters by their names and aliases."""
    found: dict[str, Param] = {}
    for param in params:
        for name in (param.name, *param.aliases):
            assert name not in found, f"parameter {name} is declared twice"
            found[name] = param
    return found


def defaults(*groups: Iterable[Param]) -> dict[str, Any]:
    """The native defaults of declarations, for tests and for tools that have no configuration."""
    return {param.name: param.default_value() for group in groups for param in group if not param.required}
