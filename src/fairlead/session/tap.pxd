cdef class ReplyTap:
    cdef public bint hidden

    cpdef Py_ssize_t passing(self, bytearray buf, Py_ssize_t start, Py_ssize_t end) except -1
