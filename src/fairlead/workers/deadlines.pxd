from fairlead.session.backend cimport Backend
from fairlead.session.client cimport ClientConnection
from fairlead.session.session cimport Session

cdef class Deadlines:
    cdef public set _logins
    cdef public dict _opening
    cdef public dict _leaving
    cdef public long long _ticks
    cdef public long long _next_visit

    cpdef void login_begins(self, ClientConnection connection) except *
    cpdef void login_ends(self, ClientConnection connection) except *
    cpdef void opening(self, Session session, Backend backend) except *
    cpdef void backend_closed(self, Backend backend) except *
    cpdef void goodbye(self, ClientConnection connection, long long now) except *
    cpdef void client_gone(self, ClientConnection connection) except *
