cimport cython

from fairlead.cluster.board cimport Board, worker_pair_index
from fairlead.net.syscalls cimport copy_bytes
from fairlead.routers.readwritesplit.config cimport RwsConfig
from fairlead.routers.readwritesplit.replay cimport Replay
from fairlead.routers.readwritesplit.select cimport Candidates, initial_slaves
from fairlead.session.backend cimport Backend
from fairlead.session.router cimport RouterSession
from fairlead.session.session cimport Session
from fairlead.session.statement cimport Statement
from fairlead.session.trx cimport TrxTracker

cdef int _COM_QUERY
cdef int _COM_STMT_EXECUTE
cdef int _ENDS
cdef Py_ssize_t _GENERATION
cdef int _MAINT
cdef int _MASTER
cdef Py_ssize_t _P_CELLS
cdef Py_ssize_t _P_READ
cdef Py_ssize_t _P_SELECTS
cdef Py_ssize_t _P_TOTAL
cdef Py_ssize_t _P_WRITE
cdef Py_ssize_t _RETRY_BYTES_MAX
cdef int _RUNNING
cdef Py_ssize_t _STATUS
cdef int _TARGET_MASK
cdef long long _TRX_BITS
cdef int _T_MASTER
cdef int _USABLE


cdef class Targets(RouterSession):
    cdef public Session session
    cdef public RwsConfig config
    cdef public Board board
    cdef public Candidates candidates
    cdef public Backend master
    cdef public Backend trx_target
    cdef public Backend last_target
    cdef public int last_kind
    cdef public bint locked
    cdef public bint plain
    cdef public set temp_tables
    cdef public object next_trx
    cdef public bint next_trx_used
    cdef public bytearray retry_packet
    cdef public int retry_command
    cdef public long long retry_ps
    cdef public bint retriable
    cdef public set tried
    cdef public object command_packet
    cdef public int decision
    cdef public Statement held
    cdef public long long held_until
    cdef public int held_ms
    cdef public Replay replay
    cdef public bint on_replica
    cdef public object causal
    cdef long long _generation
    cdef Py_ssize_t _service
    cdef Py_ssize_t _pairs
    cdef bint _retry_reads

    @cython.locals(session=Session, config=RwsConfig, backend=Backend, master=Backend, rank="long long")
    cpdef str start(self)
    cpdef void give_up_on(self, Backend backend) except *
    @cython.locals(config=RwsConfig)
    cpdef void set_up(self, Session session, object service) except *
    cpdef bint can_recover(self) except -1
    @cython.locals(size=Py_ssize_t)
    cpdef bint remember(self, Statement statement) except -1
    @cython.locals(backend=Backend)
    cpdef Backend open_slave(self)
    cpdef bint ensure_open(self, Backend backend) except -1
    @cython.locals(backend=Backend)
    cpdef int to_slave(self, Statement statement) except -1
    @cython.locals(backend=Backend)
    cpdef int to_master(self, Statement statement) except -1
    @cython.locals(master=Backend, status="long long")
    cpdef Backend usable_master(self)
    cpdef void write(self, Backend backend, Statement statement, bint is_read) except *
    @cython.locals(pair=Py_ssize_t)
    cdef void _count(self, Backend backend, int kind) except *
