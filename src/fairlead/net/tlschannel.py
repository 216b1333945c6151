"""A channel whose bytes are encrypted: the same handler, with an SSLObject between it and the descriptor.

The channel starts in plain text (greeting, request for TLS) and is switched once by `start_tls`; from then
on what is received goes through the memory BIOs of the `ssl` module. The handshake runs inside of `read`.
Plain text is deciphered into the worker's receive buffer, whose bytes are in the BIO by then, as many records
as there are; SSLObject is asked only when it has something to work on, since a "no" is an exception.

Invariant: nothing is received while whole records wait to be deciphered, so that what is received and not
handed over stays below two receive buffers, apart from what the handler itself wants to see whole.
"""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Callable
from typing import Any

from fairlead.net.channel import POSTED_BYTES, Channel, Handler
from fairlead.net.poller import Poller
from fairlead.net.syscalls import sys_recv, sys_send_bytes

# The most plain text of one TLS record, in bytes: with less room SSLObject would keep a part to itself.
RECORD_BYTES = 16 * 1024
# Received in one turn, and enciphered at once, in bytes: a BIO keeps the room that it has needed once.
TURN_BYTES = 64 * 1024
_EAGAIN = -errno.EAGAIN
_ENDED = "connection closed by peer"
_RECORD = RECORD_BYTES
_TURN = TURN_BYTES
_POSTED = POSTED_BYTES


