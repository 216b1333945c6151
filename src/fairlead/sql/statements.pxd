cimport cython
from fairlead.sql.schema cimport SchemaParser

cdef int ALTER, ANALYZE, AND, BACKUP, BEGIN, BINLOG, CACHE, CALL, CHAIN, CHANGE, CHECK, CHECKSUM, COLUMNS
cdef int COMMIT, CONNECTION, COUNT, CREATE, DATABASES, DEALLOCATE, DECLARE, DELAYED, DELETE, DESC, DESCRIBE
cdef int DO, DROP, END, ERRORS, EXECUTE, EXPLAIN, EXTENDED, FIELDS, FLUSH, FOR, FORMAT, FROM, FULL, GET
cdef int GLOBAL, GRANT, HANDLER, HARD, HELP, HIGH_PRIORITY, HISTORY, ID, IGNORE, IMMEDIATE, IN, INDEX
cdef int INDEXES, INSERT, INSTALL, INTO, KEYS, KILL, LOAD, LOCAL, LOCK, LOW_PRIORITY, MASTER, NO
cdef int NO_WRITE_TO_BINLOG, NOT, OPTIMIZE, PARTITIONS, PREPARE, PURGE, QUERY, QUICK, RELEASE, RENAME
cdef int REPAIR, REPLACE, RESET, RESIGNAL, REVOKE, ROLLBACK, SAVEPOINT, SCHEMAS, SELECT, SEQUENCE, SESSION
cdef int SET, SHOW, SHUTDOWN, SIGNAL, SOFT, START, STATUS, STOP, TABLE, TABLES, TO, TRANSACTION, TRUNCATE
cdef int UNINSTALL, UNLOCK, UPDATE, USE, USER, USING, VALUES, VARIABLES, VIEW, WARNINGS, WHERE, WITH, WORK
cdef int XA, T_ASSIGN, T_END, T_EQ, T_LPAREN, T_OP, T_SEMI, T_STRING, T_USERVAR, T_WORD, KILL_CONNECTION
cdef int KILL_QUERY, KILL_QUERY_ID, OP_CALL, OP_CHANGE_DB, OP_DELETE, OP_EXECUTE, OP_EXPLAIN, OP_GRANT
cdef int OP_INSERT, OP_KILL, OP_REVOKE, OP_SELECT, OP_SET, OP_SHOW, OP_SHOW_DATABASES, OP_UNDEFINED
cdef int OP_UPDATE, RESULT_PARSED, RESULT_TOKENIZED, TYPE_BEGIN_TRX, TYPE_COMMIT, TYPE_DEALLOC_PREPARE
cdef int TYPE_GSYSVAR_READ, TYPE_MASTER_READ, TYPE_PREPARE_NAMED_STMT, TYPE_READ, TYPE_ROLLBACK
cdef int TYPE_SESSION_WRITE, TYPE_SYSVAR_READ, TYPE_WRITE

cdef class StatementParser(SchemaParser):
    @cython.locals(word=int, first=int)
    cdef int statement(self, int i, int depth) except -1
    cdef int write(self, int i, int operation, int result) except -1
    cdef int select(self, int i) except -1
    @cython.locals(word=int)
    cdef int insert(self, int i) except -1
    cdef int update(self, int i) except -1
    @cython.locals(word=int, using=int)
    cdef int delete(self, int i) except -1
    @cython.locals(following=int, starts=bint)
    cdef int begin(self, int i) except -1
    @cython.locals(rolls_back=bint, negated=bint)
    cdef int end_transaction(self, int i) except -1
    cdef int use(self, int i) except -1
    @cython.locals(word=int, scope=int, bits=int)
    cdef int show(self, int i) except -1
    cdef int show_table(self, int i) except -1
    cdef int show_database(self, int i) except -1
    @cython.locals(word=int)
    cdef int explain(self, int i, int depth) except -1
    @cython.locals(written=int)
    cdef explained(self, int operation)
    cdef int analyze(self, int i, int depth) except -1
    cdef int prepare(self, int i) except -1
    cdef int execute(self, int i) except -1
    cdef int deallocate(self, int i) except -1
    @cython.locals(stop=int, kind=int, soft=bint, user=bint, host=str)
    cdef int kill_statement(self, int i) except -1
    @cython.locals(word=int)
    cdef int xa(self, int i) except -1
    cdef int reset_statement(self, int i) except -1
