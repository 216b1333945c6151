"""Says what a statement is by patterns on its text: the table of statement kinds of the specification,
written down a second time in the simplest way. It knows nothing of src/fairlead/sql.

What it cannot read (code in a comment that only some servers execute) it reads as if it were not a comment.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

Label = tuple[frozenset[str], str]

_HELP = Path("/usr/share/mysql/fill_help_tables.sql")
# Functions without a help page of their own: synonyms, and names that are also key words.
_SYNONYMS = frozenset(
    """
    ASBINARY ASTEXT ASWKB ASWKT CHAR CONCAT_OPERATOR_ORACLE CURRENT_ROLE CURRENT_USER DATE DATABASE DEFAULT
    EXTERIORRING GEOMCOLLFROMTEXT GEOMCOLLFROMWKB GEOMETRYCOLLECTIONFROMTEXT GEOMETRYCOLLECTIONFROMWKB
    GEOMETRYFROMTEXT GEOMETRYFROMWKB GEOMETRYN GEOMETRYTYPE GEOMFROMTEXT GEOMFROMWKB IF INSERT INTERIORRINGN
    ISCLOSED ISEMPTY ISRING ISSIMPLE LENGTHB LINEFROMTEXT LINEFROMWKB LINESTRINGFROMTEXT LINESTRINGFROMWKB
    LPAD_ORACLE LTRIM_ORACLE MBRCONTAINS MBRDISJOINT MBREQUAL MBREQUALS MBRINTERSECTS MBROVERLAPS MBRTOUCHES
    MBRWITHIN MLINEFROMTEXT MLINEFROMWKB MPOINTFROMTEXT MPOINTFROMWKB MPOLYFROMTEXT MPOLYFROMWKB
    MULTILINESTRINGFROMTEXT MULTILINESTRINGFROMWKB MULTIPOINTFROMTEXT MULTIPOINTFROMWKB MULTIPOLYGONFROMTEXT
    MULTIPOLYGONFROMWKB NUMGEOMETRIES NUMINTERIORRINGS NUMPOINTS POINTFROMTEXT POINTFROMWKB POINTN
    POINTONSURFACE POLYFROMTEXT POLYFROMWKB POLYGONFROMTEXT POLYGONFROMWKB POSITION REPEAT REPLACE
    REPLACE_ORACLE RPAD_ORACLE RTRIM_ORACLE SHA SQL_TSI_DAY SQL_TSI_HOUR SQL_TSI_MINUTE SQL_TSI_MONTH
    SQL_TSI_SECOND SQL_TSI_YEAR ST_ASBINARY ST_ASGEOJSON ST_ASTEXT ST_ASWKB ST_EXTERIORRING
    ST_GEOMCOLLFROMTEXT ST_GEOMCOLLFROMWKB ST_GEOMETRYCOLLECTIONFROMTEXT ST_GEOMETRYCOLLECTIONFROMWKB
    ST_GEOMETRYFROMTEXT ST_GEOMETRYFROMWKB ST_GEOMFROMGEOJSON ST_GEOMFROMTEXT ST_GEOMFROMWKB ST_INTERIORRINGN
    ST_ISRING ST_ISSIMPLE ST_LINEFROMTEXT ST_LINEFROMWKB ST_LINESTRINGFROMTEXT ST_LINESTRINGFROMWKB
    ST_MLINEFROMTEXT ST_MLINEFROMWKB ST_MPOINTFROMTEXT ST_MPOINTFROMWKB ST_MPOLYFROMTEXT ST_MPOLYFROMWKB
    ST_MULTILINESTRINGFROMTEXT ST_MULTILINESTRINGFROMWKB ST_MULTIPOINTFROMTEXT ST_MULTIPOINTFROMWKB
    ST_MULTIPOLYGONFROMTEXT ST_MULTIPOLYGONFROMWKB ST_NUMINTERIORRINGS ST_POINTFROMTEXT ST_POINTFROMWKB
    ST_POINTONSURFACE ST_POLYFROMTEXT ST_POLYFROMWKB ST_POLYGONFROMTEXT ST_POLYGONFROMWKB ST_X ST_Y
    SUBSTR_ORACLE TIME TIMESTAMP TRIM_ORACLE VALUE VALUES XMLTYPE
    """.split()  # noqa: SIM905
)
_NOT_PURE = frozenset(
    """
    GET_LOCK RELEASE_LOCK RELEASE_ALL_LOCKS IS_FREE_LOCK IS_USED_LOCK NEXTVAL LASTVAL SETVAL
    """.split()  # noqa: SIM905
)
_NO_FUNCTION = frozenset(
    """
    ALL ANALYZE AND ANY AS ASC BETWEEN BIGINT BINARY BIT BLOB BOTH BY BYTE CASE CHARACTER COLLATE COLUMNS
    CROSS CURSOR DATETIME DEC DECIMAL DELETE DESC DISTINCT DISTINCTROW DIV DOUBLE ELSE ESCAPE EXCEPT EXISTS
    EXPLAIN FIXED FLOAT FOR FORCE FROM GROUP HAVING IGNORE IN INDEX INNER INT INTEGER INTERSECT INTERVAL INTO
    IS JOIN KEY LATERAL LEADING LIKE LIMIT LONGBLOB LONGTEXT MATCH MEDIUMINT MINUS NATIONAL NATURAL NCHAR NOT
    NULL NUMERIC OFFSET ON OR ORDER OUTER OVER PARTITION PROCEDURE REAL REGEXP RETURNING RLIKE ROW ROWS SELECT
    SEPARATOR SERIAL SET SMALLINT SOME STRAIGHT_JOIN TEXT THEN TINYINT TO TRAILING UNION UNSIGNED UPDATE USE
    USING VARBINARY VARCHAR WHEN WHERE WINDOW WITH XOR ALGORITHM AGAINST CYCLE SYSTEM_TIME RANGE NVARCHAR
    SIGNED VARCHAR2 LONG LINES TERMINATED OJ DAY_SECOND ORDINALITY PATH
    SQL_NO_CACHE SQL_CACHE SQL_CALC_FOUND_ROWS SQL_BIG_RESULT SQL_SMALL_RESULT SQL_BUFFER_RESULT
    """.split()  # noqa: SIM905
)
_DIRECT = re.compile(
    r"""(?P<string>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")
      | (?P<name>`(?:[^`]|``)*`)
      | (?P<code>/\*M?!\d{0,6}|\*/)
      | (?P<comment>/\*.*?(?:\*/|$)|\#[^\n]*|--(?=[\s\x00-\x1f]|$)[^\n]*)""",
    re.X | re.S,
)
_NAME = r"(?:[\w$\x80-\xff]+|`[^`]*`)"
_CALL = re.compile(rf"(?<![\w$`@])({_NAME}\s*\.\s*)?({_NAME})\s*\(")
_TABLE_BEFORE = re.compile(
    r"\b(?:FROM|JOIN|INTO|TABLE|UPDATE|INDEX|KEY|WITH|RECURSIVE|VIEW|WINDOW|AS|OVER|FOR)\s+$"
)
_SUBJECTS = {"TABLE": "_TABLE", "TABLES": "_TABLE"}
_PLAIN_WRITES = re.compile(
    r"(?:RENAME|OPTIMIZE|REPAIR|CHECK|CHECKSUM|FLUSH|LOCK|UNLOCK|HANDLER|RESET|SAVEPOINT|RELEASE|START|STOP|"
    r"CHANGE|PURGE|INSTALL|UNINSTALL|BINLOG|CACHE|SHUTDOWN|BACKUP|SIGNAL|RESIGNAL|GET|HELP|XA)\b"
)


