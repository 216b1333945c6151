"""Bytes without sense into every parser: a value or ProtocolError, and work in proportion to the input."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from genome import PIECES
from harness import SCRAMBLE
from talk import change_user, execute, login

from fairlead.net.proxyproto import HEADER_BYTES_MAX, Header, Malformed, NeedMore, NotAHeader, parse_header
from fairlead.protocol import packets, statements
from fairlead.protocol.constants import BASE_CAPABILITIES, CLIENT_SESSION_TRACK
from fairlead.protocol.errors import ProtocolError
from fairlead.protocol.handshake import (
    Greeting,
    is_ssl_request,
    parse_attributes,
    parse_auth_switch,
    parse_change_user,
    parse_greeting,
    parse_handshake_response,
)
from fairlead.protocol.tracker import ReplyTracker
from fairlead.sql.classifier import Classifier

# Inputs for each parser.
NUMBER = 3000
WORDS = (
    "SELECT INSERT UPDATE SET BEGIN COMMIT START TRANSACTION READ ONLY PREPARE x FROM EXECUTE IMMEDIATE KILL "
    "USE CREATE TEMPORARY TABLE INTO OUTFILE FOR NAMES @a @@b 1 0x1 "
    "( ) , ; ' \" ` = /* */ /*! -- # \\ \x00 \xff"
)
ALL = BASE_CAPABILITIES | (1 << 20) | (1 << 21) | (1 << 3)
V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x12\x34\x0c\xea"

PARSERS: dict[str, tuple[Callable[[bytes], Any], tuple[bytes, ...]]] = {
    "greeting": (parse_greeting, (Greeting("11.4", 7, SCRAMBLE, ALL, 45).build(), b"\xff\x15\x04denied")),
    "handshake response": (lambda data: parse_handshake_response(data, ALL), (login()[4:],)),
    "request for TLS": (is_ssl_request, (login()[4:36],)),
    "change of user": (lambda data: parse_change_user(data, ALL), (change_user()[5:],)),
    "change of user, old": (lambda data: parse_change_user(data, 0), (change_user()[5:],)),
    "attributes": (parse_attributes, (b"\x03key\x05value" * 4,)),
    "auth switch": (parse_auth_switch, (b"\xfemysql_native_password\x00" + SCRAMBLE + b"\0", b"\xfe")),
    "ok": (
        lambda data: packets.parse_ok(data, CLIENT_SESSION_TRACK),
        (b"\x00\x00\x00\x02\x40\x00\x00\x00\x0b\x00\x09\x03abc\x04defg", b"\x00\xfe\x01"),
    ),
    "ok without tracking": (lambda data: packets.parse_ok(data, 0), (b"\x00\x03\x00\x02\x00\x00\x00\x02ok",)),
    "error": (packets.parse_err, (b"\xff\x15\x04#28000denied", b"\xff\x15\x04old")),
    "types": (lambda data: statements.types_of(bytearray(data), 0, len(data), 3), (execute(1, 3),)),
    "types put in": (
        lambda data: statements.with_types(bytearray(data), 3, b"\xfd\x00" * 3),
        (execute(1, 3, types=False),),
    ),
}


def spoiled(generator: random.Random, samples: tuple[bytes, ...]) -> bytes:
    data = bytearray(generator.choice(samples) if generator.random() < 0.9 else generator.randbytes(40))
    for _ in range(generator.choice((0, 1, 1, 2, 4))):
        at = generator.randrange(len(data) + 1)
        kind = generator.randrange(5)
        if kind == 0 and at < len(data):
            data[at] = generator.choice((0, 1, 0x7F, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF, 0x20))
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            data[at:at] = generator.choice(PIECES)
        elif kind == 3:
            del data[at : at + generator.randrange(9)]
        else:
            data[at:at] = generator.randbytes(generator.randrange(300))
    return bytes(data)


@pytest.mark.parametrize("name", PARSERS)
def test_a_value_or_a_protocol_error(name: str) -> None:
    parse, samples = PARSERS[name]
    good = 0
    for number in range(NUMBER):
        data = spoiled(random.Random(f"{name} {number}"), samples)
        try:
            parse(data)
            good += 1
        except ProtocolError as error:
            assert 0 <= error.errno <= 65535, data
        except Exception as error:
            pytest.fail(f"{name}: {error!r} from {data.hex()}")
    assert good, "nothing was understood"


def test_proxy_headers() -> None:
    samples = (
        V2,
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nrest",
        b"PROXY TCP6 ::1 ::2 1 2\r\n",
        b"PROXY UNKNOWN\r\n",
    )
    for number in range(3 * NUMBER):
        generator = random.Random(number)
        data = spoiled(generator, samples)
        result = parse_header(data)
        assert isinstance(result, (NeedMore, NotAHeader, Header, Malformed))
        if isinstance(result, Header):
            assert result.consumed <= min(len(data), HEADER_BYTES_MAX)
            assert parse_header(data[: result.consumed]) == result, "it looked behind the header"
        if isinstance(result, NeedMore):
            assert len(data) < HEADER_BYTES_MAX
        cut = generator.randrange(len(data) + 1)
        first = parse_header(data[:cut])
        assert isinstance(first, NeedMore) or first == result, "more bytes changed the verdict"


def test_the_tracker_does_not_care_how_nonsense_is_cut() -> None:
    for number in range(NUMBER):
        generator = random.Random(number)
        command = generator.choice((0x03, 0x16, 0x17, 0x1C, 0x04, 0x09, 0x0E))
        capabilities = generator.choice((0, 1 << 24, 1 << 36, (1 << 24) | (1 << 36)))
        payloads = [spoiled(generator, PIECES)[:200] for _ in range(generator.randrange(1, 8))]
        data = b"".join(packets.frame(place, payload) for place, payload in enumerate(payloads, 1))
        facts = {_track(command, capabilities, pieces) for pieces in _cuttings(generator, data)}
        assert len(facts) == 1, (number, facts)


def _cuttings(generator: random.Random, data: bytes) -> Iterator[list[bytes]]:
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    places = sorted(generator.randrange(len(data)) for _ in range(3))
    yield [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def _track(command: int, capabilities: int, pieces: list[bytes]) -> tuple[int, ...]:
    tracker = ReplyTracker()
    tracker.begin(command, capabilities)
    kept = b""
    consumed = 0
    for piece in pieces:
        kept += piece
        reached = -1
        while reached and not tracker.done:
            reached = tracker.feed(bytearray(kept + b"\xee" * 9), 0, len(kept))
            assert 0 <= reached <= len(kept)
            kept = kept[reached:]
            consumed += reached
    return (tracker.done, tracker.kind, tracker.status, tracker.rows, tracker.columns, consumed)


# -- the classifier

NESTED = [
    "SELECT " + "(" * 200_000,
    "SELECT " + "(" * 50_000 + "1" + ")" * 50_000,
    "SELECT 1" + " UNION SELECT 1" * 20_000,
    "(" * 100_000 + "SELECT 1",
    "SELECT CASE WHEN " * 20_000,
    "BEGIN NOT ATOMIC " * 20_000,
    "EXPLAIN " * 50_000 + "SELECT 1",
    "EXECUTE IMMEDIATE '" * 50_000,
    "PREPARE x FROM '" + "PREPARE x FROM \\'" * 20_000,
    "SET STATEMENT a=1 FOR " * 30_000 + "SELECT 1",
    "WITH a AS (" * 30_000,
    "/*! " * 100_000 + "SELECT 1",
    "/*!99999 " * 50_000,
    "SELECT '" + "\\" * 200_001,
    ";" * 300_000,
    "SELECT 1;" * 60_000,
    "SET " + "@a=1," * 60_000 + "@b=2",
    "INSERT INTO t VALUES " + "(1,'x')," * 60_000 + "(2,'y')",
    "SELECT `" * 60_000,
    "SELECT 1 -- " * 60_000,
]


@pytest.mark.parametrize("text", NESTED, ids=[text[:16] for text in NESTED])
def test_no_statement_is_too_deep_or_too_slow_for_the_classifier(text: str) -> None:
    """Half a megabyte of nesting: neither an exception nor work beyond proportion."""

    def cost(size: int) -> float:
        buf = bytearray(text[:size].encode())
        classifier = Classifier(0)
        started = time.process_time()
        classifier.classify(buf, 0, len(buf), False, 0)
        return time.process_time() - started

    quarter, whole = cost(len(text) // 4), cost(len(text))
    assert whole < 0.05 or whole < 12 * quarter, (quarter, whole)


def test_random_text_made_of_words() -> None:
    words = WORDS.split(" ")
    classifier = Classifier(0)
    for number in range(3 * NUMBER):
        generator = random.Random(number)
        glue = generator.choice((" ", "", "\n", "\t"))
        text = glue.join(generator.choices(words, k=generator.randrange(30))).encode("latin-1")
        buf = bytearray(b"\xa5" + text + b"\xa5")
        info = classifier.classify(buf, 1, 1 + len(text), generator.random() < 0.3, generator.randrange(8))
        assert info is not None and buf[0] == buf[-1] == 0xA5
