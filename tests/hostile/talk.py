"""Conversations: what clients say, and a scripted server that answers like MariaDB does."""

from __future__ import annotations

from collections.abc import Callable

from harness import PASSWORD, SCRAMBLE, USER, Client, ServerConnection, World

from fairlead.protocol import auth, packets
from fairlead.protocol.constants import (
    BASE_CAPABILITIES,
    CLIENT_CONNECT_ATTRS,
    CLIENT_CONNECT_WITH_DB,
    CLIENT_DEPRECATE_EOF,
    CLIENT_MYSQL,
    CLIENT_PLUGIN_AUTH,
    CLIENT_SESSION_TRACK,
    COM_DEBUG,
    COM_FIELD_LIST,
    COM_INIT_DB,
    COM_PING,
    COM_QUERY,
    COM_QUIT,
    COM_RESET_CONNECTION,
    COM_SET_OPTION,
    COM_STATISTICS,
    COM_STMT_CLOSE,
    COM_STMT_EXECUTE,
    COM_STMT_FETCH,
    COM_STMT_PREPARE,
    COM_STMT_RESET,
    COM_STMT_SEND_LONG_DATA,
    MAX_PACKET,
)
from fairlead.protocol.handshake import HandshakeResponse, build_change_user, build_handshake_response

# A step of a conversation: bytes, or a function that makes them from what the client has received.
Step = bytes | Callable[[Client], bytes]

_AUTOCOMMIT = 2
_IN_TRANS = 1
_MORE = 8
# In place of a number of columns: the statement asks for data.
LOAD = -1


def frame(payload: bytes, sequence: int = 0) -> bytes:
    """One packet, or several."""
    return packets.frame(sequence, payload)


# -- the server


def ok(status: int, header: int = 0) -> bytes:
    """An OK packet."""
    return bytes((header,)) + b"\x01\xfc\x00\x01" + status.to_bytes(2, "little") + b"\x00\x00"


def err(code: int = 1146, text: str = "no such table") -> bytes:
    """An error packet."""
    return packets.err_payload(code, "42S02", text)


def end(connection: ServerConnection, status: int) -> bytes:
    """What ends rows."""
    if connection.capabilities & CLIENT_DEPRECATE_EOF:
        return ok(status, 0xFE)
    return b"\xfe\x00\x00" + status.to_bytes(2, "little")


def result(connection: ServerConnection, status: int, rows: list[bytes], columns: int = 2) -> list[bytes]:
    """A result set."""
    payloads = [packets.lenenc(columns), *(packets.column_payload(f"c{number}") for number in range(columns))]
    if not connection.capabilities & CLIENT_DEPRECATE_EOF:
        payloads.append(end(connection, status))
    return [*payloads, *rows, end(connection, status)]


def _query(connection: ServerConnection, sql: bytes) -> list[bytes]:
    state = connection.state
    status = int(state.get("trx", 0)) | _AUTOCOMMIT
    word = sql.split(b" ", 1)[0].upper()
    if word == b"BEGIN":
        state["trx"] = _IN_TRANS
        return [ok(_IN_TRANS | _AUTOCOMMIT)]
    if word in (b"COMMIT", b"ROLLBACK"):
        state["trx"] = 0
        return [ok(_AUTOCOMMIT)]
    if b"LOAD DATA" in sql.upper():
        state["load"] = sql.upper().count(b"LOAD DATA")
        return [b"\xfbdata.txt"]
    if b";" in sql:
        first = result(connection, status | _MORE, [b"\x011\x0212"])
        return [*first, ok(status | _MORE), *result(connection, status, [b"\x013\xfb"])]
    if b"BAD" in sql:
        return [err()]
    if b"MIDDLE" in sql:
        return [*result(connection, status, [b"\x011\x0212"])[:-1], err(1317, "interrupted")]
    if word in (b"SELECT", b"SHOW"):
        rows = [packets.lenenc_string(b"x" * (each * 97 % 260)) + b"\xfb" for each in range(5)]
        return result(connection, status, rows)
    return [ok(status)]


def _prepare(connection: ServerConnection, sql: bytes) -> list[bytes]:
    if b"BAD" in sql:
        return [err()]
    state = connection.state
    number = int(state.get("statements", 100)) + 1
    state["statements"] = number
    parameters = sql.count(b"?")
    columns = 1 if sql.upper().startswith(b"SELECT") else 0
    state[f"s{number}"] = LOAD if sql.upper().startswith(b"LOAD") else columns
    with_eof = not connection.capabilities & CLIENT_DEPRECATE_EOF
    head = b"\x00" + number.to_bytes(4, "little") + columns.to_bytes(2, "little")
    payloads = [head + parameters.to_bytes(2, "little") + b"\x00\x00\x00"]
    for count in (parameters, columns):
        payloads += [packets.column_payload("p") for _ in range(count)]
        if count and with_eof:
            payloads.append(end(connection, _AUTOCOMMIT))
    return payloads


