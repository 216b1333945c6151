cimport cython

cdef Py_ssize_t _MAX
cdef bytearray _HEAD
cdef tuple _ONE_BYTE
cdef int _STATE_CHANGED
cdef bytes _SYSTEM_VARIABLE
cdef bytes _LOGIN_OK

cdef class Reader:
    cdef readonly bytes data
    cdef public Py_ssize_t position

    cpdef Py_ssize_t left(self) noexcept
    @cython.locals(p="const unsigned char *", at=Py_ssize_t, end=Py_ssize_t)
    cpdef bytes take(self, Py_ssize_t count)
    @cython.locals(p="const unsigned char *", at=Py_ssize_t, value="unsigned long long")
    cpdef unsigned long long integer(self, int size) except? 99
    cpdef object lenenc(self)
    cpdef object number(self)
    cpdef bytes string(self)
    cpdef bytes nullable(self)
    @cython.locals(p="const unsigned char *", at=Py_ssize_t, end=Py_ssize_t, size=Py_ssize_t)
    cpdef bytes until_null(self)
    @cython.locals(p="const unsigned char *", at=Py_ssize_t, end=Py_ssize_t, size=Py_ssize_t)
    cpdef bytes until_null_or_end(self)
    cpdef bytes rest(self)

@cython.locals(size=Py_ssize_t, packet=bytearray)
cpdef bytearray framed(int sequence, bytes payload)
@cython.locals(piece=bytes, packets=bytearray, position=Py_ssize_t)
cdef bytearray _split(int sequence, bytes payload)
cpdef bytes frame(int sequence, bytes payload)
cpdef bytes lenenc(unsigned long long value)
cpdef bytes lenenc_string(bytes value)
@cython.locals(payload=bytearray, at=Py_ssize_t)
cdef bytes _ok(int header, unsigned long long affected, unsigned long long insert_id, int status, int warnings,
               bytes session_state)
cpdef bytes login_ok(bytes session_state)
@cython.locals(state=bytearray, pair=bytes)
cpdef bytes session_variables(dict values)
