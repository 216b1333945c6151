"""The small sends of one turn, handed to the kernel in one call of io_uring; `outbox.py` is the same in Python.

A send by a call of its own wakes the receiver, which on a busy machine takes the processor from the sender at
once; with one call for all of a turn a statement costs about a fifth less. Only sends go through the ring,
and only ones that do not wait: each is complete, or has failed, when the call returns, so that no memory is
held for the kernel beyond it. https://man7.org/linux/man-pages/man2/io_uring_enter.2.html
"""

import os

from libc.errno cimport EAGAIN, EINTR, EIO, errno
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cdef extern from "unistd.h" nogil:
    long syscall(long number, ...)
    int c_close "close"(int fd)

cdef extern from "sys/mman.h" nogil:
    void* mmap(void* address, size_t size, int protection, int flags, int fd, long offset)
    int munmap(void* address, size_t size)
    void* MAP_FAILED
    int PROT_READ
    int PROT_WRITE
    int MAP_SHARED
    int MAP_POPULATE

cdef extern from "sys/socket.h" nogil:
    Py_ssize_t c_send "send"(int fd, const void* buf, size_t size, int flags)
    int socketpair(int family, int kind, int protocol, int* pair)
    int AF_UNIX
    int SOCK_STREAM
    int MSG_NOSIGNAL
    int MSG_DONTWAIT

cdef extern from *:
    """
    #define fairlead_load(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
    #define fairlead_store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
    """
    unsigned int load "fairlead_load"(unsigned int* place) nogil
    void store "fairlead_store"(unsigned int* place, unsigned int value) nogil

# The kernel's interface (linux/io_uring.h), which not every machine that compiles this has. The numbers of the
# calls are the same on all architectures but Alpha.
cdef enum:
    SYS_SETUP = 425
    SYS_ENTER = 426
    ENTER_GETEVENTS = 1
    FEAT_SINGLE_MMAP = 1
    SETUP_SUBMIT_ALL = 1 << 7
    SETUP_SINGLE_ISSUER = 1 << 12
    OFFSET_SQES = 0x10000000
    OP_SEND = 26

cdef struct Offsets:
    unsigned int head, tail, ring_mask, ring_entries
    # Submissions: flags, dropped, array. Completions: overflow, cqes, flags.
    unsigned int fifth, sixth, seventh, reserved
    unsigned long long address

cdef struct Params:
    unsigned int sq_entries, cq_entries, flags, thread_cpu, thread_idle, features, wq_fd
    unsigned int reserved[3]
    Offsets sq
    Offsets cq

cdef struct Submission:
    unsigned char opcode, flags
    unsigned short priority
    int fd
    unsigned long long offset, address
    unsigned int size, message_flags
    unsigned long long user_data
    unsigned long long unused[3]

cdef struct Completion:
    unsigned long long user_data
    int result
    unsigned int flags


