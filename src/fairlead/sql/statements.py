"""One method per kind of statement: leading keywords decide mask and operation, the walk adds what is
inside."""

from __future__ import annotations

from fairlead.sql.info import KillInfo
from fairlead.sql.keywords import (
    ALTER,
    ANALYZE,
    AND,
    BACKUP,
    BEGIN,
    BINLOG,
    CACHE,
    CALL,
    CHAIN,
    CHANGE,
    CHECK,
    CHECKSUM,
    COLUMNS,
    COMMIT,
    CONNECTION,
    COUNT,
    CREATE,
    DATABASES,
    DEALLOCATE,
    DECLARE,
    DELAYED,
    DELETE,
    DESC,
    DESCRIBE,
    DO,
    DROP,
    END,
    ERRORS,
    EXECUTE,
    EXPLAIN,
    EXTENDED,
    FIELDS,
    FLUSH,
    FOR,
    FORMAT,
    FROM,
    FULL,
    GET,
    GLOBAL,
    GRANT,
    HANDLER,
    HARD,
    HELP,
    HIGH_PRIORITY,
    HISTORY,
    ID,
    IGNORE,
    IMMEDIATE,
    IN,
    INDEX,
    INDEXES,
    INSERT,
    INSTALL,
    INTO,
    KEYS,
    KILL,
    LOAD,
    LOCAL,
    LOCK,
    LOW_PRIORITY,
    MASTER,
    NO,
    NO_WRITE_TO_BINLOG,
    NOT,
    OPTIMIZE,
    PARTITIONS,
    PREPARE,
    PURGE,
    QUERY,
    QUICK,
    RELEASE,
    RENAME,
    REPAIR,
    REPLACE,
    RESET,
    RESIGNAL,
    REVOKE,
    ROLLBACK,
    SAVEPOINT,
    SCHEMAS,
    SELECT,
    SEQUENCE,
    SESSION,
    SET,
    SHOW,
    SHUTDOWN,
    SIGNAL,
    SOFT,
    START,
    STATUS,
    STOP,
    TABLE,
    TABLES,
    TO,
    TRANSACTION,
    TRUNCATE,
    UNINSTALL,
    UNLOCK,
    UPDATE,
    USE,
    USER,
    USING,
    VALUES,
    VARIABLES,
    VIEW,
    WARNINGS,
    WHERE,
    WITH,
    WORK,
    XA,
)
from fairlead.sql.schema import SchemaParser
from fairlead.sql.tokens import (
    T_ASSIGN,
    T_END,
    T_EQ,
    T_LPAREN,
    T_OP,
    T_SEMI,
    T_STRING,
    T_USERVAR,
    T_WORD,
)
from fairlead.sql.types import (
    KILL_CONNECTION,
    KILL_QUERY,
    KILL_QUERY_ID,
    OP_CALL,
    OP_CHANGE_DB,
    OP_DELETE,
    OP_EXECUTE,
    OP_EXPLAIN,
    OP_GRANT,
    OP_INSERT,
    OP_KILL,
    OP_REVOKE,
    OP_SELECT,
    OP_SET,
    OP_SHOW,
    OP_SHOW_DATABASES,
    OP_UNDEFINED,
    OP_UPDATE,
    RESULT_PARSED,
    RESULT_TOKENIZED,
    TYPE_BEGIN_TRX,
    TYPE_COMMIT,
    TYPE_DEALLOC_PREPARE,
    TYPE_GSYSVAR_READ,
    TYPE_MASTER_READ,
    TYPE_PREPARE_NAMED_STMT,
    TYPE_READ,
    TYPE_ROLLBACK,
    TYPE_SESSION_WRITE,
    TYPE_SYSVAR_READ,
    TYPE_WRITE,
)


