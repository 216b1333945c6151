cimport cython
from fairlead.sql.settings cimport SetParser

cdef int ALTER, ANALYZE, AND, BACKUP, BEGIN, BINLOG, CACHE, CALL, CHAIN, CHANGE, CHECK, CHECKSUM, COLUMNS
cdef int COMMIT, CONCURRENT, CONNECTION, COUNT, CREATE, DATA, DATABASES, DEALLOCATE, DECLARE, DELAYED
cdef int DELETE, DESC, DESCRIBE, DO, DROP, END, ERRORS, EVENT, EXECUTE, EXISTS, EXPLAIN, EXTENDED, FIELDS
cdef int FLUSH, FOR, FORMAT, FROM, FULL, FUNCTION, GET, GLOBAL, GRANT, HANDLER, HARD, HELP, HIGH_PRIORITY
cdef int HISTORY, ID, IF_, IGNORE, IMMEDIATE, IN, INDEX, INDEXES, INFILE, INSERT, INSTALL, INTO, KEYS, KILL
cdef int LIKE, LOAD, LOCAL, LOCK, LOW_PRIORITY, MASTER, NO, NO_WRITE_TO_BINLOG, NOT, OPTIMIZE, OR, PACKAGE
cdef int PARTITIONS, PREPARE, PROCEDURE, PURGE, QUERY, QUICK, RELEASE, RENAME, REPAIR, REPLACE, RESET
cdef int RESIGNAL, REVOKE, ROLLBACK, SAVEPOINT, SCHEMAS, SELECT, SEQUENCE, SESSION, SET, SHOW, SHUTDOWN
cdef int SIGNAL, SOFT, START, STATUS, STOP, TABLE, TABLES, TEMPORARY, TO, TRANSACTION, TRIGGER, TRUNCATE
cdef int UNINSTALL, UNLOCK, UPDATE, USE, USER, USING, VALUES, VARIABLES, VIEW, WARNINGS, WHERE, WITH, WORK
cdef int XA, XML, T_ASSIGN, T_END, T_EQ, T_LPAREN, T_OP, T_SEMI, T_STRING, T_USERVAR, T_WORD
cdef int KILL_CONNECTION, KILL_QUERY, KILL_QUERY_ID, OP_ALTER, OP_ALTER_TABLE, OP_CALL, OP_CHANGE_DB
cdef int OP_CREATE, OP_CREATE_TABLE, OP_DELETE, OP_DROP, OP_DROP_TABLE, OP_EXECUTE, OP_EXPLAIN, OP_GRANT
cdef int OP_INSERT, OP_KILL, OP_LOAD, OP_LOAD_LOCAL, OP_REVOKE, OP_SELECT, OP_SET, OP_SHOW
cdef int OP_SHOW_DATABASES, OP_TRUNCATE, OP_UNDEFINED, OP_UPDATE, RESULT_INVALID, RESULT_PARSED
cdef int RESULT_TOKENIZED, TYPE_BEGIN_TRX, TYPE_COMMIT, TYPE_CREATE_TMP_TABLE, TYPE_DEALLOC_PREPARE
cdef int TYPE_GSYSVAR_READ, TYPE_PREPARE_NAMED_STMT, TYPE_READ, TYPE_ROLLBACK, TYPE_SESSION_WRITE
cdef int TYPE_SYSVAR_READ, TYPE_WRITE

cdef class StatementParser(SetParser):
    @cython.locals(word=int, first=int)
    cdef int statement(self, int i, int depth) except -1
    cdef int unknown(self, int i) except -1
    cdef int administer(self, int i, int operation) except -1
    cdef int write(self, int i, int operation, int result) except -1
    cdef int block(self, int i) except -1
    cdef int select(self, int i) except -1
    @cython.locals(word=int)
    cdef int insert(self, int i) except -1
    cdef int update(self, int i) except -1
    @cython.locals(word=int, using=int)
    cdef int delete(self, int i) except -1
    @cython.locals(following=int, starts=bint)
    cdef int begin(self, int i) except -1
    cdef int nothing_more(self, int i) except -1
    @cython.locals(rolls_back=bint, negated=bint)
    cdef int end_transaction(self, int i) except -1
    cdef int use(self, int i) except -1
    @cython.locals(word=int, scope=int, bits=int)
    cdef int show(self, int i) except -1
    cdef int show_table(self, int i) except -1
    cdef int show_database(self, int i) except -1
    @cython.locals(word=int, executes=bint)
    cdef int explain(self, int i, int depth) except -1
    cdef int analyze(self, int i, int depth) except -1
    cdef int prepare(self, int i) except -1
    cdef int execute(self, int i) except -1
    cdef int deallocate(self, int i) except -1
    @cython.locals(stop=int, kind=int, soft=bint, user=bint)
    cdef int kill_statement(self, int i) except -1
    @cython.locals(word=int, temporary=bint)
    cdef int create(self, int i) except -1
    cdef int created_name(self, int i) except -1
    @cython.locals(like=int)
    cdef int create_table(self, int i, bint temporary) except -1
    cdef int select_inside(self, int i) except -1
    @cython.locals(before=int, temporary=bint, of_table=bint, of_view=bint)
    cdef int change_schema(self, int i, int verb) except -1
    cdef int load(self, int i) except -1
    @cython.locals(word=int)
    cdef int xa(self, int i) except -1
    cdef int reset_statement(self, int i) except -1
    cdef int lock_or_handler(self, int i, int word) except -1
    cdef int maintain(self, int i) except -1