cdef class Outbox:
    """Sends that wait for `submit`, in the order in which they were added."""

    def __cinit__(self):
        self._ring = -1
        self.turn = 1
        self._memory = <char*>malloc(ARENA_BYTES)
        if self._memory == NULL:
            raise MemoryError()

    def __dealloc__(self):
        self._release()
        free(self._memory)

    cdef int _open(self) noexcept:
        """Set the ring up and try it; an errno, or 0."""
        cdef Params params
        cdef char* ring
        memset(&params, 0, sizeof(params))
        params.flags = SETUP_SUBMIT_ALL | SETUP_SINGLE_ISSUER
        self._ring = <int>syscall(SYS_SETUP, <unsigned int>ENTRIES, &params)
        if self._ring < 0:
            # Kernels before 6.0 know neither flag.
            memset(&params, 0, sizeof(params))
            self._ring = <int>syscall(SYS_SETUP, <unsigned int>ENTRIES, &params)
        if self._ring < 0:
            return errno
        if not params.features & FEAT_SINGLE_MMAP:
            return EAGAIN
        self._ring_size = max(
            params.sq.seventh + params.sq_entries * sizeof(unsigned int),
            params.cq.sixth + params.cq_entries * sizeof(Completion),
        )
        ring = <char*>mmap(
            NULL, self._ring_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, self._ring, 0
        )
        if <void*>ring == MAP_FAILED:
            return errno
        self._map = ring
        self._entries_size = params.sq_entries * sizeof(Submission)
        self._entries = mmap(
            NULL, self._entries_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, self._ring, OFFSET_SQES
        )
        if self._entries == MAP_FAILED:
            self._entries = NULL
            return errno
        self._sq_head = <unsigned int*>(ring + params.sq.head)
        self._sq_tail = <unsigned int*>(ring + params.sq.tail)
        self._sq_mask = (<unsigned int*>(ring + params.sq.ring_mask))[0]
        self._sq_array = <unsigned int*>(ring + params.sq.seventh)
        self._cq_head = <unsigned int*>(ring + params.cq.head)
        self._cq_tail = <unsigned int*>(ring + params.cq.tail)
        self._cq_mask = (<unsigned int*>(ring + params.cq.ring_mask))[0]
        self._completions = ring + params.cq.sixth
        return self._try()

    cdef int _try(self) noexcept:
        """Whether this kernel's ring can send; an errno, or 0."""
        cdef int pair[2]
        cdef int i
        cdef int error = 0
        if socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0:
            return errno
        self._memory[0] = 0
        for i in range(2):
            self._fds[i] = pair[0]
            self._starts[i] = 0
            self._sizes[i] = 1
        # A ring that can be made need not be one that can be used.
        if self._send_all(2) < 2:
            error = EAGAIN
        for i in range(2):
            if self._results[i] != 1:
                error = <int>-self._results[i]
        c_close(pair[0])
        c_close(pair[1])
        return error

    cpdef int add(self, int fd, bytearray buf, Py_ssize_t start, Py_ssize_t size) noexcept:
        cdef int entry = self.count
        if entry == ENTRIES or self._used + size > ARENA_BYTES:
            return -1
        memcpy(self._memory + self._used, <char*>buf + start, <size_t>size)
        self._fds[entry] = fd
        self._starts[entry] = self._used
        self._sizes[entry] = size
        self._used += size
        self.count = entry + 1
        return entry

    cpdef bint extend(self, int entry, bytearray buf, Py_ssize_t start, Py_ssize_t size) noexcept:
        if entry != self.count - 1 or self._used + size > ARENA_BYTES:
            return False
        memcpy(self._memory + self._used, <char*>buf + start, <size_t>size)
        self._sizes[entry] += size
        self._used += size
        return True

    cpdef int submit(self) noexcept:
        cdef int count = self.count
        cdef int entry
        cdef int left = 0
        if count == 1:
            self._send_one(0)
        else:
            self._send_all(count)
        self.count = 0
        self._used = 0
        self.turn += 1
        for entry in range(count):
            if self._results[entry] != self._sizes[entry]:
                self._left[left] = entry
                left += 1
        return left

    cdef void _send_one(self, int entry) noexcept nogil:
        cdef Py_ssize_t n
        while True:
            n = c_send(
                self._fds[entry],
                self._memory + self._starts[entry],
                <size_t>self._sizes[entry],
                MSG_DONTWAIT | MSG_NOSIGNAL,
            )
            if n >= 0 or errno != EINTR:
                break
        self._results[entry] = n if n >= 0 else -errno

    cdef int _send_all(self, int count) noexcept:
        """Send through the ring, and what it does not take without it; how many it has taken."""
        cdef Submission* entry
        cdef unsigned int tail
        cdef unsigned int place
        cdef int i
        cdef int taken = 0
        cdef long n
        if self._ring < 0:
            for i in range(count):
                self._send_one(i)
            return 0
        tail = self._sq_tail[0]
        for i in range(count):
            place = (tail + <unsigned int>i) & self._sq_mask
            entry = <Submission*>self._entries + place
            memset(entry, 0, sizeof(Submission))
            entry.opcode = OP_SEND
            entry.fd = self._fds[i]
            entry.address = <unsigned long long><size_t>(self._memory + self._starts[i])
            entry.size = <unsigned int>self._sizes[i]
            entry.message_flags = MSG_DONTWAIT | MSG_NOSIGNAL
            entry.user_data = <unsigned long long>i
            self._sq_array[place] = place
            # Should a result be missing it was an error.
            self._results[i] = -EIO
        store(self._sq_tail, tail + <unsigned int>count)
        while taken < count:
            n = self._enter(count - taken, 0, 0)
            if n > 0:
                taken += <int>n
            elif n == 0 or errno != EINTR:
                break
        self._reap(taken)
        if taken < count:
            store(self._sq_tail, load(self._sq_head))
            for i in range(taken, count):
                self._send_one(i)
        return taken

    cdef long _enter(self, int submit, int wait, int flags) noexcept nogil:
        return syscall(
            SYS_ENTER, self._ring, <unsigned int>submit, <unsigned int>wait, <unsigned int>flags, NULL, <size_t>0
        )

    cdef void _reap(self, int expected) noexcept:
        """Take the results. All are there already; should one not be, it is waited for."""
        cdef unsigned int head = self._cq_head[0]
        cdef Completion* found
        while expected > 0:
            if head == load(self._cq_tail):
                if self._enter(0, 1, ENTER_GETEVENTS) < 0 and errno != EINTR:
                    break
                continue
            found = <Completion*>self._completions + (head & self._cq_mask)
            self._results[<int>found.user_data] = found.result
            head += 1
            expected -= 1
        store(self._cq_head, head)

    cpdef int fd_at(self, int index) noexcept:
        return self._fds[self._left[index]]

    cpdef int error_at(self, int index) noexcept:
        cdef Py_ssize_t result = self._results[self._left[index]]
        return <int>-result if result < 0 and result != -EAGAIN else 0

    cpdef bytearray rest_at(self, int index):
        cdef int entry = self._left[index]
        cdef Py_ssize_t sent = max(<Py_ssize_t>0, self._results[entry])
        cdef Py_ssize_t size = self._sizes[entry] - sent
        return bytearray((self._memory + self._starts[entry] + sent)[:size])

    cpdef void close(self) noexcept:
        self._release()

    cdef void _release(self) noexcept:
        if self._map != NULL:
            munmap(self._map, self._ring_size)
            self._map = NULL
        if self._entries != NULL:
            munmap(self._entries, self._entries_size)
            self._entries = NULL
        if self._ring >= 0:
            c_close(self._ring)
            self._ring = -1


cpdef Outbox open_outbox():
    cdef Outbox made = Outbox()
    if os.environ.get("FAIRLEAD_IO_URING") == "0" or made._open():
        made.close()
        return None
    return made
