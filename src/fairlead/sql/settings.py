"""SET in all its forms, and the characteristics of transactions that SET TRANSACTION and START TRANSACTION
share."""

from __future__ import annotations

from fairlead.sql.keywords import (
    CHARACTER,
    CHARSET,
    COMMITTED,
    CONSISTENT,
    DEFAULT,
    FOR,
    GLOBAL,
    ISOLATION,
    KEYWORD_MASK,
    LEVEL,
    LOCAL,
    NAMES,
    ONLY,
    PASSWORD,
    READ,
    REPEATABLE,
    ROLE,
    SERIALIZABLE,
    SESSION,
    SET,
    SNAPSHOT,
    STATEMENT,
    TRANSACTION,
    UNCOMMITTED,
    WITH,
    WRITE,
)
from fairlead.sql.parser import Parser
from fairlead.sql.tokens import (
    T_ASSIGN,
    T_COMMA,
    T_DOT,
    T_END,
    T_EQ,
    T_LPAREN,
    T_NUMBER,
    T_QUOTED,
    T_RPAREN,
    T_SEMI,
    T_STRING,
    T_SYSVAR,
    T_USERVAR,
    T_WORD,
)
from fairlead.sql.types import (
    MODE_ANSI_QUOTES,
    MODE_BRACKETS,
    MODE_NO_BACKSLASH_ESCAPES,
    MODE_ORACLE,
    OP_SET,
    OP_SET_TRANSACTION,
    OP_UNDEFINED,
    RESULT_INVALID,
    SQL_MODE_TO_DEFAULT,
    SQL_MODE_TO_ORACLE,
    SQL_MODE_TO_OTHER,
    TYPE_BEGIN_TRX,
    TYPE_COMMIT,
    TYPE_DISABLE_AUTOCOMMIT,
    TYPE_ENABLE_AUTOCOMMIT,
    TYPE_GSYSVAR_WRITE,
    TYPE_NEXT_TRX,
    TYPE_READ,
    TYPE_READONLY,
    TYPE_READWRITE,
    TYPE_SESSION_WRITE,
    TYPE_USERVAR_WRITE,
    TYPE_WRITE,
)

