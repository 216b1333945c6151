cimport cython

from fairlead.accounts.authenticators cimport AuthExchange, Authenticator, AuthenticatorSet
from fairlead.accounts.directory cimport AccountDirectory
from fairlead.net.channel cimport Channel
from fairlead.protocol.handshake cimport GreetingTemplate, HandshakeResponse, is_ssl_request, parse_handshake_response
from fairlead.protocol.packets cimport framed, login_ok, session_variables
from fairlead.session.client cimport ClientConnection
from fairlead.session.session cimport Session

cdef Py_ssize_t _LOGIN_PACKET_BYTES_MAX
cdef long long _CONNECT_WITH_DB
cdef long long _SESSION_TRACK
cdef int _TEXT_HEAD
cdef int _BINARY_HEAD

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
    cdef AuthExchange _exchange
    cdef public bint _reloaded
    cdef public bint _waiting
    cdef public bint switched

    cdef object _prepare(self)
    @cython.locals(length=Py_ssize_t, sequence=int, channel=Channel, p="const unsigned char *")
    cpdef Py_ssize_t feed(self, bytearray buf, Py_ssize_t start, Py_ssize_t end) except -1
    cpdef object packet(self, bytes payload)
    cpdef object send(self, bytes payload)
    @cython.locals(channel=Channel)
    cdef object _send_packet(self, bytearray packet)
    cpdef object refuse(self, int code, str sqlstate, str message)
    cpdef object accepted(self, bytes sha1)
    cpdef object after_password(self)
    @cython.locals(session=Session, directory=AccountDirectory)
    cpdef object identify(self)
    cdef object _go_on(self)
    @cython.locals(directory=AccountDirectory)
    cpdef object _identified(self, str host_name)
    @cython.locals(authenticators=AuthenticatorSet, authenticator=Authenticator, exchange=AuthExchange)
    cpdef object _judge_account(self)
    cpdef object _outcome(self, object outcome)
    @cython.locals(directory=AccountDirectory, code=int)
    cpdef bint check_database(self) except -1
    cdef tuple backend_credentials(self, bytes sha1)


cdef class Login(Exchange):
    cdef long long _offered
    cdef bint _first
    cdef bint _tls_done
    cdef HandshakeResponse _response
    cdef bytes _sha1

    cdef object _prepare(self)
    @cython.locals(greeting=GreetingTemplate)
    cpdef object greet(self)
    @cython.locals(p="const unsigned char *", head=int)
    cpdef Py_ssize_t feed(self, bytearray buf, Py_ssize_t start, Py_ssize_t end) except -1
    cdef Py_ssize_t _header(self, bytearray buf, Py_ssize_t start, Py_ssize_t end) except -1
    @cython.locals(session=Session, response=HandshakeResponse, capabilities="long long")
    cpdef object packet(self, bytes payload)
    @cython.locals(session=Session)
    cpdef object after_password(self)


cdef class ChangeUser(Exchange):
    cdef bytes _sha1
    cdef object _request

    cdef object _prepare(self)