def answer(connection: ServerConnection, payload: bytes) -> list[bytes]:
    """The replies of the scripted server."""
    state = connection.state
    status = int(state.get("trx", 0)) | _AUTOCOMMIT
    if state.get("load"):
        if payload:
            return []
        state["load"] -= 1
        return [ok(status | _MORE), b"\xfbdata.txt"] if state["load"] else [ok(status)]
    if not payload:
        return [err(1835, "Malformed communication packet")]
    command = payload[0]
    if command == COM_QUERY:
        return _query(connection, payload[1:])
    if command == COM_STMT_PREPARE:
        return _prepare(connection, payload[1:])
    if command == COM_STMT_EXECUTE:
        number = int.from_bytes(payload[1:5], "little")
        if f"s{number}" not in state:
            return [err(1243, "unknown statement")]
        if state[f"s{number}"] == LOAD:
            state["load"] = 1
            return [b"\xfbdata.txt"]
        if not state[f"s{number}"]:
            return [ok(status)]
        if payload[5:6] == b"\x01":
            state["cursor"] = 3
            return result(connection, status | 0x40, [], columns=1)[: 3 if _eof(connection) else 2] + (
                [] if _eof(connection) else [ok(status | 0x40, 0xFE)]
            )
        return result(connection, status, [b"\x00\x00\x02ab", b"\x00\x04"], columns=1)
    if command == COM_STMT_FETCH:
        state["cursor"] = int(state.get("cursor", 0)) - 1
        more = 0x40 if state["cursor"] > 0 else 0x80
        return [b"\x00\x00\x02ab", end(connection, status | more)]
    if command == COM_FIELD_LIST:
        return [packets.column_payload("a"), end(connection, status)]
    if command == COM_STATISTICS:
        return [b"Uptime: 1  Threads: 2"]
    if command in (COM_SET_OPTION, COM_DEBUG):
        return [b"\xfe\x00\x00\x02\x00"]
    if command in (COM_QUIT, COM_STMT_CLOSE, COM_STMT_SEND_LONG_DATA):
        return []
    if command in (COM_PING, COM_INIT_DB, COM_RESET_CONNECTION, COM_STMT_RESET):
        return [ok(status)]
    return [err(1047, "Unknown command")]


def _eof(connection: ServerConnection) -> bool:
    return not connection.capabilities & CLIENT_DEPRECATE_EOF


# -- the client

_CAPABILITIES = BASE_CAPABILITIES & ~CLIENT_MYSQL | CLIENT_CONNECT_ATTRS


def login(
    *, deprecate_eof: bool = False, plugin: str = "mysql_native_password", password: str = PASSWORD
) -> bytes:
    """The login packet. With another plugin than ours a switch follows."""
    capabilities = _CAPABILITIES & ~CLIENT_DEPRECATE_EOF & ~CLIENT_CONNECT_WITH_DB & ~CLIENT_SESSION_TRACK
    if deprecate_eof:
        capabilities |= CLIENT_DEPRECATE_EOF | CLIENT_SESSION_TRACK
    response = HandshakeResponse(
        capabilities=capabilities,
        charset=45,
        user=USER,
        auth=token(password),
        plugin=plugin,
        attributes_raw=packets.lenenc_string(b"_client_name") + packets.lenenc_string(b"tests"),
    )
    return frame(build_handshake_response(response), 1)


def token(password: str = PASSWORD) -> bytes:
    """The proof of the password."""
    return auth.native_token(auth.password_hash(password), SCRAMBLE)


def query(sql: str | bytes) -> bytes:
    """COM_QUERY."""
    return frame(bytes((COM_QUERY,)) + (sql.encode() if isinstance(sql, str) else sql))


def command(number: int, rest: bytes = b"") -> bytes:
    """Any command."""
    return frame(bytes((number,)) + rest)


def prepare(sql: str) -> bytes:
    """COM_STMT_PREPARE."""
    return command(COM_STMT_PREPARE, sql.encode())


