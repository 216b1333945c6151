cdef class Credentials:
    cdef public str user
    cdef public bytes password
    cdef public int charset
    cdef public str database
    cdef public object attributes

    cpdef bint same_as(self, Credentials other) except -1


cdef class UserChange:
    cdef public Credentials credentials
    cdef public bint done
    cdef bytes _scramble
    cdef public long long _capabilities
