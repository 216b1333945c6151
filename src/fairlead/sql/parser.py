"""Walks the tokens of a query: finds tables, function calls, variables and locks at any depth of nesting.

No grammar is checked. The walk is a set of recognisers for what makes a statement more than a pure read,
and each of them errs towards WRITE: a call of a name that is not a known read-only function is one, text
that cannot be followed (unbalanced, unterminated, too deep) is one. What such calls alone make of a statement
is kept apart (`pending`), because a service may know that the functions only read.
"""

from __future__ import annotations

from fairlead.sql.functions import NEVER_READS, RESERVED_WORDS, SEQUENCE_FUNCTIONS
from fairlead.sql.info import KillInfo, Name, QueryInfo
from fairlead.sql.keywords import (
    AGAINST,
    AS,
    COLUMNS,
    CURRVAL,
    DEFAULT,
    DUMPFILE,
    ESCAPE,
    EXCEPT,
    FOR,
    FOUND_ROWS,
    FROM,
    FUNCTION_FLAG,
    GLOBAL,
    GROUP,
    HAVING,
    IN,
    INTERSECT,
    INTO,
    JOIN,
    JSON_TABLE,
    KEYWORD_MASK,
    LAST_INSERT_ID,
    LASTVAL,
    LATERAL,
    LIMIT,
    LOCAL,
    LOCK,
    MATCH,
    MINUS,
    NEXT,
    NEXTVAL,
    ORDER,
    OUTFILE,
    PREVIOUS,
    PROCEDURE,
    RECURSIVE,
    RESERVED_FLAG,
    RETURNING,
    ROW_COUNT,
    SELECT,
    SESSION,
    SET,
    SHARE,
    STRAIGHT_JOIN,
    UNION,
    UPDATE,
    VALUE,
    VALUES,
    WHERE,
    WINDOW,
    WITH,
)
from fairlead.sql.lexer import Lexer
from fairlead.sql.reserved import NOT_NAMES
from fairlead.sql.tokens import (
    QUALIFIED_SHIFT,
    T_ASSIGN,
    T_BAD,
    T_COMMA,
    T_DOT,
    T_END,
    T_LPAREN,
    T_NUMBER,
    T_OP,
    T_PARAM,
    T_QUOTED,
    T_RPAREN,
    T_SEMI,
    T_STRING,
    T_SYSVAR,
    T_USERVAR,
    T_WORD,
)
from fairlead.sql.types import (
    RESULT_PARSED,
    TYPE_GSYSVAR_READ,
    TYPE_MASTER_READ,
    TYPE_SYSVAR_READ,
    TYPE_USERVAR_READ,
    TYPE_USERVAR_WRITE,
    TYPE_WRITE,
)

_READ_GLOBAL = TYPE_GSYSVAR_READ
_READ_MASTER = TYPE_MASTER_READ
_READ_SYSVAR = TYPE_SYSVAR_READ
_READ_USERVAR = TYPE_USERVAR_READ
_WRITE_USERVAR = TYPE_USERVAR_WRITE
_WRITE = TYPE_WRITE

_DEEPEST = 200
# Words that cannot name a function, but a table.
_TABLE_NAMES = frozenset(word.encode() for word in RESERVED_WORDS - NOT_NAMES)
_LAST_STATE = frozenset((b"IDENTITY", b"LAST_INSERT_ID", b"LAST_GTID"))
_PREVIOUS_STATE = frozenset((b"WARNING_COUNT", b"ERROR_COUNT"))


