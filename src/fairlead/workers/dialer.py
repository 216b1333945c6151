"""How a worker reaches a server: the descriptor of a connection being opened, and the PROXY header."""

from __future__ import annotations

import os
import socket
from typing import Any

from fairlead.net.proxyproto import build_v1
from fairlead.net.syscalls import sys_connect
from fairlead.session.session import Session
from fairlead.workers.names import NameResolver


def dial(names: NameResolver, params: dict[str, Any], local_address: str) -> int:
    """The descriptor of a connection to the server with these parameters, being opened from this local
    address (empty: any); OSError if that fails at once.
    """
    if params.get("socket"):
        return _connect_unix(str(params["socket"]))
    family, target = names.address_of(str(params["address"]), int(params["port"]))
    local = str(names.address_of(local_address, 0)[1][0]) if local_address else ""
    fd = sys_connect(family, target[0], target[1], local)
    if fd < 0:
        raise OSError(-fd, os.strerror(-fd))
    return fd


def preamble(names: NameResolver, session: Session, params: dict[str, Any]) -> bytes:
    """The PROXY header that announces the client to a server; empty if the server is to get none."""
    if not params.get("proxy_protocol"):
        return b""
    if session.local_socket:
        raise OSError("a client of a Unix socket cannot be announced by the PROXY protocol")
    address = str(params["address"])
    if not address.replace(".", "").isdigit() and ":" not in address:
        address = str(names.address_of(address, int(params["port"]))[1][0])
    return build_v1(session.remote, session.remote_port, address, int(params["port"]))


def _connect_unix(path: str) -> int:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock.detach()
