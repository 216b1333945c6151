"""A hostile input as a value: a conversation and the operations that spoil it, on either side.

Everything is derived from it, so that an input can be printed, kept in a file and played again.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, field

from talk import CONVERSATIONS

CLIENT, SERVER = "client", "server"
ROUTERS = ("readwritesplit", "readconnroute")
# Operations of one input, at most.
OPERATIONS_MAX = 4
# Places are small numbers, taken modulo what is there.
PLACE_MAX = 1 << 16
# Water marks of inputs in which somebody stops reading, in bytes.
LOW_WATERS = (64, 400)

# What hostile payloads are made of: first bytes with a meaning, numbers at their borders.
PIECES = (
    b"\x00",
    b"\xfb",
    b"\xfbfile",
    b"\xfc\xff\xff",
    b"\xfd\xff\xff\xff",
    b"\xfe",
    b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xfe\x00\x00\x02\x00",
    b"\xfe\x00\x00\x0a\x00",
    b"\xfe\x00\x00\x42\x00",
    b"\xfe\x00\x00\x02\x40\x00\x00\xff",
    b"\xff",
    b"\xff\x15\x04#28000Access denied",
    b"\xff\x1d\x04#08S01Server shutdown in progress",
    b"\xff\x87\x07#70100Connection was killed",
    b"\xff\xff\xff",
    b"\x00\x00\x00\x02\x00\x00\x00",
    b"\x00\x00\x00\x0a\x00\x00\x00",
    b"\x00\xfe\xff",
    b"\x01",
    b"\x02",
    b"\x0a",
    b"\x03SELECT 1",
    b"\x03",
    b"\x11",
    b"\x16SELECT ?",
    b"\x17\xff\xff\xff\xff\x00\x01\x00\x00\x00",
    b"\x18\x01\x00\x00\x00",
    b"\xfa\x01\x00\x00\x00\x80\x00",
    b"\xfemysql_native_password\x00",
    b"\xfemysql_old_password\x00",
    b"\xfe\x00",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    b"\r\n\r\n\x00\r\nQUIT\n",
)

_NAMES = (
    "flip",  # one bit
    "set",  # one byte
    "cut",  # the rest is missing
    "insert",  # bytes in between
    "delete",
    "repeat",  # everything twice
    "length",  # of one packet, in its header
    "sequence",  # number of one packet
    "payload",  # of one packet, replaced
    "packet",  # one more
    "drop",  # one less
    "move",  # one packet to the end
    "close",  # the connection ends at this place
    "silence",  # nothing more is ever said
    "stuck",  # what is sent is not read from here on
    "read",  # it is read again
)


@dataclass
class Operation:
    """What is done to the `step`-th piece that one side sends."""

    side: str
    step: int
    name: str
    place: int = 0
    value: int = 0
    data: str = ""

    def bytes(self) -> bytes:
        """`data` as bytes."""
        return bytes.fromhex(self.data)


@dataclass
class Genome:
    """`high_water`: of all channels, 0 for the usual."""

    router: str
    talk: str
    operations: list[Operation] = field(default_factory=list)
    high_water: int = 0
    params: dict[str, str | bool] = field(default_factory=dict)

    def text(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def parse(text: str) -> Genome:
        """The input of such a line."""
        values = json.loads(text)
        values["operations"] = [Operation(**each) for each in values["operations"]]
        return Genome(**values)


# -- making them

_PARAMS: tuple[dict[str, str | bool], ...] = (
    {},
    {},
    {},
    {"master_failure_mode": "error_on_write"},
    {"master_failure_mode": "fail_on_write", "master_reconnection": True},
    {"lazy_connect": True},
    {"master_accept_reads": True},
    {"prune_sescmd_history": False},
    {"transaction_replay": True},
    {"transaction_replay": True, "optimistic_trx": True},
    {"delayed_retry": True},
    {"causal_reads": "local"},
    {"causal_reads": "universal", "delayed_retry": True},
    {"causal_reads": "fast_global", "transaction_replay": True},
    {"reuse_prepared_statements": True},
)


def _data(generator: random.Random) -> bytes:
    kind = generator.random()
    if kind < 0.5:
        return generator.choice(PIECES)
    if kind < 0.75:
        return generator.choice(PIECES) + generator.randbytes(generator.randrange(12))
    return generator.randbytes(generator.choice((0, 1, 2, 5, 9, 40, 300)))


def _operation(generator: random.Random, steps: int) -> Operation:
    side = CLIENT if generator.random() < 0.45 else SERVER
    return Operation(
        side,
        generator.randrange(steps if side == CLIENT else 3 * steps + 6),
        generator.choice(_NAMES),
        generator.randrange(PLACE_MAX),
        generator.choice((0, 1, 2, 3, 4, 5, 8, 250, 251, 255, 1000, 65535, 0xFFFFFE, 0xFFFFFF)),
        _data(generator).hex(),
    )


def generate(generator: random.Random) -> Genome:
    """A new input."""
    talk = generator.choice(tuple(CONVERSATIONS))
    router = generator.choice(ROUTERS)
    genome = Genome(router, talk)
    if router == "readwritesplit":
        genome.params = dict(generator.choice(_PARAMS))
    if generator.random() < 0.3:
        genome.high_water = generator.choice(LOW_WATERS)
    for _ in range(generator.choice((1, 1, 1, 2, 2, 3))):
        genome.operations.append(_operation(generator, len(CONVERSATIONS[talk])))
    return genome


def vary(parent: Genome, generator: random.Random) -> Genome:
    """An input like this one, a little different."""
    genome = Genome.parse(parent.text())
    steps = len(CONVERSATIONS[genome.talk])
    choice = generator.random()
    if choice < 0.35 and len(genome.operations) < OPERATIONS_MAX:
        genome.operations.append(_operation(generator, steps))
    elif choice < 0.55:
        genome.operations[generator.randrange(len(genome.operations))] = _operation(generator, steps)
    else:
        operation = generator.choice(genome.operations)
        what = generator.randrange(4)
        if what == 0:
            operation.place = generator.randrange(PLACE_MAX)
        elif what == 1:
            operation.data = _data(generator).hex()
        elif what == 2:
            operation.step = max(0, operation.step + generator.choice((-1, 1)))
        else:
            operation.value = generator.choice((0, 1, 3, 7, 250, 0xFFFF, 0xFFFFFF))
    return genome


# -- doing it


def cut_packets(data: bytes) -> list[bytes]:
    """The packets of these bytes with their headers; the rest as the last one."""
    found = []
    while data:
        size = 4 + int.from_bytes(data[:3], "little") if len(data) >= 4 else len(data)
        found.append(data[:size])
        data = data[size:]
    return found


def spoil(operation: Operation, data: bytes) -> bytes:
    """The bytes as the operation leaves them."""
    if operation.name in ("flip", "set", "cut", "insert", "delete", "repeat"):
        return _spoil_bytes(operation, data)
    if operation.name in ("length", "sequence", "payload", "packet", "drop", "move"):
        return _spoil_packets(operation, cut_packets(data))
    return data


def _spoil_bytes(operation: Operation, data: bytes) -> bytes:
    if operation.name == "repeat" or not data:
        return data + data
    at = operation.place % len(data)
    if operation.name == "flip":
        return data[:at] + bytes((data[at] ^ (1 << operation.value % 8),)) + data[at + 1 :]
    if operation.name == "set":
        return data[:at] + bytes((operation.value & 0xFF,)) + data[at + 1 :]
    if operation.name == "cut":
        return data[:at]
    if operation.name == "insert":
        return data[:at] + operation.bytes() + data[at:]
    return data[:at] + data[at + 1 + operation.value % 40 :]


def _spoil_packets(operation: Operation, packets: list[bytes]) -> bytes:
    if not packets:
        return b""
    at = operation.place % len(packets)
    packet = packets[at]
    payload = operation.bytes()
    if operation.name == "length":
        packets[at] = operation.value.to_bytes(3, "little") + packet[3:]
    elif operation.name == "sequence":
        packets[at] = packet[:3] + bytes((operation.value & 0xFF,)) + packet[4:]
    elif operation.name == "payload":
        packets[at] = len(payload).to_bytes(3, "little") + packet[3:4] + payload
    elif operation.name == "packet":
        sequence = (packet[3:4] or b"\0")[0] + 1
        packets.insert(at + 1, len(payload).to_bytes(3, "little") + bytes((sequence & 0xFF,)) + payload)
    elif operation.name == "drop":
        del packets[at]
    else:
        packets.append(packets.pop(at))
    return b"".join(packets)