_EXPRESSION_OF_TABLE = re.compile(rf"(?:\b(?:WITH|RECURSIVE)\s+|,\s*)({_NAME})\s*(?:\([^()]*\)\s*)?AS\s*\(")


def _functions() -> frozenset[str]:
    pages = _HELP.read_text("utf-8", "replace") if _HELP.exists() else ""
    names = re.findall(r"VALUES \(\d+, \d+, '([A-Z][A-Z0-9_\\]*)'", pages)
    known = {name.replace("\\", "") for name in names} - _NO_FUNCTION
    return frozenset((known | _SYNONYMS) - _NOT_PURE)


_FUNCTIONS = _functions()


@lru_cache(maxsize=1000)
def clean(sql: str) -> str:
    """Upper case, without comments and without what is in strings."""
    found = {"string": "''", "comment": " ", "code": " "}
    text = _DIRECT.sub(
        lambda match: (
            re.sub(r"[^`\w]", "_", match.group())
            if match.lastgroup == "name"
            else found[match.lastgroup or ""]
        ),
        sql,
    )
    return re.sub(r"[\s\x00]+", " ", text).upper().strip().rstrip("; ")


def _calls_other(text: str) -> bool:
    """True if a function is called that is none of the server's own, or one that locks or counts."""
    defined = set(_EXPRESSION_OF_TABLE.findall(text))
    for found in _CALL.finditer(text):
        qualifier, name = found.groups()
        if not qualifier and name in defined:
            continue
        before = text[: found.start()]
        if _TABLE_BEFORE.search(before) or (not qualifier and name in _NO_FUNCTION):
            continue
        if qualifier and re.search(r"\b(?:FROM|JOIN|INTO|INDEX|ON)\s+$", before):
            continue
        if re.search(r"\bFROM\s+(?:[\w$`.]+(?: [\w$`]+)?\s*,\s*)*$", before):
            continue
        if qualifier or name not in _FUNCTIONS:
            return True
    return False


