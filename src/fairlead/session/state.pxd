from fairlead.cluster.board cimport Board
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
