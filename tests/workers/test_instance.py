"""One instance per data directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fairlead.workers.instance import PID_NAME, AlreadyRunning, Instance


def test_second_instance_is_refused(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    run.mkdir()
    first = Instance(data, run)
    first.acquire()
    assert (run / PID_NAME).read_text() == f"{os.getpid()}\n"
    with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"):
        Instance(data, run).acquire()
    other_run = tmp_path / "other"
    other_run.mkdir()
    with pytest.raises(AlreadyRunning):
        Instance(data, other_run).acquire()
    first.release()
    assert not (run / PID_NAME).exists()
    second = Instance(data, run)
    second.acquire()
    second.release()


def test_the_locks_end_with_the_process_and_are_not_inherited(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys; from pathlib import Path\n"
        "from fairlead.workers.instance import Instance\n"
        "p = Path(sys.argv[1]); Instance(p, p).acquire()\n"
        "child = subprocess.Popen(['sleep', '30'], close_fds=False, stdout=subprocess.DEVNULL)\n"
        "print(child.pid, flush=True); os.kill(os.getpid(), 9)\n"
    )
    dead = subprocess.run([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert dead.returncode == -9
    again = Instance(tmp_path, tmp_path)
    again.acquire()
    again.release()
    os.kill(int(dead.stdout), 9)


def test_directory_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Instance(tmp_path / "missing", tmp_path).acquire()