class Parser(Lexer):
    """The tokens of a statement plus everything collected about it so far."""

    def __init__(self) -> None:
        super().__init__()
        self.buf = bytearray()
        self.oracle = False
        self.reset()

    def reset(self) -> None:
        """Forget the previous statement."""
        self.mask = 0
        self.operation = 0
        self.result = RESULT_PARSED
        self.doubt = False
        self.cacheable = True
        self.into_file = False
        self.into_variable = False
        self.derived = False
        self.queried = False
        self.relates = False
        self.sticky = 0  # scope that SET applies to names without one
        self.locks = False
        self.tables: list[Name] = []
        self.databases: list[str] = []
        self.functions: list[str] = []
        self.called: tuple[str, ...] = ()
        self.pending = 0  # bits of calls that a service may know to be reads
        self.hides_use = False
        self.cte: list[str] = []
        self.prepare_name = ""
        self.prepare_text: str | None = None
        self.prepared: QueryInfo | None = None
        self.kill: KillInfo | None = None
        self.load_local = False
        self.set_sql_mode = 0
        self.sql_mode_flags = -1
        self.changes_charset = False
        self.charset = ""
        self.use_database = ""
        self.set_role: str | None = None
        self.trx_scope = ""
        self.trx_access = ""
        self.trx_isolation = ""
        self.temp_table: Name | None = None
        self.dropped: list[Name] = []
        self.chain = False
        self.release = False
        self.proxy_variables: list[tuple[str, str]] = []

    def word(self, i: int) -> int:
        """Keyword number of token `i`, 0 if it is none."""
        return self.code[i] & KEYWORD_MASK

    def raw(self, i: int) -> bytes:
        """Token `i` as written."""
        return bytes(self.buf[self.beg[i] : self.fin[i]])

    def name(self, i: int) -> str:
        """Token `i` as a name or a text: quotes and escapes removed."""
        return unquoted(self.raw(i), self.kind[i])

    def is_name(self, i: int) -> bool:
        """True if token `i` can stand where a name is expected."""
        return self.kind[i] == T_WORD or self.kind[i] == T_QUOTED or self.kind[i] == T_STRING

    def skip_parens(self, i: int) -> int:
        """`i` is behind a left parenthesis: position behind the right one that belongs to it."""
        depth = 1
        while self.kind[i] != T_END:
            if self.kind[i] == T_LPAREN:
                depth += 1
            elif self.kind[i] == T_RPAREN:
                depth -= 1
                if depth == 0:
                    return i + 1
            i += 1
        self.doubt = True
        return i

    def hidden(self, i: int) -> bool:
        """True if the canonical form shows a placeholder where token `i` is: a text or digits used as a
        name."""
        first = self.buf[self.beg[i]]
        return self.kind[i] == T_STRING or self.kind[i] == T_NUMBER or 48 <= first <= 57

    def table(self, i: int) -> int:
        """A table name, perhaps qualified, begins at `i`: record it. Returns the position behind it."""
        if self.hidden(i):
            self.cacheable = False
        first = self.name(i)
        database = ""
        i += 1
        while self.kind[i] == T_DOT and (self.is_name(i + 1) or self.kind[i + 1] == T_NUMBER):
            if self.hidden(i + 1):
                self.cacheable = False
            database = first
            first = self.name(i + 1)
            i += 2
        if database:
            if database not in self.databases:
                self.databases.append(database)
        elif (self.cte and first.lower() in self.cte) or first.lower() == "dual":
            return i
        if (database, first) not in self.tables:
            self.tables.append((database, first))
        return i

    def table_list(self, i: int) -> int:
        """Names separated by commas, anything else between name and comma is skipped over words."""
        while self.is_name(i):
            i = self.table(i)
            while self.kind[i] == T_WORD or self.kind[i] == T_QUOTED:
                i += 1
            if self.kind[i] != T_COMMA:
                break
            i += 1
        return i

    def function(self, i: int, name: str) -> None:
        """Record a function call by its lower-case name."""
        if name not in self.functions:
            self.functions.append(name)

    def call(self, i: int, qualified: bool) -> None:
        """The name at `i` is followed by a left parenthesis and is no keyword: judge the function call."""
        code = self.code[i]
        name = self.name(i).lower()
        if qualified:
            plain = False
            if i > 1 and self.is_name(i - 2):
                plain = self.is_plain(i) and name not in NEVER_READS and self.is_plain(i - 2)
                plain = plain and (i < 3 or self.kind[i - 3] != T_DOT)
                name = f"{self.name(i - 2)}.{name}"
            self.stored(name, plain)
        elif code & FUNCTION_FLAG:
            keyword = code & KEYWORD_MASK
            if keyword in (VALUES, VALUE):
                return
            if keyword == LAST_INSERT_ID:
                self.mask |= _READ_MASTER
            elif keyword in (FOUND_ROWS, ROW_COUNT):
                self.relates = True
            elif keyword == DEFAULT:
                # The default of a column may be an expression that takes a number from a sequence.
                self.mask |= _WRITE
        else:
            if name == "get_lock":  # in quotes, too
                self.locks = True
            self.stored(name, self.is_plain(i) and name not in NEVER_READS)
            if name in SEQUENCE_FUNCTIONS and self.is_name(i + 2):
                self.table(i + 2)
        self.function(i, name)

    def is_plain(self, i: int) -> bool:
        """True if token `i` is a name that means the same wherever it is compared: the dot that parts names
        in `called` is not in it, the canonical form shows it, and no character set or collation matters.
        """
        if self.kind[i] not in (T_WORD, T_QUOTED) or self.hidden(i):
            return False
        name = self.name(i)
        return name.isascii() and "." not in name

    def stored(self, name: str, may_read: bool) -> None:
        """A call of a function that is not built in; `may_read`: a service may know that it only reads."""
        if may_read:
            self.pending = _WRITE
        else:
            self.mask |= _WRITE
        if name not in self.called:
            self.called += (name,)

    def system_variable(self, i: int) -> int:
        """A read of @@[scope.]name begins at `i`. Returns the position behind it."""
        i += 1
        if not self.is_name(i):
            self.doubt = True
            return i
        bits = _READ_SYSVAR
        if self.kind[i + 1] == T_DOT and self.is_name(i + 2):
            scope = self.word(i)
            if scope == GLOBAL:
                bits = _READ_GLOBAL
            if scope in (GLOBAL, SESSION, LOCAL):
                i += 2
        name = self.name(i).upper().encode()
        if name in _LAST_STATE:
            bits = _READ_MASTER
        elif name in _PREVIOUS_STATE:
            self.relates = True
        self.mask |= bits
        i += 1
        while self.kind[i] == T_DOT and self.is_name(i + 1):
            i += 2
        return i

    def with_clause(self, i: int, depth: int) -> int:
        """`i` is at WITH: walk common table expressions. Returns the position of the statement they belong
        to."""
        recursive = self.word(i + 1) == RECURSIVE
        i += 2 if recursive else 1
        if recursive:
            self.declare_recursive(i)
        while self.is_name(i):
            name = self.name(i).lower()
            i += 1
            if self.kind[i] == T_LPAREN:
                i = self.skip_parens(i + 1)
            if self.word(i) != AS or self.kind[i + 1] != T_LPAREN:
                self.doubt = True
                return i
            i = self.walk(i + 2, False, False, depth + 1)
            if not recursive:
                self.cte.append(name)
            i = self.skip_cycle(i)
            if self.kind[i] != T_COMMA:
                break
            i += 1
        return i

    def declare_recursive(self, i: int) -> None:
        """`i` is behind WITH RECURSIVE: all names of the list can be used in each of its queries."""
        while self.is_name(i):
            self.cte.append(self.name(i).lower())
            i += 1
            if self.kind[i] == T_LPAREN:
                i = self.skip_parens(i + 1)
            if self.word(i) != AS or self.kind[i + 1] != T_LPAREN:
                return
            i = self.skip_cycle(self.skip_parens(i + 2))
            if self.kind[i] != T_COMMA:
                return
            i += 1

    def skip_cycle(self, i: int) -> int:
        """Position behind CYCLE ... RESTRICT of a common table expression, if `i` is at one."""
        if self.kind[i] == T_WORD and self.raw(i).upper() == b"CYCLE":
            i += 1
            while self.kind[i] == T_WORD or self.kind[i] == T_QUOTED or self.kind[i] == T_COMMA:
                if self.raw(i).upper() == b"RESTRICT":
                    return i + 1
                i += 1
        return i

    def begins_with(self, i: int) -> bool:
        """True if the WITH at `i` opens common table expressions (not WITH ROLLUP and the like)."""
        if self.word(i + 1) == RECURSIVE:
            return True
        return self.is_name(i + 1) and (self.word(i + 2) == AS or self.kind[i + 2] == T_LPAREN)

    def operator(self, i: int, word: int) -> bool:
        """True if the word in front of a parenthesis is no function: MATCH ... AGAINST (), LIKE 'x' ESCAPE
        ()."""
        if i == 0 or (word != AGAINST and word != ESCAPE):
            return False
        i -= 1
        kind = self.kind[i]
        if kind == T_RPAREN or word == ESCAPE:
            return kind in (T_RPAREN, T_STRING, T_NUMBER, T_PARAM)
        while i > 0 and kind in (T_WORD, T_QUOTED, T_DOT, T_COMMA):
            if self.word(i) == MATCH:
                return True
            i -= 1
            kind = self.kind[i]
        return False

    def json_table(self, i: int, depth: int) -> int:
        """JSON_TABLE(document, path COLUMNS (...)) in a list of tables: the columns are no expressions, and
        no stored function can be a table. Returns the position behind it."""
        self.function(i, "json_table")
        i += 2
        stop = self.skip_parens(i)
        columns = 0
        nesting = 0
        for j in range(i, stop):
            if self.kind[j] == T_LPAREN:
                if nesting == 0 and self.word(j - 1) == COLUMNS:
                    columns = j
                nesting += 1
            elif self.kind[j] == T_RPAREN:
                nesting -= 1
        if columns == 0 or self.skip_parens(columns + 1) != stop - 1:
            self.mask |= _WRITE
            return self.walk(i, False, False, depth + 1)
        kind = self.kind[columns - 1]
        self.kind[columns - 1] = T_RPAREN
        self.walk(i, False, False, depth + 1)
        self.kind[columns - 1] = kind
        return stop

    def into(self, i: int) -> int:
        """`i` is at INTO of a query. Returns the position behind the target."""
        word = self.word(i + 1)
        if word in (OUTFILE, DUMPFILE):
            self.into_file = True
            self.mask |= _WRITE
            return i + 2
        i += 1
        if self.kind[i] != T_USERVAR:
            self.mask |= _WRITE
            return i
        while self.kind[i] == T_USERVAR:
            self.into_variable = True
            self.mask |= _WRITE_USERVAR
            i += 1
            if self.kind[i] != T_COMMA:
                break
            i += 1
        return i

    def walk(self, i: int, in_from: bool, expect: bool, depth: int) -> int:
        """Walk from `i` to behind the parenthesis that closes this level, or to the end of the statement.

        `in_from`: this is a list of tables; `expect`: the next token names a table.
        """
        query = False
        scope = len(self.cte)
        if depth > _DEEPEST:
            self.doubt = True
            while self.kind[i] != T_END:
                i += 1
            return i
        while True:
            kind = self.kind[i]
            if kind == T_WORD:
                code = self.code[i]
                word = code & KEYWORD_MASK
                if code & RESERVED_FLAG or word:
                    if self.kind[i + 1] == T_LPAREN and code & FUNCTION_FLAG and not expect:
                        self.call(i, False)
                        i = self.walk(i + 2, False, False, depth + 1)
                        continue
                    if word == SELECT:
                        query = self.queried = True
                        in_from = expect = False
                        i += 1
                        continue
                    if expect and word == LATERAL and self.kind[i + 1] == T_LPAREN:
                        i += 1
                        continue
                    if expect and code & RESERVED_FLAG and word != VALUES and word != WITH:
                        expect = False
                        if self.raw(i).upper() in _TABLE_NAMES:
                            i = self.table(i)
                            continue
                    if word == FROM:
                        if query:
                            in_from = expect = True
                        i += 1
                        continue
                    if word in (JOIN, STRAIGHT_JOIN):
                        expect = in_from
                        i += 1
                        continue
                    if (
                        word
                        in (
                            WHERE,
                            GROUP,
                            HAVING,
                            ORDER,
                            LIMIT,
                            PROCEDURE,
                            RETURNING,
                            SET,
                            UNION,
                            UPDATE,  # ON DUPLICATE KEY UPDATE
                            EXCEPT,
                            INTERSECT,
                            VALUES,
                        )
                        or (word == MINUS and self.oracle)
                        or (word == WINDOW and self.word(i + 2) == AS)
                    ):
                        in_from = expect = False
                        i += 1
                        continue
                    if word == INTO:
                        in_from = expect = False
                        i = self.into(i)
                        continue
                    if word == FOR:
                        word = self.word(i + 1)
                        if word in (UPDATE, SHARE):
                            self.mask |= _WRITE
                            in_from = False
                            i += 2
                        elif word in (JOIN, ORDER, GROUP):
                            i += 2
                        else:
                            i += 1
                        continue
                    if word == LOCK and self.word(i + 1) == IN:
                        self.mask |= _WRITE
                        in_from = False
                        i += 2
                        continue
                    if word == WITH and self.begins_with(i):
                        i = self.with_clause(i, depth)
                        in_from = expect = False
                        continue
                    if (word in (NEXT, PREVIOUS)) and self.word(i + 1) == VALUE and self.word(i + 2) == FOR:
                        self.mask |= _WRITE
                        i += 3
                        if self.is_name(i):
                            i = self.table(i)
                        continue
                    if code & RESERVED_FLAG:
                        i += 1
                        continue
                    if self.operator(i, word):
                        i += 1
                        continue
                if expect and self.kind[i + 1] != T_LPAREN:
                    expect = False
                    i = self.table(i)
                    if self.kind[i] == T_LPAREN:
                        self.mask |= _WRITE
                    continue
                if expect and word == JSON_TABLE:
                    expect = False
                    i = self.json_table(i, depth)
                    continue
                expect = False
                if self.kind[i + 1] == T_LPAREN:
                    self.call(i, i > 0 and self.kind[i - 1] == T_DOT)
                    i = self.walk(i + 2, False, False, depth + 1)
                    continue
                i += 1
            elif kind == T_COMMA:
                expect = in_from
                i += 1
            elif kind == T_DOT:
                word = self.code[i + 1] >> QUALIFIED_SHIFT
                if word and (word in (NEXTVAL, LASTVAL) or (word == CURRVAL and self.oracle)):
                    self.mask |= _WRITE
                i += 1
                if self.kind[i] == T_WORD and self.kind[i + 1] != T_LPAREN:
                    i += 1
            elif kind == T_LPAREN:
                if expect:
                    word = self.word(i + 1)
                    if word in (SELECT, VALUES, WITH):
                        self.derived = True
                i = self.walk(i + 1, expect, expect, depth + 1)
                expect = False
            elif kind == T_RPAREN:
                if depth > 0:
                    if len(self.cte) > scope:
                        del self.cte[scope:]
                    return i + 1
                self.doubt = True
                i += 1
            elif kind in (T_END, T_SEMI):
                if depth > 0:
                    self.doubt = True
                return i
            elif kind in (T_QUOTED, T_STRING, T_NUMBER, T_PARAM):
                if expect and kind != T_PARAM:
                    expect = False
                    i = self.table(i)
                    if self.kind[i] == T_LPAREN:
                        self.mask |= _WRITE
                    continue
                if self.kind[i + 1] == T_LPAREN:
                    self.code[i] = 0
                    self.call(i, i > 0 and self.kind[i - 1] == T_DOT)
                i += 1
            elif kind == T_USERVAR:
                if self.kind[i + 1] == T_ASSIGN:
                    self.mask |= _WRITE_USERVAR
                    i += 2
                else:
                    self.mask |= _READ_USERVAR
                    i += 1
            elif kind == T_SYSVAR:
                i = self.system_variable(i)
            elif kind in (T_BAD, T_ASSIGN):
                self.doubt = True
                i += 1
            elif kind == T_OP and expect and self.buf[self.beg[i]] == 123:
                i += 2  # { OJ
            else:
                i += 1


_ESCAPES = {
    ord("n"): b"\n",
    ord("t"): b"\t",
    ord("r"): b"\r",
    ord("0"): b"\0",
    ord("b"): b"\b",
    ord("Z"): b"\x1a",
}


def unquoted(raw: bytes, kind: int) -> str:
    """A token of this kind as a name or a text: quotes and escapes removed."""
    if kind == T_USERVAR:
        raw = raw[1:]
    last = len(raw) - 1
    if last > 0 and raw[0] == raw[last] and raw[:1] in (b"'", b'"', b"`"):
        quote = raw[:1]
        raw = raw[1:last].replace(quote + quote, quote)
        if kind == T_STRING and b"\\" in raw:
            raw = unescape(raw)
    return raw.decode("utf-8", "replace")


def unescape(text: bytes) -> bytes:
    """The text of a string literal without its backslashes."""
    out = bytearray()
    i = 0
    while i < len(text):
        if text[i] == 92 and i + 1 < len(text):
            i += 1
            out += _ESCAPES.get(text[i], text[i : i + 1])
        else:
            out.append(text[i])
        i += 1
    return bytes(out)
