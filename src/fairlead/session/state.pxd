cimport cython

from fairlead.cluster.board cimport Board, worker_service_index
from fairlead.net.channel cimport Channel
from fairlead.session.backend cimport Backend, BackendOwner
from fairlead.session.history cimport History
from fairlead.session.router cimport RouterSession
from fairlead.session.statement cimport Statement
from fairlead.session.tap cimport ReplyTap
from fairlead.session.trx cimport TrxTracker
from fairlead.sql.classifier cimport Classifier

cdef int _B_READY
cdef int _K_CLIENT
cdef long long _READS
cdef int _MODE_MULTIBYTE
cdef int _MODE_ORACLE
cdef Py_ssize_t _V_ENDED_SESSIONS
cdef Py_ssize_t _V_SESCMD_LEN_MAX
cdef Py_ssize_t _V_SESCMD_LEN_TOTAL
cdef Py_ssize_t _V_SESSIONS
cdef Py_ssize_t _V_SESSION_MS_MAX
cdef Py_ssize_t _V_SESSION_MS_TOTAL
cdef Py_ssize_t _V_WAITING


cdef class SessionState(BackendOwner):
    cdef public object host
    cdef public object service
    cdef public long long id
    cdef public Channel client
    cdef public object connection
    cdef public str user
    cdef public bytes password
    cdef public str backend_user
    cdef public bytes backend_password
    cdef public str database
    cdef public str role
    cdef public int charset
    cdef public long long capabilities
    cdef public object account
    cdef public object attributes
    cdef public str remote
    cdef public int remote_port
    cdef public bint local_socket
    cdef public bint is_below
    cdef public object listener
    cdef public list backends
    cdef public RouterSession router
    cdef public Statement statement
    cdef public TrxTracker trx
    cdef public History history
    cdef public Classifier classifier
    cdef public int sql_mode
    cdef public dict named
    cdef public dict named_databases
    cdef public object functions
    cdef public bint database_known
    cdef public bint pending_known
    cdef public long long last_prepared
    cdef public bint reuses_prepares
    cdef public dict known_prepares
    cdef public bytearray captured
    cdef public int expecting
    cdef public Backend load_backend
    cdef public int loads
    cdef public list stream_targets
    cdef public bint closed
    cdef public bint waiting
    cdef public str close_reason
    cdef public str kill_message
    cdef public object unsafe
    cdef public str first_database
    cdef public bint shares
    cdef public bint pinned
    cdef public long long did
    cdef public long long created_us
    cdef public long long active_us
    cdef public double created_at
    cdef public long long turn
    cdef public dict pending_verify
    cdef public Board board
    cdef public int worker
    cdef public Py_ssize_t counters
    cdef public str last_reason
    cdef public object queries
    cdef public bint own_reply
    cdef public bint pausing
    cdef public bint held_back
    cdef public ReplyTap tap
    cdef public long long extra_capabilities
    cdef public bint ready
    cdef public bint planning
    cdef public str pending_database
    cdef public str looked_again_for
    cdef public object hints
    cdef public object trace
    cdef public tuple prepare_hints

    @cython.locals(mode=int)
    cpdef void set_text_mode(self) except *
    @cython.locals(backend=Backend, in_reply=bint)
    cdef void _end(self, str reason, str log, int code, str message, str sqlstate) except *
    cpdef bint only_read(self) except -1
    cdef bint _may_keep(self) except -1
    @cython.locals(board=Board, base=Py_ssize_t, lived="long long", length=Py_ssize_t)
    cdef void _count_end(self) except *
    cpdef void dismantle(self) except *
