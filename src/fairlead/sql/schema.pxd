cimport cython
from fairlead.sql.settings cimport SetParser

cdef int ALTER, CONCURRENT, DATA, DROP, EVENT, EXISTS, FUNCTION, IF_, IGNORE, INFILE, INTO, LIKE, LOCAL
cdef int LOCK, LOW_PRIORITY, NO_WRITE_TO_BINLOG, NOT, ONLINE, OR, PACKAGE, PROCEDURE, REPLACE, SELECT
cdef int SEQUENCE, TABLE, TABLES, TEMPORARY, TRIGGER, TRUNCATE, VIEW, WITH, XML, T_END, T_LPAREN, T_SEMI, T_WORD
cdef int OP_ALTER, OP_ALTER_TABLE, OP_CREATE, OP_CREATE_TABLE, OP_DROP, OP_DROP_TABLE, OP_LOAD
cdef int OP_LOAD_LOCAL, OP_TRUNCATE, RESULT_INVALID, RESULT_TOKENIZED, TYPE_CREATE_TMP_TABLE, TYPE_WRITE

cdef class SchemaParser(SetParser):
    cdef int unknown(self, int i) except -1
    cdef int administer(self, int i, int operation) except -1
    cdef int block(self, int i) except -1
    cdef int nothing_more(self, int i) except -1
    @cython.locals(word=int, temporary=bint)
    cdef int create(self, int i) except -1
    cdef int created_name(self, int i) except -1
    @cython.locals(like=int)
    cdef int create_table(self, int i, bint temporary) except -1
    cdef int select_inside(self, int i) except -1
    @cython.locals(before=int, temporary=bint, of_table=bint, of_view=bint)
    cdef int change_schema(self, int i, int verb) except -1
    cdef int load(self, int i) except -1
    cdef int lock_or_handler(self, int i, int word) except -1
    cdef int maintain(self, int i) except -1
