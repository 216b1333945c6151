cimport cython

from fairlead.net.outbox cimport Outbox
from fairlead.net.syscalls cimport EpollSet, clock_us

cdef long long _NAP_US

cdef class Watched:
    cdef public int fd
    cdef public unsigned int tag
    cdef public unsigned int events
    cdef public bint asleep
    cdef public bint napping
    cpdef void on_event(self, unsigned int events) except *
    cpdef void on_deferred(self) except *
    cpdef void on_nap(self) except *
    cpdef void on_unsent(self, bytearray rest, int error) except *


cdef class Poller:
    cdef public EpollSet epoll
    cdef public Outbox outbox
    cdef public list table
    cdef public list deferred
    cdef public list napping
    cdef long long _naps_end_us
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
    cpdef void nap(self, Watched watched) except *
    cpdef void wake(self, Watched watched) except *
    @cython.locals(batch=list, watched=Watched)
    cdef void _end_naps(self) except *
    @cython.locals(fd=int)
    cdef bint _knows(self, Watched watched) except *
    cpdef void defer(self, Watched watched) except *
    cpdef void watch_guest(self, int fd) except *
    @cython.locals(outbox=Outbox, left=int, index=int, watched=Watched)
    cpdef void submit(self) except *
    @cython.locals(batch=list, watched=Watched)
    cdef void _run_deferred(self) except *
    @cython.locals(epoll=EpollSet, index=int, fd=int, events="unsigned int", watched=Watched, tag="unsigned int")
    cdef void _dispatch(self, int count) except *
    @cython.locals(now="long long", until="long long", count=int)
    cdef int _wait(self, long long timeout_ms, long long deadline) except -1
    @cython.locals(deadline="long long", count=int)
    cpdef void run(self, long long timeout_ms) except *
    cpdef void close(self) except *
