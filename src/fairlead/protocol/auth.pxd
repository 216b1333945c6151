cimport cython

cdef bytearray _EMPTY

cpdef bytes sha1(bytes data)
@cython.locals(size=Py_ssize_t, at=Py_ssize_t, p="const unsigned char *", q="const unsigned char *", out=bytearray)
cpdef bytes xor(bytes left, bytes right)
