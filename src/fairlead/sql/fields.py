"""Which columns and functions a statement uses: walks the clauses of every statement that can have any.

Filters that mask, refuse or rewrite ask for it; routing does not, so it is not part of a classification.
What it cannot follow it steps over; it never raises. Source: spec classifier.md, section 3.
"""

from __future__ import annotations

from typing import NamedTuple

from fairlead.sql.expressions import DEPTH_MAX, ExpressionWalker
from fairlead.sql.tokens import (
    T_ASSIGN,
    T_COMMA,
    T_DOT,
    T_END,
    T_EQ,
    T_LPAREN,
    T_OP,
    T_RPAREN,
    T_SEMI,
    T_STAR,
    T_STRING,
    T_USERVAR,
    T_WORD,
)
from fairlead.sql.uses import CONTEXT_SUBQUERY, CONTEXT_UNION, Reference, Scope

_QUERY = frozenset(("SELECT", "VALUES", "WITH"))
_SET_OPERATORS = frozenset(("UNION", "EXCEPT", "INTERSECT", "MINUS"))
_SELECT_OPTIONS = frozenset(
    (
        "ALL", "DISTINCT", "DISTINCTROW", "HIGH_PRIORITY", "STRAIGHT_JOIN", "SQL_SMALL_RESULT",
        "SQL_BIG_RESULT", "SQL_BUFFER_RESULT", "SQL_CACHE", "SQL_NO_CACHE", "SQL_CALC_FOUND_ROWS",
    )
)  # fmt: skip
_CHANGE_OPTIONS = frozenset(
    ("LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "QUICK", "IGNORE", "HISTORY", "INTO")
)
_JOIN_WORDS = frozenset(
    ("NATURAL", "LEFT", "RIGHT", "FULL", "OUTER", "INNER", "CROSS", "JOIN", "STRAIGHT_JOIN")
)
_CLAUSES = frozenset(
    (
        "FROM", "WHERE", "GROUP", "ORDER", "HAVING", "INTO", "RETURNING", "WINDOW", "ON", "LIMIT", "FOR",
        "LOCK",
    )
)  # fmt: skip
_EXPLAIN_OPTIONS = frozenset(("EXTENDED", "PARTITIONS", "ANALYZE", "FORMAT"))
_EXPLAINED = frozenset(("SELECT", "WITH", "VALUES", "INSERT", "REPLACE", "UPDATE", "DELETE"))


class Field(NamedTuple):
    """A column: empty names are those that the statement leaves out; `context` is a mask of CONTEXT_*."""

    database: str
    table: str
    column: str
    context: int

    def __str__(self) -> str:
        return ".".join(part for part in (self.database, self.table, self.column) if part)


class Function(NamedTuple):
    """A function or operator, as written, and the columns that are its direct arguments somewhere."""

    name: str
    fields: tuple[Field, ...]


class Collected(NamedTuple):
    """What a statement uses, each once, in the order of the text."""

    fields: tuple[Field, ...]
    functions: tuple[Function, ...]


class FieldCollector(ExpressionWalker):
    """Collects from one statement after another."""

    def collect(self, buf: bytearray, oracle: bool, ansi: bool, no_escapes: bool, options: int) -> Collected:
        """What the statements in `buf` use; `options`: STRING_AS_FIELD, STRING_ARG_AS_FIELD."""
        self.forget()
        self.options = options
        self.read(buf, oracle, ansi, no_escapes)
        i = 0
        while i < self.count and self.kind[i] != T_END:
            following = self.one_statement(i)
            i = following + 1 if following == i or self.kind[following] == T_SEMI else following
        found = self.result_of()
        self.forget()
        return found

    # -- the result

    def resolved(self, reference: Reference) -> Field:
        """The column with the table that its qualifier stands for."""
        database = reference.database
        table = reference.table
        if table and not database:
            scope: Scope | None = reference.scope
            while scope is not None:
                known = scope.tables.get(table.lower())
                if known is not None:
                    database, table = known
                    break
                scope = scope.outside
        return Field(database, table, reference.column, reference.context)

    def is_alias(self, reference: Reference) -> bool:
        """True if the bare name is one that the select list gave to an expression."""
        return (
            not reference.table
            and not reference.in_list
            and reference.column.lower() in reference.scope.columns
        )

    def result_of(self) -> Collected:
        """Everything collected, with aliases resolved and duplicates gone."""
        fields: dict[Field, None] = {}
        for reference in sorted(self.references, key=_position):
            if reference.reported and not self.is_alias(reference):
                fields[self.resolved(reference)] = None
        names: dict[str, str] = {}
        arguments: dict[str, dict[Field, None]] = {}
        for call in sorted(self.calls, key=_position):
            key = call.name.lower()
            names.setdefault(key, call.name)
            of_call = arguments.setdefault(key, {})
            for reference in call.arguments:
                if not self.is_alias(reference):
                    of_call[self.resolved(reference)] = None
        functions = [Function(names[key], tuple(arguments[key])) for key in names]
        return Collected(tuple(fields), tuple(functions))

    # -- statements

    def one_statement(self, i: int) -> int:
        """Walk the statement at `i`, which may be inside of another. Returns where it ends."""
        if self.depth > DEPTH_MAX:
            return self.rest_of_statement(i)
        self.depth += 1
        i = self.statement(i)
        self.depth -= 1
        return i

    def statement(self, i: int) -> int:
        """Walk the statement at `i` by its first word."""
        first = i
        while self.kind[first] == T_LPAREN:
            first += 1
        word = self.text[first]
        if word in _QUERY:
            i = self.with_or_query(i)
        elif word in ("INSERT", "REPLACE"):
            i = self.insert(i + 1)
        elif word in ("UPDATE", "DELETE"):
            i = self.update(i + 1) if word == "UPDATE" else self.delete(i + 1)
        elif word == "SET":
            i = self.set(i + 1)
        elif word in ("DO", "CALL"):
            i = self.do(i, word)
        elif word in ("EXPLAIN", "DESCRIBE", "DESC", "ANALYZE"):
            return self.explain(i + 1)
        elif word == "CREATE":
            return self.create(i + 1)
        return self.rest_of_statement(i)

    def rest_of_statement(self, i: int) -> int:
        """Position of the end of the statement."""
        while not self.ends(i):
            i += 1
        return i

    def with_or_query(self, i: int) -> int:
        """A query, or WITH in front of UPDATE or DELETE."""
        if self.text[i] == "WITH":
            self.scope = Scope(None)
            i = self.common_tables(i + 1)
            if self.text[i] == "UPDATE":
                return self.update(i + 1)
            if self.text[i] == "DELETE":
                return self.delete(i + 1)
        return self.query(i)

    def explain(self, i: int) -> int:
        """`i` is behind EXPLAIN or ANALYZE: of a statement, or of a table, which uses nothing."""
        while self.text[i] in _EXPLAIN_OPTIONS:
            i += 3 if self.kind[i + 1] == T_EQ else 1
        if self.text[i] in _EXPLAINED or self.kind[i] == T_LPAREN:
            return self.one_statement(i)
        return self.rest_of_statement(i)

    def create(self, i: int) -> int:
        """`i` is behind CREATE: of what it makes only the query of a table or view uses columns."""
        while self.kind[i] == T_WORD and self.text[i] not in ("TABLE", "VIEW"):
            if self.text[i] in ("PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE", "INDEX"):
                return self.rest_of_statement(i)
            i += 1
        while not self.ends(i):
            if self.text[i] == "SELECT" or self.opens_tables(i):
                while self.kind[i - 1] == T_LPAREN:
                    i -= 1
                return self.with_or_query(i)
            i += 1
        return i

    def opens_tables(self, i: int) -> bool:
        """True if the word at `i` is the WITH of common table expressions, not one of WITH ROLLUP."""
        if self.text[i] != "WITH":
            return False
        return self.text[i + 1] == "RECURSIVE" or self.text[i + 2] == "AS" or self.kind[i + 2] == T_LPAREN

    def do(self, i: int, word: str) -> int:
        """DO expressions, or the arguments of CALL."""
        i += 1
        if word == "CALL":
            while self.names(i) or self.kind[i] == T_DOT:
                i += 1
        return self.expressions(i)

    def set(self, i: int) -> int:
        """`i` is behind SET: the values; or SET STATEMENT ... FOR a statement."""
        before_statement = self.text[i] == "STATEMENT"
        while not self.ends(i):
            if self.kind[i] in (T_EQ, T_ASSIGN):
                i = self.value(i + 1)
            elif before_statement and self.text[i] == "FOR":
                return self.one_statement(i + 1)
            else:
                i += 1
        return i

    def value(self, i: int) -> int:
        """The value of a variable: a bare word is a value too, not a column."""
        behind = self.kind[i + 1]
        if self.kind[i] == T_WORD and (behind in (T_COMMA, T_SEMI, T_END) or self.text[i + 1] == "FOR"):
            return i + 1
        return max(i, self.expression(i, 0))

    def insert(self, i: int) -> int:
        """`i` is behind INSERT or REPLACE."""
        self.scope = Scope(None)
        while self.text[i] in _CHANGE_OPTIONS:
            i += 1
        i = self.table(i)
        if self.text[i] == "PARTITION" and self.kind[i + 1] == T_LPAREN:
            i = self.behind(i + 1)
        if self.kind[i] == T_LPAREN and not self.is_query(i):
            i = self.name_list(i + 1)
        if self.text[i] in ("VALUES", "VALUE"):
            i += 1
            while self.kind[i] == T_LPAREN:
                i = self.parenthesised(i)
                if self.kind[i] == T_COMMA:
                    i += 1
        elif self.text[i] == "SET":
            i = self.assignments(i + 1)
        elif self.text[i] in _QUERY or self.kind[i] == T_LPAREN:
            target = self.scope
            i = self.query(i)
            self.scope = target
        while not self.ends(i):
            if self.text[i] == "DUPLICATE" and self.text[i + 1] == "KEY" and self.text[i + 2] == "UPDATE":
                i = self.assignments(i + 3)
            elif self.text[i] == "RETURNING":
                i = self.select_list(i + 1)
            else:
                i += 1
        return i

    def name_list(self, i: int) -> int:
        """Columns behind a left parenthesis. Returns the position behind the right one."""
        while not self.ends(i) and self.kind[i] != T_RPAREN:
            i = self.named(i) if self.names(i) else i + 1
        return i if self.ends(i) else i + 1

    def assignments(self, i: int) -> int:
        """column = expression, ..."""
        while self.names(i):
            i = self.named(i)
            if self.kind[i] != T_EQ and self.kind[i] != T_ASSIGN:
                return i
            i = self.expression(i + 1, 0)
            if self.kind[i] != T_COMMA:
                return i
            i += 1
        return i

    def update(self, i: int) -> int:
        """`i` is behind UPDATE."""
        self.scope = Scope(self.scope)
        while self.text[i] in _CHANGE_OPTIONS:
            i += 1
        i = self.table_references(i)
        if self.text[i] == "SET":
            i = self.assignments(i + 1)
        return self.clauses(i)

    def delete(self, i: int) -> int:
        """`i` is behind DELETE."""
        self.scope = Scope(self.scope)
        while self.text[i] in _CHANGE_OPTIONS:
            i += 1
        while not self.ends(i) and self.text[i] != "FROM":
            i += 1  # the names here repeat those of the table references
        i = self.table_references(i + 1)
        if self.text[i] == "USING":
            i = self.table_references(i + 1)
        return self.clauses(i)

    # -- queries

    def subquery(self, i: int) -> int:
        """A query in parentheses, with a scope and a context of its own."""
        if self.depth > DEPTH_MAX:
            return self.level_end(i) + 1
        self.depth += 1
        scope = self.scope
        context = self.context
        in_list = self.in_list
        silent = self.silent
        self.scope = Scope(scope)
        self.context = context | CONTEXT_SUBQUERY
        self.in_list = self.silent = False
        i = self.query(i)
        i = self.level_end(i)
        self.scope = scope
        self.context = context
        self.in_list = in_list
        self.silent = silent
        self.depth -= 1
        self.column = None
        return i + 1

    def common_tables(self, i: int) -> int:
        """`i` is behind WITH: name [(columns)] AS (query), ..."""
        if self.text[i] == "RECURSIVE":
            i += 1
        while self.names(i):
            i += 1
            if self.kind[i] == T_LPAREN:
                i = self.behind(i)
            if self.text[i] != "AS" or self.kind[i + 1] != T_LPAREN:
                return i
            i = self.subquery(i + 2)
            if self.text[i] == "CYCLE":
                while not self.ends(i) and self.text[i] != "RESTRICT":
                    i += 1
                i += 1
            if self.kind[i] != T_COMMA:
                return i
            i += 1
        return i

    def query(self, i: int) -> int:
        """A query with its branches. Returns the position of what it does not know."""
        context = self.context
        outside = self.scope
        first: Scope | None = None
        if self.text[i] == "WITH":
            i = self.common_tables(i + 1)
        while True:
            self.scope = Scope(outside)
            first = first or self.scope
            i = self.branch(i, first is self.scope)
            if self.text[i] not in _SET_OPERATORS:
                break
            i += 1
            while self.text[i] in ("ALL", "DISTINCT"):
                i += 1
            self.context = context | CONTEXT_UNION
        self.context = context
        self.scope = first
        i = self.clauses(i)
        self.scope = outside
        return i

    def branch(self, i: int, first: bool) -> int:
        """One branch of a query: SELECT, VALUES, or one in parentheses. What orders and limits a later one
        without parentheses belongs to the whole."""
        if self.kind[i] == T_LPAREN:
            if self.depth > DEPTH_MAX:
                return self.behind(i)
            self.depth += 1
            i = self.query(i + 1)
            self.depth -= 1
            return self.level_end(i) + 1
        if self.text[i] == "VALUES":
            return self.expressions(i + 1)
        if self.text[i] != "SELECT":
            return i
        i += 1
        while self.text[i] in _SELECT_OPTIONS:
            i += 1
        return self.clauses(self.select_list(i), first)

    def select_list(self, i: int) -> int:
        """Expressions with aliases."""
        self.in_list = True
        while True:
            if self.kind[i] == T_STAR:
                self.refer(i, "", "", "*")
                i += 1
            else:
                i = self.expression(i, 0)
            if self.text[i] == "AS":
                i += 1
            if self.names(i) or self.kind[i] == T_STRING:
                self.scope.columns.add(self.name(i).lower())
                i += 1
            if self.kind[i] != T_COMMA:
                break
            i += 1
        self.in_list = False
        return i

    def clauses(self, i: int, whole: bool = True) -> int:
        """FROM and everything behind it, in any order; `whole`: ORDER BY and LIMIT too. Returns the position
        of what closes the query."""
        while True:
            word = self.text[i]
            if self.ends(i) or self.kind[i] == T_RPAREN or word in _SET_OPERATORS or word == "ON":
                return i
            if not whole and word in ("ORDER", "LIMIT"):
                return i
            if word == "FROM":
                i = self.table_references(i + 1)
            elif word in ("GROUP", "ORDER") and self.text[i + 1] == "BY":
                i = self.order_list(i + 2)
            elif word == "HAVING":
                self.silent = True
                i = self.expression(i + 1, 0)
                self.silent = False
            elif word == "RETURNING":
                i = self.select_list(i + 1)
            elif word == "WINDOW":
                i = self.windows(i + 1)
            elif word == "INTO":
                i = self.into(i + 1)
            elif word in ("LIMIT", "OFFSET", "WITH", "FOR", "LOCK", "PROCEDURE", "FETCH"):
                i = self.skip_clause(i + 1)
            else:
                # WHERE, a comma, and whatever cannot be followed
                i = max(i + 1, self.expression(i + 1 if word == "WHERE" else i, 0))

    def into(self, i: int) -> int:
        """`i` is behind INTO of a query: a file or variables."""
        while self.kind[i] in (T_USERVAR, T_COMMA):
            i += 1
        if self.text[i] in ("OUTFILE", "DUMPFILE"):
            i = self.skip_clause(i + 1)
        return i

    def skip_clause(self, i: int) -> int:
        """Step over a clause that uses no columns."""
        while not self.ends(i) and self.kind[i] != T_RPAREN:
            word = self.text[i]
            if word in _SET_OPERATORS or word in _CLAUSES:
                break
            i = self.behind(i) if self.kind[i] == T_LPAREN else i + 1
        return i

    def windows(self, i: int) -> int:
        """name AS (definition), ..."""
        while self.names(i) and self.text[i + 1] == "AS" and self.kind[i + 2] == T_LPAREN:
            i = self.window_frame(i + 3)
            if self.kind[i] != T_COMMA:
                break
            i += 1
        return i

    # -- tables

    def table(self, i: int) -> int:
        """A table that is changed begins at `i`: its name can qualify columns."""
        if not self.is_name(i):
            return i
        i, database, name = self.table_name(i)
        self.scope.tables[name.lower()] = (database, name)
        return i

    def table_name(self, i: int) -> tuple[int, str, str]:
        """A name, perhaps behind that of a database: the position behind it and both."""
        database = ""
        name = self.name(i)
        i += 1
        while self.kind[i] == T_DOT and self.is_name(i + 1):
            database, name = name, self.name(i + 1)
            i += 2
        return i, database, name

    def table_references(self, i: int) -> int:
        """Tables, derived tables and joins between them."""
        while True:
            i = self.table_factor(i)
            while True:
                if self.text[i] == "ON" and self.text[i + 1] != "DUPLICATE":
                    i = self.expression(i + 1, 0)
                elif self.text[i] == "USING" and self.kind[i + 1] == T_LPAREN:
                    i = self.behind(i + 1)
                elif self.text[i] == "}":
                    i += 1
                else:
                    break
            if self.kind[i] == T_COMMA:
                i += 1
            elif self.text[i] in _JOIN_WORDS:
                while self.text[i] in _JOIN_WORDS:
                    i += 1
            else:
                return i

    def table_factor(self, i: int) -> int:
        """One table, derived table, or tables in parentheses, with what belongs to it."""
        if self.kind[i] == T_OP and self.text[i] == "{":
            i += 2
        if self.text[i] == "LATERAL":
            i += 1
        if self.kind[i] == T_LPAREN:
            if self.is_query(i):
                return self.table_options(self.subquery(i + 1), "", "")
            if self.depth > DEPTH_MAX:
                return self.behind(i)
            self.depth += 1
            i = self.table_references(i + 1)
            self.depth -= 1
            return self.level_end(i) + 1
        if not self.names(i) and self.kind[i] != T_STRING:
            return i
        if self.kind[i + 1] == T_LPAREN:
            # JSON_TABLE and its like: the first argument is an expression
            i = self.expression(i + 2, 0)
            return self.table_options(self.level_end(i) + 1, "", "")
        i, database, name = self.table_name(i)
        return self.table_options(i, database, name)

    def table_options(self, i: int, database: str, name: str) -> int:
        """Partitions, history, alias and hints behind a table; its names become known."""
        if name:
            self.scope.tables.setdefault(name.lower(), (database, name))
        while True:
            word = self.text[i]
            if word == "PARTITION" and self.kind[i + 1] == T_LPAREN:
                i = self.behind(i + 1)
            elif word == "FOR" and self.text[i + 1] in ("SYSTEM_TIME", "PORTION"):
                i = self.period(i + 1)
            elif word in ("USE", "IGNORE", "FORCE") and self.text[i + 1] in ("INDEX", "KEY"):
                while not self.ends(i) and self.kind[i] not in (T_LPAREN, T_RPAREN):
                    i += 1
                i = self.behind(i) if self.kind[i] == T_LPAREN else i
            elif word == "AS" or self.names(i) or self.kind[i] == T_STRING:
                if word == "AS":
                    i += 1
                if name:
                    self.scope.tables[self.name(i).lower()] = (database, name)
                i += 1
                if self.kind[i] == T_LPAREN:
                    i = self.behind(i)  # names of the columns of a derived table
            else:
                return i

    def period(self, i: int) -> int:
        """`i` is at SYSTEM_TIME or at PORTION OF name."""
        i += 3 if self.text[i] == "PORTION" else 1
        while self.text[i] in ("ALL", "AS", "OF", "FROM", "TO", "BETWEEN", "AND", "TIMESTAMP", "TRANSACTION"):
            word = self.text[i]
            i += 1
            if word in ("FROM", "TO", "BETWEEN", "AND") or (word == "OF" and self.text[i] != "TRANSACTION"):
                i = self.expression(i, 5)  # tighter than AND
            elif word == "ALL":
                break
        return i


def _position(found: object) -> int:
    position: int = found.position  # type: ignore[attr-defined]
    return position
