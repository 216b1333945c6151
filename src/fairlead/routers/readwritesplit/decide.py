"""Which kind of server a statement is for: a pure function of its type bits and the state of the session.

The result is one of the `D_*` values; its reason is a sentence of `REASONS`. The rules are tried in the
order of spec routers_monitors.md A.3.1; whatever no rule claims is for the primary.
"""

from __future__ import annotations

from fairlead.sql.types import (
    TYPE_DEALLOC_PREPARE,
    TYPE_DISABLE_AUTOCOMMIT,
    TYPE_ENABLE_AUTOCOMMIT,
    TYPE_GSYSVAR_READ,
    TYPE_GSYSVAR_WRITE,
    TYPE_NEXT_TRX,
    TYPE_PREPARE_NAMED_STMT,
    TYPE_PREPARE_STMT,
    TYPE_READ,
    TYPE_SESSION_WRITE,
    TYPE_SYSVAR_READ,
    TYPE_USERVAR_READ,
    TYPE_USERVAR_WRITE,
    TYPE_WRITE,
)

# Decisions: the target is `decision & TARGET_MASK`.
TARGET_MASTER = 1
TARGET_SLAVE = 2
TARGET_ALL = 3
TARGET_LAST = 4
TARGET_MASK = 7

D_LOCKED = TARGET_MASTER | 8
D_PREPARE = TARGET_ALL | 16
D_NEXT_TRX = TARGET_MASTER | 24
D_SESSION = TARGET_ALL | 32
D_READ = TARGET_SLAVE | 40
D_READ_ONLY_TRX = TARGET_SLAVE | 48
D_WRITE = TARGET_MASTER | 56
D_TRX = TARGET_MASTER | 64
D_TEMP_TABLE = TARGET_MASTER | 72
D_PREVIOUS = TARGET_LAST | 80
D_NO_SLAVES = TARGET_MASTER | 88
D_LONG_DATA = TARGET_MASTER | 96
D_HINT_MASTER = TARGET_MASTER | 104
D_HINT_SLAVE = TARGET_SLAVE | 112
D_HINT_LAST = TARGET_LAST | 120
D_OPTIMISTIC = TARGET_SLAVE | 128
D_CAUSAL = TARGET_MASTER | 136

REASONS: dict[int, str] = {
    D_LOCKED: "the session is locked to the primary",
    D_PREPARE: "a prepared statement has to exist on every server",
    D_NEXT_TRX: "SET TRANSACTION concerns the next transaction, which is on the primary",
    D_SESSION: "the statement changes the state of the session, which every server needs to know",
    D_READ: "a pure read outside of a transaction",
    D_READ_ONLY_TRX: "the open transaction is READ ONLY",
    D_WRITE: "the statement is not known to be a pure read",
    D_TRX: "a transaction is open",
    D_TEMP_TABLE: "the statement reads a temporary table, which only the primary has",
    D_PREVIOUS: "the statement asks for something that only the previous statement's server knows",
    D_NO_SLAVES: "max_slave_connections is 0",
    D_LONG_DATA: "long data for a statement that is not known to be a pure read",
    D_HINT_MASTER: "a hint names the primary",
    D_HINT_SLAVE: "a hint names a replica",
    D_HINT_LAST: "a hint names the previous statement's server",
    D_CAUSAL: "no replica has what the read must see (causal_reads)",
    D_OPTIMISTIC: "the open transaction has only read so far (optimistic_trx)",
}

_PREPARES = TYPE_PREPARE_STMT | TYPE_PREPARE_NAMED_STMT | TYPE_DEALLOC_PREPARE
_TO_ALL = TYPE_SESSION_WRITE | TYPE_GSYSVAR_WRITE | TYPE_ENABLE_AUTOCOMMIT | TYPE_DISABLE_AUTOCOMMIT
_NEXT_TRX = TYPE_NEXT_TRX
_WRITE = TYPE_WRITE
_USERVAR_WRITE = TYPE_USERVAR_WRITE
_USERVAR_READ = TYPE_USERVAR_READ
_READS = TYPE_READ | TYPE_SYSVAR_READ | TYPE_GSYSVAR_READ


def decide(
    mask: int, all_by_command: bool, locked: bool, trx_open: bool, trx_read_only: bool, variables_on_all: bool
) -> int:
    """The decision for a statement with these type bits (no hints, no temporary tables)."""
    if locked:
        return D_LOCKED
    if all_by_command:
        return D_SESSION
    if mask & _PREPARES:
        return D_PREPARE
    if mask & _NEXT_TRX:
        return D_NEXT_TRX
    if not mask & _WRITE and (mask & _TO_ALL or (variables_on_all and mask & _USERVAR_WRITE)):
        return D_SESSION
    if not trx_open:
        reads = _READS
        if variables_on_all:
            reads |= _USERVAR_READ
        if mask & reads and not mask & ~reads:
            return D_READ
        return D_WRITE
    if trx_read_only:
        return D_READ_ONLY_TRX
    return D_TRX
