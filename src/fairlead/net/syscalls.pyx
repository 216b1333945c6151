"""The system calls of the hot path on bare descriptors; `syscalls.py` is the same in Python.

Results are counts, or the negated errno: no exception is made for a socket that has nothing to say.
"""

from libc.errno cimport EINTR, errno
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from libc.time cimport time_t

cdef extern from "Python.h":
    int PyByteArray_Resize(object array, Py_ssize_t size) except -1

cdef extern from "sys/socket.h" nogil:
    Py_ssize_t c_recv "recv"(int fd, void* buf, size_t size, int flags)
    Py_ssize_t c_send "send"(int fd, const void* buf, size_t size, int flags)
    int MSG_NOSIGNAL
    int MSG_DONTWAIT

cdef extern from "sys/epoll.h" nogil:
    ctypedef union epoll_data_t:
        int fd
    cdef struct epoll_event:
        unsigned int events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int epfd, int op, int fd, epoll_event* event)
    int epoll_wait(int epfd, epoll_event* events, int maxevents, int timeout)
    int EPOLL_CLOEXEC
    int EPOLL_CTL_ADD
    int EPOLL_CTL_DEL

cdef extern from "time.h" nogil:
    cdef struct timespec:
        time_t tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec* ts)
    int CLOCK_MONOTONIC

cdef extern from "unistd.h" nogil:
    int c_close "close"(int fd)


cpdef Py_ssize_t sys_recv(int fd, bytearray buf, Py_ssize_t start, Py_ssize_t size) noexcept:
    cdef char* p = buf
    cdef Py_ssize_t n
    while True:
        n = c_recv(fd, p + start, <size_t>size, MSG_DONTWAIT)
        if n >= 0:
            return n
        if errno != EINTR:
            return -errno


cpdef Py_ssize_t sys_send(int fd, bytearray buf, Py_ssize_t start, Py_ssize_t size) noexcept:
    cdef char* p = buf
    cdef Py_ssize_t n
    while True:
        n = c_send(fd, p + start, <size_t>size, MSG_DONTWAIT | MSG_NOSIGNAL)
        if n >= 0:
            return n
        if errno != EINTR:
            return -errno


cpdef void copy_bytes(bytearray target, bytearray source, Py_ssize_t start, Py_ssize_t end) except *:
    cdef char* p
    PyByteArray_Resize(target, end - start)
    p = target
    memcpy(p, <char*>source + start, <size_t>(end - start))


cpdef long long clock_us() noexcept:
    cdef timespec ts
    clock_gettime(CLOCK_MONOTONIC, &ts)
    return <long long>ts.tv_sec * 1000000 + ts.tv_nsec // 1000


cdef class EpollSet:
    """An epoll descriptor and the events of its last wait."""

    def __cinit__(self, int capacity=256):
        self.events = malloc(capacity * sizeof(epoll_event))
        if self.events == NULL:
            raise MemoryError()
        self.capacity = capacity
        self.fd = epoll_create1(EPOLL_CLOEXEC)
        if self.fd < 0:
            raise OSError(errno, "epoll_create1")

    def __dealloc__(self):
        free(self.events)

    cpdef void add(self, int fd, unsigned int events) except *:
        cdef epoll_event event
        event.events = events
        event.data.fd = fd
        if epoll_ctl(self.fd, EPOLL_CTL_ADD, fd, &event) < 0:
            raise OSError(errno, "epoll_ctl add")

    cpdef void remove(self, int fd) noexcept:
        epoll_ctl(self.fd, EPOLL_CTL_DEL, fd, NULL)

    cpdef int wait(self, long long timeout_ms) except -1:
        cdef int n
        cdef int timeout = <int>timeout_ms
        if timeout_ms > 3600000:
            timeout = 3600000
        with nogil:
            n = epoll_wait(self.fd, <epoll_event*>self.events, self.capacity, timeout)
        if n < 0:
            if errno == EINTR:
                return 0
            raise OSError(errno, "epoll_wait")
        return n

    cpdef int fd_at(self, int index) noexcept:
        return (<epoll_event*>self.events)[index].data.fd

    cpdef unsigned int events_at(self, int index) noexcept:
        return (<epoll_event*>self.events)[index].events

    cpdef void close(self) noexcept:
        if self.fd >= 0:
            c_close(self.fd)
            self.fd = -1
