"""Walks expressions: which columns they use, which functions and operators they apply, and to which columns
directly. It is the deeper look at a statement that filters ask for; routing never needs it.

No grammar is checked and nothing is raised: what does not look like an expression is stepped over, so that
every token is passed once. Source: spec classifier.md, section 3.
"""

from __future__ import annotations

from fairlead.sql.functions import SEQUENCE_FUNCTIONS
from fairlead.sql.lexer import Lexer
from fairlead.sql.parser import unquoted
from fairlead.sql.reserved import BARE_FUNCTIONS, NOT_NAMES
from fairlead.sql.tokens import (
    LOOKAHEAD,
    T_ASSIGN,
    T_COMMA,
    T_DOT,
    T_END,
    T_EQ,
    T_LPAREN,
    T_NUMBER,
    T_OP,
    T_PARAM,
    T_QUOTED,
    T_RPAREN,
    T_SEMI,
    T_STAR,
    T_STRING,
    T_SYSVAR,
    T_USERVAR,
    T_WORD,
)
from fairlead.sql.uses import STRING_ARG_AS_FIELD, STRING_AS_FIELD, Call, Reference, Scope

# How deep parentheses and subqueries may be nested before the walk gives up on the rest.
DEPTH_MAX = 100

# -- how tightly operators bind
_OR = 1
_XOR = 2
_AND = 3
_NOT = 4
_COMPARED = 5
_BIT_OR = 6
_BIT_AND = 7
_SHIFT = 8
_SUM = 9
_PRODUCT = 10
_POWER = 11
_SIGN = 12
_TIGHTEST = 13

# text of the operator -> how tightly it binds and whether it is reported as a function
_OPERATORS: dict[str, tuple[int, bool]] = {
    "||": (_OR, False), "OR": (_OR, False), "XOR": (_XOR, False), "&&": (_AND, False), "AND": (_AND, False),
    "=": (_COMPARED, True), "<=>": (_COMPARED, True), ">=": (_COMPARED, True), ">": (_COMPARED, True),
    "<=": (_COMPARED, True), "<": (_COMPARED, True), "<>": (_COMPARED, True), "!=": (_COMPARED, True),
    "REGEXP": (_COMPARED, False), "RLIKE": (_COMPARED, False), "SOUNDS": (_COMPARED, False),
    "MEMBER": (_COMPARED, False), "LIKE": (_COMPARED, True), "IN": (_COMPARED, True),
    "BETWEEN": (_COMPARED, True), "IS": (_COMPARED, False), "NOT": (_COMPARED, False),
    "|": (_BIT_OR, True), "&": (_BIT_AND, True), "<<": (_SHIFT, False), ">>": (_SHIFT, False),
    "+": (_SUM, True), "-": (_SUM, True), "*": (_PRODUCT, True), "/": (_PRODUCT, True),
    "%": (_PRODUCT, True), "DIV": (_PRODUCT, True), "MOD": (_PRODUCT, True), "^": (_POWER, False),
    "->": (_TIGHTEST, False), "->>": (_TIGHTEST, False), "COLLATE": (_TIGHTEST, False),
}  # fmt: skip
# those that consist of punctuation, the longest first
_PUNCTUATION = ("<=>", "->>", "||", "&&", ">=", "<=", "<>", "!=", "<<", ">>", "->")
_QUERY_WORDS = frozenset(("SELECT", "WITH", "VALUES"))
_BEHIND_QUERY = frozenset(
    (
        "UNION", "EXCEPT", "INTERSECT", "MINUS", "ORDER", "LIMIT", "OFFSET", "FETCH", "INTO", "FOR",
        "LOCK",
    )
)  # fmt: skip
_LITERAL_PREFIXES = frozenset(("DATE", "TIME", "TIMESTAMP"))
_STRING_PREFIXES = frozenset(("N", "X", "B"))
_CONSTANTS = frozenset(("TRUE", "FALSE", "NULL"))
# functions whose first argument is a word of their own, not a column
_UNIT_FIRST = frozenset(("EXTRACT", "TIMESTAMPADD", "TIMESTAMPDIFF", "GET_FORMAT"))
_PSEUDO_COLUMNS = frozenset(("NEXTVAL", "CURRVAL", "LASTVAL"))
_CALLED_OTHERWISE = {"now": "current_timestamp"}
_ORACLE_CALLED_OTHERWISE = {"now": "current_timestamp", "nvl": "ifnull"}


