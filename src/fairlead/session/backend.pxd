cimport cython

from fairlead.cluster.board cimport Board, worker_server_index
from fairlead.net.channel cimport Channel, Handler
from fairlead.protocol.tracker cimport ReplyTracker
from fairlead.session.prepared cimport Prepared
from fairlead.session.statement cimport Statement

cdef int _COM_STMT_CLOSE
cdef int _COM_STMT_EXECUTE
cdef Py_ssize_t _S_ACTIVE
cdef Py_ssize_t _S_AVERAGE_US
cdef long long _AVERAGE_SAMPLES
cdef Py_ssize_t _S_CONNECTIONS
cdef Py_ssize_t _S_HISTOGRAM_READ
cdef Py_ssize_t _S_HISTOGRAM_WRITE
cdef Py_ssize_t _S_MAX_CONNECTIONS
cdef Py_ssize_t _S_PACKETS
cdef Py_ssize_t _S_READS
cdef Py_ssize_t _S_TOTAL_CONNECTIONS
cdef Py_ssize_t _S_WRITES
cdef Py_ssize_t _HISTOGRAM_BUCKETS
cdef int _K_NONE
cdef int _K_CLIENT
cdef int _K_VERIFY
cdef int _K_PROBE
cdef int _K_REPLAY
cdef int _B_READY
cdef int _B_CLOSED
cdef int _B_FAILED
cdef int _B_CONNECTING
cdef int _B_LOGIN
cdef int _B_REPLAY
cdef int _B_PLANNED
cdef int _R_ERR
cdef int _R_BROKEN
cdef int _COM_PREPARE


cdef class BackendOwner:
    cdef public dict statements
    cdef public bint watches_state

    cpdef void client_bytes(self, Backend backend, bytearray buf, Py_ssize_t start, Py_ssize_t end) except *
    cpdef bint first_packet(self, Backend backend, bytearray buf, Py_ssize_t start, Py_ssize_t end) except -1
    cpdef void reply_done(self, Backend backend, int kind, int command, long long entry_id) except *
    cpdef void backend_needed(self, Backend backend) except *
    cpdef Py_ssize_t backend_login_data(self, Backend backend, bytearray buf, Py_ssize_t start,
                                        Py_ssize_t end) except -1
    cpdef void backend_closed(self, Backend backend) except *


cdef class Backend(Handler):
    cdef public BackendOwner owner
    cdef public object server
    cdef public int slot
    cdef public int index
    cdef public int state
    cdef public Channel channel
    cdef public ReplyTracker tracker
    cdef public long long capabilities
    cdef public int pending
    cdef public int head_kind
    cdef public int head_command
    cdef public long long head_id
    cdef bint _replying
    cdef public bint sent_to_client
    cdef public bint swallow
    cdef public bint inspected
    cdef public list _more
    cdef public list backlog
    cdef public dict ps_ids
    cdef public dict ps_types
    cdef long long _hot_id
    cdef unsigned int _hot_server_id
    cdef long long _hot_version
    cdef public set preparing
    cdef public long long used_turn
    cdef public long long written_us
    cdef public long long opened_us
    cdef public long long thread_id
    cdef public bytes scramble
    cdef public object login
    cdef public str failure
    cdef public str last_error
    cdef public bint replay_failed
    cdef public bint lost_unsent
    cdef public bint lost_partial
    cdef public Statement unsent
    cdef public list to_replay
    cdef public object login_database
    cdef public bint current_read
    cdef Board _board
    cdef public Py_ssize_t counters
    cdef public bint tls
    cdef public long long active_us

    cpdef void plan(self) except *
    @cython.locals(board=Board, base=Py_ssize_t, count="long long")
    cpdef void opened(self, Channel channel) except *
    cdef void _equip(self) except *
    @cython.locals(board=Board, base=Py_ssize_t, channel=Channel, was_planned=bint, blocked=bint, kind=int)
    cpdef void close(self, int state=*) except *
    cpdef void adopt(self, Channel channel, long long capabilities, long long thread_id, bytes scramble) except *
    cpdef void release(self, bint lent) except *
    cpdef bint is_planned(self) except -1
    cpdef bint will_repeat(self) except -1
    @cython.locals(kind=int, command=int, entry_id="long long", ps_id="long long", server_id="unsigned int")
    cpdef void flush_backlog(self) except *
    @cython.locals(board=Board, reply_kind=int)
    cpdef void write(self, Statement statement, int kind, long long entry_id, bint is_read) except *
    cdef void _put_off(self, bytearray packet, int command, int kind, long long entry_id, long long ps_id) except *
    cdef void _look_up(self, long long statement_id) except *
    cdef void _drop_statement(self, long long statement_id) except *
    cpdef void forget_statements(self) except *
    @cython.locals(size=Py_ssize_t, p="unsigned char *", server_id="unsigned int", prepared=Prepared,
                   channel=Channel)
    cdef bint _write_now(self, Statement statement) except -1
    cpdef void expect(self, int command, int kind, long long entry_id) except *
    @cython.locals(pos=Py_ssize_t, new=Py_ssize_t, kind=int, tracker=ReplyTracker, begun=bint, forward=bint)
    cdef Py_ssize_t _replies(self, bytearray buf, Py_ssize_t start, Py_ssize_t end) except -1
    @cython.locals(kind=int, command=int, entry_id="long long")
    cdef void _finish_reply(self) except *
    @cython.locals(elapsed="long long", bound="long long", average="long long", bucket=int, index=Py_ssize_t)
    cdef void _measure(self) noexcept
    cpdef bint in_use(self) except -1
