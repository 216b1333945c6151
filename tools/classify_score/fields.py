"""The columns and functions of a statement by way of sqlglot, for judging src/fairlead/sql/fields.py.

Columns are "table.column" with aliases resolved, or "column" where the text names no table; what sqlglot
cannot read, or reads as something it does not know, is not judged.
"""

from __future__ import annotations

import logging

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.dialects.mysql import MySQL
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token

from classify_score.labels import clean

logging.getLogger("sqlglot").setLevel(logging.CRITICAL)

Expected = tuple[set[str], set[str]]

_KINDS = (exp.Select, exp.SetOperation, exp.Subquery, exp.Insert, exp.Update, exp.Delete)
_OPERATORS: dict[type[exp.Expr], str] = {
    exp.EQ: "=", exp.LT: "<", exp.GT: ">", exp.LTE: "<=", exp.GTE: ">=", exp.NullSafeEQ: "<=>",
    exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.IntDiv: "div", exp.BitwiseAnd: "&",
    exp.BitwiseOr: "|", exp.Like: "like", exp.Between: "between", exp.Case: "case", exp.In: "in",
}  # fmt: skip
_WITHOUT_PARENTHESES = frozenset(
    """
    CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER CURRENT_ROLE LOCALTIME LOCALTIMESTAMP UTC_DATE
    UTC_TIME UTC_TIMESTAMP
    """.split()  # noqa: SIM905
)
_NO_FUNCTION = frozenset(
    """
    ALL AND ANY AS BETWEEN BINARY BY CASE CHARACTER DECIMAL DELETE DISTINCT DIV ELSE ESCAPE EXCEPT EXISTS FOR
    FORCE FROM FULLTEXT GROUP HAVING IGNORE IN INDEX INNER INTERSECT INTO IS JOIN KEY LIKE LIMIT NCHAR NOT ON
    OR ORDER OVER PARTITION REGEXP RLIKE ROW SELECT SET SIGNED SOME STRAIGHT_JOIN THEN UNION UNSIGNED UPDATE
    USE USING VALUES VARBINARY VARCHAR WHEN WHERE WINDOW WITH XOR
    """.split()  # noqa: SIM905
)
_BEFORE_NAME = frozenset(
    ("INTO", "FROM", "JOIN", "TABLE", "UPDATE", "WITH", "RECURSIVE", "AS", "INDEX", "KEY")
)
_SYNONYMS = {"now": "current_timestamp", "nvl": "ifnull"}


def expected_fields(sql: str) -> Expected | None:
    """({"table.column" or "column"}, {function in lower case}) of a query or a change; None: not judged."""
    try:
        tree = sqlglot.parse_one(sql, dialect="mysql")
        tokens = MySQL().tokenize(sql)
    except (SqlglotError, RecursionError, ValueError, TypeError, AttributeError, KeyError, IndexError):
        return None
    if not isinstance(tree, _KINDS) or tree.find(exp.Command, exp.Placeholder) or ";" in clean(sql):
        return None
    fields = _columns(tree)
    functions = _named_functions(tree, tokens) | _operators(tree, tokens)
    return fields, functions


def _aliases(node: exp.Expr) -> dict[str, str]:
    """What the names before a dot mean around this node, the innermost query first."""
    found: dict[str, str] = {}
    scope: exp.Expr | None = node
    while scope is not None:
        if isinstance(scope, (exp.Select, exp.Update, exp.Delete, exp.Insert)):
            for table in scope.find_all(exp.Table):
                if table.find_ancestor(exp.Select, exp.Update, exp.Delete, exp.Insert) is scope:
                    found.setdefault(table.alias_or_name.lower(), table.name)
        scope = scope.parent
    return found


def _columns(tree: exp.Expr) -> set[str]:
    fields: set[str] = set()
    for node in tree.find_all(exp.Column, exp.Star):
        if node.find_ancestor(exp.Having):
            continue
        if isinstance(node, exp.Star):
            if isinstance(node.parent, (exp.Select, exp.Insert)):
                fields.add("*")
            continue
        if not isinstance(node, exp.Column):
            continue
        name = "*" if isinstance(node.this, exp.Star) else node.name
        if name.startswith("@") or name.lower() in ("true", "false", "default"):
            continue
        if node.table:
            fields.add(f"{_aliases(node).get(node.table.lower(), node.table)}.{name}")
        elif not _is_alias(node, name):
            fields.add(name)
    for insert in tree.find_all(exp.Insert):
        if isinstance(insert.this, exp.Schema):
            fields.update(column.name for column in insert.this.expressions)
    return fields


def _is_alias(node: exp.Expr, name: str) -> bool:
    """True for a bare name that the select list of its query gives to an expression."""
    query = node.find_ancestor(exp.Select)
    if query is None:
        return False
    for item in query.expressions:
        if isinstance(item, exp.Alias) and item.alias.lower() == name.lower():
            return node.find_ancestor(exp.Alias) is not item
    return False


def _operators(tree: exp.Expr, tokens: list[Token]) -> set[str]:
    texts = {token.text.lower() for token in tokens if token.token_type != TokenType.STRING}
    found: set[str] = set()
    for node in tree.find_all(*_OPERATORS, exp.NEQ, exp.Mod, exp.Is):
        if isinstance(node, exp.EQ) and isinstance(node.parent, (exp.Update, exp.Insert, exp.OnConflict)):
            continue
        if isinstance(node, exp.NEQ):
            found |= texts & {"<>", "!="}
        elif isinstance(node, exp.Mod):
            found |= texts & {"%", "mod"}
        elif isinstance(node, exp.Is):
            if isinstance(node.expression, exp.Null):
                found.add("isnotnull" if isinstance(node.parent, exp.Not) else "isnull")
        else:
            found.add(_OPERATORS[type(node)])
    return found


def _named_functions(tree: exp.Expr, tokens: list[Token]) -> set[str]:
    """Names before a parenthesis that are neither key words nor tables, and those that need none."""
    tables = {node.alias_or_name.upper() for node in tree.find_all(exp.Table, exp.CTE, exp.TableAlias)}
    names = {node.name.upper() for node in tree.find_all(exp.Table)}
    found: set[str] = set()
    for number, token in enumerate(tokens):
        word = token.text.upper()
        if token.token_type in (TokenType.STRING, TokenType.NUMBER) or not word[:1].isalpha():
            continue
        before = tokens[number - 1].text.upper() if number else ""
        called = number + 1 < len(tokens) and tokens[number + 1].token_type == TokenType.L_PAREN
        if word in _WITHOUT_PARENTHESES and before != ".":
            found.add(word.lower())
        elif called and word not in _NO_FUNCTION:
            if word in tables | names and (before in _BEFORE_NAME or before in (".", ",", ")")):
                continue
            found.add(word.lower())
    return {_SYNONYMS.get(name, name) for name in found}