class TlsChannel(Channel):
    """A channel that can be switched to TLS."""

    def __init__(self, poller: Poller, fd: int, handler: Handler, connecting: bool = False) -> None:
        Channel.__init__(self, poller, fd, handler, connecting)
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._handshaking = False
        self._on_ready: Callable[[], None] | None = None
        self._plain = bytearray()
        # The handler is shown once more what it has not consumed.
        self._again = False
        # The kernel's end of stream is in the BIO.
        self._at_end = False
        # Why nothing more will be deciphered; reported when all before it has been handed over.
        self._broken: str | None = None
        # Whole records are left in the BIO, for which there was no room.
        self._left_over = False

    @property
    def cipher(self) -> str:
        """Name of the cipher in use; empty without TLS."""
        found = self._tls.cipher() if self._tls is not None and not self._handshaking else None
        return found[0] if found else ""

    def start_tls(
        self, context: ssl.SSLContext, *, server_side: bool, hostname: str = "", on_ready: Callable[[], None]
    ) -> None:
        """Encrypt from here on; `on_ready` is called when the handshake is done, `on_closed` if it fails."""
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=hostname or None
        )
        self._handshaking = True
        self._on_ready = on_ready
        self.defer_read()

    def tls_object(self) -> ssl.SSLObject:
        """What knows the peer's certificate."""
        assert self._tls is not None
        return self._tls

    def defer_read(self) -> None:
        """Look at the descriptor in the next turn, whatever the last event said."""
        self._readable = True
        self.paused = True
        self.resume()

    def read(self) -> None:
        """Move what the kernel has through the handshake or to the handler."""
        if self._tls is None:
            Channel.read(self)
            return
        if self._readable and not self._left_over:
            self._receive()
        if self.closed:
            return
        if self._handshaking:
            self._handshake()
        if self._handshaking or self.closed:
            return
        if not self.paused:
            self._deliver()
        if self._left_over and not self.paused and not self.closed:
            self._later()
        elif not self.closed:
            self._after_read()

    def _receive(self) -> None:
        """Move what the kernel has into the BIO; the remainder of plain-text times goes first."""
        incoming = self._incoming
        if self._handshaking:
            kept = self.take_kept()
            if kept is not None:
                incoming.write(kept)
        buf = self.poller.buffer
        size = min(_TURN, len(buf))
        n = sys_recv(self.fd, buf, 0, size)
        if n == _EAGAIN:
            self._readable = False
            self._took(0)
        elif n < 0:
            self._lost(os.strerror(-n))
        elif n == 0:
            incoming.write_eof()
            self._at_end = True
            self._readable = False
        else:
            with memoryview(buf) as whole, whole[0:n] as piece:
                incoming.write(piece)
            # No other event will tell of an end that came with these bytes.
            if n < size and not self._ended:
                self._readable = False
            self._took(n)

    def _handshake(self) -> None:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush_tls()
            if self._readable and not self.closed:
                self._later()
            return
        except (ssl.SSLError, ssl.CertificateError) as error:
            self._flush_tls()
            self._lost(_words(error))
            return
        self._flush_tls()
        self._handshaking = False
        ready, self._on_ready = self._on_ready, None
        if ready is not None:
            ready()

    def _deliver(self) -> None:
        """Decipher into the worker's buffer and hand over; a packet that comes slowly grows where it is."""
        buf = self.poller.buffer
        plain = self._plain
        kept = len(plain)
        apart = kept < self.want or kept + 2 * _TURN > len(buf)
        start = 0 if apart else kept
        if start:
            buf[0:start] = plain
        end = self._decipher(buf, start)
        fresh = end > start
        if self.finishing:
            plain.clear()
        elif fresh or (self._again and self._broken is None):
            if apart:
                plain += buf[start:end]
                self._hand_over(plain, len(plain))
            else:
                self._hand_over(buf, end)
        if self._broken is not None and not self.closed and not (fresh and self.paused):
            self._flush_tls()
            self._lost(self._broken)

    def _hand_over(self, buf: bytearray, end: int) -> None:
        """All that is there, which is at least what the handler wants to see, or not yet."""
        if not end or end < self.want:
            return
        self._again = False
        self.want = 0
        position = self.handler.on_data(buf, 0, end)
        if not self.closed:
            # What came in the meantime by close_gracefully is not wanted any more.
            self._plain = buf[position:end] if position < end and not self.finishing else bytearray()

    def _decipher(self, buf: bytearray, end: int) -> int:
        """Put the plain text of whole records behind `end`, as far as there is room; the new end."""
        incoming = self._incoming
        # Typeshed knows only the form that returns bytes.
        tls: Any = self._tls
        size = len(buf)
        self._left_over = False
        if self._broken is not None or not (incoming.pending or self._at_end):
            return end
        try:
            with memoryview(buf) as whole:
                while incoming.pending or self._at_end:
                    if end + _RECORD > size:
                        self._left_over = True
                        break
                    with whole[end:size] as room:
                        n = tls.read(size - end, room)
                    if not n:
                        self._broken = _ENDED
                        break
                    end += n
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._broken = _ENDED
        except (ssl.SSLError, ssl.CertificateError) as error:
            self._broken = _words(error)
        return end

    def resume(self) -> None:
        self._again = True
        Channel.resume(self)

    def send(self, buf: bytearray, start: int, end: int) -> None:
        tls = self._tls
        if tls is None:
            Channel.send(self, buf, start, end)
            return
        if self.closed or start >= end or self.finishing:
            return
        try:
            with memoryview(buf) as whole:
                while start < end and not self.closed:
                    stop = min(end, start + _TURN)
                    with whole[start:stop] as piece:
                        tls.write(piece)
                    start = stop
                    self._flush_tls()
        except ssl.SSLError as error:
            self.fail_soon(_words(error))

    def close_with(self, words: bytes) -> None:
        if self._tls is not None and not self._handshaking:
            self.send(bytearray(words), 0, len(words))
            self.close()
        else:
            Channel.close_with(self, words)

    def _flush_tls(self) -> None:
        """Send what has been enciphered, or queue what the kernel does not take."""
        data = self._outgoing.read()
        size = len(data)
        if not size or self.closed or self.finishing:
            return
        if size <= _POSTED:
            Channel.send(self, bytearray(data), 0, size)
            return
        self._settle()
        n = 0
        if self._out is None and not self.connecting:
            n = sys_send_bytes(self.fd, data)
            if n == size:
                return
            if n < 0:
                if n != _EAGAIN:
                    self.fail_soon(os.strerror(-n))
                    return
                n = 0
        self._queue(bytearray(data), n, size)


def _words(error: OSError) -> str:
    return f"TLS: {getattr(error, 'reason', None) or error}"
