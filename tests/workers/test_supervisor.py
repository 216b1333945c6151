"""The whole product without servers: start, exit codes, signals, changes that fail half-way."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SERVE = "from fairlead.cli.main import main; main()"
START_SECONDS_MAX = 15.0


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def occupy(port: int) -> socket.socket:
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind(("127.0.0.1", port))
    taken.listen()
    return taken


def until(condition: Callable[[], Any], timeout_s: float = 5.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "timeout"
        time.sleep(0.01)


def greets(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as client:
            client.settimeout(2)
            return len(client.recv(200)) > 20
    except OSError:
        return False


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Product:
    """One instance in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.rest_port, self.first, self.second = free_ports(3)
        self.config = directory / "x.cnf"
        self.write()
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, more: str = "", **parameters: Any) -> None:
        text = "".join(f"{name}={value}\n" for name, value in parameters.items())
        self.config.write_text(
            f"[maxscale]\nthreads=2\nadmin_port={self.rest_port}\nadmin_secure_gui=false\n{text}\n"
            "[server1]\ntype=server\naddress=127.0.0.1\nport=1\n\n"
            "[S]\ntype=service\nrouter=readconnroute\nuser=u\npassword=p\nservers=server1\n\n"
            f"[A]\ntype=listener\nservice=S\naddress=127.0.0.1\nport={self.first}\n\n"
            f"[B]\ntype=listener\nservice=S\naddress=127.0.0.1\nport={self.second}\n\n{more}"
        )

    def launch(self, *options: str) -> subprocess.Popen[bytes]:
        base = str(self.directory / "base")
        command = [sys.executable, "-c", SERVE, "serve", "--config", str(self.config), "--basedir", base]
        with (self.directory / "out").open("ab") as out:
            return subprocess.Popen([*command, *options], stdout=out, stderr=subprocess.STDOUT)

    def start(self) -> Product:
        self.process = self.launch()

        def is_ready() -> bool:
            assert self.process is not None and self.process.poll() is None, self.log()
            return "Fairlead is running" in self.log()

        until(is_ready, START_SECONDS_MAX)
        return self

    @property
    def base(self) -> Path:
        return self.directory / "base" / "var"

    @property
    def log_path(self) -> Path:
        return self.base / "log" / "maxscale" / "maxscale.log"

    def log(self) -> str:
        paths = (self.log_path, self.directory / "out")
        return "\n".join(path.read_text() for path in paths if path.exists())

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(10)

    def workers(self) -> list[int]:
        assert self.process is not None
        pid = self.process.pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def rest(self, method: str, path: str, data: Any = None) -> tuple[int, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.rest_port}/v1/{path}",
            method=method,
            data=json.dumps({"data": data}).encode() if data else None,
            headers={"Authorization": "Basic " + base64.b64encode(b"admin:mariadb").decode()},
        )
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def listener_states(self) -> dict[str, str]:
        _status, answer = self.rest("GET", "listeners")
        return {each["id"]: each["attributes"]["state"] for each in answer["data"]}

    def end(self) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait(10)


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    one = Product(tmp_path)
    yield one
    one.end()


def test_start_and_orderly_end(product: Product) -> None:
    product.start()
    assert greets(product.first) and greets(product.second)
    assert product.listener_states() == {"A": "Running", "B": "Running"}
    workers = product.workers()
    assert len(workers) == 2
    started = time.monotonic()
    product.signal(signal.SIGTERM)
    assert product.wait() == 0
    assert time.monotonic() - started < 5
    assert not greets(product.first)
    assert not any(is_alive(pid) for pid in workers)
    assert not (product.base / "run" / "maxscale" / "maxscale.pid").exists()
    assert "Fairlead has stopped" in product.log()
    # Nothing is left that keeps it from starting again.
    product.log_path.unlink()
    product.start()


def test_an_open_session_does_not_delay_the_end_beyond_its_limit(product: Product) -> None:
    product.start()
    with socket.create_connection(("127.0.0.1", product.first)) as client:
        assert client.recv(200)
        started = time.monotonic()
        product.signal(signal.SIGTERM)
        assert product.wait() == 0
        assert time.monotonic() - started < 8


