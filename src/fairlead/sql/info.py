"""What is known about one statement: the immutable result of classification, shared by everything that
sees it."""

from __future__ import annotations

Name = tuple[str, str]  # (database or "", table)


class KillInfo:
    """Whom a KILL means: `target` is the id or the user name as written, or the text of an expression."""

    __slots__ = ("is_user", "kind", "soft", "target")

    def __init__(self, target: str, is_user: bool, soft: bool, kind: int) -> None:
        self.target = target
        self.is_user = is_user
        self.soft = soft
        self.kind = kind

    def __repr__(self) -> str:
        return f"KillInfo(target={self.target!r}, is_user={self.is_user}, soft={self.soft}, kind={self.kind})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KillInfo) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


class QueryInfo:
    """One classified statement. Nobody changes it after the classifier built it."""

    __slots__ = (
        "cacheable",
        "called",
        "canonical",
        "chain",
        "changes_charset",
        "charset",
        "databases",
        "dropped_tables",
        "functions",
        "hides_use",
        "is_load_local",
        "kill",
        "multi",
        "operation",
        "parse_result",
        "prepare_name",
        "prepared",
        "proxy_variables",
        "reading",
        "relates_to_previous",
        "release",
        "set_role",
        "set_sql_mode",
        "sql_mode_flags",
        "tables",
        "temp_table",
        "trx_access",
        "trx_isolation",
        "trx_mask",
        "trx_scope",
        "type_mask",
        "unsafe_to_reconnect",
        "use_database",
    )

    def __init__(self) -> None:
        self.type_mask = 0
        self.trx_mask = 0
        self.operation = 0
        self.parse_result = 0
        self.tables: tuple[Name, ...] = ()
        self.databases: tuple[str, ...] = ()
        self.functions: tuple[str, ...] = ()
        # Calls of functions that are not built in: "f" or "db.f", the function in lower case, and what this
        # statement is if all of them only read; None if there are none, or if it is no read even then.
        self.called: tuple[str, ...] = ()
        self.reading: QueryInfo | None = None
        self.canonical = b""
        self.prepare_name = ""
        self.prepared: QueryInfo | None = None
        self.multi = False
        self.relates_to_previous = False
        self.unsafe_to_reconnect = ""
        self.kill: KillInfo | None = None
        self.is_load_local = False
        self.set_sql_mode = 0
        self.sql_mode_flags = -1  # MODE_* bits the session has afterwards; -1: unchanged
        self.changes_charset = False
        self.charset = ""  # the new character set of the client, if the statement names it
        self.use_database = ""
        self.hides_use = False  # it may change the default database to one that is not known here
        self.set_role: str | None = None  # "" is SET ROLE NONE
        self.trx_scope = (
            ""  # "next", "session" or "global": whose transactions trx_access and trx_isolation mean
        )
        self.trx_access = ""  # "READ ONLY" or "READ WRITE", also of START TRANSACTION
        self.trx_isolation = ""  # "SERIALIZABLE", "REPEATABLE READ", ...
        self.temp_table: Name | None = None
        self.dropped_tables: tuple[Name, ...] = ()
        self.chain = False  # COMMIT/ROLLBACK AND CHAIN
        self.release = False  # COMMIT/ROLLBACK RELEASE
        self.proxy_variables: tuple[tuple[str, str], ...] = ()  # SET @maxscale.x.y = v
        self.cacheable = True  # False: literals decide, so the canonical form does not identify this result
