cimport cython
from fairlead.sql.lexer cimport Lexer

cdef int COLUMNS, ESCAPE, JSON_TABLE, MATCH
cdef int AGAINST, AS, CURRVAL, DEFAULT, DUMPFILE, EXCEPT, FOR, FOUND_ROWS, FROM, FUNCTION_FLAG, GLOBAL
cdef int GROUP, HAVING, IN, INTERSECT, INTO, JOIN, KEYWORD_MASK, LAST_INSERT_ID, LASTVAL, LATERAL, LIMIT
cdef int LOCAL, LOCK, MINUS, NEXT, NEXTVAL, ORDER, OUTFILE, PREVIOUS, PROCEDURE, RECURSIVE, RESERVED_FLAG
cdef int RETURNING, ROW_COUNT, SELECT, SESSION, SET, SHARE, STRAIGHT_JOIN, UNION, UPDATE, VALUE, VALUES
cdef int WHERE, WINDOW, WITH, QUALIFIED_SHIFT, T_ASSIGN, T_BAD, T_COMMA, T_DOT, T_END, T_LPAREN, T_NUMBER
cdef int T_OP, T_PARAM, T_QUOTED, T_RPAREN, T_SEMI, T_STRING, T_SYSVAR, T_USERVAR, T_WORD, RESULT_PARSED
cdef int _READ_GLOBAL, _READ_MASTER, _READ_SYSVAR, _READ_USERVAR, _WRITE_USERVAR, _WRITE, _DEEPEST

cdef class Parser(Lexer):
    cdef public bytearray buf
    cdef public bint oracle
    cdef public int mask
    cdef public int operation
    cdef public int result
    cdef public bint doubt
    cdef public bint cacheable
    cdef public bint into_file
    cdef public bint into_variable
    cdef public bint derived
    cdef public bint queried
    cdef public bint relates
    cdef public int sticky
    cdef public bint locks
    cdef public list tables
    cdef public list databases
    cdef public list functions
    cdef public tuple called
    cdef public int pending
    cdef public bint hides_use
    cdef public list cte
    cdef public str prepare_name
    cdef public object prepare_text
    cdef public object prepared
    cdef public object kill
    cdef public bint load_local
    cdef public int set_sql_mode
    cdef public int sql_mode_flags
    cdef public bint changes_charset
    cdef public str charset
    cdef public str use_database
    cdef public object set_role
    cdef public str trx_scope
    cdef public str trx_access
    cdef public str trx_isolation
    cdef public object temp_table
    cdef public list dropped
    cdef public bint chain
    cdef public bint release
    cdef public list proxy_variables

    cpdef reset(self)
    cdef int word(self, int i)
    @cython.locals(p="const unsigned char *")
    cdef bytes raw(self, int i)
    cdef str name(self, int i)
    cdef bint is_name(self, int i)
    @cython.locals(depth=int)
    cdef int skip_parens(self, int i) except -1
    @cython.locals(first=int)
    cdef bint hidden(self, int i)
    @cython.locals(first=str, database=str)
    cdef int table(self, int i) except -1
    cdef int table_list(self, int i) except -1
    cdef function(self, int i, str name)
    @cython.locals(code=int, keyword=int, name=str, plain=bint)
    cdef call(self, int i, bint qualified)
    @cython.locals(name=str)
    cdef bint is_plain(self, int i) except -1
    cdef stored(self, str name, bint may_read)
    @cython.locals(bits=int, scope=int, name=bytes)
    cdef int system_variable(self, int i) except -1
    @cython.locals(recursive=bint, name=str)
    cdef int with_clause(self, int i, int depth) except -1
    cdef declare_recursive(self, int i)
    cdef int skip_cycle(self, int i) except -1
    cdef bint begins_with(self, int i)
    @cython.locals(kind=int)
    cdef bint operator(self, int i, int word)
    @cython.locals(stop=int, columns=int, nesting=int, j=int, kind=int)
    cdef int json_table(self, int i, int depth) except -1
    @cython.locals(word=int)
    cdef int into(self, int i) except -1
    @cython.locals(kind=int, code=int, word=int, query=bint, scope=int)
    cdef int walk(self, int i, bint in_from, bint expect, int depth) except -1

@cython.locals(last=Py_ssize_t)
cpdef str unquoted(bytes raw, int kind)