def test_a_killed_worker_is_replaced_and_workers_end_with_the_supervisor(product: Product) -> None:
    product.start()
    victim = product.workers()[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(product.workers()) == 2 and victim not in product.workers(), 1.0)
    until(lambda: all(greets(product.first) for _ in range(10)))
    workers = product.workers()
    product.signal(signal.SIGKILL)
    until(lambda: not any(is_alive(pid) for pid in workers))


def test_exit_codes(product: Product) -> None:
    product.start()
    assert product.launch().wait(10) == 4
    product.end()
    product.config.write_text("[maxscale]\nthreads=many\n")
    assert product.launch().wait(10) == 1
    assert "threads" in (product.directory / "out").read_text()
    product.write()
    with occupy(product.first), occupy(product.second):
        assert product.launch().wait(10) == 3


def test_a_taken_port_stops_only_its_listener(product: Product) -> None:
    with occupy(product.second):
        product.start()
        assert product.listener_states() == {"A": "Running", "B": "Failed"}
        assert greets(product.first)
    parameters = {"id": "maxscale", "type": "maxscale", "attributes": {"parameters": {"log_info": True}}}
    assert product.rest("PATCH", "maxscale", parameters)[0] == 204
    assert product.listener_states() == {"A": "Running", "B": "Running"}
    assert greets(product.second)


def test_a_change_that_cannot_be_kept_is_not_in_force(product: Product) -> None:
    product.start()
    directory = product.base / "lib" / "maxscale" / "maxscale.cnf.d"
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    directory.write_text("in the way")
    assert product.rest("DELETE", "listeners/B")[0] == 400
    assert product.listener_states() == {"A": "Running", "B": "Running"}
    assert greets(product.second)
    (port,) = free_ports(1)
    created = {
        "id": "C",
        "type": "listeners",
        "attributes": {"protocol": "mariadb", "parameters": {"address": "127.0.0.1", "port": port}},
        "relationships": {"services": {"data": [{"id": "S", "type": "services"}]}},
    }
    assert product.rest("POST", "listeners", created)[0] == 400
    assert not greets(port)
    directory.unlink()
    directory.mkdir()
    assert product.rest("POST", "listeners", created)[0] == 204
    assert greets(port)


def test_sighup_reads_the_configuration_again_or_leaves_it(product: Product) -> None:
    product.start()
    (third,) = free_ports(1)
    more = f"[C]\ntype=listener\nservice=S\naddress=127.0.0.1\nport={third}\n"
    product.write(more, log_info="true")
    product.signal(signal.SIGHUP)
    until(lambda: "has been read again" in product.log())
    assert greets(third)
    product.write("[D]\ntype=listener\nservice=missing\nport=1\n")
    product.signal(signal.SIGHUP)
    until(lambda: "The configuration has not been changed" in product.log())
    assert "'missing'" in product.log()
    assert greets(third) and greets(product.first)


def test_sigusr1_opens_the_log_again_in_all_processes(product: Product) -> None:
    product.start()
    old = product.log_path.with_name("old.log")
    product.log_path.rename(old)
    product.signal(signal.SIGUSR1)
    assert product.process is not None
    processes = [product.process.pid, *product.workers()]

    def nobody_has_the_old_one() -> bool:
        open_files = []
        for pid in processes:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                # A short-lived descriptor may be gone by now.
                with contextlib.suppress(FileNotFoundError):
                    open_files.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        return str(old) not in open_files and open_files.count(str(product.log_path)) >= len(processes)

    until(nobody_has_the_old_one)


def test_log_on_standard_output(product: Product) -> None:
    product.process = product.launch("--log=stdout")
    out = product.directory / "out"
    until(lambda: "Fairlead is running" in out.read_text(), START_SECONDS_MAX)
    assert not product.log_path.exists()


def test_workers_load_nothing_of_the_rest_api() -> None:
    code = (
        "import sys, fairlead.workers.worker, fairlead.workers.plane\n"
        "print([name for name in ('uvicorn', 'starlette', 'jwt', 'click') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
