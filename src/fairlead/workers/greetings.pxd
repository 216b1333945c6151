from fairlead.cluster.board cimport Board

cdef class Greetings:
    cdef Board _board
    cdef public dict _templates
    cdef public dict _best
    cdef public long long _generation
    cdef public list _scrambles

    cpdef bytes scramble(self)
    cpdef object of(self, object listener)
    cdef void _refresh(self) except *
