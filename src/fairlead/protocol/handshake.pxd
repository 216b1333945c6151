cimport cython

from fairlead.protocol.packets cimport Reader, lenenc_string

cdef long long _MYSQL
cdef long long _PLUGIN_AUTH
cdef long long _CONNECT_WITH_DB
cdef long long _CONNECT_ATTRS

cdef class GreetingTemplate:
    cdef public long long capabilities
    cdef bytes _before
    cdef bytes _between
    cdef bytes _after

    cpdef bytes build(self, unsigned int thread_id, bytes scramble)

@cython.locals(reader=Reader, capabilities="long long", extended="long long", charset=int, status=int, size=int,
               thread_id="long long", scramble=bytes)
cpdef object parse_greeting(bytes payload)
@cython.locals(reader=Reader, capabilities="long long", extended="long long", charset=int, usable="long long",
               max_packet="long long", auth=bytes, attributes=bytes)
cpdef object parse_handshake_response(bytes payload, long long offered)
cdef bytes _until_null_or_end(Reader reader)
cdef bytes _auth_response(Reader reader, long long capabilities)
@cython.locals(low="long long", extended="long long")
cdef bytes _head(long long capabilities, int charset, long long max_packet)
@cython.locals(caps="long long", payload=bytes)
cpdef bytes build_handshake_response(object response)
