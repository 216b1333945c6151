cimport cython

from fairlead.protocol.packets cimport Reader, framed, lenenc_string

cdef Py_ssize_t _PACKET_HEAD_BYTES
cdef Py_ssize_t _SCRAMBLE_BYTES
cdef Py_ssize_t _HEAD_BYTES
cdef long long _MYSQL
cdef long long _SSL
cdef long long _PROTOCOL_41
cdef long long _AUTH_LENENC
cdef long long _SECURE_CONNECTION
cdef long long _PLUGIN_AUTH
cdef long long _CONNECT_WITH_DB
cdef long long _CONNECT_ATTRS

cdef class GreetingTemplate:
    cdef public long long capabilities
    cdef bytearray _packet
    cdef Py_ssize_t _thread_id
    cdef Py_ssize_t _scramble_end

    @cython.locals(packet=bytearray, at=Py_ssize_t, i=Py_ssize_t, p="const unsigned char *")
    cpdef bytearray packet(self, unsigned int thread_id, bytes scramble)

cdef class HandshakeResponse:
    cdef readonly long long capabilities
    cdef readonly int charset
    cdef readonly str user
    cdef readonly bytes auth
    cdef readonly str database
    cdef readonly str plugin
    cdef readonly bytes attributes_raw
    cdef readonly long long max_packet

@cython.locals(p="const unsigned char *")
cpdef bint is_ssl_request(bytes payload) except -1
@cython.locals(reader=Reader, capabilities="long long", extended="long long", charset=int, status=int, size=int,
               thread_id="long long", scramble=bytes)
cpdef object parse_greeting(bytes payload)
@cython.locals(reader=Reader, capabilities="long long", extended="long long", charset=int, usable="long long",
               max_packet="long long", raw=bytes, auth=bytes, attributes=bytes)
cpdef HandshakeResponse parse_handshake_response(bytes payload, long long offered)
cdef bytes _auth_response(Reader reader, long long capabilities)
@cython.locals(low="long long", extended="long long")
cdef bytes _head(long long capabilities, int charset, long long max_packet)
@cython.locals(caps="long long", payload=bytes)
cpdef bytes build_handshake_response(HandshakeResponse response)
