cimport cython

cdef class TrxTracker:
    cdef public bint active
    cdef public bint starting
    cdef public bint ending
    cdef public bint again
    cdef bint _seen
    cdef public bint read_only
    cdef public bint autocommit
    cdef public bint default_read_only
    cdef public bint only_reads
    cdef public bint ended_only_reads
    cdef public int next_access

    cpdef bint is_open(self) except -1
    @cython.locals(mask="long long")
    cpdef void on_statement(self, long long mask, bint is_read, bint chain) except *
    cdef void _begin(self, long long mask) except *
    cpdef int on_reply(self, int status) except -1
    cpdef void reset(self) except *
    cdef void _clear(self) except *

cdef long long _BEGIN
cdef long long _COMMIT
cdef long long _ROLLBACK
cdef long long _ENABLE
cdef long long _DISABLE
cdef long long _READONLY
cdef long long _READWRITE
cdef long long _NEXT
cdef long long _SESSION
cdef int _IN_TRANS
cdef int _AUTOCOMMIT
cdef int _IN_TRANS_READONLY
