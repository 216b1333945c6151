cimport cython
from fairlead.sql.info cimport QueryInfo

cdef int _TOP_USE

cdef class Entry:
    cdef public bytes canonical
    cdef public unsigned long long hash
    cdef public int kind
    cdef public QueryInfo info
    cdef public Entry next
    cdef public int use
    cdef public long long hits
    cdef public Py_ssize_t size

cdef class Cache:
    cdef public Py_ssize_t limit
    cdef public Py_ssize_t used
    cdef public Py_ssize_t count
    cdef public long long hits
    cdef public long long misses
    cdef public long long inserts
    cdef public long long evictions
    cdef list _buckets
    cdef object _small
    cdef object _main
    cdef Py_ssize_t _small_used
    cdef dict _ghosts

    @cython.locals(entry=Entry)
    cpdef QueryInfo lookup(self, bytearray text, Py_ssize_t length, unsigned long long hash_value, int kind)
    @cython.locals(a="const unsigned char *", b="const unsigned char *", different=int, i=Py_ssize_t)
    cdef bint _same(self, bytes canonical, bytearray text, Py_ssize_t length)
    @cython.locals(entry=Entry, link=Entry, slot=Py_ssize_t, length=int)
    cpdef insert(self, QueryInfo info, unsigned long long hash_value, int kind)
    @cython.locals(entry=Entry)
    cdef _evict(self)
    @cython.locals(link=Entry, slot=Py_ssize_t)
    cdef _unlink(self, Entry entry)
    @cython.locals(entry=Entry, slot=Py_ssize_t)
    cdef _spread(self)
