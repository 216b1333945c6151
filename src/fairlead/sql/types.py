"""Type bits and operations of a statement: the vocabulary in which the classifier tells routers what a
statement does."""

from __future__ import annotations

TYPE_UNKNOWN = 0
TYPE_READ = 1 << 1
TYPE_WRITE = 1 << 2
TYPE_MASTER_READ = 1 << 3
TYPE_SESSION_WRITE = 1 << 4
TYPE_USERVAR_WRITE = 1 << 5
TYPE_USERVAR_READ = 1 << 6
TYPE_SYSVAR_READ = 1 << 7
TYPE_GSYSVAR_READ = 1 << 8
TYPE_GSYSVAR_WRITE = 1 << 9
TYPE_BEGIN_TRX = 1 << 10
TYPE_ENABLE_AUTOCOMMIT = 1 << 11
TYPE_DISABLE_AUTOCOMMIT = 1 << 12
TYPE_ROLLBACK = 1 << 13
TYPE_COMMIT = 1 << 14
TYPE_PREPARE_NAMED_STMT = 1 << 15
TYPE_PREPARE_STMT = 1 << 16
TYPE_EXEC_STMT = 1 << 17
TYPE_CREATE_TMP_TABLE = 1 << 18
TYPE_DEALLOC_PREPARE = 1 << 22
TYPE_READONLY = 1 << 23
TYPE_READWRITE = 1 << 24
TYPE_NEXT_TRX = 1 << 25

TYPE_NAMES: tuple[tuple[int, str], ...] = (
    (TYPE_READ, "READ"),
    (TYPE_WRITE, "WRITE"),
    (TYPE_MASTER_READ, "MASTER_READ"),
    (TYPE_SESSION_WRITE, "SESSION_WRITE"),
    (TYPE_USERVAR_WRITE, "USERVAR_WRITE"),
    (TYPE_USERVAR_READ, "USERVAR_READ"),
    (TYPE_SYSVAR_READ, "SYSVAR_READ"),
    (TYPE_GSYSVAR_READ, "GSYSVAR_READ"),
    (TYPE_GSYSVAR_WRITE, "GSYSVAR_WRITE"),
    (TYPE_BEGIN_TRX, "BEGIN_TRX"),
    (TYPE_ENABLE_AUTOCOMMIT, "ENABLE_AUTOCOMMIT"),
    (TYPE_DISABLE_AUTOCOMMIT, "DISABLE_AUTOCOMMIT"),
    (TYPE_ROLLBACK, "ROLLBACK"),
    (TYPE_COMMIT, "COMMIT"),
    (TYPE_PREPARE_NAMED_STMT, "PREPARE_NAMED_STMT"),
    (TYPE_PREPARE_STMT, "PREPARE_STMT"),
    (TYPE_EXEC_STMT, "EXEC_STMT"),
    (TYPE_CREATE_TMP_TABLE, "CREATE_TMP_TABLE"),
    (TYPE_DEALLOC_PREPARE, "DEALLOC_PREPARE"),
    (TYPE_READONLY, "READONLY"),
    (TYPE_READWRITE, "READWRITE"),
    (TYPE_NEXT_TRX, "NEXT_TRX"),
)

TRX_BITS = (
    TYPE_BEGIN_TRX
    | TYPE_COMMIT
    | TYPE_ROLLBACK
    | TYPE_ENABLE_AUTOCOMMIT
    | TYPE_DISABLE_AUTOCOMMIT
    | TYPE_READONLY
    | TYPE_READWRITE
    | TYPE_NEXT_TRX
)

OP_UNDEFINED = 0
OP_ALTER = 1
OP_ALTER_TABLE = 2
OP_CALL = 3
OP_CHANGE_DB = 4
OP_CREATE = 5
OP_CREATE_ROLE = 6
OP_CREATE_TABLE = 7
OP_CREATE_USER = 8
OP_DELETE = 9
OP_DROP = 10
OP_DROP_TABLE = 11
OP_EXECUTE = 12
OP_EXPLAIN = 13
OP_GRANT = 14
OP_INSERT = 15
OP_KILL = 16
OP_LOAD = 17
OP_LOAD_LOCAL = 18
OP_REVOKE = 19
OP_SELECT = 20
OP_SET = 21
OP_SET_TRANSACTION = 22
OP_SHOW = 23
OP_SHOW_DATABASES = 24
OP_TRUNCATE = 25
OP_UPDATE = 26

OP_NAMES: tuple[str, ...] = (
    "UNDEFINED", "ALTER", "ALTER_TABLE", "CALL", "CHANGE_DB", "CREATE", "CREATE_ROLE", "CREATE_TABLE",
    "CREATE_USER", "DELETE", "DROP", "DROP_TABLE", "EXECUTE", "EXPLAIN", "GRANT", "INSERT", "KILL", "LOAD",
    "LOAD_LOCAL", "REVOKE", "SELECT", "SET", "SET_TRANSACTION", "SHOW", "SHOW_DATABASES",
    "TRUNCATE", "UPDATE",
)  # fmt: skip

RESULT_INVALID = 0
RESULT_TOKENIZED = 1
RESULT_PARTIALLY_PARSED = 2
RESULT_PARSED = 3
RESULT_NAMES: tuple[str, ...] = ("INVALID", "TOKENIZED", "PARTIALLY_PARSED", "PARSED")

# -- what of the server's sql_mode changes how text is read; bits of the `sql_mode` arguments
MODE_DEFAULT = 0
MODE_ORACLE = 1
MODE_ANSI_QUOTES = 2
MODE_NO_BACKSLASH_ESCAPES = 4
MODE_BRACKETS = 16  # MSSQL: [a name] is quoted
MODE_MULTIBYTE = 8  # the client's character set is one of UNSAFE_CHARSETS

# character sets in which a backslash or a quote can be the second byte of a character
UNSAFE_CHARSETS = frozenset(("big5", "cp932", "gb18030", "gbk", "sjis"))

# -- values of QueryInfo.set_sql_mode
SQL_MODE_UNTOUCHED = 0
SQL_MODE_TO_DEFAULT = 1
SQL_MODE_TO_ORACLE = 2
SQL_MODE_TO_OTHER = 3

KILL_CONNECTION = 0
KILL_QUERY = 1
KILL_QUERY_ID = 2


def mask_text(mask: int) -> str:
    """The mask as REST prints it: `sql::TYPE_READ|sql::TYPE_WRITE`."""
    names = [f"sql::TYPE_{name}" for bit, name in TYPE_NAMES if mask & bit]
    return "|".join(names) if names else "sql::TYPE_UNKNOWN"


def operation_text(operation: int) -> str:
    """The operation as REST prints it: `sql::OP_SELECT`."""
    return f"sql::OP_{OP_NAMES[operation]}"


def result_text(result: int) -> str:
    """The parse result as REST prints it: `Parser::Result::PARSED`."""
    return f"Parser::Result::{RESULT_NAMES[result]}"


def transaction_mask(mask: int) -> int:
    """The part of a type mask that moves the transaction state; an implicit commit (WRITE and COMMIT)
    gives 0."""
    if mask & TYPE_WRITE and mask & TYPE_COMMIT:
        return 0
    kept = mask & TRX_BITS
    if mask & TYPE_BEGIN_TRX:
        kept |= mask & (TYPE_READ | TYPE_WRITE)
    return kept
