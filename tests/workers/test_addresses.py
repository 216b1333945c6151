"""Listener addresses: taken ones are refused, held ones are safe from others and usable by workers."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from fairlead.cluster.defs import ListenerDef
from fairlead.workers.addresses import (
    Address,
    AddressTaken,
    ListenerAddresses,
    address_of,
    check_unix_path,
    hold,
)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def listener(name: str = "L", **params: Any) -> ListenerDef:
    return ListenerDef(name, "S", {"address": "127.0.0.1", **params})


def take(addresses: ListenerAddresses, listeners: list[ListenerDef]) -> dict[str, str]:
    return asyncio.run(addresses.take(listeners))


def held(address: Address) -> socket.socket | None:
    return asyncio.run(hold(address))


def worker_socket(port: int) -> socket.socket:
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind(("127.0.0.1", port))
    one.listen()
    return one


def test_addresses_of_listeners() -> None:
    assert str(address_of(listener(port=3306))) == "127.0.0.1:3306"
    assert str(address_of(ListenerDef("L", "S", {"address": "::", "port": 1}))) == "[::]:1"
    assert str(address_of(listener(socket="/tmp/x"))) == "/tmp/x"


def test_a_held_port_is_safe_and_workers_can_share_it() -> None:
    port = free_port()
    addresses = ListenerAddresses()
    assert take(addresses, [listener(port=port)]) == {}
    addresses.keep([listener(port=port)])
    with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
        stranger.bind(("127.0.0.1", port))
    with worker_socket(port), worker_socket(port), socket.create_connection(("127.0.0.1", port)):
        assert take(addresses, [listener(port=port)]) == {}
    # Nobody listens: a client is refused, not left hanging.
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED
    addresses.close()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))


def test_taken_port_is_refused_by_name_and_nothing_stays() -> None:
    free = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        addresses = ListenerAddresses()
        errors = take(addresses, [listener("A", port=free), listener("B", port=port)])
        assert errors == {"B": f"Cannot listen on 127.0.0.1:{port}: Address already in use"}
        addresses.give_up()
        assert len(addresses) == 0
    worker_socket(free).close()


def test_port_of_another_reuseport_program_is_refused() -> None:
    port = free_port()
    with worker_socket(port), pytest.raises(AddressTaken):
        held(Address("127.0.0.1", port))


def test_keep_releases_what_is_no_longer_needed() -> None:
    first, second = free_port(), free_port()
    addresses = ListenerAddresses()
    take(addresses, [listener(port=first), listener(port=second)])
    addresses.keep([listener(port=second)])
    assert len(addresses) == 1
    with socket.socket() as other:
        other.bind(("127.0.0.1", first))
    addresses.close()


def test_port_with_closed_connections_of_an_earlier_run_is_free() -> None:
    port = free_port()
    server = worker_socket(port)
    client = socket.create_connection(("127.0.0.1", port))
    accepted, _ = server.accept()
    server.close()
    accepted.close()
    client.close()
    holder = held(Address("127.0.0.1", port))
    assert holder is not None
    holder.close()


def test_port_with_open_sessions_of_a_destroyed_listener_is_free() -> None:
    port = free_port()
    server = worker_socket(port)
    with socket.create_connection(("127.0.0.1", port)):
        accepted, _ = server.accept()
        server.close()
        with accepted:
            holder = held(Address("127.0.0.1", port))
            assert holder is not None
            holder.close()


def test_any_address_and_unknown_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(*_: Any, **__: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", not_found)
    port = free_port()
    holder = held(Address("::", port))
    assert holder is not None
    with holder, socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("0.0.0.0", port))
    with pytest.raises(AddressTaken, match="no-such-name"):
        held(Address("no-such-name", 1))
    monkeypatch.undo()
    with pytest.raises(AddressTaken):
        held(Address("192.0.2.1", port))


def test_unix_sockets(tmp_path: Path) -> None:
    path = str(tmp_path / "s.sock")
    check_unix_path(path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        check_unix_path(path)  # stale: nobody listens
        other.listen()
        with pytest.raises(AddressTaken, match="in use"):
            check_unix_path(path)
    check_unix_path(path)
    addresses = ListenerAddresses()
    assert take(addresses, [listener(socket=path)]) == {}
    addresses.keep([listener(socket=path)])
    addresses.close()
    assert not os.path.exists(path)


def test_unix_paths_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(AddressTaken, match="at most 107 bytes"):
        check_unix_path("/" + "x" * 200)
    with pytest.raises(AddressTaken, match="there is no directory"):
        check_unix_path(str(tmp_path / "missing" / "s"))
    (tmp_path / "file").write_text("")
    with pytest.raises(AddressTaken, match="not a socket"):
        check_unix_path(str(tmp_path / "file"))
