from fairlead.net.poller cimport Poller, Watched
from fairlead.net.syscalls cimport sys_accept

cdef class Acceptor(Watched):
    cdef public object plane
    cdef public Poller poller
    cdef public object sock
    cdef public object listener
    cdef public bint accepting

    cpdef void on_event(self, unsigned int events) except *
