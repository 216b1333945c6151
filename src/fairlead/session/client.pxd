cimport cython

from fairlead.net.channel cimport Channel, Handler
from fairlead.session.backend cimport Backend
from fairlead.session.session cimport Session

cdef int _WAIT
cdef int _FAILED
cdef Py_ssize_t _MAX_PACKET
cdef int _B_READY

cdef class ClientConnection(Handler):
    cdef public Session session
    cdef public Channel channel
    cdef public object host
    cdef public object listener
    cdef public object login
    cdef public bint ready
    cdef public bint closed
    cdef public bint leaving
    cdef public long long accepted_us
    cdef public bytes scramble
    cdef Py_ssize_t _stream_left
    cdef bint _stream_more
    cdef bint _stream_empty

    @cython.locals(pos=Py_ssize_t, length=Py_ssize_t, p="const unsigned char *", result=int)
    cpdef Py_ssize_t on_data(self, bytearray buf, Py_ssize_t start, Py_ssize_t end) except -1
    @cython.locals(p="const unsigned char *", length=Py_ssize_t, n=Py_ssize_t, backend=Backend)
    cdef Py_ssize_t _stream(self, bytearray buf, Py_ssize_t pos, Py_ssize_t end) except -1
