cimport cython

from fairlead.net.outbox cimport Outbox
from fairlead.net.poller cimport Poller, Watched
from fairlead.net.syscalls cimport sys_close, sys_error_of, sys_recv, sys_send, sys_send_last, sys_shutdown_write

cdef unsigned int _EVENTS
cdef unsigned int _EPOLLIN
cdef unsigned int _EPOLLOUT
cdef unsigned int _GONE
cdef unsigned int _HANGUP
cdef Py_ssize_t _HEADROOM
cdef Py_ssize_t _POSTED
cdef Py_ssize_t _STREAM
cdef Py_ssize_t _STREAM_READ
cdef Py_ssize_t _EAGAIN

cdef class Handler:
    cpdef void on_connected(self) except *
    cpdef Py_ssize_t on_data(self, bytearray buf, Py_ssize_t start, Py_ssize_t end) except -1
    cpdef void on_closed(self, str reason) except *
    cpdef void on_blocked(self) except *
    cpdef void on_unblocked(self) except *


cdef class Channel(Watched):
    cdef public Poller poller
    cdef public Handler handler
    cdef public bint closed
    cdef public bint connecting
    cdef public bint paused
    cdef public bint blocked
    cdef public Py_ssize_t want
    cdef bint _readable
    cdef public bint _ended
    cdef bint _deferred
    cdef Py_ssize_t _streak
    cdef public bint finishing
    cdef str _failure
    cdef bytearray _kept
    cdef bytearray _out
    cdef Py_ssize_t _out_start
    cdef int _entry
    cdef long long _entry_turn
    cdef public Py_ssize_t high_water
    cdef public Py_ssize_t low_water

    cpdef void on_event(self, unsigned int events) except *
    cpdef void on_deferred(self) except *
    cpdef void send(self, bytearray buf, Py_ssize_t start, Py_ssize_t end) except *
    cpdef void pause(self) except *
    cpdef void resume(self) except *
    cpdef void close(self) except *
    cpdef void close_with(self, bytes words) except *
    cpdef void close_gracefully(self) except *
    cpdef void fail_soon(self, str reason) except *
    cpdef Py_ssize_t unsent(self) except -1
    cdef void _later(self) except *
    cpdef void on_nap(self) except *
    cdef void _took(self, Py_ssize_t n) noexcept
    cdef void _after_read(self) except *
    @cython.locals(poller=Poller, buf=bytearray, kept=bytearray, used=Py_ssize_t, room=Py_ssize_t, n=Py_ssize_t,
                   position=Py_ssize_t, need=Py_ssize_t)
    cpdef void read(self) except *
    @cython.locals(buf=bytearray, used=Py_ssize_t, n=Py_ssize_t, position=Py_ssize_t)
    cdef void _gather(self, bytearray kept) except *
    cdef void _keep(self, bytearray buf, Py_ssize_t start, Py_ssize_t end) except *
    @cython.locals(outbox=Outbox, entry=int)
    cpdef bint _post(self, bytearray buf, Py_ssize_t start, Py_ssize_t size) except *
    @cython.locals(outbox=Outbox)
    cdef void _settle(self) except *
    cpdef void on_unsent(self, bytearray rest, int error) except *
    cpdef void _queue(self, bytearray buf, Py_ssize_t start, Py_ssize_t end) except *
    @cython.locals(n=Py_ssize_t, size=Py_ssize_t)
    cpdef void flush(self) except *
    cpdef void _lost(self, str reason) except *
