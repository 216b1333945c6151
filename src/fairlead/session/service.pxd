cdef class Standing:
    cdef public object sessions
    cdef public bint paused


cdef class ServiceRuntime:
    cdef public str name
    cdef public int slot
    cdef public object definition
    cdef public dict params
    cdef public list targets
    cdef public object factory
    cdef public object router_config
    cdef public object accounts
    cdef public object accounts_version
    cdef public bint accounts_loaded
    cdef public object functions
    cdef public Standing standing
    cdef public int trace_lines
    cdef public str trace_match
    cdef public bint has_hints
    cdef public object history_limit
    cdef public bint history_prunes
    cdef public bint history_disabled
    cdef public bint shares
    cdef public bint reuses_prepares
    cdef public long long max_connections
