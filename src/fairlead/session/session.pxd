cimport cython

from fairlead.cluster.board cimport Board
from fairlead.protocol.statements cimport same_types
from fairlead.session.backend cimport Backend
from fairlead.session.prepared cimport Prepared
from fairlead.session.servers cimport ServerSide
from fairlead.session.statement cimport Statement
from fairlead.sql.info cimport QueryInfo

cdef int _COM_QUERY
cdef int _COM_QUIT
cdef int _COM_STMT_CLOSE
cdef int _COM_STMT_EXECUTE
cdef int _COM_STMT_SEND_LONG_DATA
cdef int _FAILED
cdef Py_ssize_t _FIXED_BYTES
cdef long long _LAST_PREPARED
cdef int _MAX_PACKET
cdef long long _NAMED
cdef int _ROUTED
cdef long long _SPECIAL
cdef Py_ssize_t _V_PACKETS
cdef Py_ssize_t _V_SESSIONS
cdef Py_ssize_t _V_TOTAL_SESSIONS
cdef int _WAIT

cdef class Session(ServerSide):
    @cython.locals(board=Board, backend=Backend, targets=list, count=Py_ssize_t, index=int, worker=int,
                   first="long long")
    cpdef str start(self)
    @cython.locals(statement=Statement, p="unsigned char *", command=int, result=int)
    cpdef int command(self, bytearray buf, Py_ssize_t start, Py_ssize_t end) except -1
    @cython.locals(result=int, info=QueryInfo)
    cdef int _query(self, Statement statement) except -1
    cpdef int check_database(self, object account, str database, str role) except -1
    cpdef QueryInfo judged(self, QueryInfo info, str database)
    @cython.locals(command=int, start=Py_ssize_t, end=Py_ssize_t)
    cdef int _other(self, Statement statement) except -1
    @cython.locals(p="const unsigned char *", given="long long", command=int, start=Py_ssize_t, end=Py_ssize_t,
                   bound=Py_ssize_t, parameters=int, result=int, prepared=Prepared, info=QueryInfo)
    cdef int _execute(self, Statement statement) except -1
    cdef void _typed(self, Statement statement, Prepared prepared) except *
