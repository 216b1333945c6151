cimport cython
from fairlead.sql.parser cimport Parser

cdef int OP_UNDEFINED
cdef int CHARACTER, CHARSET, COMMITTED, CONSISTENT, DEFAULT, FOR, GLOBAL, ISOLATION, KEYWORD_MASK, LEVEL
cdef int LOCAL, NAMES, ONLY, PASSWORD, READ, REPEATABLE, ROLE, SERIALIZABLE, SESSION, SET, SNAPSHOT
cdef int STATEMENT, TRANSACTION, UNCOMMITTED, WITH, WRITE, T_ASSIGN, T_COMMA, T_DOT, T_END, T_EQ, T_LPAREN
cdef int T_NUMBER, T_QUOTED, T_RPAREN, T_SEMI, T_STRING, T_SYSVAR, T_USERVAR, T_WORD, MODE_ANSI_QUOTES
cdef int MODE_NO_BACKSLASH_ESCAPES, MODE_ORACLE, OP_SET, OP_SET_TRANSACTION, RESULT_INVALID
cdef int SQL_MODE_TO_DEFAULT, SQL_MODE_TO_ORACLE, SQL_MODE_TO_OTHER, TYPE_BEGIN_TRX, TYPE_COMMIT
cdef int TYPE_DISABLE_AUTOCOMMIT, TYPE_ENABLE_AUTOCOMMIT, TYPE_GSYSVAR_WRITE, TYPE_NEXT_TRX, TYPE_READ, TYPE_READONLY
cdef int TYPE_READWRITE, TYPE_SESSION_WRITE, TYPE_USERVAR_WRITE, TYPE_WRITE

cdef class SetParser(Parser):
    cdef int statement(self, int i, int depth) except -1
    @cython.locals(depth=int, kind=int)
    cdef int item_end(self, int i) except -1
    cdef int rest(self, int i) except -1
    @cython.locals(kind=int)
    cdef walk_until(self, int i, int stop)
    @cython.locals(stop=int)
    cdef int set_statement(self, int i, int depth) except -1
    @cython.locals(stop=int, nesting=int)
    cdef int set_for_statement(self, int i, int depth) except -1
    @cython.locals(kind=int, scope=int, dotted=bint, word=int, after=int, assigned=bint, name=str, qualified=bint)
    cdef set_item(self, int i, int stop)
    cdef bint set_special(self, int i, int stop, int word) except -1
    cdef new_charset(self, int i)
    cdef set_user_variable(self, int i, int stop)
    cdef object literal(self, int i, int stop)
    cdef special_variable(self, str name, int scope, int i, int stop)
    cdef str scope_name(self, int scope)
    cdef set_autocommit(self, object value)
    cdef change_sql_mode(self, object value, bint default, bint everywhere)
    cdef set_transaction(self, int i, int scope)
    @cython.locals(word=int)
    cdef int characteristics(self, int i) except -1
    @cython.locals(word=int, following=int)
    cdef int isolation_level(self, int i) except -1
