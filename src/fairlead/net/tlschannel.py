"""A channel whose bytes are encrypted: the same handler, with an SSLObject between it and the descriptor.

The channel starts in plain text (greeting, request for TLS) and is switched once by `start_tls`; from then
on what is received goes through the memory BIOs of the `ssl` module. The handshake runs inside of `read`.

Invariant: what is received and not handed over stays below UNREAD_BYTES_MAX and one receive buffer, apart
from what the handler itself wants to see whole.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable

from fairlead.net.channel import Channel, Handler
from fairlead.net.poller import Poller
from fairlead.net.syscalls import sys_recv

# Plain text is taken from the SSLObject in pieces of this size, in bytes.
PLAIN_BYTES = 64 * 1024
# At most so many pieces per turn, so that one busy connection does not starve the others.
PIECES_PER_TURN = 16
# With so many bytes not deciphered yet nothing more is received: the kernel holds the sender back.
UNREAD_BYTES_MAX = 256 * 1024
_EAGAIN = -11


class TlsChannel(Channel):
    """A channel that can be switched to TLS."""

    def __init__(self, poller: Poller, fd: int, handler: Handler, connecting: bool = False) -> None:
        super().__init__(poller, fd, handler, connecting)
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._handshaking = False
        self._on_ready: Callable[[], None] | None = None
        self._plain = bytearray()
        # The handler is shown once more what it has not consumed.
        self._again = False
        # The kernel may have more, although no event will say so.
        self._more = False

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
        self.paused = True
        self.resume()

    def read(self) -> None:
        if self._tls is None:
            super().read()
            return
        self._receive()
        if self.closed:
            return
        try:
            if self._handshaking:
                self._handshake()
            if not self._handshaking and not self.closed:
                self._deliver()
        except (ssl.SSLError, ssl.CertificateError) as error:
            self._flush_tls()
            self._lost(f"TLS: {getattr(error, 'reason', None) or error}")
            return
        if self._more and not self.paused and not self.closed:
            self.poller.defer(self)

    def _receive(self) -> None:
        """Move what the kernel has into the BIO; the remainder of plain-text times goes first."""
        kept = self.take_kept()
        if kept:
            self._incoming.write(kept)
        if self._incoming.pending >= UNREAD_BYTES_MAX:
            self._more = True
            return
        self._more = False
        buf = self.poller.buffer
        n = sys_recv(self.fd, buf, 0, len(buf))
        if n == _EAGAIN:
            return
        if n < 0:
            self._lost(os.strerror(-n))
            return
        if n == 0:
            self._incoming.write_eof()
            return
        self._incoming.write(memoryview(buf)[:n])
        # No other event will tell of an end that came with these bytes.
        self._more = n == len(buf) or self._ended

    def _handshake(self) -> None:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush_tls()
            return
        self._flush_tls()
        self._handshaking = False
        ready, self._on_ready = self._on_ready, None
        if ready is not None:
            ready()

    def _deliver(self) -> None:
        """Decrypt and hand over."""
        assert self._tls is not None
        for _ in range(PIECES_PER_TURN):
            if self.paused or self.closed:
                return
            ended = False
            try:
                piece = self._tls.read(PLAIN_BYTES)
                ended = not piece
            except ssl.SSLWantReadError:
                piece = b""
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                piece, ended = b"", True
            plain = self._plain
            plain += piece
            if ended and not piece:
                self._lost("connection closed by peer")
                return
            if self.finishing:
                plain.clear()
            elif plain and (piece or self._again) and len(plain) >= self.want:
                self._again = False
                self.want = 0
                position = self.handler.on_data(plain, 0, len(plain))
                if self.closed:
                    return
                self._plain = plain[position:] if position < len(plain) else bytearray()
            if not piece:
                return
        self.defer_again()

    def defer_again(self) -> None:
        """Go on in the next turn."""
        self.pause()
        self.resume()

    def resume(self) -> None:
        self._again = True
        super().resume()

    def send(self, buf: bytearray, start: int, end: int) -> None:
        if self._tls is None:
            super().send(buf, start, end)
            return
        if self.closed or start >= end or self.finishing:
            return
        try:
            with memoryview(buf) as whole, whole[start:end] as piece:
                self._tls.write(piece)
        except ssl.SSLError as error:
            self.fail_soon(f"TLS: {error.reason or error}")
            return
        self._flush_tls()

    def close_with(self, words: bytes) -> None:
        if self._tls is not None and not self._handshaking:
            self.send(bytearray(words), 0, len(words))
            self.close()
        else:
            super().close_with(words)

    def _flush_tls(self) -> None:
        data = self._outgoing.read()
        if data and not self.closed:
            super().send(bytearray(data), 0, len(data))
