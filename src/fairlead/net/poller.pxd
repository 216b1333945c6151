cimport cython

from fairlead.net.outbox cimport Outbox
from fairlead.net.syscalls cimport EpollSet, clock_us

cdef class Watched:
    cdef public int fd
    cdef public unsigned int tag
    cpdef void on_event(self, unsigned int events) except *
    cpdef void on_deferred(self) except *
    cpdef void on_unsent(self, bytearray rest, int error) except *


cdef class Poller:
    cdef public EpollSet epoll
    cdef public Outbox outbox
    cdef public list table
    cdef public list deferred
    cdef public bytearray buffer
    cdef public bint woken
    cdef public bint guest_ready
    cdef public int guest_fd
    cdef public long long now_us
    cdef public long long wakeups
    cdef public object on_error
    cdef unsigned int _last_tag

    cpdef void watch(self, Watched watched, unsigned int events) except *
    cpdef void forget(self, Watched watched) except *
    cpdef void closing(self, Watched watched) except *
    cpdef void defer(self, Watched watched) except *
    cpdef void watch_guest(self, int fd) except *
    @cython.locals(outbox=Outbox, left=int, index=int, watched=Watched)
    cpdef void submit(self) except *
    @cython.locals(batch=list, watched=Watched)
    cdef void _run_deferred(self) except *
    @cython.locals(epoll=EpollSet, index=int, fd=int, events="unsigned int", watched=Watched, tag="unsigned int")
    cdef void _dispatch(self, int count) except *
    @cython.locals(deadline="long long", wait_ms="long long", count=int)
    cpdef void run(self, long long timeout_ms) except *
