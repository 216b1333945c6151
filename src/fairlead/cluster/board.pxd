cimport cython

cdef long long _PER_WORKER
cdef long long _SERVERS_BASE
cdef long long _WORKERS_BASE
cdef Py_ssize_t _SERVER_CELLS
cdef Py_ssize_t _S_CELLS
cdef Py_ssize_t _COUNTERS_BASE
cdef Py_ssize_t _SERVICES_BASE
cdef Py_ssize_t _V_CELLS
cdef Py_ssize_t _PAIRS_BASE
cdef Py_ssize_t _P_CELLS
cdef Py_ssize_t _TARGETS_MAX

cpdef Py_ssize_t worker_server_index(Py_ssize_t worker, Py_ssize_t slot, Py_ssize_t cell) noexcept
cpdef Py_ssize_t worker_pair_index(Py_ssize_t worker, Py_ssize_t service, Py_ssize_t server, Py_ssize_t cell) noexcept
cpdef Py_ssize_t worker_service_index(Py_ssize_t worker, Py_ssize_t slot, Py_ssize_t cell) noexcept

cdef class Board:
    cdef readonly int fd
    cdef public int workers
    cdef object _map
    cdef public long long[::1] cells

    cpdef long long get(self, Py_ssize_t index) noexcept
    cpdef void set(self, Py_ssize_t index, long long value) noexcept
    cpdef void add(self, Py_ssize_t index, long long amount) noexcept
    @cython.locals(index=Py_ssize_t)
    cpdef long long server(self, Py_ssize_t slot, Py_ssize_t cell) noexcept
    @cython.locals(total="long long", _=int)
    cdef long long _sum(self, Py_ssize_t index) noexcept
    cpdef long long sum_server(self, Py_ssize_t slot, Py_ssize_t cell) noexcept
    cpdef long long sum_service(self, Py_ssize_t slot, Py_ssize_t cell) noexcept
