"""COM_STMT_EXECUTE from the inside: where the parameter types stand, and a packet with types put in.

A client sends the types of its parameters with the first execution only; a server that did not see that
execution has to be told. Source: MariaDB documentation, "COM_STMT_EXECUTE".
"""

from __future__ import annotations

from fairlead.protocol.constants import MAX_PACKET

# Bytes in front of the NULL bitmap: header, command, statement id, flags, iterations.
FIXED_BYTES = 4 + 1 + 4 + 1 + 4


def _bound_at(start: int, parameters: int) -> int:
    """Position of the byte that says whether types follow."""
    return start + FIXED_BYTES + (parameters + 7) // 8


def types_of(buf: bytearray, start: int, end: int, parameters: int) -> bytes:
    """The type block (two bytes for each parameter) of the packet at `start`; empty if it has none."""
    at = _bound_at(start, parameters)
    if at >= end or buf[at] != 1 or at + 1 + 2 * parameters > end:
        return b""
    return bytes(buf[at + 1 : at + 1 + 2 * parameters])


def has_types(packet: bytearray, parameters: int) -> bool:
    """Whether the packet carries a type block."""
    return bool(types_of(packet, 0, len(packet), parameters))


def with_types(packet: bytearray, parameters: int, types: bytes) -> bytearray:
    """The packet with this type block; unchanged if there is no place for one."""
    at = _bound_at(0, parameters)
    length = len(packet) - 4 + len(types)
    if not types or at >= len(packet) or packet[at] == 1 or length >= MAX_PACKET:
        return packet
    result = packet[:at] + b"\x01" + types + packet[at + 1 :]
    result[0:3] = length.to_bytes(3, "little")
    return result
