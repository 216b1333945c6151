"""What systemd is told."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from fairlead.workers.systemd import Notifier


def test_messages(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000000"})
        assert notifier.watchdog_interval_s == 30
        notifier.ready("Running")
        assert manager.recv(200).decode() == f"READY=1\nSTATUS=Running\nMAINPID={os.getpid()}"
        notifier.alive()
        assert manager.recv(200) == b"WATCHDOG=1"
        notifier.reloading()
        assert manager.recv(200).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        notifier.stopping()
        assert manager.recv(200).startswith(b"STOPPING=1")


def test_without_systemd_nothing_happens() -> None:
    notifier = Notifier({})
    notifier.ready("x")
    assert notifier.watchdog_interval_s == 0
    Notifier({"NOTIFY_SOCKET": "/no/such/socket"}).alive()


def test_watchdog_of_another_process_is_not_ours() -> None:
    assert Notifier({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}).watchdog_interval_s == 0
    assert Notifier({"WATCHDOG_USEC": "nonsense"}).watchdog_interval_s == 0
