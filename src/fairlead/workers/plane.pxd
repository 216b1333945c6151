cimport cython

from fairlead.cluster.board cimport Board, worker_server_index, worker_service_index
from fairlead.net.channel cimport Channel, Handler
from fairlead.net.poller cimport Poller, Watched
from fairlead.session.backend cimport Backend
from fairlead.session.client cimport ClientConnection
from fairlead.session.listener cimport ListenerRuntime
from fairlead.session.service cimport ServiceRuntime
from fairlead.session.session cimport Session
from fairlead.workers.acceptor cimport Acceptor
from fairlead.workers.deadlines cimport Deadlines
from fairlead.workers.greetings cimport Greetings
from fairlead.workers.pool cimport Pool


cdef class Undertaker(Watched):
    cdef Poller _poller
    cdef list _ended

    @cython.locals(connection=ClientConnection, ended=list)
    cpdef void on_deferred(self) except *
    cpdef void bury(self, ClientConnection connection) except *


cdef class SpareDescriptor:
    cdef int _fd


cdef class Plane:
    cdef public Py_ssize_t worker
    cdef public Board board
    cdef public object send
    cdef public object loop
    cdef public Poller poller
    cdef public dict paths
    cdef public dict globals
    cdef public object classifier
    cdef public dict servers
    cdef public dict services_below
    cdef public dict services
    cdef public dict listeners
    cdef public dict acceptors
    cdef public dict sessions
    cdef public set connections
    cdef public object blocker
    cdef public object names
    cdef Py_ssize_t _own
    cdef Py_ssize_t _accepts
    cdef Py_ssize_t _fds
    cdef Py_ssize_t _fds_total
    cdef Py_ssize_t _open_sessions
    cdef Py_ssize_t _next_session
    cdef Py_ssize_t _high_water
    cdef Py_ssize_t _low_water
    cdef long long _failures_max
    cdef dict _new_servers
    cdef dict _new_services_below
    cdef dict _waiting_for_accounts
    cdef dict _reload_timers
    cdef dict _kills
    cdef long long _last_kill
    cdef set _tasks
    cdef bint _stopping
    cdef public Greetings greetings
    cdef Undertaker _undertaker
    cdef public SpareDescriptor spare
    cdef public Deadlines deadlines
    cdef public Pool pool
    cdef public object pauses
    cdef object _planned
    cdef long long _stride

    @cython.locals(board=Board, session_id="long long", connection=ClientConnection, channel=Channel,
                   session=Session)
    cpdef void accepted(self, int fd, str address, int port, ListenerRuntime listener) except *
    cdef long long _new_session_id(self) noexcept
    cpdef object _refuse_at_door(self, str remote, ListenerRuntime listener)
    cpdef bint _is_full(self, ServiceRuntime service) except -1
    @cython.locals(channel=Channel)
    cdef Channel _channel(self, int fd, Handler handler, bint encrypted, bint connecting=*)
    cpdef void client_gone(self, ClientConnection connection) except *
    cpdef str admit(self, Session session)
    cpdef void connect(self, Session session, Backend backend) except *
    cpdef bint keep(self, Session session, Backend backend) except -1
    cpdef void open_later(self, Session session) except *
    cpdef void backend_closed(self, Backend backend) except *
    @cython.locals(connection=ClientConnection)
    cpdef void session_closed(self, Session session) except *
