cdef class Server:
    cdef public str name
    cdef public int slot
    cdef public object definition
    cdef public object facts
    cdef public object tls
    cdef public str service
    cdef public long long changed_us
    cdef public long long kept_max
    cdef public bint pools
    cdef public bint introduces
