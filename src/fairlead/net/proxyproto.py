"""The PROXY protocol: reading its headers (text and binary), writing text headers, and from whom they are
taken.

Bytes in, values out; no sockets. Invariant: no input makes `parse_header` raise, and it looks at no byte
behind the header. Source: spec core.md c5 and the protocol's public description.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable

from msgspec import Struct

V1_BYTES_MAX = 107
V2_HEAD_BYTES = 16
# Bytes behind the head of a binary header (addresses and TLVs) that are accepted.
V2_BODY_BYTES_MAX = 4096
# No header is longer: a caller need not present more bytes than this.
HEADER_BYTES_MAX = V2_HEAD_BYTES + V2_BODY_BYTES_MAX

_V1_START = b"PROXY "
_V2_START = b"\r\n\r\n\x00\r\nQUIT\n"
# What a header begins with, text and binary: its first two bytes as a little-endian number.
TEXT_HEAD = int.from_bytes(_V1_START[:2], "little")
BINARY_HEAD = int.from_bytes(_V2_START[:2], "little")
_V2_LOCAL = 0x20
_V2_PROXY = 0x21
_V2_ADDRESS_BYTES = {0x11: 12, 0x21: 36}
# Families that name no IP address and port of a TCP client: such a header counts, its address does not.
_V2_WITHOUT_ADDRESS = (0x00, 0x12, 0x22, 0x31, 0x32)


class NeedMore(Struct, frozen=True):
    """So far it may be a header; more bytes decide."""


class NotAHeader(Struct, frozen=True):
    """The bytes do not begin with a header: they are the client's own."""


class Header(Struct, frozen=True):
    """A complete header of `consumed` bytes. `local`: it names no client, the peer's own address stays."""

    source: str
    port: int
    local: bool
    consumed: int


class Malformed(Struct, frozen=True):
    """The bytes begin like a header and then break its rules."""

    reason: str


Result = NeedMore | NotAHeader | Header | Malformed

_NEED_MORE = NeedMore()
_NOT_A_HEADER = NotAHeader()


def parse_header(buf: bytes | bytearray | memoryview, start: int = 0, end: int | None = None) -> Result:
    """What the bytes buf[start:end], the first of a connection, begin with."""
    data = bytes(buf[start : len(buf) if end is None else end][:HEADER_BYTES_MAX])
    if not data:
        return _NEED_MORE
    for prefix, parse in ((_V1_START, _parse_v1), (_V2_START, _parse_v2)):
        if data.startswith(prefix):
            return parse(data)
        if prefix.startswith(data):
            return _NEED_MORE
    return _NOT_A_HEADER


def _parse_v1(data: bytes) -> Result:
    line_end = data.find(b"\r\n", 0, V1_BYTES_MAX)
    if line_end < 0:
        if len(data) >= V1_BYTES_MAX:
            return Malformed(f"no line end within {V1_BYTES_MAX} bytes")
        return _NEED_MORE
    consumed = line_end + 2
    words = data[:line_end].split(b" ")
    if words[1] == b"UNKNOWN":
        return Header("", 0, True, consumed)
    if words[1] not in (b"TCP4", b"TCP6"):
        return Malformed("the protocol is none of TCP4, TCP6, UNKNOWN")
    if len(words) != 6:
        return Malformed(f"{len(words)} words instead of 6")
    version = 4 if words[1] == b"TCP4" else 6
    source = _address(words[2], version)
    port = _port(words[4])
    if source is None or _address(words[3], version) is None:
        return Malformed(f"an address is not of IPv{version}")
    if port is None or _port(words[5]) is None:
        return Malformed("a port is not a number from 0 to 65535")
    return Header(source, port, False, consumed)


def _address(word: bytes, version: int) -> str | None:
    try:
        if version == 4:
            return str(ipaddress.IPv4Address(word.decode("ascii")))
        parsed = ipaddress.IPv6Address(word.decode("ascii"))
    except ValueError:
        return None
    return None if parsed.scope_id is not None else str(parsed.ipv4_mapped or parsed)