class StatementParser(SchemaParser):
    """Classifies one statement after another of the text that was tokenized last."""

    def statement(self, i: int, depth: int) -> int:
        """Classify the statement at token `i`. Returns the position where it ends: a semicolon or the end."""
        if depth > 20:
            self.doubt = True
            return self.rest(i)
        first = i
        while self.kind[first] == T_LPAREN:
            first += 1
        word = self.word(first)
        if word in (SELECT, VALUES) or (word == WITH and first > i):
            return self.select(i)
        if first > i or (self.kind[i] != T_WORD and self.kind[i] != T_OP):
            return self.unknown(i)
        if word == WITH:
            i = self.with_clause(i, 0)
            word = self.word(i)
            if word in (SELECT, VALUES) or self.kind[i] == T_LPAREN:
                return self.select(i)
            if word != UPDATE and word != DELETE:
                return self.unknown(i)
        if word in (INSERT, REPLACE):
            return self.insert(i + 1)
        if word == UPDATE:
            return self.update(i + 1)
        if word == DELETE:
            return self.delete(i + 1)
        if word == SET:
            return self.set_statement(i + 1, depth)
        if word in (BEGIN, START):
            return self.begin(i)
        if word in (COMMIT, ROLLBACK):
            return self.end_transaction(i)
        if word == USE:
            return self.use(i + 1)
        if word == SHOW:
            return self.show(i + 1)
        if word in (EXPLAIN, DESCRIBE, DESC):
            return self.explain(i + 1, depth)
        if word == ANALYZE:
            return self.analyze(i + 1, depth)
        if word == PREPARE:
            return self.prepare(i + 1)
        if word == EXECUTE:
            return self.execute(i + 1)
        if word == DEALLOCATE or (word == DROP and self.word(i + 1) == PREPARE):
            return self.deallocate(i + 1)
        if word == CALL:
            self.hides_use = True
            return self.write(i + 1, OP_CALL, RESULT_PARSED)
        if word == DO:
            self.mask |= TYPE_READ
            return self.write(i + 1, OP_UNDEFINED, RESULT_PARSED)
        if word == KILL:
            return self.kill_statement(i + 1)
        if word == CREATE:
            return self.create(i + 1)
        if word in (ALTER, DROP, RENAME, TRUNCATE):
            return self.change_schema(i, word)
        if word == LOAD:
            return self.load(i + 1)
        if word == XA:
            return self.xa(i + 1)
        if word == RESET:
            return self.reset_statement(i + 1)
        if word == GRANT:
            return self.administer(i, OP_GRANT)
        if word == REVOKE:
            return self.administer(i, OP_REVOKE)
        if word in (HANDLER, LOCK):
            return self.lock_or_handler(i + 1, word)
        if word in (OPTIMIZE, REPAIR, CHECK, CHECKSUM):
            return self.maintain(i + 1)
        if self.oracle and (word in (DECLARE, FOR) or self.kind[i] == T_OP):
            return self.block(i)
        if self.oracle and self.kind[i + 1] == T_ASSIGN:
            self.mask |= TYPE_SESSION_WRITE
            self.operation = OP_SET
            self.walk_until(i + 2, self.rest(i))
            return self.rest(i)
        if word in (
            SAVEPOINT,
            RELEASE,
            FLUSH,
            UNLOCK,
            PURGE,
            CHANGE,
            STOP,
            INSTALL,
            UNINSTALL,
            BINLOG,
            CACHE,
            SHUTDOWN,
            BACKUP,
            SIGNAL,
            RESIGNAL,
            GET,
            HELP,
        ):
            return self.administer(i, OP_UNDEFINED)
        return self.unknown(i)

    def write(self, i: int, operation: int, result: int) -> int:
        """A write with expressions inside."""
        self.mask |= TYPE_WRITE
        self.operation = operation
        self.result = result
        return self.walk(i, False, False, 0)

    def select(self, i: int) -> int:
        """A query, perhaps in parentheses."""
        self.operation = OP_SELECT
        i = self.walk(i, False, False, 0)
        if not self.into_file and not self.into_variable:
            self.mask |= TYPE_READ
        return i

    def insert(self, i: int) -> int:
        """`i` is behind INSERT or REPLACE."""
        self.mask |= TYPE_WRITE
        self.operation = OP_INSERT
        word = self.word(i)
        while word in (LOW_PRIORITY, DELAYED, HIGH_PRIORITY, IGNORE, INTO):
            i += 1
            word = self.word(i)
        if self.is_name(i):
            i = self.table(i)
        return self.walk(i, False, False, 0)

    def update(self, i: int) -> int:
        """`i` is behind UPDATE."""
        self.mask |= TYPE_WRITE
        self.operation = OP_UPDATE
        while self.word(i) == LOW_PRIORITY or self.word(i) == IGNORE:
            i += 1
        i = self.walk(i, True, True, 0)
        if self.derived:
            self.mask |= TYPE_READ
        return i

    def delete(self, i: int) -> int:
        """`i` is behind DELETE."""
        self.mask |= TYPE_WRITE
        self.operation = OP_DELETE
        word = self.word(i)
        while word in (LOW_PRIORITY, QUICK, IGNORE, HISTORY):
            i += 1
            word = self.word(i)
        while self.kind[i] != T_END and self.kind[i] != T_SEMI and self.word(i) != FROM:
            i += 1  # the names here repeat those of the table references
        if self.word(i) == FROM:
            i += 1
        using = i
        while self.kind[using] != T_END and self.kind[using] != T_SEMI and self.word(using) != WHERE:
            if self.word(using) == USING and self.is_name(using + 1):
                i = using + 1
                break
            using += 1
        i = self.walk(i, True, True, 0)
        if self.derived:
            self.mask |= TYPE_READ
        return i

    def begin(self, i: int) -> int:
        """BEGIN [WORK], BEGIN NOT ATOMIC, START TRANSACTION, START SLAVE."""
        starts = self.word(i) == START
        following = self.word(i + 1)
        if starts and following != TRANSACTION:
            return self.administer(i, OP_UNDEFINED)
        if not starts:
            if following == NOT or self.oracle:
                return self.block(i)
            i += 2 if following == WORK else 1
        else:
            i = self.characteristics(i + 2)
        self.mask |= TYPE_BEGIN_TRX
        if self.trx_access == "READ ONLY":
            self.mask |= TYPE_READ
        elif self.trx_access == "READ WRITE":
            self.mask |= TYPE_WRITE
        return self.nothing_more(i)

    def end_transaction(self, i: int) -> int:
        """COMMIT or ROLLBACK [WORK] [AND [NO] CHAIN] [[NO] RELEASE], ROLLBACK TO."""
        rolls_back = self.word(i) == ROLLBACK
        i += 1
        if self.word(i) == WORK:
            i += 1
        if rolls_back and self.word(i) == TO:
            return self.administer(i, OP_UNDEFINED)
        self.mask |= TYPE_ROLLBACK if rolls_back else TYPE_COMMIT
        if self.word(i) == AND:
            i += 1
            negated = self.word(i) == NO
            if negated:
                i += 1
            if self.word(i) == CHAIN:
                self.chain = not negated
                i += 1
        if self.word(i) == NO and self.word(i + 1) == RELEASE:
            i += 2
        elif self.word(i) == RELEASE:
            self.release = True
            i += 1
        return self.rest(i)

    def use(self, i: int) -> int:
        """`i` is behind USE."""
        if not self.is_name(i):
            return self.unknown(i)
        if self.kind[i] == T_STRING:
            self.cacheable = False
        self.mask |= TYPE_SESSION_WRITE
        self.operation = OP_CHANGE_DB
        self.use_database = self.name(i)
        self.databases.append(self.use_database)
        return self.nothing_more(i + 1)

    def show(self, i: int) -> int:
        """`i` is behind SHOW."""
        self.operation = OP_SHOW
        scope = 0
        word = self.word(i)
        if word in (GLOBAL, SESSION, LOCAL):
            scope = word
            i += 1
            word = self.word(i)
        elif word == FULL:
            i += 1
            word = self.word(i)
        bits = TYPE_READ
        if word == VARIABLES:
            bits = TYPE_GSYSVAR_READ if scope == GLOBAL else TYPE_SYSVAR_READ
        elif word in (DATABASES, SCHEMAS):
            self.operation = OP_SHOW_DATABASES
        elif word in (COLUMNS, FIELDS):
            i = self.show_table(i + 1)
        elif word in (INDEX, INDEXES, KEYS):
            bits = TYPE_WRITE
            i = self.show_table(i + 1)
        elif (
            word in (WARNINGS, COUNT)
            or (word == MASTER and self.word(i + 1) == STATUS)
            or (word == BINLOG and self.word(i + 1) == STATUS)
        ):
            bits = TYPE_WRITE
        elif word == ERRORS:
            self.relates = True
            self.result = RESULT_TOKENIZED
        elif word == CREATE:
            if self.word(i + 1) == TABLE or self.word(i + 1) == VIEW or self.word(i + 1) == SEQUENCE:
                i += 2
                if self.is_name(i):
                    i = self.table(i)
        elif word in (TABLES, STATUS, TABLE):
            if self.word(i + 1) == STATUS:
                i += 1
            i = self.show_database(i + 1)
        else:
            self.result = RESULT_TOKENIZED
        self.mask |= bits
        while self.kind[i] != T_END and self.kind[i] != T_SEMI and self.word(i) != WHERE:
            i += 1
        return self.walk(i, False, False, 0)

    def show_table(self, i: int) -> int:
        """`FROM t [FROM db]` of SHOW COLUMNS and SHOW INDEX."""
        if (self.word(i) != FROM and self.word(i) != IN) or not self.is_name(i + 1):
            return i
        i = self.table(i + 1)
        if (self.word(i) == FROM or self.word(i) == IN) and self.is_name(i + 1) and self.tables:
            database = self.name(i + 1)
            name = self.tables.pop()[1]
            self.tables.append((database, name))
            if database not in self.databases:
                self.databases.append(database)
            i += 2
        return i

    def show_database(self, i: int) -> int:
        """`FROM db` of SHOW TABLES."""
        if (self.word(i) == FROM or self.word(i) == IN) and self.is_name(i + 1):
            self.databases.append(self.name(i + 1))
            i += 2
        return i

    def explain(self, i: int, depth: int) -> int:
        """`i` is behind EXPLAIN or DESCRIBE."""
        while self.word(i) == EXTENDED or self.word(i) == PARTITIONS or self.word(i) == FORMAT:
            if self.word(i) == FORMAT and self.kind[i + 1] == T_EQ:
                i += 2
            i += 1
        word = self.word(i)
        if self.kind[i] == T_LPAREN or word in (
            SELECT,
            INSERT,
            REPLACE,
            UPDATE,
            DELETE,
            WITH,
            VALUES,
            ANALYZE,
        ):
            if word == ANALYZE:
                i = self.analyze(i + 1, depth)
            else:
                i = self.statement(i, depth + 1)
                self.explained(self.operation)
            self.operation = OP_EXPLAIN
            return i
        self.mask |= TYPE_READ
        if word == FOR:
            self.operation = OP_EXPLAIN
            return self.rest(i)
        self.operation = OP_SHOW
        if self.is_name(i):
            if self.word(i + 1) or self.kind[i + 1] == T_LPAREN:
                # No column of a table: perhaps EXPLAIN ROUTE, which the proxy answers.
                self.operation = OP_EXPLAIN
            self.table(i)
        return self.rest(i)

    def explained(self, operation: int) -> None:
        """EXPLAIN only reads, but servers that are read-only refuse it for what changes data, and a
        derived table is filled, which runs the functions in it."""
        written = self.mask & TYPE_WRITE
        self.mask = TYPE_READ
        if operation != OP_SELECT:
            self.mask |= TYPE_MASTER_READ
            self.pending = 0
        elif written:
            self.mask |= TYPE_WRITE

    def analyze(self, i: int, depth: int) -> int:
        """`i` is behind ANALYZE: of a table, or of a statement, which it runs."""
        while self.word(i) == NO_WRITE_TO_BINLOG or self.word(i) == LOCAL:
            i += 1
        if self.word(i) == TABLE or self.word(i) == TABLES:
            return self.maintain(i)
        if self.word(i) == FORMAT and self.kind[i + 1] == T_EQ:
            i += 3
        i = self.statement(i, depth + 1)
        self.mask |= TYPE_READ
        self.operation = OP_EXPLAIN
        return i

    def prepare(self, i: int) -> int:
        """`i` is behind PREPARE. The inner statement is left to the classifier, as text."""
        self.cacheable = False
        if not self.is_name(i) or self.word(i + 1) != FROM:
            return self.unknown(i)
        self.prepare_name = self.name(i)
        self.mask |= TYPE_PREPARE_NAMED_STMT
        i += 2
        text = ""
        while self.kind[i] == T_STRING:
            text += self.name(i)
            i += 1
        if self.kind[i] == T_END or self.kind[i] == T_SEMI:
            self.prepare_text = text
        return self.walk(i, False, False, 0)

    def execute(self, i: int) -> int:
        """`i` is behind EXECUTE."""
        self.hides_use = True
        if self.word(i) == IMMEDIATE:
            return self.write(i + 1, OP_EXECUTE, RESULT_PARSED)
        if self.is_name(i):
            self.prepare_name = self.name(i)
            i += 1
        return self.write(i, OP_EXECUTE, RESULT_PARSED)

    def deallocate(self, i: int) -> int:
        """`i` is behind DEALLOCATE or DROP."""
        if self.word(i) != PREPARE or not self.is_name(i + 1):
            return self.unknown(i)
        self.prepare_name = self.name(i + 1)
        self.mask |= TYPE_DEALLOC_PREPARE
        return self.rest(i)

    def kill_statement(self, i: int) -> int:
        """`i` is behind KILL."""
        self.cacheable = False
        self.operation = OP_KILL
        self.mask |= TYPE_WRITE
        soft = False
        if self.word(i) == HARD or self.word(i) == SOFT:
            soft = self.word(i) == SOFT
            i += 1
        kind = KILL_CONNECTION
        if self.word(i) == CONNECTION and self.kind[i + 1] != T_LPAREN:
            i += 1
        elif self.word(i) == QUERY:
            kind = KILL_QUERY
            i += 1
            if self.word(i) == ID and self.kind[i + 1] != T_END and self.kind[i + 1] != T_SEMI:
                kind = KILL_QUERY_ID
                i += 1
        user = self.word(i) == USER and self.kind[i + 1] != T_END and self.kind[i + 1] != T_LPAREN
        if user:
            i += 1
        stop = self.rest(i)
        if stop == i:
            self.doubt = True
            return stop
        if stop == i + 1 and self.is_name(i):
            target = self.name(i)
        elif user and self.is_name(i):
            host = self.name(i + 1) if self.kind[i + 1] == T_USERVAR else ""
            target = f"{self.name(i)}@{host}" if host else self.name(i)
        else:
            target = bytes(self.buf[self.beg[i] : self.fin[stop - 1]]).decode("utf-8", "replace")
        self.kill = KillInfo(target, user, soft, kind)
        return stop

    def xa(self, i: int) -> int:
        """`i` is behind XA."""
        word = self.word(i)
        if word in (START, BEGIN):
            self.mask |= TYPE_BEGIN_TRX
        elif word == END:
            self.mask |= TYPE_COMMIT
        else:
            self.mask |= TYPE_WRITE
        return self.rest(i)

    def reset_statement(self, i: int) -> int:
        """`i` is behind RESET."""
        if self.word(i) == QUERY and self.word(i + 1) == CACHE:
            self.mask |= TYPE_SESSION_WRITE
            return self.nothing_more(i + 2)
        return self.administer(i, OP_UNDEFINED)
