cimport cython

cdef long long _PREPARES
cdef long long _TO_ALL
cdef long long _NEXT_TRX
cdef long long _WRITE
cdef long long _USERVAR_WRITE
cdef long long _USERVAR_READ
cdef long long _READS

@cython.locals(reads="long long")
cpdef int decide(long long mask, bint all_by_command, bint locked, bint trx_open, bint trx_read_only,
                 bint variables_on_all) except -1
