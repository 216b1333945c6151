cimport cython

from fairlead.accounts.patterns cimport HostRule, first_wildcard, like, reduce_address, unescape

cdef Py_ssize_t _SCHEMA_CHARS

cdef class _Grants:
    cdef set exact
    cdef list patterns

    @cython.locals(pattern=str)
    cdef bint allow(self, str database) except -1


cdef class _Candidate:
    cdef HostRule rule
    cdef object account


cpdef tuple _place(_Candidate candidate)

cdef class AccountDirectory:
    cdef public object options
    cdef bint _fold_names
    cdef bint _match_host
    cdef dict _rules
    cdef dict _users
    cdef dict _ordered
    cdef dict _roles
    cdef dict _grants
    cdef dict _granted_roles
    cdef frozenset _databases

    @cython.locals(grants=_Grants)
    cdef object _add_grant(self, str user, str host, str database, bint pattern)
    @cython.locals(candidate=_Candidate)
    cpdef bint needs_name(self, str user, str address=*) except -1
    @cython.locals(candidate=_Candidate)
    cpdef object find(self, str user, str address, str host_name=*)
    @cython.locals(ordered=tuple)
    cdef tuple _candidates(self, str user)
    @cython.locals(host=str, owner=str, where=str, first=str)
    cpdef int check_database(self, object account, str database, str role=*) except -1
    @cython.locals(hosts=dict, grants=_Grants)
    cdef bint _granted(self, str user, str host, str database) except -1
    @cython.locals(open_roles=list, role=str)
    cdef bint _allowed_by_roles(self, tuple roles, str database) except -1
