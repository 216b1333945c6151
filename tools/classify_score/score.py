"""What was counted: per group of statements how many there are and how many agree; the disagreements."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field

from classify_score.labels import clean

GROUPS = (
    ("SELECT, VALUES, WITH", r"[( ]*(?:SELECT|VALUES|WITH)\b"),
    ("INSERT, REPLACE", r"(?:INSERT|REPLACE)\b"),
    ("UPDATE, DELETE", r"(?:UPDATE|DELETE)\b"),
    ("CREATE", r"CREATE\b"),
    ("ALTER, DROP, RENAME, TRUNCATE", r"(?:ALTER|DROP|RENAME|TRUNCATE)\b"),
    ("SET, USE", r"(?:SET|USE)\b"),
    ("SHOW", r"SHOW\b"),
    ("EXPLAIN, DESCRIBE, ANALYZE", r"(?:EXPLAIN|DESC|DESCRIBE|ANALYZE)\b"),
    ("CALL, DO, PREPARE, EXECUTE", r"(?:CALL|DO|PREPARE|EXECUTE|DEALLOCATE)\b"),
    ("other", r""),
)
_PATTERNS = tuple((name, re.compile(pattern)) for name, pattern in GROUPS)


def group_of(sql: str) -> str:
    """The group a statement is counted in."""
    text = clean(sql[:2000])
    return next(name for name, pattern in _PATTERNS if pattern.match(text))


@dataclass
class Row:
    """Counts of one group."""

    statements: int = 0
    pure: int = 0
    run: int = 0
    wrong: int = 0
    labelled: int = 0
    mask: int = 0
    operation: int = 0
    opened: int = 0
    tables: int = 0
    canonical: int = 0
    compared: int = 0
    fields: int = 0
    functions: int = 0

    def add(self, other: Row) -> None:
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass
class Score:
    """Everything counted; `found` holds disagreements by kind."""

    rows: dict[str, Row] = field(default_factory=lambda: {name: Row() for name, _ in GROUPS})
    found: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    variants: int = 0
    spoiled: int = 0
    writing: int = 0
    restarts: int = 0
    files: int = 0
    executed: int = 0
    with_server: bool = False

    def note(self, kind: str, text: str) -> None:
        """Remember a disagreement."""
        self.found[kind].append(text)

    def total(self) -> Row:
        total = Row()
        for row in self.rows.values():
            total.add(row)
        return total

    def missed(self) -> list[str]:
        """The bars that are missed, as sentences."""
        total = self.total()
        bars = [
            ("type mask", total.mask, total.labelled, 99.0),
            ("operation", total.operation, total.labelled, 99.0),
            ("canonical form", total.canonical, total.statements, 100.0),
        ]
        bars.append(("columns", total.fields, total.compared, 95.0))
        bars.append(("functions", total.functions, total.compared, 95.0))
        if self.with_server:
            bars.append(("tables", total.tables, total.opened, 98.0))
        missed = [
            f"{name}: {100 * part / whole:.2f} % agree, the bar is {bar:g} %"
            for name, part, whole, bar in bars
            if whole and 100 * part / whole < bar
        ]
        for kind in ("wrong read", "exception", "idempotence", "variant", "cache"):
            if self.found[kind]:
                missed.append(f"{kind}: {len(self.found[kind])}, the bar is 0")
        if not total.statements:
            missed.append("no statements found")
        if self.with_server and not total.run:
            missed.append("no pure read was executed")
        return missed

    def table(self) -> str:
        """The counts as a table of Markdown."""

        def percent(part: int, whole: int) -> str:
            return f"{100 * part / whole:.2f} %" if whole else "-"

        lines = [
            "| Statements | | pure reads | executed | wrong reads "
            "| type mask | operation | tables | canonical | columns | functions |",
            "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
        ]
        rows = [*self.rows.items(), ("**all**", self.total())]
        for name, row in rows:
            run = f"{row.run if self.with_server else '-'} | {row.wrong}"
            lines.append(
                f"| {name} | {row.statements} | {row.pure} | {run} | "
                f"{percent(row.mask, row.labelled)} | {percent(row.operation, row.labelled)} | "
                f"{percent(row.tables, row.opened)} | {percent(row.canonical, row.statements)} | "
                f"{percent(row.fields, row.compared)} | {percent(row.functions, row.compared)} |"
            )
        return "\n".join(lines)

    def details(self, samples: int) -> str:
        """The disagreements, most frequent first, with so many samples of each."""
        lines = []
        for kind, texts in sorted(self.found.items(), key=lambda item: -len(item[1])):
            if not texts:
                continue
            lines.append(f"{len(texts):6} {kind}")
            step = max(1, len(texts) // samples) if samples else 1
            lines += [f"         {text[:300]!r}" for text in texts[::step][:samples]]
        return "\n".join(lines)