def _expression(text: str) -> set[str]:
    """What the expressions in a statement add."""
    bits = set()
    text = re.sub(r"@\s*''", "@x", text)
    if re.search(r"\bLAST_INSERT_ID\s*\(", text) or re.search(
        r"@@(?:\w+\s*\.\s*)?(?:LAST_INSERT_ID|IDENTITY|LAST_GTID)\b", text
    ):
        bits.add("MASTER_READ")
    for scope, name in re.findall(r"@@\s*(?:(GLOBAL|SESSION|LOCAL)\s*\.\s*)?(`?\w+)", text):
        if name not in ("LAST_INSERT_ID", "IDENTITY", "LAST_GTID"):
            bits.add("GSYSVAR_READ" if scope == "GLOBAL" else "SYSVAR_READ")
    if re.search(r"(?<!@)@[\w$.`\x80-\xff]+\s*:=", text):
        bits.add("USERVAR_WRITE")
    if re.search(r"(?<![@\w`'])@(?!@)(?:[\w$.\x80-\xff]+|`[^`]*`)(?![\w$.])(?!\s*:=)", text):
        bits.add("USERVAR_READ")
    if _calls_other(text) or re.search(
        r"\bNEXT VALUE FOR\b|\bPREVIOUS VALUE FOR\b|\. ?(?:NEXTVAL|LASTVAL)\b", text
    ):
        bits.add("WRITE")
    return bits


def _select(text: str) -> set[str]:
    into = re.search(r"\bINTO (?:OUTFILE|DUMPFILE)\b", text)
    variables = re.search(r"\bINTO (@(?!@)[^ ,]+(?: ?, ?@[^ ,]+)*)", text)
    if variables:
        rest = text[: variables.start()] + " " + text[variables.end() :]
        return _expression(rest) | {"USERVAR_WRITE"} | _locks(rest)
    bits = _expression(text) | _locks(text)
    return bits | {"WRITE"} if into else bits | {"READ"}


def _locks(text: str) -> set[str]:
    return {"WRITE"} if re.search(r"\bFOR UPDATE\b|\bLOCK IN SHARE MODE\b|\bFOR SHARE\b", text) else set()


