cimport cython

from fairlead.routers.readwritesplit.decide cimport decide
from fairlead.routers.readwritesplit.targets cimport Targets
from fairlead.session.backend cimport Backend
from fairlead.session.prepared cimport Prepared
from fairlead.session.session cimport Session
from fairlead.session.statement cimport Statement
from fairlead.session.trx cimport TrxTracker
from fairlead.sql.info cimport QueryInfo

cdef long long _ALL_BY_COMMAND
cdef int _COM_FIELD_LIST
cdef int _COM_LONG_DATA
cdef int _COM_QUERY
cdef int _COM_STMT_EXECUTE
cdef int _COM_STMT_FETCH
cdef int _COM_STMT_PREPARE
cdef int _FAILED
cdef Py_ssize_t _GENERATION
cdef int _K_CLIENT
cdef int _MASTER
cdef long long _NOT_ONLY_READ
cdef int _OP_CALL
cdef int _PIPELINED_MAX
cdef long long _READ
cdef long long _REMEMBERED
cdef int _ROUTED
cdef long long _SESSION_WRITE
cdef Py_ssize_t _STATUS
cdef int _TARGET_MASK
cdef long long _TRX_BITS
cdef int _T_ALL
cdef int _T_LAST
cdef int _T_MASTER
cdef int _T_SLAVE
cdef int _USABLE
cdef Py_ssize_t _V_QUERIES
cdef Py_ssize_t _V_ROUTE_ALL
cdef Py_ssize_t _V_ROUTE_MASTER
cdef Py_ssize_t _V_ROUTE_SLAVE
cdef int _WAIT

cdef class RwsSession(Targets):
    cdef bint _next_trx_asked
    cdef bint _optimistic
    cdef Backend _hinted_server
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
    @cython.locals(ready=Backend)
    cpdef void backend_ready(self, object backend) except *
    cpdef void dismantle(self) except *
    @cython.locals(info=QueryInfo)
    cpdef void after_master(self, Statement statement, long long mask) except *
    @cython.locals(trx=TrxTracker, master=Backend, decision=int, session=Session)
    cdef bint _may_follow(self, Statement statement) except -1
    @cython.locals(trx=TrxTracker, session=Session)
    cpdef void backend_done(self, object backend, int kind, long long entry_id) except *
