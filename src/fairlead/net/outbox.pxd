cdef enum:
    # Sends of one turn, and bytes of all of them together.
    ENTRIES = 32
    ARENA_BYTES = 128 * 1024


cdef class Outbox:
    # Sends that wait.
    cdef readonly int count
    # Changes with every `submit`: entries of another turn are gone.
    cdef readonly long long turn
    cdef int _ring
    cdef char* _memory
    cdef Py_ssize_t _used
    cdef int[ENTRIES] _fds
    cdef Py_ssize_t[ENTRIES] _starts
    cdef Py_ssize_t[ENTRIES] _sizes
    cdef Py_ssize_t[ENTRIES] _results
    cdef int[ENTRIES] _left
    cdef void* _map
    cdef size_t _ring_size
    cdef void* _entries
    cdef size_t _entries_size
    cdef unsigned int* _sq_head
    cdef unsigned int* _sq_tail
    cdef unsigned int* _sq_array
    cdef unsigned int* _cq_head
    cdef unsigned int* _cq_tail
    cdef unsigned int _sq_mask
    cdef unsigned int _cq_mask
    cdef char* _completions

    cdef int _open(self) noexcept
    cdef int _try(self) noexcept
    cpdef int add(self, int fd, bytearray buf, Py_ssize_t start, Py_ssize_t size) noexcept
    cpdef bint extend(self, int entry, bytearray buf, Py_ssize_t start, Py_ssize_t size) noexcept
    cpdef int submit(self) noexcept
    cdef void _send_one(self, int entry) noexcept nogil
    cdef int _send_all(self, int count) noexcept
    cdef long _enter(self, int submit, int wait, int flags) noexcept nogil
    cdef void _reap(self, int expected) noexcept
    cpdef int fd_at(self, int index) noexcept
    cpdef int error_at(self, int index) noexcept
    cpdef bytearray rest_at(self, int index)
    cpdef void close(self) noexcept
    cdef void _release(self) noexcept


cpdef Outbox open_outbox()