def _set(text: str) -> Label:
    body = text[4:]
    found = re.match(r"(?:(GLOBAL|SESSION|LOCAL) )?TRANSACTION (?!=)", body)
    if found:
        scope = found.group(1)
        bits = {"GSYSVAR_WRITE"} if scope == "GLOBAL" else {"SESSION_WRITE"} if scope else {"NEXT_TRX"}
        if scope != "GLOBAL":
            bits |= {"READONLY"} if "READ ONLY" in body else set()
            bits |= {"READWRITE"} if "READ WRITE" in body else set()
        return frozenset(bits), "SET_TRANSACTION"
    if re.match(r"PASSWORD\b|DEFAULT ROLE\b", body):
        return frozenset({"WRITE"}), "SET"
    bits = set()
    scope = "SESSION"
    for item in _items(body):
        target, _, value = item.partition("=")
        target = target.rstrip(": ").strip()
        if re.match(r"@(?!@)", target):
            bits |= {"SESSION_WRITE", "USERVAR_WRITE"}
        elif not value:
            bits.add("SESSION_WRITE")
        else:
            of = re.match(r"(@@)?\s*(?:(GLOBAL|SESSION|LOCAL)[. ]\s*)?(.*)", target, re.S)
            direct, named, name = of.groups() if of else (None, None, target)
            if named and not direct:
                scope = named
            of_item = named or ("SESSION" if direct else scope)
            bits.add("GSYSVAR_WRITE" if of_item == "GLOBAL" else "SESSION_WRITE")
            if name.strip("` ") == "AUTOCOMMIT" and of_item != "GLOBAL":
                value_text = value.strip()
                if value_text in ("0", "OFF", "FALSE"):
                    bits |= {"BEGIN_TRX", "DISABLE_AUTOCOMMIT"}
                elif value_text in ("1", "ON", "TRUE"):
                    bits |= {"COMMIT", "ENABLE_AUTOCOMMIT"}
        bits |= _expression(value)
        if re.search(r"\bSELECT\b", value):
            bits |= _select(value)
    return frozenset(bits), "SET"


def _items(text: str) -> list[str]:
    """The parts between commas that are in no parentheses."""
    items, depth, begin = [], 0, 0
    for i, c in enumerate(text):
        if c == "(":
            depth += 1
        elif c == ")":
            depth -= 1
        elif c == "," and depth == 0:
            items.append(text[begin:i].strip())
            begin = i + 1
    return [*items, text[begin:].strip()]


def _show(text: str) -> Label:
    body = re.sub(r"^(?:FULL|EXTENDED) ", "", text[5:])
    if re.match(r"(?:DATABASES|SCHEMAS)\b", body):
        return frozenset({"READ"} | _expression(body)), "SHOW_DATABASES"
    if re.match(r"(?:SESSION |LOCAL )?VARIABLES\b", body):
        return frozenset({"SYSVAR_READ"} | _expression(body)), "SHOW"
    if re.match(r"GLOBAL VARIABLES\b", body):
        return frozenset({"GSYSVAR_READ"} | _expression(body)), "SHOW"
    if re.match(r"(?:(?:INDEX|INDEXES|KEYS|WARNINGS|(?:MASTER|BINLOG) STATUS)\b|COUNT ?\()", body):
        return frozenset({"WRITE"}), "SHOW"
    return frozenset({"READ"} | _expression(body)), "SHOW"


def _create(text: str) -> Label:
    found = re.match(r"CREATE (?:OR REPLACE )?(TEMPORARY )?(TABLE\b)?", text)
    temporary, table = found.groups() if found else (None, None)
    bits = {"WRITE"} | ({"CREATE_TMP_TABLE"} if temporary and table else set())
    return frozenset(bits), "CREATE_TABLE" if table else "CREATE"


def _with(text: str) -> str:
    """The statement that common table expressions stand before, and those in parentheses behind it."""
    depth = 0
    for found in re.finditer(r"[()]|\b(?:SELECT|UPDATE|DELETE|VALUES)\b", text):
        word = found.group()
        if word == "(":
            depth += 1
        elif word == ")":
            depth -= 1
        elif depth == 0:
            return word
    return "SELECT"


