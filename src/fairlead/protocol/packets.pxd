cimport cython

cdef int _MAX

cdef class Reader:
    cdef readonly bytes data
    cdef public Py_ssize_t position

    cpdef Py_ssize_t left(self) noexcept
    @cython.locals(end=Py_ssize_t)
    cpdef bytes take(self, Py_ssize_t count)
    @cython.locals(p="const unsigned char *", at=Py_ssize_t, value="unsigned long long")
    cpdef unsigned long long integer(self, int size) except? 99
    cpdef object lenenc(self)
    cpdef object number(self)
    cpdef bytes string(self)
    cpdef bytes nullable(self)
    @cython.locals(end=Py_ssize_t)
    cpdef bytes until_null(self)
    cpdef bytes rest(self)

@cython.locals(number="long long")
cpdef bytes frame(int sequence, bytes payload)
cpdef bytes lenenc(unsigned long long value)
cpdef bytes lenenc_string(bytes value)
