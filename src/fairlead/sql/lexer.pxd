cimport cython

cdef int T_END, T_WORD, T_QUOTED, T_STRING, T_NUMBER, T_USERVAR, T_SYSVAR, T_ASSIGN, T_LPAREN, T_RPAREN, T_COMMA
cdef int T_DOT, T_SEMI, T_EQ, T_STAR, T_OP, T_PARAM, T_BAD
cdef int _LONGEST_WORD, _MOST_TOKENS, _ROOM_KEPT, LOOKAHEAD, QUALIFIED_SHIFT, KEYWORD_MASK
cdef int _OLDEST_IGNORED, _OLDEST_TEN, _OLDEST_SUPPORTED
cdef bytes CLASSES
cdef dict WORDS

cdef class Lexer:
    cdef public int[::1] kind
    cdef public int[::1] code
    cdef public int[::1] beg
    cdef public int[::1] fin
    cdef public int room
    cdef public int count
    cdef public bint bad
    cdef public bint multi
    cdef public bint comments
    cdef public bint versioned
    cdef public bint uncertain

    @cython.locals(p="const unsigned char *", classes="const unsigned char *", i=Py_ssize_t, j=Py_ssize_t, n=int,
                   k=int, c=int, kind=int, code=int, previous=int, executable=bint, ended=bint, words=dict, body=Py_ssize_t)
    cpdef int run(self, bytearray buf, Py_ssize_t start, Py_ssize_t end, bint oracle, bint ansi, bint no_escapes,
                  bint skip) except -1
    cdef bint _ends_value(self, int c)
    @cython.locals(classes="const unsigned char *", j=Py_ssize_t, k=Py_ssize_t)
    cdef Py_ssize_t _number(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t end)
    @cython.locals(c=int, quote=int)
    cdef Py_ssize_t _string(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t end, bint plain)
    cdef Py_ssize_t _comment(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t end, bint nested)
    @cython.locals(digits=int, version=int, certain=bint)
    cdef Py_ssize_t _executable(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t end, bint mariadb, bint skip)
