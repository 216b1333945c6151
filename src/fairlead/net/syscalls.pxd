cpdef Py_ssize_t sys_recv(int fd, bytearray buf, Py_ssize_t start, Py_ssize_t size) noexcept
cpdef Py_ssize_t sys_send(int fd, bytearray buf, Py_ssize_t start, Py_ssize_t size) noexcept
cpdef Py_ssize_t sys_send_bytes(int fd, bytes data) noexcept
cpdef Py_ssize_t sys_send_last(int fd, bytes data) noexcept
cpdef int sys_error_of(int fd) noexcept
cpdef void sys_shutdown_write(int fd) noexcept
cpdef bint sys_is_quiet(int fd) noexcept
cpdef void sys_close(int fd) noexcept
cpdef tuple sys_accept(int listener)
cpdef int sys_connect(int family, str host, int port, str local) except? -1
cpdef void copy_bytes(bytearray target, bytearray source, Py_ssize_t start, Py_ssize_t end) except *
cpdef long long clock_us() noexcept


cdef class EpollSet:
    cdef public int fd
    cdef int capacity
    cdef void* events

    cpdef void add(self, int fd, unsigned int events, unsigned int tag) except *
    cdef void _control(self, int operation, int fd, unsigned int events, unsigned int tag) except *
    cpdef void remove(self, int fd) noexcept
    cpdef void change(self, int fd, unsigned int events, unsigned int tag) except *
    cpdef int wait_us(self, long long timeout_us) except -1
    cpdef int wait(self, long long timeout_ms) except -1
    cpdef int fd_at(self, int index) noexcept
    cpdef unsigned int tag_at(self, int index) noexcept
    cpdef unsigned int events_at(self, int index) noexcept
    cpdef void close(self) noexcept
