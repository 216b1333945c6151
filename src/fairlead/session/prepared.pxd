from fairlead.sql.info cimport QueryInfo

cdef class Prepared:
    cdef public long long id
    cdef public QueryInfo info
    cdef public str database
    cdef public int parameters
    cdef public int columns
    cdef public tuple hints
    cdef public bytes types
    cdef public long long version
    cdef public int cursor_on
    cdef public int long_data_on
    cdef public int uses
    cdef public bytes text
