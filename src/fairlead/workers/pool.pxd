cimport cython

from fairlead.cluster.board cimport Board, worker_server_index
from fairlead.net.channel cimport Channel, Handler
from fairlead.session.backend cimport Backend
from fairlead.session.server cimport Server
from fairlead.session.session cimport Session
from fairlead.session.user_change cimport Credentials, UserChange

cdef long long _LOGIN_ONLY
cdef Py_ssize_t _S_POOL_EMPTY
cdef Py_ssize_t _S_POOLED
cdef Py_ssize_t _S_RESETTING
cdef Py_ssize_t _S_REUSED

cdef class Idle(Handler):
    cdef public Pool pool
    cdef public Server server
    cdef public Channel channel
    cdef public long long wanted
    cdef public long long capabilities
    cdef public long long thread_id
    cdef public bytes scramble
    cdef public bint tls
    cdef public str remote
    cdef public Credentials credentials
    cdef public long long since_us
    cdef public bint clean
    cdef public UserChange _change


cpdef long long wanted_by(Session session) except? -1
cpdef Credentials credentials_of(Session session, str database)


cdef class Pool:
    cdef public object _host
    cdef Board _board
    cdef Py_ssize_t _worker
    cdef public dict _idle
    cdef public dict _waiting

    @cython.locals(workers="long long")
    cdef long long _limit(self, Server server) except -1
    cpdef list _of(self, Server server)
    cdef void _count(self, Server server, Py_ssize_t cell, long long amount) except *
    cpdef bint starts_plain(self, Session session) except -1
    cpdef void is_clean(self, Idle idle) except *
    @cython.locals(each=Idle, best=Idle, wanted="long long")
    cpdef Idle take(self, Session session, Server server, Credentials who)
    cpdef bint is_waited_for(self, Py_ssize_t slot) except -1
    cpdef void _serve(self, Server server) except *
