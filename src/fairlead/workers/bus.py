"""The control bus: msgpack messages in length-prefixed frames on one AF_UNIX socket pair per worker.

Framing (`encode_frame`, `FrameReader`) is pure; `BusConnection` is the I/O around it, on both sides alike.
Invariant: a frame is delivered once and in order, or the connection ends; nothing here waits for the peer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, Generic, TypeVar, cast

import msgspec

from fairlead.workers.messages import FRAME_BYTES_MAX

logger = logging.getLogger(__name__)

HEADER_BYTES = 4
# What may wait for a peer that does not read; more than that and the peer is given up.
WRITE_BUFFER_BYTES_MAX = 2 * FRAME_BYTES_MAX
# How long an answer is waited for unless the caller says otherwise.
ANSWER_TIMEOUT_S = 10.0
# Requests that may be open at once on one connection.
PENDING_REQUESTS_MAX = 10_000

In = TypeVar("In")


class FrameError(Exception):
    """The peer does not speak this protocol, or a message is too large to be sent."""


class BusClosed(Exception):
    """The connection ended before the answer came."""


class RequestFailed(Exception):
    """The peer answered with an error; the text is its reason."""


def _encode_other(value: Any) -> Any:
    """Values that may stand in parameters and that msgpack lacks."""
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, re.Pattern):
        return value.pattern
    raise TypeError(f"a {type(value).__name__} cannot cross the control bus")


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_other)


def encode_frame(message: msgspec.Struct, frame_bytes_max: int = FRAME_BYTES_MAX) -> bytes:
    """The bytes of one message, header included."""
    frame = bytearray(HEADER_BYTES)
    _encoder.encode_into(message, frame, HEADER_BYTES)
    length = len(frame) - HEADER_BYTES
    if length > frame_bytes_max:
        raise FrameError(
            f"a {type(message).__name__} of {length} bytes exceeds the limit of {frame_bytes_max}"
        )
    frame[:HEADER_BYTES] = length.to_bytes(HEADER_BYTES, "big")
    return bytes(frame)


class FrameReader:
    """Cuts a stream of bytes into the bodies of frames. After an error it stays unusable."""

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._max = frame_bytes_max
        self._buffer = bytearray()
        self._broken = ""

    def feed(self, data: bytes) -> list[bytes]:
        """Take over these bytes and return the frames that are complete now."""
        if self._broken:
            raise FrameError(self._broken)
        self._buffer += data
        buffer = self._buffer
        frames: list[bytes] = []
        start = 0
        while len(buffer) - start >= HEADER_BYTES:
            length = int.from_bytes(buffer[start : start + HEADER_BYTES], "big")
            if not 0 < length <= self._max:
                self._broken = f"a frame of {length} bytes; allowed are 1 to {self._max}"
                raise FrameError(self._broken)
            end = start + HEADER_BYTES + length
            if len(buffer) < end:
                break
            frames.append(bytes(buffer[start + HEADER_BYTES : end]))
            start = end
        if start:
            del buffer[:start]
        return frames

    @property
    def pending(self) -> int:
        """Bytes of a frame that has not ended yet."""
        return len(self._buffer)


class PendingRequests:
    """The requests that wait for an answer: each is resolved exactly once, at latest by its timeout."""

    def __init__(self) -> None:
        self._futures: dict[int, asyncio.Future[Any]] = {}

    def __len__(self) -> int:
        return len(self._futures)

    def expect(self, request_id: int) -> asyncio.Future[Any]:
        """Enter a request before it is sent."""
        if len(self._futures) >= PENDING_REQUESTS_MAX:
            raise RequestFailed(f"more than {PENDING_REQUESTS_MAX} requests are waiting for an answer")
        assert request_id not in self._futures
        future = asyncio.get_running_loop().create_future()
        self._futures[request_id] = future
        return future

    async def wait(self, future: asyncio.Future[Any], request_id: int, timeout_s: float) -> Any:
        """The answer to a request entered with `expect`; raises RequestFailed, BusClosed or TimeoutError."""
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        finally:
            self._futures.pop(request_id, None)

    def answer(self, request_id: int, result: Any) -> bool:
        """Resolve a request; False if nobody waits for it (any more)."""
        future = self._futures.pop(request_id, None)
        if future is None or future.done():
            return False
        future.set_result(result)
        return True

    def fail(self, request_id: int, error: Exception) -> bool:
        """Resolve a request with an error."""
        future = self._futures.pop(request_id, None)
        if future is None or future.done():
            return False
        future.set_exception(error)
        return True

    def fail_all(self, reason: str) -> None:
        """The connection has ended: nobody will answer."""
        for request_id in list(self._futures):
            self.fail(request_id, BusClosed(reason))


class BusConnection(asyncio.Protocol, Generic[In]):
    """One end of the bus.

    `incoming` is the union of messages the peer may send. `received` is called with each; what it raises is
    logged and does not end the connection. `lost` is called once, with the reason, when it has ended.
    """

    def __init__(self, incoming: Any, received: Callable[[In], None], lost: Callable[[str], None]) -> None:
        self._decoder: msgspec.msgpack.Decoder[In] = msgspec.msgpack.Decoder(incoming)
        self._received = received
        self._lost = lost
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._reason = "the other side has closed the connection"
        self.pending = PendingRequests()

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        try:
            messages = [self._decoder.decode(frame) for frame in self._reader.feed(data)]
        except (FrameError, msgspec.DecodeError) as error:
            self.abort(f"unintelligible message: {error}")
            return
        for message in messages:
            try:
                self._received(message)
            except Exception:
                logger.exception("a %s from the control bus could not be handled", type(message).__name__)

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop."""
        self._transport = None
        reason = str(error) if error else self._reason
        self.pending.fail_all(reason)
        self._lost(reason)

    def send(self, message: msgspec.Struct) -> bool:
        """Send a message without waiting; False if the connection has ended."""
        return self.send_frame(encode_frame(message))

    def send_frame(self, frame: bytes) -> bool:
        """Send what `encode_frame` made, which several connections may share."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        waiting = transport.get_write_buffer_size()
        if waiting + len(frame) > WRITE_BUFFER_BYTES_MAX:
            self.abort(f"the other side does not read: {waiting} bytes are waiting for it")
            return False
        transport.write(frame)
        return True

    async def request(
        self,
        message: msgspec.Struct,
        request_id: int,
        timeout_s: float = ANSWER_TIMEOUT_S,
        frame: bytes = b"",
    ) -> Any:
        """Send a message that has this id and wait for what `pending.answer` gets for it."""
        future = self.pending.expect(request_id)
        if not self.send_frame(frame or encode_frame(message)):
            self.pending.fail(request_id, BusClosed(self._reason))
        return await self.pending.wait(future, request_id, timeout_s)

    def close(self) -> None:
        """End the connection after what has been sent."""
        if self._transport is not None:
            self._reason = "closed"
            self._transport.close()

    def abort(self, reason: str) -> None:
        """End the connection at once."""
        self._reason = reason
        if self._transport is not None:
            with contextlib.suppress(OSError):
                self._transport.abort()
