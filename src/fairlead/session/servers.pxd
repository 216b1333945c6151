cimport cython

from fairlead.session.backend cimport Backend
from fairlead.session.state cimport SessionState
from fairlead.session.statement cimport Statement

cdef int _B_PLANNED
cdef int _B_READY
cdef int _COM_STMT_PREPARE
cdef int _K_CLIENT
cdef int _K_REPLAY
cdef int _K_VERIFY
cdef int _NO_BACKSLASH
cdef int _NO_BACKSLASH_STATUS
cdef int _R_ERR
cdef int _R_OK
cdef int _R_RESULT

cdef class ServerSide(SessionState):
    cpdef bint open_backend(self, Backend backend) except -1
    cpdef void plan_backend(self, Backend backend) except *
    @cython.locals(backend=Backend)
    cpdef void open_planned(self) except *
    cpdef void backend_needed(self, Backend backend) except *
    cpdef Py_ssize_t backend_login_data(self, Backend backend, bytearray buf, Py_ssize_t start,
                                        Py_ssize_t end) except -1
    cpdef void backend_logged_in(self, Backend backend) except *
    cdef list _to_repeat(self, Backend backend)
    cdef void _backend_ready(self, Backend backend) except *
    cpdef void backend_closed(self, Backend backend) except *
    @cython.locals(backend=Backend)
    cpdef void resume_client(self) except *
    @cython.locals(status=int, ok=bint)
    cpdef void reply_done(self, Backend backend, int kind, int command, long long entry_id) except *
    cpdef void client_bytes(self, Backend backend, bytearray buf, Py_ssize_t start, Py_ssize_t end) except *
    cpdef bint first_packet(self, Backend backend, bytearray buf, Py_ssize_t start, Py_ssize_t end) except -1
    cpdef void send(self, Backend backend, Statement statement, long long entry_id, bint is_read) except *
