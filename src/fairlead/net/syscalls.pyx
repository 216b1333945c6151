"""The system calls of the hot path on bare descriptors; `syscalls.py` is the same in Python.

Results are counts, or the negated errno: no exception is made for a socket that has nothing to say.
"""

from libc.errno cimport EAGAIN, EINPROGRESS, EINTR, EINVAL, ENOSYS, EPERM, errno
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from libc.time cimport time_t

cdef extern from "Python.h":
    int PyByteArray_Resize(object array, Py_ssize_t size) except -1

cdef extern from "sys/socket.h" nogil:
    Py_ssize_t c_recv "recv"(int fd, void* buf, size_t size, int flags)
    Py_ssize_t c_send "send"(int fd, const void* buf, size_t size, int flags)
    int MSG_NOSIGNAL
    int MSG_DONTWAIT
    int MSG_MORE
    int MSG_PEEK
    ctypedef unsigned int socklen_t
    cdef struct sockaddr:
        pass
    cdef struct sockaddr_storage:
        unsigned short ss_family
    int c_accept "accept4"(int fd, sockaddr* address, socklen_t* size, int flags)
    int c_socket "socket"(int family, int kind, int protocol)
    int c_connect "connect"(int fd, const sockaddr* address, socklen_t size)
    int c_bind "bind"(int fd, const sockaddr* address, socklen_t size)
    int c_shutdown "shutdown"(int fd, int how)
    int getsockopt(int fd, int level, int name, void* value, socklen_t* size)
    int setsockopt(int fd, int level, int name, const void* value, socklen_t size)
    int AF_INET
    int AF_INET6
    int SHUT_WR
    int SOCK_STREAM
    int SOCK_NONBLOCK
    int SOCK_CLOEXEC
    int SOL_SOCKET
    int SO_ERROR
    int SO_KEEPALIVE

cdef extern from "netinet/in.h" nogil:
    cdef struct in_addr:
        pass
    cdef struct in6_addr:
        pass
    cdef struct sockaddr_in:
        unsigned short sin_family
        unsigned short sin_port
        in_addr sin_addr
    cdef struct sockaddr_in6:
        unsigned short sin6_family
        unsigned short sin6_port
        in6_addr sin6_addr
    unsigned short htons(unsigned short value)
    unsigned short ntohs(unsigned short value)
    int IPPROTO_TCP
    int INET6_ADDRSTRLEN

cdef extern from "netinet/tcp.h" nogil:
    int TCP_NODELAY

cdef extern from "arpa/inet.h" nogil:
    int inet_pton(int family, const char* text, void* address)
    const char* inet_ntop(int family, const void* address, char* text, socklen_t size)

cdef extern from "sys/epoll.h" nogil:
    ctypedef union epoll_data_t:
        unsigned long long u64
    cdef struct epoll_event:
        unsigned int events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int epfd, int op, int fd, epoll_event* event)
    int epoll_wait(int epfd, epoll_event* events, int maxevents, int timeout)
    int EPOLL_CLOEXEC
    int EPOLL_CTL_ADD
    int EPOLL_CTL_DEL
    int EPOLL_CTL_MOD

cdef extern from "time.h" nogil:
    cdef struct timespec:
        time_t tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec* ts)
    int CLOCK_MONOTONIC

cdef extern from "unistd.h" nogil:
    int c_close "close"(int fd)
    long syscall(long number, ...)

cdef enum:
    # The same on all architectures but Alpha; the C library may be older than the kernel.
    SYS_EPOLL_PWAIT2 = 441


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


cpdef Py_ssize_t sys_send_bytes(int fd, bytes data) noexcept:
    cdef char* p = <char*>data
    cdef Py_ssize_t n
    while True:
        n = c_send(fd, p, <size_t>len(data), MSG_DONTWAIT | MSG_NOSIGNAL)
        if n >= 0:
            return n
        if errno != EINTR:
            return -errno


cpdef Py_ssize_t sys_send_last(int fd, bytes data) noexcept:
    return c_send(fd, <char*>data, <size_t>len(data), MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE)


cpdef int sys_error_of(int fd) noexcept:
    cdef int error = 0
    cdef socklen_t size = sizeof(error)
    if getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0:
        return errno
    return error


cpdef void sys_shutdown_write(int fd) noexcept:
    c_shutdown(fd, SHUT_WR)


cpdef bint sys_is_quiet(int fd) noexcept:
    cdef char one
    cdef Py_ssize_t n = c_recv(fd, &one, 1, MSG_DONTWAIT | MSG_PEEK)
    return n < 0 and errno == EAGAIN


cpdef void sys_close(int fd) noexcept:
    c_close(fd)


