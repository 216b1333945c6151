cpdef Py_ssize_t sys_recv(int fd, bytearray buf, Py_ssize_t start, Py_ssize_t size) noexcept
cpdef Py_ssize_t sys_send(int fd, bytearray buf, Py_ssize_t start, Py_ssize_t size) noexcept
cpdef void copy_bytes(bytearray target, bytearray source, Py_ssize_t start, Py_ssize_t end) except *
cpdef long long clock_us() noexcept


cdef class EpollSet:
    cdef public int fd
    cdef int capacity
    cdef void* events

    cpdef void add(self, int fd, unsigned int events) except *
    cpdef void remove(self, int fd) noexcept
    cpdef int wait(self, long long timeout_ms) except -1
    cpdef int fd_at(self, int index) noexcept
    cpdef unsigned int events_at(self, int index) noexcept
    cpdef void close(self) noexcept
