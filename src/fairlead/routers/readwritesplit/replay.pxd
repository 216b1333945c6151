from fairlead.session.statement cimport Statement
from fairlead.session.tap cimport ReplyTap

cdef int _RECORDING
cdef int _WAITING
cdef int _REPEATING
cdef int _RESUMING

cdef class Replay(ReplyTap):
    cdef public object router
    cdef public object session
    cdef public int state
    cdef public list log
    cdef public Py_ssize_t size
    cdef public str unfit
    cdef public bint recording
    cdef public object current
    cdef public Py_ssize_t sent
    cdef public bytes prefix
    cdef public bint commits
    cdef object _hash
    cdef Py_ssize_t _to_skip
    cdef bint _differs
    cdef Py_ssize_t _position
    cdef int _attempts
    cdef long long _failed_us
    cdef long long _waiting_us
    cdef list _history
    cdef str _database
    cdef Py_ssize_t _counters

    cpdef void take(self, Statement statement, long long entry_id) except *
