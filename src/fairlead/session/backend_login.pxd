cimport cython

from fairlead.protocol.packets cimport frame
from fairlead.session.backend cimport Backend
from fairlead.session.servers cimport ServerSide

cdef class BackendLogin:
    cdef public ServerSide session
    cdef public Backend backend
    cdef public object greeting
    cdef int _sequence
    cdef bint _encrypting
    cdef long long _capabilities

    @cython.locals(pos=Py_ssize_t, length=Py_ssize_t, p="const unsigned char *")
    cpdef Py_ssize_t feed(self, bytearray buf, Py_ssize_t start, Py_ssize_t end) except -1
    cdef object _packet(self, bytes payload)
    @cython.locals(capabilities="long long", offered="long long")
    cdef object _greeted(self, object greeting)
    cdef object _respond(self)
    @cython.locals(data=bytearray)
    cdef object _send(self, bytes payload)
