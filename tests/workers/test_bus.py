"""Framing under every chunking and under garbage, and the connection around it."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.cluster.defs import ServerDef, Snapshot
from fairlead.workers import bus
from fairlead.workers.bus import (
    HEADER_BYTES,
    BusClosed,
    BusConnection,
    FrameError,
    FrameReader,
    RequestFailed,
    encode_frame,
)
from fairlead.workers.messages import (
    Configure,
    HangUp,
    Reply,
    Request,
    ToSupervisor,
    ToWorker,
    restore_tuples,
)


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.data())
@settings(max_examples=200)
def test_any_chunking_gives_the_same_frames(bodies: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(len(body).to_bytes(HEADER_BYTES, "big") + body for body in bodies)
    reader, frames, position = FrameReader(), [], 0
    while position < len(stream):
        size = data.draw(st.integers(1, len(stream) - position))
        frames += reader.feed(stream[position : position + size])
        position += size
    assert frames == bodies
    assert reader.pending == 0


@given(st.lists(st.binary(max_size=64), max_size=10))
def test_garbage_gives_frames_or_an_error_and_bounded_memory(chunks: list[bytes]) -> None:
    reader = FrameReader(frame_bytes_max=100)
    try:
        for chunk in chunks:
            for frame in reader.feed(chunk):
                assert 0 < len(frame) <= 100
            assert reader.pending <= 100 + HEADER_BYTES + 64
    except FrameError:
        with pytest.raises(FrameError):
            reader.feed(b"")


@given(st.binary(max_size=200))
def test_decoding_garbage_raises_decode_errors_only(data: bytes) -> None:
    decoder = msgspec.msgpack.Decoder(ToWorker)
    try:
        decoder.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return


def test_too_large_messages_are_refused_on_both_sides() -> None:
    with pytest.raises(FrameError, match=r"HangUp of .* exceeds the limit of 50"):
        encode_frame(HangUp("server1", "x" * 100), frame_bytes_max=50)
    with pytest.raises(FrameError, match="51 bytes"):
        FrameReader(50).feed((51).to_bytes(HEADER_BYTES, "big"))


def test_parameters_keep_their_types_on_the_bus() -> None:
    params: dict[str, Any] = {
        "list": ("a", "b"),
        "nested": (("a", 1), ("b", 2)),
        "path": Path("/tmp/x"),
        "regex": re.compile("a.*b"),
        "none": None,
        "big": 2**63,
    }
    snapshot = Snapshot(3, {"mask": ("x",)}, servers=(ServerDef("s1", 0, params),))
    frame = encode_frame(Configure(1, snapshot))
    decoded = msgspec.msgpack.decode(FrameReader().feed(frame)[0], type=ToWorker)
    assert isinstance(decoded, Configure)
    result = restore_tuples(decoded.snapshot)
    assert result.servers[0].params == {**params, "path": "/tmp/x", "regex": "a.*b"}
    assert result.globals == {"mask": ("x",)}


def test_a_value_that_cannot_cross_is_named() -> None:
    with pytest.raises(TypeError, match="a socket cannot cross"), socket.socket() as one:
        encode_frame(Request(1, "x", {"socket": one}))


class Ends:
    """Both ends of a bus."""

    def __init__(self) -> None:
        self.to_worker: list[Any] = []
        self.to_supervisor: list[Any] = []
        self.lost: list[str] = []
        self.supervisor: BusConnection[Any] = BusConnection(ToSupervisor, self._of_worker, self.lost.append)
        self.worker: BusConnection[Any] = BusConnection(ToWorker, self.to_worker.append, lambda reason: None)

    def _of_worker(self, message: Any) -> None:
        if isinstance(message, Reply):
            if message.error == "raise":
                raise RuntimeError("a handler failed")
            self.supervisor.pending.answer(message.id, message.result)
        self.to_supervisor.append(message)

    async def connect(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: self.supervisor, sock=ours)
        await loop.create_unix_connection(lambda: self.worker, sock=theirs)
        return theirs


def test_request_and_answer() -> None:
    async def scenario() -> None:
        ends = Ends()
        await ends.connect()
        answer = asyncio.ensure_future(ends.supervisor.request(Request(5, "ping"), 5, 1.0))
        await asyncio.sleep(0.02)
        assert ends.to_worker == [Request(5, "ping")]
        ends.worker.send(Reply(5, {"a": 1}))
        assert await answer == {"a": 1}
        assert len(ends.supervisor.pending) == 0
        # An answer that nobody waits for, and a handler that fails, do no harm.
        ends.worker.send(Reply(5, "late"))
        ends.worker.send(Reply(6, error="raise"))
        await asyncio.sleep(0.02)
        assert ends.supervisor.is_open
        ends.supervisor.close()

    asyncio.run(scenario())


def test_no_answer_in_time_and_lost_connection() -> None:
    async def scenario() -> None:
        ends = Ends()
        await ends.connect()
        with pytest.raises(TimeoutError):
            await ends.supervisor.request(Request(1, "x"), 1, 0.02)
        answer = asyncio.ensure_future(ends.supervisor.request(Request(2, "x"), 2, 5))
        await asyncio.sleep(0.01)
        ends.worker.close()
        with pytest.raises(BusClosed):
            await answer
        with pytest.raises(BusClosed):
            await ends.supervisor.request(Request(3, "x"), 3, 5)
        assert not ends.supervisor.send(Reply(1))
        assert len(ends.lost) == 1

    asyncio.run(scenario())


def test_nonsense_ends_the_connection() -> None:
    async def scenario() -> None:
        ends = Ends()
        theirs = await ends.connect()
        theirs.send(b"\x00\x00\x00\x03\xc1\xc1\xc1")
        await asyncio.sleep(0.02)
        assert "unintelligible" in ends.lost[0]

    asyncio.run(scenario())


def test_a_peer_that_does_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "WRITE_BUFFER_BYTES_MAX", 1_000_000)

    async def scenario() -> None:
        ends = Ends()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        await asyncio.get_running_loop().create_unix_connection(lambda: ends.supervisor, sock=ours)
        message = HangUp("s", "x" * 300_000)
        assert not all(ends.supervisor.send(message) for _ in range(20))
        await asyncio.sleep(0.01)
        assert "does not read" in ends.lost[0]
        theirs.close()

    asyncio.run(scenario())


def test_number_of_requests_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "PENDING_REQUESTS_MAX", 1)

    async def scenario() -> None:
        pending = bus.PendingRequests()
        pending.expect(1)
        with pytest.raises(RequestFailed):
            pending.expect(2)
        pending.fail_all("end")

    asyncio.run(scenario())
