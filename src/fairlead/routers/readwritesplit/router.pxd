cimport cython

from fairlead.cluster.board cimport Board
from fairlead.routers.readwritesplit.decide cimport decide
from fairlead.routers.readwritesplit.select cimport Candidates
from fairlead.net.syscalls cimport copy_bytes
from fairlead.routers.readwritesplit.replay cimport Replay
from fairlead.session.backend cimport Backend
from fairlead.session.prepared cimport Prepared
from fairlead.session.router cimport RouterSession
from fairlead.session.session cimport Session
from fairlead.session.statement cimport Statement
from fairlead.session.trx cimport TrxTracker
from fairlead.sql.info cimport QueryInfo

cdef int _MAINT
cdef int _ENDS
cdef int _COM_STMT_PREPARE
cdef int _COM_STMT_EXECUTE
cdef int _COM_STMT_FETCH
cdef int _COM_LONG_DATA
cdef long long _ALL_BY_COMMAND
cdef int _COM_FIELD_LIST
cdef Py_ssize_t _P_READ
cdef Py_ssize_t _P_SELECTS
cdef Py_ssize_t _P_TOTAL
cdef Py_ssize_t _P_WRITE
cdef Py_ssize_t _V_QUERIES
cdef Py_ssize_t _V_ROUTE_ALL
cdef Py_ssize_t _V_ROUTE_MASTER
cdef Py_ssize_t _V_ROUTE_SLAVE
cdef Py_ssize_t _GENERATION
cdef Py_ssize_t _STATUS
cdef int _OP_CALL
cdef Py_ssize_t _RETRY_BYTES_MAX
cdef long long _REMEMBERED
cdef int _PIPELINED_MAX
cdef Py_ssize_t _P_CELLS
cdef long long _TRX_BITS
cdef long long _NOT_ONLY_READ
cdef long long _READ
cdef long long _SESSION_WRITE
cdef int _MASTER
cdef int _USABLE
cdef int _RUNNING
cdef int _K_CLIENT
cdef int _ROUTED
cdef int _WAIT
cdef int _FAILED
cdef int _TARGET_MASK
cdef int _T_MASTER
cdef int _T_SLAVE
cdef int _T_ALL
cdef int _T_LAST
cdef int _COM_QUERY

cdef class RwsSession(RouterSession):
    cdef public Session session
    cdef public object config
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
    cdef bint _next_trx_asked
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
    cdef bint _optimistic
    cdef Backend _hinted_server
    cdef long long _generation
    cdef Py_ssize_t _service
    cdef Py_ssize_t _pairs
    cdef bint _retry_reads
    cdef bint _no_slaves
    cdef bint _variables_on_all

    @cython.locals(trx=TrxTracker, mask="long long", decision=int, kind=int, all_by_command=bint, session=Session,
                   result=int)
    cpdef int route(self, Statement statement) except -1
    @cython.locals(backends=list, target=Backend, master=Backend, index=int, command=int, trx=TrxTracker,
                   prepared=Prepared)
    cdef int _continue(self, Statement statement) except -1
    @cython.locals(info=QueryInfo)
    cpdef int to_target(self, Statement statement) except -1
    cdef void _trx_begins(self) except *
    cpdef int refine_read(self, Statement statement, int decision) except -1
    @cython.locals(info=QueryInfo)
    cpdef void after_master(self, Statement statement, long long mask) except *
    @cython.locals(trx=TrxTracker, master=Backend, decision=int, session=Session)
    cdef bint _may_follow(self, Statement statement) except -1
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
    @cython.locals(trx=TrxTracker, session=Session)
    cpdef void backend_done(self, object backend, int kind, long long entry_id) except *
