cimport cython
from fairlead.sql.cache cimport Cache
from fairlead.sql.digest cimport Digest
from fairlead.sql.info cimport QueryInfo as CQueryInfo
from fairlead.sql.statements cimport StatementParser

cdef int T_END, T_SEMI, OP_CREATE, RESULT_INVALID, RESULT_PARSED, RESULT_TOKENIZED
cdef int _MULTIBYTE, _BRACKETS, _ANSI, _PLAIN, _ORACLE, _READ, _READS, _WRITE

cdef class Classifier:
    cdef readonly Cache cache
    cdef public int sql_mode
    cdef Digest _digest
    cdef StatementParser _parser
    cdef object _collector

    @cython.locals(digest=Digest, info=CQueryInfo, known=CQueryInfo, mode=int, kind=int, split=bint)
    cpdef CQueryInfo classify(self, bytearray buf, Py_ssize_t start, Py_ssize_t end, bint prepare=*, int sql_mode=*)
    @cython.locals(parser=StatementParser, info=CQueryInfo, other=CQueryInfo, inner=bytearray)
    cdef CQueryInfo _cold(self, bytearray buf, Py_ssize_t start, Py_ssize_t end, int mode, bytes canonical, int depth)
    @cython.locals(parser=StatementParser, i=int)
    cdef _parse(self, bytearray buf, Py_ssize_t start, Py_ssize_t end, int mode, bint skip)
    @cython.locals(parser=StatementParser, mask=int, operation=int, result=int)
    cdef _following(self, int i)
    @cython.locals(parser=StatementParser, info=CQueryInfo, mask=int, trx=int)
    cdef CQueryInfo _build(self, bytes canonical)
    @cython.locals(parser=StatementParser, mask=int)
    cdef CQueryInfo _reading(self, bytes canonical)
