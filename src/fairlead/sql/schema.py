"""Statements that change the schema or run the server: always writes; what they name is collected."""

from __future__ import annotations

from fairlead.sql.keywords import (
    ALTER,
    CONCURRENT,
    DATA,
    DROP,
    EVENT,
    EXISTS,
    FUNCTION,
    IF_,
    IGNORE,
    INFILE,
    INTO,
    LIKE,
    LOCAL,
    LOCK,
    LOW_PRIORITY,
    NO_WRITE_TO_BINLOG,
    NOT,
    ONLINE,
    OR,
    PACKAGE,
    PROCEDURE,
    REPLACE,
    SELECT,
    SEQUENCE,
    TABLE,
    TABLES,
    TEMPORARY,
    TRIGGER,
    TRUNCATE,
    VIEW,
    WITH,
    XML,
)
from fairlead.sql.settings import SetParser
from fairlead.sql.tokens import (
    T_END,
    T_LPAREN,
    T_SEMI,
    T_WORD,
)
from fairlead.sql.types import (
    OP_ALTER,
    OP_ALTER_TABLE,
    OP_CREATE,
    OP_CREATE_TABLE,
    OP_DROP,
    OP_DROP_TABLE,
    OP_LOAD,
    OP_LOAD_LOCAL,
    OP_TRUNCATE,
    RESULT_INVALID,
    RESULT_TOKENIZED,
    TYPE_CREATE_TMP_TABLE,
    TYPE_WRITE,
)


class SchemaParser(SetParser):
    """Adds CREATE, ALTER, DROP and their like."""

    def unknown(self, i: int) -> int:
        """Nothing recognised: a write."""
        self.mask |= TYPE_WRITE
        self.result = RESULT_INVALID
        return self.rest(i)

    def administer(self, i: int, operation: int) -> int:
        """A write whose inside does not matter."""
        self.mask |= TYPE_WRITE
        self.operation = operation
        return self.rest(i)

    def block(self, i: int) -> int:
        """A compound statement: everything up to the end of the packet is one write."""
        self.hides_use = True
        self.mask |= TYPE_WRITE
        self.result = RESULT_TOKENIZED
        while self.kind[i] != T_END:
            i += 1
        return i

    def nothing_more(self, i: int) -> int:
        """The statement has to end at `i`; if it does not, the server will refuse it or it means something
        else."""
        if self.kind[i] != T_END and self.kind[i] != T_SEMI:
            self.doubt = True
        return self.rest(i)

    def create(self, i: int) -> int:
        """`i` is behind CREATE."""
        self.mask |= TYPE_WRITE
        self.operation = OP_CREATE
        if self.word(i) == OR and self.word(i + 1) == REPLACE:
            i += 2
        temporary = self.word(i) == TEMPORARY
        if temporary:
            i += 1
        word = self.word(i)
        if word == TABLE or (temporary and word == SEQUENCE):
            if word == TABLE:
                self.operation = OP_CREATE_TABLE
            return self.create_table(i + 1, temporary)
        while self.kind[i] == T_WORD and self.word(i) != VIEW and self.word(i) != TRIGGER:
            if self.word(i) == PROCEDURE or self.word(i) == FUNCTION or self.word(i) == EVENT:
                return self.rest(i)
            if self.word(i) == PACKAGE and self.oracle:
                return self.block(i)
            i += 1
        if self.word(i) == VIEW:
            return self.select_inside(self.created_name(i + 1))
        return self.rest(i)

    def created_name(self, i: int) -> int:
        """[IF NOT EXISTS] name. Returns the position behind."""
        if self.word(i) == IF_ and self.word(i + 1) == NOT and self.word(i + 2) == EXISTS:
            i += 3
        if self.is_name(i):
            i = self.table(i)
        return i

    def create_table(self, i: int, temporary: bool) -> int:
        """`i` is behind CREATE ... TABLE."""
        i = self.created_name(i)
        if temporary:
            self.mask |= TYPE_CREATE_TMP_TABLE
            if self.tables:
                self.temp_table = self.tables[0]
        like = i + 1 if self.kind[i] == T_LPAREN else i
        if self.word(like) == LIKE and self.is_name(like + 1):
            self.table(like + 1)
            return self.rest(i)
        return self.select_inside(i)

    def select_inside(self, i: int) -> int:
        """Definitions, and perhaps a query behind them: only the query is walked."""
        while self.kind[i] != T_END and self.kind[i] != T_SEMI:
            if self.word(i) == SELECT or (self.word(i) == WITH and self.begins_with(i)):
                while self.kind[i - 1] == T_LPAREN:
                    i -= 1
                return self.walk(i, False, False, 0)
            i += 1
        return i

    def change_schema(self, i: int, verb: int) -> int:
        """ALTER, DROP, RENAME, TRUNCATE."""
        self.mask |= TYPE_WRITE
        i += 1
        temporary = self.word(i) == TEMPORARY
        while self.word(i) in (TEMPORARY, IGNORE, ONLINE):
            i += 1
        of_table = self.word(i) == TABLE or self.word(i) == TABLES
        of_view = self.word(i) == VIEW or (self.word(i) == SEQUENCE and temporary)
        if of_table or of_view:
            i += 1
        if verb == TRUNCATE:
            self.operation = OP_TRUNCATE
            of_table = True
        elif verb == ALTER:
            self.operation = OP_ALTER_TABLE if of_table else OP_ALTER
        elif verb == DROP:
            self.operation = OP_DROP_TABLE if of_table else OP_DROP
        if self.word(i) == IF_:
            i += 3 if self.word(i + 1) == NOT else 2
        if not (of_table or of_view):
            return self.rest(i)
        if verb != DROP:
            if self.is_name(i):
                self.table(i)
            return self.rest(i)
        before = len(self.tables)
        i = self.table_list(i)
        if of_table:
            self.dropped.extend(self.tables[before:])
        return self.rest(i)

    def load(self, i: int) -> int:
        """`i` is behind LOAD."""
        self.mask |= TYPE_WRITE
        if self.word(i) != DATA and self.word(i) != XML:
            return self.rest(i)
        self.operation = OP_LOAD
        i += 1
        while self.word(i) == LOW_PRIORITY or self.word(i) == CONCURRENT:
            i += 1
        if self.word(i) == LOCAL:
            self.operation = OP_LOAD_LOCAL
            self.load_local = True
            i += 1
        if self.word(i) != INFILE:
            self.doubt = True
        while self.kind[i] != T_END and self.kind[i] != T_SEMI:
            if self.word(i) == INTO and self.word(i + 1) == TABLE and self.is_name(i + 2):
                self.table(i + 2)
                break
            i += 1
        return self.rest(i)

    def lock_or_handler(self, i: int, word: int) -> int:
        """LOCK TABLES and HANDLER: writes that name tables."""
        self.mask |= TYPE_WRITE
        if word == LOCK:
            if self.word(i) != TABLE and self.word(i) != TABLES:
                return self.rest(i)
            i += 1
        self.table_list(i)
        return self.rest(i)

    def maintain(self, i: int) -> int:
        """OPTIMIZE, REPAIR, CHECK, CHECKSUM, ANALYZE TABLE."""
        self.mask |= TYPE_WRITE
        while self.word(i) == NO_WRITE_TO_BINLOG or self.word(i) == LOCAL:
            i += 1
        if self.word(i) == TABLE or self.word(i) == TABLES:
            self.table_list(i + 1)
        return self.rest(i)
