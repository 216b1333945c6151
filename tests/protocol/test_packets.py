"""Packets are framed whatever their size, and fields are read up to their ends and no further."""

from __future__ import annotations

import pytest

from fairlead.protocol import auth, packets
from fairlead.protocol.constants import (
    CLIENT_SESSION_TRACK,
    MAX_PACKET,
    SERVER_SESSION_STATE_CHANGED,
    SERVER_STATUS_AUTOCOMMIT,
)
from fairlead.protocol.errors import ProtocolError


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65536, MAX_PACKET - 1])
def test_one_packet(size: int) -> None:
    payload = bytes(size)
    packet = packets.framed(0x103, payload)
    assert isinstance(packet, bytearray)
    assert packet[:4] == size.to_bytes(3, "little") + b"\x03"
    assert packet[4:] == payload and packets.frame(3, payload) == packet


def test_several_packets() -> None:
    whole = packets.framed(255, bytes(MAX_PACKET) + b"ab")
    assert whole[:4] == b"\xff\xff\xff\xff" and whole[4 + MAX_PACKET :] == b"\x02\0\0\0ab"
    assert packets.framed(0, bytes(MAX_PACKET))[4 + MAX_PACKET :] == b"\0\0\0\x01"


def test_strings_with_an_end() -> None:
    reader = packets.Reader(b"ab\0\0cd")
    assert (reader.until_null(), reader.until_null()) == (b"ab", b"")
    with pytest.raises(ProtocolError):
        reader.until_null()
    assert (reader.until_null_or_end(), reader.left(), reader.until_null_or_end()) == (b"cd", 0, b"")
    with pytest.raises(ProtocolError):
        reader.until_null()


@pytest.mark.parametrize("length", [0, 0xFA, 0xFB, 0xFFFF, 0x10000, 0xFFFFFF, 0x1000000])
def test_lengths(length: int) -> None:
    assert packets.Reader(packets.lenenc(length)).number() == length


def test_ok_of_a_login() -> None:
    assert packets.login_ok(b"") == packets.ok_payload(0) == b"\0\0\0\x02\0\0\0"
    state = packets.session_variables({"a": "1", "b": "2" * 300})
    payload = packets.login_ok(state)
    assert payload == packets.ok_payload(CLIENT_SESSION_TRACK, session_state=state)
    ok = packets.parse_ok(payload, CLIENT_SESSION_TRACK)
    assert ok.variables == {"a": "1", "b": "2" * 300}
    assert ok.status == SERVER_STATUS_AUTOCOMMIT | SERVER_SESSION_STATE_CHANGED


def test_ok_with_everything() -> None:
    payload = packets.ok_payload(0, affected=300, insert_id=1 << 40, status=0x1234, warnings=0xFFFF)
    ok = packets.parse_ok(payload, 0)
    assert (ok.affected, ok.insert_id, ok.status, ok.warnings) == (300, 1 << 40, 0x1234, 0xFFFF)


def test_xor_wants_two_of_one_length() -> None:
    assert auth.xor(b"\x0f\xf0", b"\xff\xff") == b"\xf0\x0f"
    for wrong in (b"", b"x", b"xxx"):
        with pytest.raises(ValueError, match="length"):
            auth.xor(b"\0\0", wrong)
