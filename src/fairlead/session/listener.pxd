cdef class ListenerRuntime:
    cdef public str name
    cdef public object definition
    cdef public object service
    cdef public dict params
    cdef public object tls
    cdef public object networks
    cdef public object authenticators
    cdef public object mapping
    cdef public object directory
    cdef public tuple init_statements
    cdef public list metadata
