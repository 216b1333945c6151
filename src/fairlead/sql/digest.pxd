cimport cython

cdef unsigned long long _MULTIPLIER, _MASK64
cdef bytes CLASSES, _ACTIONS
cdef bytes _BEFORE_SIGN

cdef class Digest:
    cdef public bytearray scratch
    cdef public Py_ssize_t length
    cdef public unsigned long long hash
    cdef public bint ambiguous
    cdef public list spans

    cpdef bytes canonical(self)
    @cython.locals(p="const unsigned char *", out="unsigned char *", actions="const unsigned char *",
                   names="const unsigned char *", i=Py_ssize_t, n=Py_ssize_t, j=Py_ssize_t, j2=Py_ssize_t,
                   joined=Py_ssize_t, ambiguous=bint, c=int, action=int, before=int, plain=bint, noted=bint, sign=int)
    cpdef Py_ssize_t run(self, bytearray buf, Py_ssize_t start, Py_ssize_t end, bint ansi, bint no_escapes,
                         unsigned long long seed) except -1
    cdef note(self, Py_ssize_t position, int sign, Py_ssize_t begin, Py_ssize_t end)
    cdef Py_ssize_t _keep_apart(self, unsigned char *out, Py_ssize_t n, int c)
    @cython.locals(j=Py_ssize_t)
    cdef Py_ssize_t _part_dashes(self, unsigned char *out, Py_ssize_t n)
    @cython.locals(names="const unsigned char *", j=Py_ssize_t, k=Py_ssize_t, dot=Py_ssize_t)
    cdef Py_ssize_t _number(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t end)
    @cython.locals(c=int, quote=int)
    cdef Py_ssize_t _string(self, const unsigned char *p, Py_ssize_t i, Py_ssize_t end, bint plain)
    @cython.locals(h="unsigned long long", w="unsigned long long", i=Py_ssize_t)
    cdef unsigned long long _hash(self, const unsigned char *out, Py_ssize_t n, unsigned long long seed)
