cimport cython

from fairlead.cluster.board cimport Board
from fairlead.routers.readwritesplit.config cimport RwsConfig
from fairlead.session.backend cimport Backend

cdef int _B_FAILED
cdef int _LEAST_CURRENT_OPERATIONS
cdef int _LEAST_CONNECTIONS
cdef int _LEAST_BEHIND
cdef int _ADAPTIVE
cdef Py_ssize_t _RANK
cdef Py_ssize_t _STATUS
cdef Py_ssize_t _LAG
cdef Py_ssize_t _PING_US
cdef Py_ssize_t _S_ACTIVE
cdef Py_ssize_t _S_AVERAGE_US
cdef Py_ssize_t _S_CONNECTIONS
cdef long long _USABLE
cdef long long _RUNNING
cdef long long _CONNECT_MASK
cdef long long _MASTER
cdef long long _SLAVE

cdef class Candidates:
    cdef public Board board
    cdef public list backends
    cdef public RwsConfig config
    cdef int _limit
    cdef int _criteria
    cdef bint _accept_reads
    cdef int _slaves_max

    @cython.locals(backend=Backend, status="long long", rank="long long", best="long long", found=bint)
    cpdef long long current_rank(self, Backend master) except? -1
    @cython.locals(backend=Backend, best=Backend, status="long long", rank="long long", best_rank="long long",
                   count="long long", best_count="long long")
    cpdef Backend best_master(self, bint may_connect, set tried)
    @cython.locals(backend=Backend, best=Backend, status="long long", rank="long long", lag="long long",
                   score="long long", best_score="long long", klass=int, best_klass=int, connected=int, used=bint)
    cpdef Backend best_slave(self, Backend master, bint may_connect, int lag_limit, set tried)
    @cython.locals(average="long long")
    cpdef long long score(self, Backend backend, long long lag) except? -1
    @cython.locals(backend=Backend, count=int)
    cpdef int connected_slaves(self, Backend master) except -1


@cython.locals(backend=Backend, status="long long", connections="long long", place=Py_ssize_t)
cpdef list initial_slaves(Board board, list backends, Backend master, long long rank, long long lag_limit,
                          Py_ssize_t count)
