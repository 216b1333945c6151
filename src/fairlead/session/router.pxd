from fairlead.session.statement cimport Statement

cdef class RouterSession:
    cpdef str start(self)
    cpdef int route(self, Statement statement) except -1
    cpdef void backend_done(self, object backend, int kind, long long entry_id) except *
    cpdef void backend_lost(self, object backend, int kind, int command, str reason, bint permanent) except *
    cpdef void backend_ready(self, object backend) except *
    cpdef void dismantle(self) except *
