"""What a statement uses, while it is being walked: columns as the text names them, functions, and the names
that a query gives to tables. They become `Field` and `Function` when the names have been resolved.
"""

from __future__ import annotations

# -- context of a column, as bits
CONTEXT_UNION = 1
CONTEXT_SUBQUERY = 2

# -- which string literals are reported as columns
STRING_ARG_AS_FIELD = 1
STRING_AS_FIELD = 2


class Scope:
    """The names one query gives to tables and columns; what is not found here is looked for outside."""

    def __init__(self, outside: Scope | None) -> None:
        self.outside = outside
        self.tables: dict[str, tuple[str, str]] = {}
        self.columns: set[str] = set()


class Reference:
    """A column as the text names it; the tables behind it are known when its query has been walked."""

    __slots__ = ("column", "context", "database", "in_list", "position", "reported", "scope", "table")

    def __init__(self, scope: Scope, position: int, database: str, table: str, column: str) -> None:
        self.scope = scope
        self.position = position
        self.database = database
        self.table = table
        self.column = column
        self.context = 0
        self.in_list = False  # in the select list, which cannot use the aliases it makes
        self.reported = True


class Call:
    """A function or an operator and the columns that are its direct arguments."""

    __slots__ = ("arguments", "name", "position")

    def __init__(self, position: int, name: str) -> None:
        self.position = position
        self.name = name
        self.arguments: list[Reference] = []
