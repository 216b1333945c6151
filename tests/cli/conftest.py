"""A small REST server with canned answers that records what it was asked."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fairlead.cli.ctl.app import ctl


@dataclass
class Asked:
    """One request as the server saw it."""

    method: str
    path: str
    body: Any
    user: str
    password: str


@dataclass
class FakeApi:
    """`answers`: (method, path) -> (status, body). What is not in it: 204 for changes, 404 for GET."""

    server: ThreadingHTTPServer
    answers: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    def get(self, path: str, data: Any) -> None:
        """Let GET of the path answer this data."""
        self.answers["GET", path] = (200, {"data": data, "links": {"self": path}})

    @property
    def changes(self) -> list[tuple[str, str, Any]]:
        """Everything asked but GET."""
        return [(a.method, a.path, a.body) for a in self.asked if a.method != "GET"]


@pytest.fixture
def api() -> Iterator[FakeApi]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            content = self.rfile.read(length)
            user, _, password = base64.b64decode(self.headers["Authorization"][6:]).decode().partition(":")
            path = self.path.removeprefix("/v1/")
            fake.asked.append(
                Asked(self.command, path, json.loads(content) if content else None, user, password)
            )
            default = (404, None) if self.command == "GET" else (204, None)
            status, body = fake.answers.get((self.command, path), default)
            payload = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            for name, value in fake.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = answer

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake = FakeApi(server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


class Ctl:
    """Runs the admin client against the fake API."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api

    def __call__(self, *words: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(ctl, ["-h", self.api.host, *words], input=stdin, prog_name="fairctl")

    def ok(self, *words: str) -> str:
        result = self(*words)
        assert result.exit_code == 0, result.output
        return result.stdout


@pytest.fixture
def run(api: FakeApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Ctl:
    monkeypatch.setenv("HOME", str(tmp_path))
    return Ctl(api)