def execute(number: int, parameters: int, *, types: bool = True, cursor: int = 0) -> bytes:
    """COM_STMT_EXECUTE with parameters that are strings."""
    rest = number.to_bytes(4, "little") + bytes((cursor,)) + b"\x01\x00\x00\x00"
    if parameters:
        rest += bytes((parameters + 7) // 8) + (b"\x01" if types else b"\x00")
        rest += b"\xfd\x00" * parameters if types else b""
        rest += b"\x03abc" * parameters
    return command(COM_STMT_EXECUTE, rest)


def by_id(number: int, client_command: int, rest: bytes = b"") -> bytes:
    """A command that names a prepared statement."""
    return command(client_command, number.to_bytes(4, "little") + rest)


def change_user(password: str = PASSWORD) -> bytes:
    """COM_CHANGE_USER to the same user."""
    from fairlead.protocol.handshake import ChangeUserRequest

    request = ChangeUserRequest(USER, token(password), "", 45, "mysql_native_password")
    return frame(build_change_user(request, CLIENT_PLUGIN_AUTH))


LAST = 0xFFFFFFFF

QUERIES: list[Step] = [
    login(),
    query("SELECT 1"),
    query("INSERT INTO t VALUES (1)"),
    query("SELECT 1; INSERT INTO t VALUES (1); SELECT 3"),
    query("SELECT BAD"),
    query("SELECT MIDDLE"),
    query("BEGIN"),
    query("SELECT 2"),
    query("UPDATE t SET a = 1"),
    query("COMMIT"),
    query("SET @a = 1"),
    query("SET NAMES utf8mb4"),
    command(COM_PING),
    command(COM_INIT_DB, b"test"),
    command(COM_STATISTICS),
    command(COM_FIELD_LIST, b"t\0"),
    command(COM_SET_OPTION, b"\0\0"),
    command(0x50, b"nonsense"),
    query("KILL 77"),
    query("SELECT @a"),
    command(COM_QUIT),
]

NEW_PROTOCOL: list[Step] = [login(deprecate_eof=True), *QUERIES[1:]]

PREPARED: list[Step] = [
    login(),
    prepare("SELECT ?"),
    execute(1, 1),
    execute(1, 1, types=False),
    prepare("INSERT INTO t VALUES (?, ?, ?)"),
    execute(LAST, 3),
    execute(2, 3, types=False),
    prepare("SELECT BAD"),
    by_id(2, COM_STMT_SEND_LONG_DATA, b"\0\0long"),
    execute(2, 3, types=False),
    by_id(2, COM_STMT_RESET),
    execute(1, 1, cursor=1),
    by_id(1, COM_STMT_FETCH, b"\x01\0\0\0"),
    by_id(1, COM_STMT_FETCH, b"\x01\0\0\0"),
    by_id(1, COM_STMT_CLOSE),
    execute(1, 1),
    execute(99, 1),
    by_id(99, COM_STMT_CLOSE),
    command(COM_STMT_EXECUTE, b"\1"),
    command(COM_RESET_CONNECTION),
    query("SELECT 1"),
    command(COM_QUIT),
]

PREPARED_NEW: list[Step] = [login(deprecate_eof=True), *PREPARED[1:]]

LOADS: list[Step] = [
    login(),
    query("LOAD DATA LOCAL INFILE 'data.txt' INTO TABLE t"),
    frame(b"1\n2\n3\n", 2) + frame(b"4\n", 3) + frame(b"", 4),
    query("LOAD DATA LOCAL INFILE 'data.txt' INTO TABLE t"),
    frame(b"", 2),
    query("LOAD DATA LOCAL INFILE 'a' INTO TABLE t; LOAD DATA LOCAL INFILE 'b' INTO TABLE t"),
    frame(b"x", 2) + frame(b"", 3),
    frame(b"yy", 2) + frame(b"", 3),
    prepare("LOAD DATA LOCAL INFILE 'data.txt' INTO TABLE t"),
    execute(1, 0),
    frame(b"z", 2) + frame(b"", 3),
    query("SELECT 1"),
    command(COM_QUIT),
]

LOGINS: list[Step] = [
    login(plugin="client_ed25519"),
    frame(token(), 3),
    query("SELECT 1"),
    change_user(),
    query("SELECT 1"),
    change_user("wrong"),
    query("INSERT INTO t VALUES (1)"),
    command(COM_QUIT),
]

PROXIED: list[Step] = [
    b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 3306\r\n" + login(),
    query("SELECT 1"),
    command(COM_QUIT),
]

PROXIED_BINARY: list[Step] = [
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x12\x34\x0c\xea" + login(),
    query("SELECT 1"),
    command(COM_QUIT),
]

REFUSED: list[Step] = [login(password="wrong")]

EMPTY: list[Step] = [login(), query("SELECT 1"), frame(b"") + query("SELECT 2")]

CONVERSATIONS: dict[str, list[Step]] = {
    "queries": QUERIES,
    "queries without EOF": NEW_PROTOCOL,
    "prepared": PREPARED,
    "prepared without EOF": PREPARED_NEW,
    "load data": LOADS,
    "logins": LOGINS,
    "PROXY header": PROXIED,
    "binary PROXY header": PROXIED_BINARY,
    "refused": REFUSED,
    "empty packet": EMPTY,
}


def large(payload_bytes: int) -> bytes:
    """A write of this many payload bytes."""
    head = bytes((COM_QUERY,)) + b"INSERT INTO t VALUES ('"
    return frame(head + b"x" * (payload_bytes - len(head) - 2) + b"')")


def new_world(name: str = "", *, router: str = "readwritesplit", **params: object) -> World:
    """A world in which this conversation can take place."""
    without_eof = "without EOF" in name
    return World(answer, router=router, eof=not without_eof, networks="*", **params)


__all__ = ["CONVERSATIONS", "MAX_PACKET", "Client", "Step", "new_world"]
