"""`fairlead check`: every problem of a configuration at once, and what was understood when there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from fairlead.config import loader
from fairlead.config.objects import KINDS
from fairlead.config.problems import ConfigErrors, ConfigProblem

EXIT_OK = 0
EXIT_INVALID = 1


def report(problems: Iterable[ConfigProblem]) -> str:
    """The problems, one in a line, sorted by place; those without a place come last."""
    ordered = sorted(problems, key=lambda p: (not p.file, p.file, p.line))
    return "\n".join(f"error: {problem}" for problem in ordered)


def counted(number: int, kind: str) -> str:
    """`1 server`, `2 servers`."""
    return f"{number} {kind if number != 1 else kind[:-1]}"


def check(
    main_file: Path, *, basedir: Path | None = None, overrides: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Exit code and text; nothing is made or changed on disk."""
    try:
        loaded = loader.load(main_file, basedir, overrides or {}, create=False)
    except ConfigErrors as errors:
        count = counted(len(errors.problems), "problems")
        verdict = f"{main_file}: {count}, the configuration is not valid"
        return EXIT_INVALID, f"{report(errors.problems)}\n{verdict}"
    lines = [f"warning: {warning}" for warning in loaded.warnings]
    counts = {kind: len(loaded.state.of(kind)) for kind in KINDS}
    found = ", ".join(counted(count, kind) for kind, count in counts.items() if count) or "no objects"
    lines.append(f"{main_file}: the configuration is valid ({found})")
    return EXIT_OK, "\n".join(lines)


def check_file(main_file: Path) -> int:
    """Check, print the result, return the exit code."""
    code, text = check(main_file)
    print(text)
    return code
