cimport cython

cdef int _FIRST
cdef int _COLUMNS
cdef int _COLUMNS_END
cdef int _ROWS
cdef int _PARAMETERS
cdef int _PARAMETERS_END
cdef int _PREPARED_COLUMNS
cdef int _PREPARED_COLUMNS_END
cdef int _TEXT
cdef int _STREAM
cdef Py_ssize_t _MAX
cdef Py_ssize_t _DECIDING_MAX
cdef long long _DEPRECATE_EOF
cdef long long _CACHE_METADATA
cdef int _MORE_RESULTS
cdef int _CURSOR_EXISTS
cdef int _STATE_CHANGED
cdef int _R_NONE
cdef int _R_OK
cdef int _R_ERR
cdef int _R_RESULT
cdef int _R_LOCAL_INFILE
cdef int _R_PREPARE
cdef int _R_TEXT
cdef int _R_STREAM
cdef int _R_BROKEN
cdef int _QUERY
cdef int _EXECUTE
cdef int _PREPARE
cdef int _FETCH
cdef int _FIELD_LIST
cdef int _STATISTICS
cdef int _BINLOG_DUMP

cdef class ReplyTracker:
    cdef public bint done
    cdef public bint started
    cdef public bint stops_at_state
    cdef public int kind
    cdef public int status
    cdef public int error_code
    cdef public int warnings
    cdef public long long rows
    cdef public int results
    cdef public bint wants_local_infile
    cdef public long long statement_id
    cdef public int parameters
    cdef public int columns
    cdef public bint cursor_open
    cdef public Py_ssize_t ok_start
    cdef public Py_ssize_t ok_end
    cdef int _state
    cdef int _command
    cdef bint _no_eof
    cdef bint _cached
    cdef Py_ssize_t _skip
    cdef bint _continued
    cdef long long _left

    cpdef void begin(self, int command, long long capabilities) except *
    @cython.locals(p="const unsigned char *", pos=Py_ssize_t, length=Py_ssize_t, body=Py_ssize_t, n=Py_ssize_t,
                   first=int, state=int)
    cpdef Py_ssize_t feed(self, bytearray buf, Py_ssize_t start, Py_ssize_t end) except -1
    @cython.locals(p="const unsigned char *", first=int)
    cdef void _first(self, bytearray buf, Py_ssize_t body, Py_ssize_t length) except *
    @cython.locals(p="const unsigned char *", count="long long", size=Py_ssize_t)
    cdef void _result(self, bytearray buf, Py_ssize_t body, Py_ssize_t length) except *
    @cython.locals(p="const unsigned char *")
    cdef void _prepared(self, bytearray buf, Py_ssize_t body, Py_ssize_t length) except *
    @cython.locals(p="const unsigned char *", pos=Py_ssize_t)
    cdef void _ok(self, bytearray buf, Py_ssize_t body, Py_ssize_t length) except *
    @cython.locals(p="const unsigned char *")
    cdef void _eof(self, bytearray buf, Py_ssize_t body, Py_ssize_t length) except *
    @cython.locals(p="const unsigned char *")
    cdef void _error(self, bytearray buf, Py_ssize_t body, Py_ssize_t length) except *
    @cython.locals(state=int)
    cdef void _after_definitions(self) except *
    cdef void _after_end(self, int state) except *
    cdef void _end_of_result(self) except *
    cdef void _broken(self) except *
