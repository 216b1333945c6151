"""Login packets survive the way there and back; no bytes make a parser raise anything but ProtocolError."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.protocol import auth, packets, statements
from fairlead.protocol.charsets import charset_of
from fairlead.protocol.constants import (
    BASE_CAPABILITIES,
    CLIENT_CONNECT_ATTRS,
    CLIENT_CONNECT_WITH_DB,
    CLIENT_MYSQL,
    CLIENT_SESSION_TRACK,
    EXTENDED_CAPABILITIES,
)
from fairlead.protocol.errors import ProtocolError
from fairlead.protocol.handshake import (
    ChangeUserRequest,
    Greeting,
    GreetingTemplate,
    HandshakeResponse,
    build_change_user,
    build_handshake_response,
    build_ssl_request,
    is_ssl_request,
    parse_auth_switch,
    parse_change_user,
    parse_greeting,
    parse_handshake_response,
)

SCRAMBLE = bytes(range(40, 60))
ALL = (BASE_CAPABILITIES & ~CLIENT_MYSQL) | EXTENDED_CAPABILITIES


@pytest.mark.parametrize("capabilities", [BASE_CAPABILITIES, ALL])
def test_greeting(capabilities: int) -> None:
    greeting = Greeting("5.5.5-10.11.4", 77, SCRAMBLE, capabilities, 45)
    assert parse_greeting(greeting.build()) == greeting


@pytest.mark.parametrize("thread_id", [0, 77, 0x01020304, 0xFFFFFFFF])
def test_greeting_for_many(thread_id: int) -> None:
    greeting = Greeting("5.5.5-10.11.4-\xe9", thread_id, SCRAMBLE, ALL, 45)
    template = GreetingTemplate(Greeting("5.5.5-10.11.4-\xe9", 0, bytes(20), ALL, 45))
    assert template.packet(thread_id, SCRAMBLE)[4:] == greeting.build()
    assert template.packet(thread_id, SCRAMBLE) == packets.frame(0, greeting.build())
    # Each client has a packet of its own.
    assert template.packet(1, bytes(20))[4:] == Greeting("5.5.5-10.11.4-\xe9", 1, bytes(20), ALL, 45).build()


@pytest.mark.parametrize("scramble", [b"", SCRAMBLE[:19], SCRAMBLE + b"x"])
def test_greeting_wants_a_whole_scramble(scramble: bytes) -> None:
    with pytest.raises(ValueError, match="20 bytes"):
        GreetingTemplate(Greeting("v", 0, bytes(20), ALL)).packet(1, scramble)


def test_login_packets_are_values() -> None:
    one, same = (HandshakeResponse(1, 45, "u", b"t", "d") for _ in range(2))
    assert one == same and hash(one) == hash(same)
    assert one != HandshakeResponse(1, 45, "u", b"t", "e") and one != "u"
    assert "'u'" in repr(one)


def test_an_error_instead_of_the_greeting() -> None:
    with pytest.raises(ProtocolError) as raised:
        parse_greeting(packets.err_payload(1040, "08004", "Too many connections", with_state=False))
    assert raised.value.errno == 1040


@given(
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=40),
    st.binary(max_size=60),
    st.booleans(),
)
def test_login_packet(name: str, attributes: bytes, extended: bool) -> None:
    capabilities = ALL if extended else BASE_CAPABILITIES
    response = HandshakeResponse(capabilities, 45, name, b"x" * 20, name, "mysql_native_password", attributes)
    parsed = parse_handshake_response(build_handshake_response(response), capabilities)
    assert parsed.user == name and parsed.database == name and parsed.auth == b"x" * 20
    assert parsed.attributes_raw == attributes and parsed.capabilities == capabilities


def test_request_for_tls() -> None:
    assert is_ssl_request(build_ssl_request(BASE_CAPABILITIES, 8))
    assert not is_ssl_request(b"\0" * 32)


def test_change_user() -> None:
    request = ChangeUserRequest("me", b"y" * 20, "db", 45, "mysql_native_password", b"\x01a\x01b")
    payload = build_change_user(request, BASE_CAPABILITIES)
    assert parse_change_user(payload[1:], BASE_CAPABILITIES) == request


PARSERS = {
    "greeting": parse_greeting,
    "login": lambda data: parse_handshake_response(data, ALL),
    "change user": lambda data: parse_change_user(data, ALL),
    "switch": parse_auth_switch,
    "ok": lambda data: packets.parse_ok(data, CLIENT_SESSION_TRACK),
}


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.binary(max_size=120))
def test_any_bytes(name: str, data: bytes) -> None:
    try:
        PARSERS[name](data)
    except ProtocolError as error:
        assert error.errno and len(error.sqlstate) == 5


@given(st.data())
def test_a_login_packet_cut_anywhere(data: st.DataObject) -> None:
    caps = BASE_CAPABILITIES | CLIENT_CONNECT_ATTRS | CLIENT_CONNECT_WITH_DB
    payload = build_handshake_response(HandshakeResponse(caps, 8, "u", b"t" * 20, "d", "p", b"\x01a\x01b"))
    cut = data.draw(st.integers(0, len(payload)))
    try:
        parse_handshake_response(payload[:cut], caps)
    except ProtocolError as error:
        assert error.errno == 1043


@given(st.binary(min_size=1, max_size=30), st.binary(min_size=20, max_size=20))
def test_native_password(password: bytes, scramble: bytes) -> None:
    """A right token reveals SHA1(password), with which one can log in elsewhere; a wrong one nothing."""
    hash1 = auth.password_hash(password)
    stored = hashlib.sha1(hash1).digest()
    token = auth.native_token(hash1, scramble)
    assert auth.verify_native(token, scramble, stored) == hash1
    assert auth.verify_native(bytes(20), scramble, stored) is None
    assert auth.verify_native(b"", scramble, stored) is None
    assert auth.verify_native(b"", scramble, b"") == b"" and auth.verify_native(token, scramble, b"") is None


def test_types_of_an_execution() -> None:
    """The type block is found, and can be put into an execution that lacks it."""
    types = b"\x03\x00\xfd\x00"
    head = b"\x17\x05\x00\x00\x00\x00\x01\x00\x00\x00" + b"\x00"
    with_block = bytearray(packets.frame(0, head + b"\x01" + types + b"\x01\x00\x00\x00\x01a"))
    without = bytearray(packets.frame(0, head + b"\x00" + b"\x01\x00\x00\x00\x01a"))
    assert statements.types_of(with_block, 0, len(with_block), 2) == types
    assert statements.types_of(without, 0, len(without), 2) == b""
    assert statements.with_types(without, 2, types) == with_block
    assert statements.with_types(with_block, 2, types) == with_block


def test_character_sets() -> None:
    assert [charset_of(number) for number in (8, 33, 45, 63, 99999)] == [
        "latin1",
        charset_of(33),
        "utf8mb4",
        "binary",
        "",
    ]


def test_large_payloads_are_split() -> None:
    data = packets.frame(0, b"x" * 0xFFFFFF)
    assert data[:4] == b"\xff\xff\xff\x00" and data[-4:] == b"\x00\x00\x00\x01"


@pytest.mark.parametrize("capabilities", [0, CLIENT_SESSION_TRACK])
def test_the_text_of_an_ok_has_its_length_in_front(capabilities: int) -> None:
    """As servers send it, with and without session tracking (recorded from MariaDB 10.11)."""
    payload = b"\x00\x03\x00\x02\x00\x00\x00&Records: 3  Duplicates: 0  Warnings: 0"
    ok = packets.parse_ok(payload, capabilities)
    assert (ok.affected, ok.status, ok.info) == (3, 2, "Records: 3  Duplicates: 0  Warnings: 0")


def test_gtids_that_mysql_reports() -> None:
    """Session state of type 3: how they are encoded (0), then the text. Source: MySQL WL#6128."""
    gtids = b"3e11fa47-71ca-11e1-9e33-c80aa9429562:23"
    state = b"\x03" + bytes((len(gtids) + 2, 0, len(gtids))) + gtids
    payload = b"\x00\x01\x00\x02\x40\x00\x00\x00" + bytes((len(state),)) + state
    assert packets.parse_ok(payload, CLIENT_SESSION_TRACK).gtids == gtids.decode()