_ON = frozenset(("1", "on", "true"))
_OFF = frozenset(("0", "off", "false"))
_CHARSET_VARIABLES = frozenset(
    ("character_set_client", "character_set_connection", "character_set_results", "collation_connection")
)
_ISOLATION_VARIABLES = frozenset(("tx_isolation", "transaction_isolation"))
_READ_ONLY_VARIABLES = frozenset(("tx_read_only", "transaction_read_only"))
_ISOLATION_LEVELS = ("READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
_ANSI_MODES = frozenset(("ANSI", "ANSI_QUOTES", "DB2", "MAXDB", "MSSQL", "ORACLE", "POSTGRESQL"))
# bits of the server's numeric sql_mode
_ANSI_QUOTES_BIT = 1 << 2
_ORACLE_BIT = 1 << 9
_MSSQL_BIT = 1 << 10
_NO_BACKSLASH_ESCAPES_BIT = 1 << 20


def mode_flags(names: str) -> int:
    """MODE_* bits of a list of sql_mode names."""
    flags = 0
    for name in names.upper().replace(" ", "").split(","):
        if name in _ANSI_MODES:
            flags |= MODE_ANSI_QUOTES
        if name == "ORACLE":
            flags |= MODE_ORACLE
        elif name == "MSSQL":
            flags |= MODE_BRACKETS
        elif name == "NO_BACKSLASH_ESCAPES":
            flags |= MODE_NO_BACKSLASH_ESCAPES
    return flags


class SetParser(Parser):
    """Adds SET to the walk over queries."""

    def statement(self, i: int, depth: int) -> int:
        """Classify the statement at `i`; the parser of all statements overrides this."""
        return i

    def item_end(self, i: int) -> int:
        """Position of the comma or end that closes the list item at `i`."""
        depth = 0
        while True:
            kind = self.kind[i]
            if kind in (T_END, T_SEMI) or (kind == T_COMMA and depth == 0):
                return i
            if kind == T_LPAREN:
                depth += 1
            elif kind == T_RPAREN:
                depth -= 1
            i += 1

    def rest(self, i: int) -> int:
        """Position of the end of the statement that `i` is in."""
        while self.kind[i] != T_END and self.kind[i] != T_SEMI:
            i += 1
        return i

    def walk_until(self, i: int, stop: int) -> None:
        """Walk the expression between two positions."""
        if i >= stop:
            return
        kind = self.kind[stop]
        self.kind[stop] = T_END
        self.walk(i, False, False, 0)
        self.kind[stop] = kind

    def set_statement(self, i: int, depth: int) -> int:
        """`i` is behind SET. Returns the end of the statement."""
        self.operation = OP_SET
        self.sticky = SESSION
        if self.word(i) == STATEMENT and self.is_name(i + 1):
            return self.set_for_statement(i + 1, depth)
        if self.kind[i] == T_END or self.kind[i] == T_SEMI:
            self.doubt = True
        while True:
            stop = self.item_end(i)
            self.set_item(i, stop)
            if self.queried:
                self.mask |= TYPE_READ
            i = stop
            if self.kind[i] != T_COMMA:
                return i
            if self.operation == OP_SET_TRANSACTION:
                return self.rest(i)
            i += 1

    def set_for_statement(self, i: int, depth: int) -> int:
        """`i` is behind SET STATEMENT: the statement behind FOR is what counts."""
        stop = i
        nesting = 0
        while self.kind[stop] != T_END:
            if self.kind[stop] == T_LPAREN:
                nesting += 1
            elif self.kind[stop] == T_RPAREN:
                nesting -= 1
            elif nesting == 0 and self.word(stop) == FOR:
                break
            stop += 1
        if self.kind[stop] == T_END:
            self.mask |= TYPE_WRITE
            self.result = RESULT_INVALID
            return stop
        self.walk_until(i, stop)
        self.operation = OP_UNDEFINED
        return self.statement(stop + 1, depth + 1)

    def set_item(self, i: int, stop: int) -> None:
        """One item of the list that SET takes."""
        kind = self.kind[i]
        if kind == T_USERVAR:
            self.set_user_variable(i, stop)
            return
        scope = 0
        dotted = kind == T_SYSVAR
        word = self.code[i] & KEYWORD_MASK
        if dotted:
            i += 1
            word = self.code[i] & KEYWORD_MASK
            if self.kind[i + 1] == T_DOT and (word in (GLOBAL, SESSION, LOCAL)):
                scope = word
                i += 2
        elif (word in (GLOBAL, SESSION, LOCAL)) and self.is_name(i + 1):
            scope = word
            self.sticky = word
            i += 1
            word = self.code[i] & KEYWORD_MASK
        after = self.kind[i + 1]
        assigned = after in (T_EQ, T_ASSIGN)
        if not dotted and not assigned:
            if word == TRANSACTION:
                self.set_transaction(i + 1, scope)
                return
            if scope == 0 and self.set_special(i, stop, word):
                return
        if not dotted and word == PASSWORD:
            self.mask |= TYPE_WRITE
            self.cacheable = False
            return
        if not self.is_name(i) or self.kind[i] == T_STRING:
            self.doubt = True
            return
        if self.hidden(i):
            self.cacheable = False
        name = self.name(i).lower()
        i += 1
        qualified = False
        while self.kind[i] == T_DOT and self.is_name(i + 1):
            if self.hidden(i + 1):
                self.cacheable = False
            name = self.name(i + 1).lower()
            qualified = True
            i += 2
        if self.kind[i] != T_EQ and self.kind[i] != T_ASSIGN:
            self.doubt = True
            self.mask |= TYPE_SESSION_WRITE
            return
        if scope == 0 and not dotted:
            scope = self.sticky  # SET GLOBAL a = 1, b = 2 is global for b too, but not for @@b
        self.mask |= TYPE_GSYSVAR_WRITE if scope == GLOBAL else TYPE_SESSION_WRITE
        i += 1
        if not qualified:
            self.special_variable(name, scope, i, stop)
        self.walk_until(i, stop)

    def set_special(self, i: int, stop: int, word: int) -> bool:
        """NAMES, CHARACTER SET, ROLE, DEFAULT ROLE, PASSWORD FOR; False: it is none of them."""
        if word in (NAMES, CHARSET) or (word == CHARACTER and self.word(i + 1) == SET):
            self.mask |= TYPE_SESSION_WRITE
            i += 2 if word == CHARACTER else 1
            self.new_charset(i)
            self.walk_until(i, stop)
            return True
        if word == ROLE and self.is_name(i + 1):
            self.mask |= TYPE_SESSION_WRITE
            role = self.name(i + 1)
            unquoted = self.kind[i + 1] == T_WORD
            self.set_role = "" if unquoted and role.upper() == "NONE" else role
            if not unquoted:
                self.cacheable = False
            return True
        if word == DEFAULT and self.word(i + 1) == ROLE:
            self.mask |= TYPE_WRITE
            return True
        if word == PASSWORD:
            self.mask |= TYPE_WRITE
            self.cacheable = False
            return True
        return False

    def new_charset(self, i: int) -> None:
        """The client's character set becomes what token `i` names."""
        self.changes_charset = True
        if self.kind[i] != T_WORD and self.kind[i] != T_QUOTED:
            self.cacheable = False
        if self.is_name(i) and self.word(i) != DEFAULT:
            self.charset = self.name(i).lower()

    def set_user_variable(self, i: int, stop: int) -> None:
        """`@name = expression`."""
        self.mask |= TYPE_SESSION_WRITE | TYPE_USERVAR_WRITE
        if self.kind[i + 1] != T_EQ and self.kind[i + 1] != T_ASSIGN:
            self.doubt = True
            return
        name = self.name(i).lower()
        if name.startswith("maxscale."):
            self.cacheable = False
            value = self.name(i + 2) if stop == i + 3 else ""
            self.proxy_variables.append((name, value))
        self.walk_until(i + 2, stop)

    def literal(self, i: int, stop: int) -> str | None:
        """The only token between two positions (parentheses aside) as text, None if it is not a plain
        value."""
        while self.kind[i] == T_LPAREN and stop > i + 1 and self.kind[stop - 1] == T_RPAREN:
            i += 1
            stop -= 1
        if stop == i + 1:
            kind = self.kind[i]
            if kind in (T_NUMBER, T_STRING, T_WORD, T_QUOTED):
                return self.name(i)
        return None

    def special_variable(self, name: str, scope: int, i: int, stop: int) -> None:
        """A variable whose value changes how the session is routed or read."""
        if name == "autocommit":
            self.cacheable = False
            if scope != GLOBAL:
                self.set_autocommit(self.literal(i, stop))
        elif name == "sql_mode":
            self.cacheable = False
            self.change_sql_mode(
                self.literal(i, stop), self.word(i) == DEFAULT and stop == i + 1, scope == GLOBAL
            )
        elif name in _CHARSET_VARIABLES:
            if scope != GLOBAL:
                self.changes_charset = True
                if name == "character_set_client":
                    self.new_charset(i)
        elif name in _ISOLATION_VARIABLES:
            self.cacheable = False
            level = (self.literal(i, stop) or "").upper().replace("-", " ").replace("_", " ")
            if level.isdigit() and int(level) < len(_ISOLATION_LEVELS):
                level = _ISOLATION_LEVELS[int(level)]
            if level in _ISOLATION_LEVELS:
                self.trx_scope = self.scope_name(scope)
                self.trx_isolation = level
        elif name in _READ_ONLY_VARIABLES:
            self.cacheable = False
            value = (self.literal(i, stop) or "").lower()
            if value in _ON or value in _OFF:
                self.trx_scope = self.scope_name(scope)
                self.trx_access = "READ ONLY" if value in _ON else "READ WRITE"

    def scope_name(self, scope: int) -> str:
        """Whose transactions a setting with this scope keyword means; without one: only the next
        transaction."""
        if scope == 0:
            return "next"
        return "global" if scope == GLOBAL else "session"

    def set_autocommit(self, value: str | None) -> None:
        """Autocommit becomes `value`; a value that is not a literal leaves it to the server's status
        flags."""
        if value is None:
            return
        value = value.lower()
        if value.isdigit():
            value = str(int(value))
        if value in _OFF or value in _ON:  # the last one in a list wins
            self.mask &= ~(TYPE_BEGIN_TRX | TYPE_DISABLE_AUTOCOMMIT | TYPE_COMMIT | TYPE_ENABLE_AUTOCOMMIT)
        if value in _OFF:
            self.mask |= TYPE_BEGIN_TRX | TYPE_DISABLE_AUTOCOMMIT
        elif value in _ON:
            self.mask |= TYPE_COMMIT | TYPE_ENABLE_AUTOCOMMIT

    def change_sql_mode(self, value: str | None, default: bool, everywhere: bool) -> None:
        """The last sql_mode of a statement wins; only a session's own value changes how its text is read."""
        flags = -1
        if default:
            self.set_sql_mode = SQL_MODE_TO_DEFAULT
            flags = 0
        elif value is None:
            self.set_sql_mode = SQL_MODE_TO_OTHER
        else:
            if value.isdigit():
                bits = int(value[:20])
                flags = MODE_ANSI_QUOTES if bits & _ANSI_QUOTES_BIT else 0
                flags |= MODE_ORACLE if bits & _ORACLE_BIT else 0
                flags |= MODE_BRACKETS if bits & _MSSQL_BIT else 0
                flags |= MODE_NO_BACKSLASH_ESCAPES if bits & _NO_BACKSLASH_ESCAPES_BIT else 0
            else:
                flags = mode_flags(value)
            self.set_sql_mode = SQL_MODE_TO_ORACLE if flags & MODE_ORACLE else SQL_MODE_TO_OTHER
        if not everywhere:
            self.sql_mode_flags = flags

    def set_transaction(self, i: int, scope: int) -> None:
        """`i` is behind SET [scope] TRANSACTION."""
        self.operation = OP_SET_TRANSACTION
        self.trx_scope = self.scope_name(scope)
        if scope == 0:
            self.mask |= TYPE_NEXT_TRX
        elif scope == GLOBAL:
            self.mask |= TYPE_GSYSVAR_WRITE
        else:
            self.mask |= TYPE_SESSION_WRITE
        self.characteristics(i)
        if scope != GLOBAL:
            if self.trx_access == "READ ONLY":
                self.mask |= TYPE_READONLY
            elif self.trx_access == "READ WRITE":
                self.mask |= TYPE_READWRITE

    def characteristics(self, i: int) -> int:
        """Access mode, isolation level and snapshot of a transaction, in any order. Returns the position
        behind."""
        while True:
            word = self.word(i)
            if word == READ and self.word(i + 1) == ONLY:
                self.trx_access = "READ ONLY"
                i += 2
            elif word == READ and self.word(i + 1) == WRITE:
                self.trx_access = "READ WRITE"
                i += 2
            elif word == WITH and self.word(i + 1) == CONSISTENT and self.word(i + 2) == SNAPSHOT:
                i += 3
            elif word == ISOLATION and self.word(i + 1) == LEVEL:
                i = self.isolation_level(i + 2)
            else:
                return i
            if self.kind[i] == T_COMMA:
                i += 1

    def isolation_level(self, i: int) -> int:
        """The words behind ISOLATION LEVEL."""
        word = self.word(i)
        following = self.word(i + 1)
        if word == SERIALIZABLE:
            self.trx_isolation = "SERIALIZABLE"
            return i + 1
        if word == REPEATABLE and following == READ:
            self.trx_isolation = "REPEATABLE READ"
        elif word == READ and following == COMMITTED:
            self.trx_isolation = "READ COMMITTED"
        elif word == READ and following == UNCOMMITTED:
            self.trx_isolation = "READ UNCOMMITTED"
        else:
            self.doubt = True
            return i + 1
        return i + 2