def _port(word: bytes) -> int | None:
    if not word.isdigit() or len(word) > 5 or int(word) > 65535:
        return None
    return int(word)


def _parse_v2(data: bytes) -> Result:
    if len(data) < V2_HEAD_BYTES:
        return _NEED_MORE
    command, family, length = struct.unpack_from(">BBH", data, len(_V2_START))
    if command not in (_V2_LOCAL, _V2_PROXY):
        return Malformed(f"version and command 0x{command:02x} is neither 0x20 nor 0x21")
    if length > V2_BODY_BYTES_MAX:
        return Malformed(f"{length} bytes behind the head, at most {V2_BODY_BYTES_MAX} are accepted")
    address_bytes = _V2_ADDRESS_BYTES.get(family, 0)
    if command == _V2_PROXY:
        if address_bytes == 0 and family not in _V2_WITHOUT_ADDRESS:
            return Malformed(f"unknown address family 0x{family:02x}")
        if length < address_bytes:
            return Malformed(f"{length} bytes are too few for the addresses")
    consumed = V2_HEAD_BYTES + length
    if len(data) < consumed:
        return _NEED_MORE
    if command == _V2_LOCAL or address_bytes == 0:
        return Header("", 0, True, consumed)
    if family == 0x11:
        source = str(ipaddress.IPv4Address(data[16:20]))
        (port,) = struct.unpack_from(">H", data, 24)
    else:
        address = ipaddress.IPv6Address(data[16:32])
        source = str(address.ipv4_mapped or address)
        (port,) = struct.unpack_from(">H", data, 48)
    return Header(source, port, False, consumed)


# -- towards servers

# For connections of the product itself: the server keeps the address it sees.
UNKNOWN_HEADER = b"PROXY UNKNOWN\r\n"


def build_v1(client_address: str, client_port: int, server_address: str, server_port: int) -> bytes:
    """The text header that tells a server who the client is; ValueError if the client has no IP address.

    When client and server are of different families the client's own address and port stand for the server's.
    """
    client = _parsed(client_address)
    if client is None:
        where = f"'{client_address}'" if client_address else "a Unix socket"
        raise ValueError(f"a client at {where} has no IP address to send in a PROXY header")
    server = _parsed(server_address)
    if server is None or server.version != client.version:
        server, server_port = client, client_port
    return f"PROXY TCP{client.version} {client} {server} {client_port} {server_port}\r\n".encode("ascii")


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address.split("%", 1)[0])
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, ipaddress.IPv6Address) else parsed


# -- from whom


class Networks:
    """`proxy_protocol_networks`: addresses and networks, `localhost` (Unix sockets) and `*` (everybody)."""

    def __init__(self, entries: str | Iterable[str] | None) -> None:
        parts = entries.split(",") if isinstance(entries, str) else list(entries or ())
        self.text = ", ".join(filter(None, (part.strip() for part in parts)))
        self._all = self._sockets = False
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for part in filter(None, (part.strip() for part in parts)):
            if part == "*":
                self._all = True
            elif part.lower() == "localhost":
                self._sockets = True
            else:
                self._networks.append(_network(part))

    def __bool__(self) -> bool:
        """Whether anybody is listed."""
        return self._all or self._sockets or bool(self._networks)

    def __contains__(self, address: str) -> bool:
        """Whether headers are taken from this peer; empty or `localhost`: a Unix socket."""
        if self._all:
            return True
        if address in ("", "localhost"):
            return self._sockets
        parsed = _parsed(address)
        return parsed is not None and any(
            parsed in network for network in self._networks if network.version == parsed.version
        )


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"proxy_protocol_networks: '{text}' is not an address, a network, 'localhost' or '*'"
        ) from None
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.ip_network(f"{mapped}/{network.prefixlen - 96}", strict=False)
    return network
