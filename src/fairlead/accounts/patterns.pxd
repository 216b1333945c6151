cimport cython

cdef int _ANY
cdef int _EXACT
cdef int _LIKE
cdef int _MASK

@cython.locals(p=Py_ssize_t, t=Py_ssize_t, retry_p=Py_ssize_t, retry_t=Py_ssize_t, pattern_end=Py_ssize_t,
               text_end=Py_ssize_t, width=int, fits=bint, char=Py_UCS4)
cpdef bint like(str pattern, str text) except -1
@cython.locals(position=Py_ssize_t, end=Py_ssize_t, char=Py_UCS4)
cpdef Py_ssize_t first_wildcard(str pattern) except -2
cpdef str unescape(str pattern)
cpdef str reduce_address(str address)

cdef class HostRule:
    cdef readonly int kind
    cdef readonly bint may_be_name
    cdef readonly str text
    cdef readonly tuple sort_key
    cdef readonly unsigned long long network
    cdef readonly unsigned long long mask

    cpdef bint matches(self, str address, str name=*) except -1
