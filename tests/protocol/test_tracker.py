"""The reply tracker finds the end of every kind of reply, however the bytes are cut."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.protocol import packets
from fairlead.protocol.constants import (
    CLIENT_DEPRECATE_EOF,
    COM_FIELD_LIST,
    COM_PING,
    COM_QUERY,
    COM_STATISTICS,
    COM_STMT_CLOSE,
    COM_STMT_EXECUTE,
    COM_STMT_FETCH,
    COM_STMT_PREPARE,
    MARIADB_CLIENT_CACHE_METADATA,
    MAX_PACKET,
)
from fairlead.protocol.tracker import (
    R_BROKEN,
    R_ERR,
    R_LOCAL_INFILE,
    R_OK,
    R_PREPARE,
    R_RESULT,
    R_TEXT,
    ReplyTracker,
    expects_reply,
)

OK = b"\x00\x01\x02\x02\x00\x00\x00"
OK_MORE = b"\x00\x00\x00\x0a\x00\x00\x00"
END = b"\xfe\x00\x00\x22\x00\x00\x00"
END_MORE = b"\xfe\x00\x00\x2a\x00\x00\x00"
END_CURSOR = b"\xfe\x00\x00\x42\x00\x00\x00"
EOF = b"\xfe\x00\x00\x22\x00"
EOF_MORE = b"\xfe\x00\x00\x2a\x00"
EOF_CURSOR = b"\xfe\x00\x00\x42\x00"
ERR = b"\xff\x51\x04#HY000no"
COLUMN = packets.column_payload("a")


def row(*values: bytes | None) -> bytes:
    return b"".join(b"\xfb" if value is None else packets.lenenc_string(value) for value in values)


@dataclass
class Reply:
    name: str
    command: int
    capabilities: int
    payloads: list[bytes]
    kind: int
    status: int = 0

    def data(self) -> bytes:
        return b"".join(packets.frame(number, payload) for number, payload in enumerate(self.payloads, 1))


NEW = CLIENT_DEPRECATE_EOF
CACHED = NEW | MARIADB_CLIENT_CACHE_METADATA
PREPARED = b"\x00\x07\x00\x00\x00"


def prepared(columns: int, parameters: int) -> bytes:
    return PREPARED + columns.to_bytes(2, "little") + parameters.to_bytes(2, "little") + b"\0\0\0"


REPLIES = [
    Reply("ok", COM_QUERY, NEW, [OK], R_OK, 2),
    Reply("ping", COM_PING, 0, [OK], R_OK, 2),
    Reply("error", COM_QUERY, 0, [ERR], R_ERR),
    Reply("rows", COM_QUERY, NEW, [b"\x01", COLUMN, row(b"x"), row(None), END], R_RESULT, 0x22),
    Reply("rows with eof", COM_QUERY, 0, [b"\x01", COLUMN, EOF, row(b"x"), EOF], R_RESULT, 0x22),
    Reply("no rows", COM_QUERY, 0, [b"\x02", COLUMN, COLUMN, EOF, EOF], R_RESULT, 0x22),
    Reply("error in rows", COM_QUERY, NEW, [b"\x01", COLUMN, row(b"x"), ERR], R_ERR),
    Reply("two results", COM_QUERY, NEW, [b"\x01", COLUMN, row(b"x"), END_MORE, OK], R_OK, 2),
    Reply("ok then rows", COM_QUERY, 0, [OK_MORE, b"\x01", COLUMN, EOF, row(b"x"), EOF], R_RESULT, 0x22),
    Reply("two old results", COM_QUERY, 0, [b"\x01", COLUMN, EOF, EOF_MORE, ERR], R_ERR, 0x2A),
    Reply("cached metadata", COM_QUERY, CACHED, [b"\x03\x00", row(b"x"), END], R_RESULT, 0x22),
    Reply("sent metadata", COM_QUERY, CACHED, [b"\x01\x01", COLUMN, row(b"x"), END], R_RESULT, 0x22),
    Reply("binary rows", COM_STMT_EXECUTE, NEW, [b"\x01", COLUMN, b"\x00\x00\x01a", END], R_RESULT, 0x22),
    Reply("cursor", COM_STMT_EXECUTE, 0, [b"\x01", COLUMN, EOF_CURSOR], R_RESULT, 0x42),
    Reply("new cursor", COM_STMT_EXECUTE, NEW, [b"\x01", COLUMN, END_CURSOR], R_RESULT, 0x42),
    Reply("fetch", COM_STMT_FETCH, NEW, [b"\x00\x00\x01a", b"\x00\x00\x01b", END], R_RESULT, 0x22),
    Reply("fetch nothing", COM_STMT_FETCH, 0, [EOF], R_RESULT, 0x22),
    Reply("fields", COM_FIELD_LIST, 0, [COLUMN, COLUMN, EOF], R_RESULT, 0x22),
    Reply("prepare", COM_STMT_PREPARE, NEW, [prepared(1, 2), COLUMN, COLUMN, COLUMN], R_PREPARE),
    Reply("old prepare", COM_STMT_PREPARE, 0, [prepared(1, 1), COLUMN, EOF, COLUMN, EOF], R_PREPARE, 0x22),
    Reply("prepare without columns", COM_STMT_PREPARE, NEW, [prepared(0, 1), COLUMN], R_PREPARE),
    Reply("prepare without anything", COM_STMT_PREPARE, 0, [prepared(0, 0)], R_PREPARE),
    Reply("failed prepare", COM_STMT_PREPARE, NEW, [ERR], R_ERR),
    Reply("statistics", COM_STATISTICS, NEW, [b"Uptime: 1"], R_TEXT),
    Reply("local infile", COM_QUERY, NEW, [b"\xfbfile", OK], R_OK, 2),
]


def consume(reply: Reply, data: bytes, sizes: list[int]) -> tuple[ReplyTracker, int]:
    """Feed the data in pieces as a connection would: what is not consumed comes again with more behind it."""
    tracker = ReplyTracker()
    tracker.begin(reply.command, reply.capabilities)
    kept = b""
    consumed = position = 0
    while not tracker.done and position < len(data):
        size = sizes[0] if sizes else len(data)
        sizes = sizes[1:]
        kept += data[position : position + size]
        position += size
        buf = bytearray(kept)
        reached = tracker.feed(buf, 0, len(buf))
        assert 0 <= reached <= len(buf)
        if tracker.wants_local_infile:
            reached = tracker.feed(buf, reached, len(buf))
        consumed += reached
        kept = kept[reached:]
    return tracker, consumed


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: reply.name)
def test_a_reply_in_one_piece(reply: Reply) -> None:
    """The whole reply is consumed, what follows it is not, and the facts are right."""
    data = reply.data()
    tracker, consumed = consume(reply, data + b"\x01\x00\x00\x01\x00", [])
    assert tracker.done and consumed == len(data)
    assert (tracker.kind, tracker.status) == (reply.kind, reply.status)


@settings(max_examples=60)
@given(st.sampled_from(REPLIES), st.lists(st.integers(1, 9), max_size=60))
def test_every_chunking_gives_the_same(reply: Reply, sizes: list[int]) -> None:
    """However the bytes are cut, the same is consumed and the same is known."""
    data = reply.data()
    tracker, consumed = consume(reply, data + b"\x07\x00", sizes)
    assert tracker.done and consumed == len(data)
    whole, _ = consume(reply, data, [])
    for fact in ("kind", "status", "rows", "results", "warnings", "error_code", "parameters", "columns"):
        assert getattr(tracker, fact) == getattr(whole, fact), fact


def test_statement_id_and_counts() -> None:
    reply = next(each for each in REPLIES if each.name == "prepare")
    tracker, _ = consume(reply, reply.data(), [])
    assert (tracker.statement_id, tracker.parameters, tracker.columns) == (7, 2, 1)


def test_local_infile_waits_for_the_client() -> None:
    tracker = ReplyTracker()
    tracker.begin(COM_QUERY, NEW)
    request = bytearray(packets.frame(1, b"\xfbname"))
    assert tracker.feed(request, 0, len(request)) == len(request)
    assert tracker.wants_local_infile and not tracker.done and tracker.kind == R_LOCAL_INFILE
    answer = bytearray(packets.frame(3, OK))
    tracker.feed(answer, 0, len(answer))
    assert tracker.done and not tracker.wants_local_infile


def test_rows_larger_than_a_packet() -> None:
    """The rest of a large row may begin with the bytes of an end or an error; it is still data."""
    big = packets.lenenc(MAX_PACKET + 50) + b"a" * (MAX_PACKET + 50)
    head = b"".join(packets.frame(n, p) for n, p in enumerate([b"\x01", COLUMN], 1))
    first, rest = big[:MAX_PACKET], big[MAX_PACKET:]
    rest = b"\xfe\xff" + rest[2:]
    data = head + b"\xff\xff\xff\x03" + first + packets.frame(4, rest) + packets.frame(5, END)
    tracker = ReplyTracker()
    tracker.begin(COM_QUERY, NEW)
    position = 0
    while not tracker.done:
        piece = bytearray(data[position : position + 1_000_000])
        reached = tracker.feed(piece, 0, len(piece))
        assert reached > 0
        position += reached
    assert position == len(data) and tracker.rows == 1 and tracker.kind == R_RESULT


@settings(max_examples=300)
@given(
    st.sampled_from(sorted({reply.command for reply in REPLIES})),
    st.sampled_from([0, NEW, CACHED]),
    st.binary(max_size=200),
)
def test_garbage_never_harms(command: int, capabilities: int, data: bytes) -> None:
    """No bytes make the tracker raise, loop, or step over the end; no progress means that it wants more."""
    tracker = ReplyTracker()
    tracker.begin(command, capabilities)
    position = 0
    while position < len(data) and not tracker.done:
        buf = bytearray(data)
        reached = tracker.feed(buf, position, len(buf))
        assert position <= reached <= len(data)
        if reached == position:
            break
        position = reached


def test_an_empty_first_packet_is_broken() -> None:
    tracker = ReplyTracker()
    tracker.begin(COM_QUERY, NEW)
    tracker.feed(bytearray(b"\0\0\0\x01rest"), 0, 8)
    assert tracker.done and tracker.kind == R_BROKEN


def test_commands_without_a_reply() -> None:
    assert expects_reply(COM_QUERY) and not expects_reply(COM_STMT_CLOSE)


@pytest.mark.parametrize("head", [[], [b"\x01"], [b"\x01", COLUMN]], ids=["first", "definition", "row"])
@pytest.mark.parametrize("first", [b"\x00", b"\xfe", b"\xff"])
def test_a_deciding_packet_is_not_collected_without_limit(head: list[bytes], first: bytes) -> None:
    data = b"".join(packets.frame(number, payload) for number, payload in enumerate(head, 1))
    data += (MAX_PACKET - 1).to_bytes(3, "little") + b"\x09" + first + b"x" * 100
    tracker = ReplyTracker()
    tracker.begin(COM_QUERY, NEW)
    reached = tracker.feed(bytearray(data), 0, len(data))
    if first == b"\x00" and len(head) == 2:
        assert reached == len(data) and not tracker.done, "a row is passed on as it comes"
    else:
        assert tracker.done and tracker.kind == R_BROKEN
