cdef class Entry:
    cdef public int command
    cdef public long long id
    cdef public bint is_prepare
    cdef public object ok
    cdef public bytes packet
    cdef public str database
    cdef public str moves_to


cdef class History:
    cdef public int limit
    cdef public bint prune
    cdef public bint pruned
    cdef public dict entries
    cdef public dict responses
    cdef dict _by_packet
    cdef long long _last_id
    cdef int _prunable
    cdef long long _last_reading

    cpdef bint can_recover(self) except -1
    cpdef void _remove(self, Entry entry) except *
