"""COM_STMT_EXECUTE from the inside: where the parameter types stand, and a packet with types put in.

A client sends the types of its parameters with the first execution only; a server that did not see that
execution has to be told. Source: MariaDB documentation, "COM_STMT_EXECUTE".
"""

from __future__ import annotations

from fairlead.protocol.constants import MAX_PACKET

# Bytes in front of the NULL bitmap: header, command, statement id, flags, iterations.
FIXED_BYTES = 4 + 1 + 4 + 1 + 4

_FIXED = FIXED_BYTES
_MAX = MAX_PACKET


def types_of(buf: bytearray, start: int, end: int, parameters: int) -> bytes:
    """The type block (two bytes for each parameter) of the packet at `start`; empty if it has none."""
    at = start + _FIXED + (parameters + 7) // 8
    p = buf
    if at >= end or p[at] != 1 or at + 1 + 2 * parameters > end:
        return b""
    return bytes(buf[at + 1 : at + 1 + 2 * parameters])


def same_types(buf: bytearray, start: int, end: int, types: bytes) -> bool:
    """Whether the packet at `start` carries just this block; false for the empty block."""
    size = len(types)
    at = start + _FIXED + (size // 2 + 7) // 8
    if size == 0 or at + 1 + size > end:
        return False
    p = buf
    if p[at] != 1:
        return False
    q = types
    i = 0
    while i < size and p[at + 1 + i] == q[i]:
        i += 1
    return i == size


def has_types(packet: bytearray, parameters: int) -> bool:
    """Whether the packet carries a type block."""
    return bool(types_of(packet, 0, len(packet), parameters))


def with_types(packet: bytearray, parameters: int, types: bytes) -> bytearray:
    """The packet with this type block; unchanged if there is no place for one."""
    at = _FIXED + (parameters + 7) // 8
    length = len(packet) - 4 + len(types)
    if not types or at >= len(packet) or packet[at] == 1 or length >= _MAX:
        return packet
    result = packet[:at] + b"\x01" + types + packet[at + 1 :]
    result[0:3] = length.to_bytes(3, "little")
    return result