class ExpressionWalker:
    """`expression` walks one expression and leaves in `column` the reference that it is, if it is no more
    than that."""

    def __init__(self) -> None:
        self._lexer = Lexer()
        self.forget()

    def forget(self) -> None:
        """Begin with nothing read and nothing collected."""
        self.buf = bytearray()
        self.count = 0
        # the tokens, with more behind the last one than anyone looks ahead
        self.kind: list[int] = []
        self.beg: list[int] = []
        self.fin: list[int] = []
        self.text: list[str] = []
        self.oracle = False
        self.options = 0
        self.references: list[Reference] = []
        self.calls: list[Call] = []
        self.scope = Scope(None)
        self.column: Reference | None = None
        self.context = 0
        self.in_list = False
        self.silent = False
        self.depth = 0

    def read(self, buf: bytearray, oracle: bool, ansi: bool, no_escapes: bool) -> None:
        """Cut `buf` into tokens. `text` has words in upper case, operators as they are, and nothing for
        everything else."""
        lexer = self._lexer
        self.count = lexer.run(buf, 0, len(buf), oracle, ansi, no_escapes, False)
        self.buf = buf
        self.oracle = oracle
        room = self.count + LOOKAHEAD
        self.kind = list(lexer.kind[:room])
        self.beg = list(lexer.beg[:room])
        self.fin = list(lexer.fin[:room])
        self.text = [self.spelled(i) for i in range(room)]
        lexer.shrink()

    def spelled(self, i: int) -> str:
        """Token `i` as the tables of this module write it."""
        kind = self.kind[i]
        if kind in (T_WORD, T_OP, T_EQ, T_STAR):
            return self.buf[self.beg[i] : self.fin[i]].decode("utf-8", "replace").upper()
        return ""

    def name(self, i: int) -> str:
        """Token `i` as a name or a text: quotes and escapes removed."""
        return unquoted(bytes(self.buf[self.beg[i] : self.fin[i]]), self.kind[i])

    def is_name(self, i: int) -> bool:
        """True if token `i` can stand where only a name is expected."""
        return self.kind[i] in (T_WORD, T_QUOTED, T_STRING)

    def behind(self, i: int) -> int:
        """`i` is at a left parenthesis: position behind the right one that belongs to it."""
        return self.level_end(i + 1) + 1

    def level_end(self, i: int) -> int:
        """Position of the right parenthesis that closes the level of `i`, or of the last token."""
        depth = 0
        while self.kind[i] != T_END:
            if self.kind[i] == T_LPAREN:
                depth += 1
            elif self.kind[i] == T_RPAREN:
                if depth == 0:
                    return i
                depth -= 1
            i += 1
        return i - 1

    # -- what the statements provide

    def subquery(self, i: int) -> int:
        """A query in parentheses begins at `i`, behind the left one. Returns the position behind the right
        one."""
        return self.level_end(i) + 1

    # -- helpers

    def ends(self, i: int) -> bool:
        """True if the statement ends at `i`."""
        return self.kind[i] == T_END or self.kind[i] == T_SEMI

    def names(self, i: int) -> bool:
        """True if token `i` can be the name of a column or a table, or an alias."""
        kind = self.kind[i]
        return kind == T_QUOTED or (kind == T_WORD and self.text[i] not in NOT_NAMES)

    def expressions(self, i: int) -> int:
        """Expressions with commas between them."""
        i = self.expression(i, 0)
        while self.kind[i] == T_COMMA:
            i = self.expression(i + 1, 0)
        return i

    def order_list(self, i: int) -> int:
        """What follows ORDER BY or GROUP BY."""
        while True:
            i = self.expression(i, 0)
            while self.text[i] in ("ASC", "DESC", "NULLS", "FIRST", "LAST"):
                i += 1
            if self.kind[i] != T_COMMA:
                return i
            i += 1

    def applied(self, position: int, name: str, *arguments: Reference | None) -> None:
        """Record an operator."""
        call = Call(position, name)
        for argument in arguments:
            if argument is not None:
                call.arguments.append(argument)
        self.calls.append(call)

    def refer(self, i: int, database: str, table: str, column: str) -> None:
        """Record a column; it is the whole expression so far."""
        reference = Reference(self.scope, self.beg[i], database, table, column)
        reference.context = self.context
        reference.in_list = self.in_list
        reference.reported = not self.silent
        self.references.append(reference)
        self.column = reference

    # -- expressions

    def expression(self, i: int, level: int) -> int:
        """Walk the expression at `i` up to an operator that binds no tighter than `level`. Returns the
        position behind; `i` itself if none begins there."""
        if self.depth > DEPTH_MAX:
            self.column = None
            return self.level_end(i)
        self.depth += 1
        first = i
        i = self.operand(i)
        if i > first:
            while True:
                following = self.operator(i, level)
                if following == i:
                    break
                i = following
        self.depth -= 1
        return i

    def operator_at(self, i: int) -> str:
        """The operator that begins at `i`, "" if none does. Punctuation comes one character a token."""
        kind = self.kind[i]
        if kind == T_WORD:
            return self.text[i] if self.text[i] in _OPERATORS else ""
        if kind not in (T_OP, T_EQ, T_STAR):
            return ""
        joined = self.text[i]
        k = i + 1
        while (self.kind[k] == T_OP or self.kind[k] == T_EQ) and self.beg[k] == self.fin[k - 1] and k < i + 3:
            joined += self.text[k]
            k += 1
        for operator in _PUNCTUATION:
            if joined.startswith(operator):
                return operator
        return joined[:1] if joined[:1] in _OPERATORS else ""

    def operator(self, i: int, level: int) -> int:
        """An operator and its right side, if one that binds tighter than `level` stands at `i`."""
        if self.kind[i] == T_ASSIGN and level == 0:
            return self.nested(i + 1, 0)
        operator = self.operator_at(i)
        if not operator:
            return i
        binds, reported = _OPERATORS[operator]
        if binds <= level:
            return i
        if operator == "NOT":
            if self.text[i + 1] not in ("LIKE", "IN", "BETWEEN", "REGEXP", "RLIKE"):
                return i
            i += 1
            operator = self.text[i]
            reported = _OPERATORS[operator][1]
        left = self.column
        where = self.beg[i]
        if operator == "IS":
            return self.is_something(i, left)
        if operator == "IN":
            return self.one_of(i + 1, where, left)
        if operator == "COLLATE":
            self.column = left
            return i + 2
        if operator == "SOUNDS" or operator == "MEMBER":
            return self.nested(i + 2, binds)
        i += len(operator) if self.kind[i] != T_WORD else 1
        i = self.expression(i, binds)
        right = self.column
        if operator == "BETWEEN":
            if self.text[i] == "AND":
                i = self.expression(i + 1, binds)
            self.applied(where, "between", left, right, self.column)
        elif reported:
            self.applied(where, operator.lower(), left, right)
        if operator == "LIKE" and self.text[i] == "ESCAPE":
            i = self.expression(i + 1, binds)
        self.column = None
        return i

    def nested(self, i: int, level: int) -> int:
        """An expression that is only a part of the one around it."""
        i = self.expression(i, level)
        self.column = None
        return i

    def is_something(self, i: int, left: Reference | None) -> int:
        """`i` is at IS: [NOT] NULL, TRUE, DISTINCT FROM and their like."""
        where = self.beg[i]
        i += 1
        negated = self.text[i] == "NOT"
        if negated:
            i += 1
        self.column = None
        if self.text[i] == "NULL":
            self.applied(where, "isnotnull" if negated else "isnull", left)
        elif self.text[i] == "DISTINCT" and self.text[i + 1] == "FROM":
            return self.nested(i + 2, _COMPARED)
        return i + 1

    def one_of(self, i: int, where: int, left: Reference | None) -> int:
        """`i` is behind IN: a list or a subquery in parentheses."""
        call = Call(where, "in")
        if left is not None:
            call.arguments.append(left)
        self.calls.append(call)
        self.column = None
        if self.kind[i] != T_LPAREN:
            return self.nested(i, _COMPARED)
        if self.is_query(i):
            return self.subquery(i + 1)
        i += 1
        while not self.ends(i) and self.kind[i] != T_RPAREN:
            following = self.expression(i, 0)
            if self.column is not None and following > i:
                call.arguments.append(self.column)
            i = following if following > i else i + 1
        self.column = None
        return i if self.ends(i) else i + 1

    # -- operands

    def operand(self, i: int) -> int:
        """What operators stand between. Returns `i` if nothing of the kind begins there."""
        self.column = None
        kind = self.kind[i]
        if kind == T_WORD:
            return self.word_operand(i)
        if kind == T_QUOTED:
            return self.named(i)
        if kind == T_STRING:
            return self.string(i)
        if kind == T_LPAREN:
            return self.parenthesised(i)
        if kind == T_NUMBER or kind == T_PARAM:
            return i + 1
        if kind == T_USERVAR:
            return self.nested(i + 2, 0) if self.kind[i + 1] == T_ASSIGN else i + 1
        if kind == T_SYSVAR:
            i += 2
            while self.kind[i] == T_DOT:
                i += 2
            return i
        if kind == T_STAR:
            return i + 1
        if kind == T_OP:
            if self.text[i] == "{":
                i = self.nested(i + 2, 0)
                return i + 1 if self.text[i] == "}" else i
            if self.text[i] in ("-", "+", "~", "!"):
                return self.nested(i + 1, _SIGN)
        return i

    def string(self, i: int) -> int:
        """One string literal or several that are joined."""
        first = i
        while self.kind[i] == T_STRING:
            i += 1
        if self.options & STRING_AS_FIELD:
            self.refer(first, "", "", self.name(first))
        return i

    def parenthesised(self, i: int) -> int:
        """`i` is at a left parenthesis: a subquery, an expression, or a row."""
        if self.is_query(i):
            self.column = None
            i = self.subquery(i + 1)
            self.column = None
            return i
        i += 1
        row = False
        while not self.ends(i) and self.kind[i] != T_RPAREN:
            following = self.expression(i, 0)
            if following == i:
                following += 1
            i = following
            if self.kind[i] == T_COMMA:
                row = True
        if row:
            self.column = None
        return i if self.ends(i) else i + 1

    def is_query(self, i: int) -> bool:
        """True if the parenthesis at `i` encloses a query, perhaps one in further parentheses."""
        first = i + 1
        while self.kind[first] == T_LPAREN:
            first += 1
        if self.text[first] not in _QUERY_WORDS:
            return False
        while first > i + 1:
            # ((SELECT 1) UNION ...) and ((SELECT 1)) are queries, ((SELECT 1) + 1) and ((SELECT 1), 2) not
            first -= 1
            k = self.behind(first)
            if self.kind[k] != T_RPAREN and self.text[k] not in _BEHIND_QUERY:
                return False
        return True

    def word_operand(self, i: int) -> int:
        """An operand that begins with a word without quotes."""
        word = self.text[i]
        following = self.kind[i + 1]
        if following in (T_STRING, T_NUMBER, T_WORD) and self.is_prefix(i):
            return self.operand(i + 1)
        if word == "NOT":
            return self.nested(i + 1, _NOT)
        if word == "CASE":
            return self.case(i)
        if word == "INTERVAL":
            return self.interval(i)
        if word in ("EXISTS", "ALL", "ANY", "SOME") and following == T_LPAREN:
            return self.parenthesised(i + 1)
        if word == "BINARY" or word == "DISTINCT":
            return self.nested(i + 1, _SIGN)
        if word in ("NEXT", "PREVIOUS") and self.text[i + 1] == "VALUE" and self.text[i + 2] == "FOR":
            i += 3
            while self.names(i) or self.kind[i] == T_DOT:
                i += 1
            return i
        if word == "MATCH":
            return self.match(i)
        if following == T_LPAREN and (word not in NOT_NAMES or self.is_function_word(i)):
            return self.call_at(i, i)
        if word in BARE_FUNCTIONS:
            self.applied(self.beg[i], self.name(i))
            return i + 1
        if following == T_DOT or word not in NOT_NAMES:
            return self.named(i)
        if word == "DEFAULT":
            return i + 1
        return i

    def is_function_word(self, i: int) -> bool:
        """True if a word that is reserved names a function in front of a parenthesis."""
        return self.text[i] in (
            "LEFT", "RIGHT", "IF", "INSERT", "REPLACE", "REPEAT", "CHAR", "CONVERT", "DEFAULT", "MOD", "ROW",
            "VALUES", "ROW_NUMBER", "BEFORE", "FORMAT", "OVER",
        )  # fmt: skip

    def is_prefix(self, i: int) -> bool:
        """True if a word belongs to the literal behind it: X, N, B, DATE, or a character set, which may be
        in front of numbers and of the others."""
        word = self.text[i]
        if self.kind[i + 1] == T_STRING:
            if word in _STRING_PREFIXES:
                return self.fin[i] == self.beg[i + 1]
            return word in _LITERAL_PREFIXES or word.startswith("_")
        if not word.startswith("_"):
            return False
        return self.kind[i + 1] == T_NUMBER or (self.kind[i + 2] == T_STRING and self.is_prefix(i + 1))

    def named(self, i: int) -> int:
        """A column, perhaps qualified, or the call of a qualified function."""
        parts = [self.name(i)]
        first = i
        i += 1
        while self.kind[i] == T_DOT:
            if self.kind[i + 1] == T_STAR:
                parts.append("*")
                i += 2
                break
            if not (self.is_name(i + 1) or self.kind[i + 1] == T_NUMBER):
                i += 1
                break
            parts.append(self.name(i + 1))
            i += 2
        if self.kind[i] == T_LPAREN and len(parts) <= 2:
            return self.call_at(first, i - 1)
        if len(parts) == 1:
            if self.text[first] in _CONSTANTS:
                return i
            self.refer(first, "", "", parts[0])
        elif parts[len(parts) - 1].upper() in _PSEUDO_COLUMNS:
            return i
        elif len(parts) == 2:
            self.refer(first, "", parts[0], parts[1])
        else:
            last = len(parts) - 1
            self.refer(first, parts[last - 2], parts[last - 1], parts[last])
        return i

    def case(self, i: int) -> int:
        """CASE [x] WHEN y THEN z ... [ELSE w] END."""
        call = Call(self.beg[i], "case")
        self.calls.append(call)
        i += 1
        while not self.ends(i) and self.kind[i] != T_RPAREN:
            if self.text[i] == "END":
                i += 1
                break
            if self.text[i] in ("WHEN", "THEN", "ELSE"):
                i += 1
                continue
            following = self.expression(i, 0)
            if following == i:
                following += 1
            elif self.column is not None:
                call.arguments.append(self.column)
            i = following
        self.column = None
        return i

    def interval(self, i: int) -> int:
        """INTERVAL value unit, or the function of that name."""
        if self.kind[i + 1] == T_LPAREN:
            k = self.behind(i + 1)
            if self.kind[k] != T_WORD or self.text[k] in _OPERATORS or self.text[k] in ("FROM", "AS"):
                return self.call_at(i, i)
        i = self.nested(i + 1, 0)
        return i + 1 if self.kind[i] == T_WORD else i

    def match(self, i: int) -> int:
        """MATCH (columns) AGAINST (expression), the parentheses around the columns may be missing."""
        call = Call(self.beg[i], self.name(i))
        self.calls.append(call)
        i += 1
        while not self.ends(i) and self.text[i] != "AGAINST":
            if self.names(i):
                i = self.named(i)
                if self.column is not None:
                    call.arguments.append(self.column)
            else:
                i += 1
        if self.kind[i + 1] == T_LPAREN:
            k = self.nested(i + 2, _COMPARED)
            while not self.ends(k) and self.kind[k] != T_RPAREN:
                k += 1  # IN BOOLEAN MODE, WITH QUERY EXPANSION
            i = k
        self.column = None
        return i if self.ends(i) else i + 1

    # -- calls

    def call_at(self, first: int, last: int) -> int:
        """A call: its name is the tokens `first` to `last`, the parenthesis follows. Returns the position
        behind it and behind OVER and its like."""
        name = self.name(last)
        if last > first:
            name = f"{self.name(first)}.{name}"
        renamed = _ORACLE_CALLED_OTHERWISE if self.oracle else _CALLED_OTHERWISE
        call = Call(self.beg[first], renamed.get(name.lower(), name))
        upper = name.upper()
        if upper != "ROW":
            self.calls.append(call)
        i = last + 2
        if upper in _UNIT_FIRST and self.kind[i] == T_WORD:
            i += 1
        if name.lower() in SEQUENCE_FUNCTIONS:
            while self.is_name(i) or self.kind[i] == T_DOT:
                i += 1
        level = _COMPARED if upper == "POSITION" else 0
        while not self.ends(i) and self.kind[i] != T_RPAREN:
            following = self.argument(i, call, level)
            i = following if following > i else i + 1
            level = 0
            if upper == "CONVERT" and self.kind[i] == T_COMMA:
                i = self.level_end(i)
        i = self.window(i if self.ends(i) else i + 1)
        self.column = None
        return i

    def argument(self, i: int, call: Call, level: int) -> int:
        """One argument or one of the words that stand between arguments."""
        word = self.text[i]
        if self.kind[i] == T_STRING and self.options == STRING_ARG_AS_FIELD:
            self.refer(i, "", "", self.name(i))
            call.arguments.append(self.references[len(self.references) - 1])
        if word in ("DISTINCT", "LEADING", "TRAILING", "BOTH", "SEPARATOR"):
            return i + 1
        if word == "USING":
            return i + 2
        if word in ("AS", "RETURNING"):
            while not self.ends(i) and self.kind[i] not in (T_COMMA, T_RPAREN):
                i = self.behind(i) if self.kind[i] == T_LPAREN else i + 1
            return i
        if word == "ORDER" and self.text[i + 1] == "BY":
            return self.order_list(i + 2)
        if word in _QUERY_WORDS and self.kind[i + 1] != T_LPAREN:
            i = self.subquery(i)
            return i - 1 if self.kind[i - 1] == T_RPAREN else i
        following = self.expression(i, level)
        if following > i and self.column is not None and self.column not in call.arguments:
            call.arguments.append(self.column)
        return following

    def window(self, i: int) -> int:
        """What may follow the arguments of an aggregate or window function."""
        while True:
            word = self.text[i]
            if word == "WITHIN" and self.text[i + 1] == "GROUP" and self.kind[i + 2] == T_LPAREN:
                i = self.window_frame(i + 3)
            elif word == "OVER" and self.kind[i + 1] == T_LPAREN:
                i = self.window_frame(i + 2)
            elif word == "OVER":
                return i + 2
            elif word in ("IGNORE", "RESPECT") and self.text[i + 1] == "NULLS":
                i += 2
            else:
                return i

    def window_frame(self, i: int) -> int:
        """`i` is behind the left parenthesis of a window: position behind the right one."""
        while not self.ends(i) and self.kind[i] != T_RPAREN:
            if self.text[i] == "PARTITION" and self.text[i + 1] == "BY":
                i = self.expressions(i + 2)
            elif self.text[i] == "ORDER" and self.text[i + 1] == "BY":
                i = self.order_list(i + 2)
            else:
                i = self.behind(i) if self.kind[i] == T_LPAREN else i + 1
        return i if self.ends(i) else i + 1
