from fairlead.session.prepared cimport Prepared
from fairlead.sql.info cimport QueryInfo


cdef class Statement:
    cdef public bytearray buf
    cdef public Py_ssize_t start
    cdef public Py_ssize_t end
    cdef public int command
    cdef public QueryInfo info
    cdef public long long type_mask
    cdef public long long ps_id
    cdef public bint continues
    cdef public bint replies
    cdef public object hints
    cdef public Prepared prepared
    cdef public bint has_types

    cpdef bytearray packet(self)
