cimport cython

from fairlead.net.channel cimport Channel
from fairlead.net.syscalls cimport sys_recv, sys_send_bytes

cdef Py_ssize_t _EAGAIN
cdef Py_ssize_t _RECORD
cdef Py_ssize_t _TURN
cdef Py_ssize_t _POSTED

cdef class TlsChannel(Channel):
    cdef object _tls
    cdef readonly object _incoming
    cdef object _outgoing
    cdef bint _handshaking
    cdef object _on_ready
    cdef readonly bytearray _plain
    cdef bint _again
    cdef bint _at_end
    cdef str _broken
    cdef bint _left_over

    @cython.locals(buf=bytearray, size=Py_ssize_t, n=Py_ssize_t)
    cdef void _receive(self) except *
    cdef void _handshake(self) except *
    @cython.locals(buf=bytearray, plain=bytearray, kept=Py_ssize_t, apart=bint, start=Py_ssize_t, end=Py_ssize_t,
                   fresh=bint)
    cdef void _deliver(self) except *
    @cython.locals(position=Py_ssize_t)
    cdef void _hand_over(self, bytearray buf, Py_ssize_t end) except *
    @cython.locals(size=Py_ssize_t)
    cdef Py_ssize_t _decipher(self, bytearray buf, Py_ssize_t end) except -1
    @cython.locals(data=bytes, size=Py_ssize_t, n=Py_ssize_t)
    cdef void _flush_tls(self) except *
    cpdef void read(self) except *
    cpdef void resume(self) except *
    @cython.locals(stop=Py_ssize_t)
    cpdef void send(self, bytearray buf, Py_ssize_t start, Py_ssize_t end) except *
    cpdef void close_with(self, bytes words) except *
