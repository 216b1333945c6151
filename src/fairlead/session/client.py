"""The client's side of a session: its login first, then the cutting of its bytes into commands.

A command is handed over whole where it lies in the receive buffer. What does not fit one packet (the rest
of a statement of 16 MiB and more, the data of LOAD DATA LOCAL) is streamed to the servers that got its
beginning.

Invariant: while the session cannot take a command the channel is paused and the bytes stay where they are.
"""

from __future__ import annotations

from typing import Any

from fairlead.net.channel import Channel, Handler
from fairlead.protocol.constants import MAX_PACKET
from fairlead.session.backend import B_READY
from fairlead.session.login import LOGIN_PACKET_BYTES_MAX, ChangeUser, Login
from fairlead.session.router import FAILED, ROUTED, WAIT
from fairlead.session.session import Session

_WAIT = WAIT
_FAILED = FAILED
_MAX_PACKET = MAX_PACKET
_B_READY = B_READY


class ClientConnection(Handler):
    """`login` is the exchange that is under way: the login itself, or a change of user; else None."""

    def __init__(self, host: Any, listener: Any, session_id: int) -> None:
        self.host = host
        self.listener = listener
        self.channel: Channel | None = None
        self.session: Session | None = None
        self.login: Login | ChangeUser | None = None
        self.ready = False
        self.closed = False
        # The client has said goodbye: it waits for nothing more.
        self.leaving = False
        self.accepted_us = 0
        # Of the greeting; COM_CHANGE_USER uses it again.
        self.scramble = b""
        self._stream_left = 0
        # The command goes on in the next packet, which is nobody's command even if no server takes it.
        self._stream_more = False
        # The packet being streamed has no payload: the end of the data of LOAD DATA.
        self._stream_empty = False

    def begin(self, channel: Channel, session: Session, login: Login) -> None:
        """Everything is in place: greet the client."""
        self.channel = channel
        self.session = session
        self.login = login
        self.accepted_us = session.created_us
        login.greet()
        self.scramble = login.scramble

    def continue_with(self, channel: Channel, session: Session) -> None:
        """The client has logged in elsewhere: commands follow."""
        self.channel = channel
        self.session = session
        self.accepted_us = session.created_us
        self.ready = True

    # -- data

    def on_data(self, buf: bytearray, start: int, end: int) -> int:
        session = self.session
        assert session is not None and self.channel is not None
        p = buf
        pos = start
        while True:
            while self.login is not None:
                start = pos
                login = self.login
                pos = login.feed(buf, start, end)
                if pos == start or pos >= end or session.closed or self.channel.paused or login.switched:
                    # After a switch to TLS what follows is not for us before it is decrypted.
                    login.switched = False
                    return pos
            if self._stream_left or self._stream_more or session.load_backend is not None:
                if pos >= end:
                    return pos
                length = self._stream(buf, pos, end)
                if length == pos and not self.channel.paused:
                    self.channel.want = 4
                    return pos
                if self.channel.paused or session.closed:
                    return length
                pos = length
                continue
            if end - pos < 4:
                self.channel.want = 4
                return pos
            length = p[pos] | (p[pos + 1] << 8) | (p[pos + 2] << 16)
            if length == 0:
                session.close(
                    "empty packet",
                    log="The client sent an empty packet instead of a command",
                    code=1835,
                    sqlstate="HY000",
                    message="Malformed communication packet",
                )
                return end
            if end - pos < 4 + length:
                self.channel.want = 4 + length
                return pos
            result = session.command(buf, pos, pos + 4 + length)
            if result == _WAIT:
                session.waiting = True
                self.channel.pause()
                return pos
            pos += 4 + length
            if result == _FAILED or session.closed:
                return end
            self._stream_more = length == _MAX_PACKET
            if pos == end:
                return pos

    def _stream(self, buf: bytearray, pos: int, end: int) -> int:
        """Pass on what belongs to a command already sent; returns the position reached."""
        session = self.session
        assert session is not None and self.channel is not None
        targets = session.stream_targets
        if session.load_backend is not None:
            targets = [session.load_backend]
        for backend in targets:
            if backend.in_use() and (backend.state != _B_READY or backend.backlog):
                # The beginning has not been sent yet.
                session.waiting = True
                self.channel.pause()
                return pos
        p = buf
        if self._stream_left == 0:
            if end - pos < 4:
                return pos
            length = p[pos] | (p[pos + 1] << 8) | (p[pos + 2] << 16)
            self._stream_left = length + 4
            self._stream_empty = length == 0 and not self._stream_more
            self._stream_more = length == _MAX_PACKET
        n = end - pos
        if n > self._stream_left:
            n = self._stream_left
        for backend in targets:
            if backend.state == _B_READY and backend.channel is not None:
                backend.channel.send(buf, pos, pos + n)
        self._stream_left -= n
        if self._stream_left == 0 and not self._stream_more:
            if session.load_backend is not None:
                if self._stream_empty:
                    session.loads -= 1
                    if session.loads == 0:
                        session.load_backend = None
            else:
                session.stream_targets = []
        return pos + n

    # -- the channel

    def on_closed(self, reason: str) -> None:
        session = self.session
        if session is not None and not session.closed:
            session.close(f"client connection: {reason}")
        if not self.closed:
            self.closed = True
            self.host.client_gone(self)

    def on_blocked(self) -> None:
        if self.session is not None:
            self.session.client_blocked(True)

    def on_unblocked(self) -> None:
        if self.session is not None:
            self.session.client_blocked(False)

    # -- called by the session and by logins

    def login_done(self) -> None:
        """The exchange is over; commands follow."""
        self.login = None
        self.ready = True
        if self.channel is not None:
            self.channel.want = 0

    def change_user(self, buf: bytearray, start: int, end: int) -> int:
        """COM_CHANGE_USER: a login inside the session."""
        session = self.session
        assert session is not None
        if end - start - 4 > LOGIN_PACKET_BYTES_MAX:
            session.close("change of user of more than a login may have", code=1043, message="Bad handshake")
            return FAILED
        change = ChangeUser(self, session)
        self.login = change
        change.begin(bytes(buf[start:end]))
        return FAILED if session.closed else ROUTED

    def session_closed(self) -> None:
        """The session is over: say what has to be said and hang up."""
        channel = self.channel
        if channel is None:
            return
        if self.leaving and channel.unsent() == 0:
            channel.close()
            self.on_closed("client left")
        else:
            channel.close_gracefully()
