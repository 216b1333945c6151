"""Reading and writing of PROXY headers."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fairlead.net.proxyproto import (
    HEADER_BYTES_MAX,
    UNKNOWN_HEADER,
    V1_BYTES_MAX,
    Header,
    Malformed,
    NeedMore,
    Networks,
    NotAHeader,
    build_v1,
    parse_header,
)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def binary(
    command: int = 0x21, family: int = 0x11, body: bytes | None = None, length: int | None = None
) -> bytes:
    if body is None:
        body = bytes([10, 20, 30, 40, 127, 0, 0, 1]) + struct.pack(">HH", 5555, 3306)
    return (
        SIGNATURE
        + bytes([command, family])
        + struct.pack(">H", len(body) if length is None else length)
        + body
    )


V6 = (
    ipaddress.IPv6Address("2001:db8::7").packed
    + ipaddress.IPv6Address("::1").packed
    + struct.pack(">HH", 7, 8)
)
MAPPED = ipaddress.IPv6Address("::ffff:10.0.0.9").packed + bytes(16) + struct.pack(">HH", 7, 8)
LONGEST = b"PROXY TCP6 " + b" ".join(
    [b"ffff:f...f:ffff".replace(b"f...f", b"ffff:ffff:ffff:ffff:ffff:ffff")] * 2
)
LONGEST += b" 65535 65535\r\n"

HEADERS = [
    (b"PROXY TCP4 10.20.30.40 127.0.0.1 5555 3306\r\n", ("10.20.30.40", 5555, False)),
    (b"PROXY TCP6 2001:db8::7 ::1 5555 3306\r\n", ("2001:db8::7", 5555, False)),
    (b"PROXY TCP6 ::ffff:10.0.0.9 ::1 5555 3306\r\n", ("10.0.0.9", 5555, False)),
    (LONGEST, ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, False)),
    (b"PROXY UNKNOWN\r\n", ("", 0, True)),
    (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", ("", 0, True)),
    (binary(), ("10.20.30.40", 5555, False)),
    (binary(body=binary()[16:] + b"\x04\0\x01x"), ("10.20.30.40", 5555, False)),
    (binary(family=0x21, body=V6), ("2001:db8::7", 7, False)),
    (binary(family=0x21, body=MAPPED), ("10.0.0.9", 7, False)),
    (binary(command=0x20), ("", 0, True)),
    (binary(command=0x20, family=0, body=b""), ("", 0, True)),
    (binary(family=0x00, body=b""), ("", 0, True)),
    (binary(family=0x31, body=bytes(216)), ("", 0, True)),
]

MALFORMED = [
    (b"PROXY \r\n", "the protocol is none of"),
    (b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", "the protocol is none of"),
    (b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "5 words instead of 6"),
    (b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", "7 words instead of 6"),
    (b"PROXY TCP4 1.2.3.999 1.2.3.4 1 2\r\n", "an address is not of IPv4"),
    (b"PROXY TCP4 ::1 ::1 1 2\r\n", "an address is not of IPv4"),
    (b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "an address is not of IPv6"),
    (b"PROXY TCP6 fe80::1%x ::1 1 2\r\n", "an address is not of IPv6"),
    (b"PROXY TCP4 1.2.3.\xff 1.2.3.4 1 2\r\n", "an address is not of IPv4"),
    (b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", "a port is not a number"),
    (b"PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n", "a port is not a number"),
    (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n", "a port is not a number"),
    (b"PROXY " + b"x" * 200, f"no line end within {V1_BYTES_MAX} bytes"),
    (binary(command=0x22), "neither 0x20 nor 0x21"),
    (binary(command=0x11), "neither 0x20 nor 0x21"),
    (binary(family=0x41), "unknown address family 0x41"),
    (binary(body=bytes(11)), "too few for the addresses"),
    (binary(family=0x21, body=bytes(35)), "too few for the addresses"),
    (binary(length=5000), "at most 4096 are accepted"),
]


@pytest.mark.parametrize("data, expected", HEADERS)
def test_headers_in_every_chunking(data, expected):
    source, port, local = expected
    for end in range(len(data)):
        assert parse_header(data[:end]) == NeedMore(), end
    expected_header = Header(source, port, local, len(data))
    assert parse_header(data) == expected_header
    assert parse_header(bytearray(data + b"\x01\0\0\x01rest")) == expected_header
    assert parse_header(memoryview(b"xx" + data + b"y"), 2, 2 + len(data)) == expected_header
    assert parse_header(b"xx" + data, 2, 1 + len(data)) == NeedMore()


@pytest.mark.parametrize("data, reason", MALFORMED)
def test_malformed(data, reason):
    result = parse_header(data)
    assert isinstance(result, Malformed) and reason in result.reason


def test_longest_header():
    data = binary(body=bytes(4096))
    assert len(data) == HEADER_BYTES_MAX
    assert parse_header(data + b"x") == Header("0.0.0.0", 0, False, HEADER_BYTES_MAX)


def test_longest_line():
    assert len(LONGEST) == 104
    line = b"PROXY UNKNOWN ".ljust(V1_BYTES_MAX - 2, b"x") + b"\r\n"
    assert parse_header(line) == Header("", 0, True, V1_BYTES_MAX)
    assert isinstance(parse_header(line.replace(b"x\r", b"xx\r")), Malformed)


@pytest.mark.parametrize(
    "data",
    [b"\x50\0\0\x01\x8d\xa6", b"PROXi", b"PRX", b"\r\n\r\n\x01", b"proxy TCP4", b"\x20\0\0\x01" + b"PROXY "],
)
def test_other_bytes(data):
    assert parse_header(data) == NotAHeader()


@given(st.binary(max_size=300))
@example(SIGNATURE)
def test_any_bytes(data):
    check_prefixes(data)


@given(st.binary(max_size=60))
def test_any_binary_header(data):
    check_prefixes(SIGNATURE + data)


@given(st.text(alphabet="TCP46UNKNOW0123456789.:abcdef \r\n", max_size=130))
def test_any_text_header(text):
    check_prefixes(b"PROXY " + text.encode())


def check_prefixes(data: bytes) -> None:
    """A verdict, once given, does not depend on bytes that come later; a header never exceeds its bytes."""
    verdict = None
    for end in range(len(data) + 1):
        result = parse_header(data[:end])
        if verdict is None:
            if not isinstance(result, NeedMore):
                verdict = result
                if isinstance(result, Header):
                    assert result.consumed == end
                    assert result.local or ipaddress.ip_address(result.source)
        else:
            assert result == verdict


# -- writing


@pytest.mark.parametrize(
    "client, server, expected",
    [
        (("10.0.0.1", 5), ("10.0.0.2", 6), b"PROXY TCP4 10.0.0.1 10.0.0.2 5 6\r\n"),
        (("::ffff:10.0.0.1", 5), ("10.0.0.2", 6), b"PROXY TCP4 10.0.0.1 10.0.0.2 5 6\r\n"),
        (("2001:db8::1", 5), ("fe80::1%eth0", 6), b"PROXY TCP6 2001:db8::1 fe80::1 5 6\r\n"),
        (("2001:db8::1", 5), ("10.0.0.2", 6), b"PROXY TCP6 2001:db8::1 2001:db8::1 5 5\r\n"),
        (("10.0.0.1", 5), ("fe80::1", 6), b"PROXY TCP4 10.0.0.1 10.0.0.1 5 5\r\n"),
        (("10.0.0.1", 5), ("/run/mysqld.sock", 0), b"PROXY TCP4 10.0.0.1 10.0.0.1 5 5\r\n"),
    ],
)
def test_build(client, server, expected):
    assert build_v1(*client, *server) == expected


@given(st.ip_addresses(), st.integers(0, 65535), st.ip_addresses(), st.integers(0, 65535))
def test_what_is_written_can_be_read(client, client_port, server, server_port):
    data = build_v1(str(client), client_port, str(server), server_port)
    assert len(data) <= V1_BYTES_MAX
    header = parse_header(data)
    assert isinstance(header, Header) and header.consumed == len(data) and header.port == client_port
    mapped = getattr(client, "ipv4_mapped", None)
    if getattr(client, "scope_id", None) is None:
        assert ipaddress.ip_address(header.source) == (mapped or client)


@pytest.mark.parametrize("address", ["", "localhost", "/tmp/s.sock"])
def test_clients_that_cannot_be_told(address):
    with pytest.raises(ValueError, match="no IP address to send in a PROXY header"):
        build_v1(address, 0, "10.0.0.1", 3306)


def test_unknown_header():
    assert parse_header(UNKNOWN_HEADER) == Header("", 0, True, len(UNKNOWN_HEADER))


# -- networks


@pytest.mark.parametrize(
    "text, inside, outside",
    [
        ("", [], ["127.0.0.1", "", "localhost"]),
        ("*", ["127.0.0.1", "::1", "", "localhost"], []),
        ("localhost", ["", "localhost"], ["127.0.0.1", "::1"]),
        ("127.0.0.1", ["127.0.0.1", "::ffff:127.0.0.1"], ["127.0.0.2", "", "::1"]),
        ("10.0.0.0/8, ::1", ["10.255.0.1", "::1"], ["11.0.0.1", "::2"]),
        ("10.1.2.3/8", ["10.9.9.9"], ["11.0.0.1"]),
        ("::ffff:10.0.0.0/104", ["10.9.9.9"], ["11.0.0.1"]),
        ("fe80::/10,LOCALHOST", ["fe80::1%eth0", "localhost"], ["::1"]),
    ],
)
def test_networks(text, inside, outside):
    networks = Networks(text)
    assert bool(networks) is bool(text)
    assert [address for address in inside + outside if address in networks] == inside
    assert Networks(tuple(text.split(","))).text == networks.text


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0", "example.com", "10.0.0.1-9"])
def test_wrong_networks(text):
    with pytest.raises(ValueError) as error:
        Networks(f"127.0.0.1, {text}")
    assert str(error.value) == (
        f"proxy_protocol_networks: '{text}' is not an address, a network, 'localhost' or '*'"
    )