cpdef tuple sys_accept(int listener):
    cdef sockaddr_storage address
    cdef socklen_t size = sizeof(address)
    cdef char text[64]
    cdef int fd = c_accept(listener, <sockaddr*>&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC)
    if fd < 0:
        return -errno, "", 0
    if address.ss_family == AF_INET:
        inet_ntop(AF_INET, &(<sockaddr_in*>&address).sin_addr, text, sizeof(text))
        return fd, (<bytes>text).decode("ascii"), ntohs((<sockaddr_in*>&address).sin_port)
    if address.ss_family == AF_INET6:
        inet_ntop(AF_INET6, &(<sockaddr_in6*>&address).sin6_addr, text, sizeof(text))
        return fd, (<bytes>text).decode("ascii"), ntohs((<sockaddr_in6*>&address).sin6_port)
    return fd, "", 0


cdef int _fill(sockaddr_storage* address, int family, bytes host, int port) noexcept:
    """Size of the address, 0 if `host` is not a numeric address of this family."""
    memset(address, 0, sizeof(sockaddr_storage))
    address.ss_family = <unsigned short>family
    if family == AF_INET:
        (<sockaddr_in*>address).sin_port = htons(<unsigned short>port)
        if inet_pton(AF_INET, <char*>host, &(<sockaddr_in*>address).sin_addr) != 1:
            return 0
        return sizeof(sockaddr_in)
    (<sockaddr_in6*>address).sin6_port = htons(<unsigned short>port)
    if inet_pton(AF_INET6, <char*>host, &(<sockaddr_in6*>address).sin6_addr) != 1:
        return 0
    return sizeof(sockaddr_in6)


cpdef int sys_connect(int family, str host, int port, str local) except? -1:
    cdef sockaddr_storage address
    cdef int one = 1
    cdef int size = _fill(&address, family, host.encode(), port)
    cdef int fd
    cdef int error = 0
    if size == 0:
        return -EINVAL
    fd = c_socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
    if fd < 0:
        return -errno
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one))
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one))
    if local:
        error = _bind(fd, family, local.encode())
    if not error and c_connect(fd, <sockaddr*>&address, <socklen_t>size) < 0 and errno != EINPROGRESS:
        error = errno
    if error:
        c_close(fd)
        return -error
    return fd


cdef int _bind(int fd, int family, bytes local) noexcept:
    """Bind to a local address and any port; an errno, 0 if it went well."""
    cdef sockaddr_storage address
    cdef int size = _fill(&address, family, local, 0)
    if size == 0:
        return EINVAL
    return errno if c_bind(fd, <sockaddr*>&address, <socklen_t>size) < 0 else 0


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

    cpdef void add(self, int fd, unsigned int events, unsigned int tag) except *:
        self._control(EPOLL_CTL_ADD, fd, events, tag)

    cpdef void change(self, int fd, unsigned int events, unsigned int tag) except *:
        self._control(EPOLL_CTL_MOD, fd, events, tag)

    cdef void _control(self, int operation, int fd, unsigned int events, unsigned int tag) except *:
        cdef epoll_event event
        event.events = events
        event.data.u64 = <unsigned long long>tag << 32 | <unsigned int>fd
        if epoll_ctl(self.fd, operation, fd, &event) < 0:
            raise OSError(errno, "epoll_ctl")

    cpdef void remove(self, int fd) noexcept:
        epoll_ctl(self.fd, EPOLL_CTL_DEL, fd, NULL)

    cpdef int wait_us(self, long long timeout_us) except -1:
        cdef timespec timeout
        cdef int n
        timeout.tv_sec = <time_t>(timeout_us // 1000000)
        timeout.tv_nsec = <long>(timeout_us % 1000000 * 1000)
        with nogil:
            n = <int>syscall(SYS_EPOLL_PWAIT2, self.fd, self.events, self.capacity, &timeout, NULL, <size_t>0)
        if n >= 0 or errno == EINTR:
            return max(0, n)
        if errno == ENOSYS or errno == EPERM:
            return self.wait((timeout_us + 999) // 1000)
        raise OSError(errno, "epoll_pwait2")

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
        return <int>((<epoll_event*>self.events)[index].data.u64 & 0x7FFFFFFF)

    cpdef unsigned int tag_at(self, int index) noexcept:
        return <unsigned int>((<epoll_event*>self.events)[index].data.u64 >> 32)

    cpdef unsigned int events_at(self, int index) noexcept:
        return (<epoll_event*>self.events)[index].events

    cpdef void close(self) noexcept:
        if self.fd >= 0:
            c_close(self.fd)
            self.fd = -1