def label(sql: str) -> Label | None:
    """(names of the bits, operation) of a statement; None: it is not one of those in the table."""
    text = clean(sql)
    if not text:
        return (frozenset({"READ"}), "UNDEFINED") if re.search(r"/\*|--|#", sql) else None
    if re.search(r"; *[^ ;]", text) and not text.startswith(("CREATE", "BEGIN", "ALTER")):
        return None
    first = re.match(r"[( ]*([A-Z]+)", text)
    word = first.group(1) if first else ""
    if word == "WITH":
        word = _with(text)
    if word in ("SELECT", "VALUES"):
        return frozenset(_select(text)), "SELECT"
    if text.startswith("("):
        return None
    if word in ("INSERT", "REPLACE"):
        return frozenset({"WRITE"} | _expression(text)), "INSERT"
    if word in ("UPDATE", "DELETE"):
        derived = r"(?:\bUPDATE|\bJOIN|,|\bFROM|\bUSING|\() ?\(+ ?(?:SELECT|VALUES|WITH)\b"
        read = (
            {"READ"} if re.search(derived, _from(text)) or re.search(r"\bFROM \(+ ?SELECT\b", text) else set()
        )
        return frozenset({"WRITE"} | read | _expression(text)), word
    if word == "SET":
        found = re.match(r"SET STATEMENT (?!=)(.*?) FOR (.*)", text)
        return label(found.group(2)) if found else _set(text)
    if word == "SHOW":
        return _show(text)
    if word == "CREATE":
        return _create(text)
    if word in ("ALTER", "DROP"):
        if text.startswith("DROP PREPARE"):
            return frozenset({"DEALLOC_PREPARE"}), "UNDEFINED"
        of_table = re.match(rf"{word} (?:TEMPORARY |IGNORE |ONLINE )*TABLES?\b", text)
        return frozenset({"WRITE"}), f"{word}_TABLE" if of_table else word
    return _others(text, word)


def _from(text: str) -> str:
    """The table references of UPDATE or DELETE."""
    return re.split(r"\b(?:SET|WHERE|ORDER BY|LIMIT|RETURNING)\b", text)[0]


def _others(text: str, word: str) -> Label | None:
    write = frozenset({"WRITE"})
    if word == "TRUNCATE":
        return write, "TRUNCATE"
    if word == "LOAD":
        found = re.match(r"LOAD (?:DATA|XML) (?:LOW_PRIORITY |CONCURRENT )?(LOCAL )?", text)
        return (write, "LOAD_LOCAL" if found.group(1) else "LOAD") if found else (write, "UNDEFINED")
    if word in ("GRANT", "REVOKE", "KILL"):
        return write, word
    if word in ("CALL", "EXECUTE"):
        return write | _expression(text[len(word) :].partition("(")[2] or text), word
    if word == "DO":
        return frozenset({"READ", "WRITE"} | _expression(text)), "UNDEFINED"
    if word in ("BEGIN", "START"):
        if re.match(r"BEGIN NOT ATOMIC\b", text) or re.match(r"START (?!TRANSACTION)", text):
            return write, "UNDEFINED"
        if not re.fullmatch(r"BEGIN(?: WORK)?|START TRANSACTION.*", text):
            return None
        extra = {"READ"} if "READ ONLY" in text else {"WRITE"} if "READ WRITE" in text else set()
        return frozenset({"BEGIN_TRX"} | extra), "UNDEFINED"
    if word in ("COMMIT", "ROLLBACK"):
        if re.match(r"ROLLBACK (?:WORK )?TO\b", text):
            return write, "UNDEFINED"
        return frozenset({word}), "UNDEFINED"
    if word == "USE":
        return frozenset({"SESSION_WRITE"}), "CHANGE_DB"
    if word == "PREPARE":
        return frozenset({"PREPARE_NAMED_STMT"} | _expression(text)), "UNDEFINED"
    if word == "DEALLOCATE":
        return frozenset({"DEALLOC_PREPARE"}), "UNDEFINED"
    if word in ("EXPLAIN", "DESC", "DESCRIBE", "ANALYZE"):
        if re.match(r"ANALYZE (?:LOCAL |NO_WRITE_TO_BINLOG )?TABLES?\b", text):
            return write, "UNDEFINED"
        explained = re.match(
            r"\w+ (?:(?:EXTENDED|PARTITIONS|FORMAT ?= ?[\w']+|ANALYZE) )*"
            r"(?:\(|(?:SELECT|INSERT|REPLACE|UPDATE|DELETE|WITH|VALUES|FOR)\b)",
            text,
        )
        return frozenset({"READ"}), "EXPLAIN" if explained else "SHOW"
    if word == "XA":
        if re.match(r"XA (?:START|BEGIN)\b", text):
            return frozenset({"BEGIN_TRX"}), "UNDEFINED"
        return (frozenset({"COMMIT"}) if re.match(r"XA END\b", text) else write), "UNDEFINED"
    if text.startswith("RESET QUERY CACHE"):
        return frozenset({"SESSION_WRITE"}), "UNDEFINED"
    if _PLAIN_WRITES.match(text):
        return write, "UNDEFINED"
    return None
