cimport cython

from fairlead.net.channel cimport Channel
from fairlead.protocol.handshake cimport GreetingTemplate
from fairlead.protocol.packets cimport frame
from fairlead.session.client cimport ClientConnection
from fairlead.session.session cimport Session

cdef class Exchange:
    cdef public ClientConnection connection
    cdef public Session session
    cdef public object listener
    cdef public object service
    cdef public object host
    cdef public int sequence
    cdef public bytes scramble
    cdef public str user
    cdef public str database
    cdef public str plugin
    cdef public bytes token
    cdef public object account
    cdef public object _exchange
    cdef public bint _reloaded
    cdef public bint _waiting
    cdef public bint switched

    @cython.locals(length=Py_ssize_t, sequence=int, channel=Channel, p="const unsigned char *")
    cpdef Py_ssize_t feed(self, bytearray buf, Py_ssize_t start, Py_ssize_t end) except -1
    cpdef object packet(self, bytes payload)
    @cython.locals(data=bytearray)
    cpdef object send(self, bytes payload)
    cpdef object refuse(self, int code, str sqlstate, str message)
    cpdef object accepted(self, bytes sha1)
    cpdef object after_password(self)
    cpdef object identify(self)
    cpdef object _judge_account(self)
    cpdef object _outcome(self, object outcome)
    cpdef bint check_database(self) except -1


cdef class Login(Exchange):
    cdef long long _offered
    cdef bint _first
    cdef bint _tls_done
    cdef object _response
    cdef bytes _sha1

    @cython.locals(greeting=GreetingTemplate)
    cpdef object greet(self)


cdef class ChangeUser(Exchange):
    cdef bytes _sha1
    cdef object _request
