cimport cython

cdef int _FIXED
cdef int _MAX

@cython.locals(at=Py_ssize_t, p="const unsigned char *")
cpdef bytes types_of(bytearray buf, Py_ssize_t start, Py_ssize_t end, int parameters)
@cython.locals(at=Py_ssize_t, size=Py_ssize_t, i=Py_ssize_t, p="const unsigned char *", q="const unsigned char *")
cpdef bint same_types(bytearray buf, Py_ssize_t start, Py_ssize_t end, bytes types) except -1
cpdef bint has_types(bytearray packet, int parameters) except -1
@cython.locals(at=Py_ssize_t, length=Py_ssize_t)
cpdef bytearray with_types(bytearray packet, int parameters, bytes types)
