cimport cython

from fairlead.protocol.auth cimport sha1, xor

cdef Py_ssize_t _SCRAMBLE_BYTES

cdef class AuthExchange:
    cpdef object begin(self, str client_plugin, bytes token)
    cpdef object step(self, bytes data)


cdef class Authenticator:
    cdef readonly str name
    cdef readonly frozenset plugins
    cdef readonly str client_plugin

    cpdef AuthExchange start(self, object account, str user, str host, bytes scramble)


cpdef bytes stored_hash(object account)

cdef class NativeExchange(AuthExchange):
    cdef str _user
    cdef str _host
    cdef bytes _scramble
    cdef object _options
    cdef bint _known
    cdef bytes _stored
    cdef bint _switched
    cdef bint _ended

    cpdef object begin(self, str client_plugin, bytes token)
    cpdef object step(self, bytes data)
    @cython.locals(stored=bytes, sha1_password=bytes, found=bytes)
    cdef object _judge(self, bytes token)


cdef class NativeAuthenticator(Authenticator):
    cdef readonly object options

    cpdef AuthExchange start(self, object account, str user, str host, bytes scramble)


cdef class AuthenticatorSet:
    cdef readonly object options
    cdef readonly tuple authenticators

    @cython.locals(authenticator=Authenticator)
    cpdef object choose(self, object account)
