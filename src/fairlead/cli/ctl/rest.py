"""HTTP to one REST API: one kept-alive connection, basic authentication, the error text of d5."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from .options import CtlError, Options, split_host

Json = Any


class Refused(CtlError):
    """The API answered with an error status."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Answer:
    """A successful response; `body` is None when there was none."""

    status: int
    body: Json
    warnings: tuple[str, ...] = ()


def segment(name: str) -> str:
    """An object name as one part of a path."""
    return quote(str(name), safe="")


def query(*items: tuple[str, Any] | None) -> str:
    """`?a=1&b=2`; None items are left out."""
    parts = [
        f"{quote(item[0], safe='[]')}={quote(str(item[1]), safe='')}" for item in items if item is not None
    ]
    return "?" + "&".join(parts) if parts else ""


def tls_context(options: Options) -> ssl.SSLContext:
    """A client context as the TLS options say."""
    try:
        context = ssl.create_default_context(cafile=options.tls_ca_cert or None)
        if not options.tls_verify_server_cert:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if options.tls_cert or options.tls_key:
            context.load_cert_chain(
                options.tls_cert or options.tls_key, options.tls_key or None, options.tls_passphrase or None
            )
    except (OSError, ssl.SSLError) as error:
        raise CtlError(f"TLS options: {error}") from None
    return context


class Client:
    """The API of one host."""

    def __init__(self, host: str, options: Options) -> None:
        self.host = host
        self.options = options
        self.warnings: list[str] = []
        self._name, self._port = split_host(host)
        self._connection: http.client.HTTPConnection | None = None

    @property
    def secure(self) -> bool:
        return self.options.secure or self.host.startswith("https://")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> http.client.HTTPConnection:
        timeout = self.options.timeout or None
        if self.secure:
            return http.client.HTTPSConnection(
                self._name, self._port, timeout=timeout, context=tls_context(self.options)
            )
        return http.client.HTTPConnection(self._name, self._port, timeout=timeout)

    def _headers(self, body: bytes | None) -> dict[str, str]:
        token = base64.b64encode(f"{self.options.user}:{self.options.password}".encode()).decode()
        headers = {"Authorization": f"Basic {token}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return headers

    def _exchange(
        self, method: str, target: str, body: bytes | None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        fresh = self._connection is None
        connection = self._connection = self._connection or self._open()
        try:
            connection.request(method, target, body, self._headers(body))
            response = connection.getresponse()
            return response, response.read()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self.close()
            if fresh or method != "GET":
                raise
            return self._exchange(method, target, body)  # the server had ended an idle connection

    def request(self, method: str, path: str, body: Json = None) -> Answer:
        """One request; `path` is relative to /v1/. Raises CtlError with the text for the user."""
        if self.options.skip_sync and method != "GET":
            path += ("&" if "?" in path else "?") + "sync=false"
        payload = None if body is None else json.dumps(body).encode()
        try:
            response, content = self._exchange(method, "/v1/" + path, payload)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise CtlError(self._unreachable(error)) from None
        if response.status >= 400:
            raise Refused(self._refusal(method, path, response, content), response.status)
        found = [
            text.strip() for text in (response.getheader("Mxs-Warning") or "").split(";") if text.strip()
        ]
        self.warnings.extend(found)
        return Answer(response.status, self._decode(method, path, content), tuple(found))

    def _decode(self, method: str, path: str, content: bytes) -> Json:
        if not content.strip():
            return None
        try:
            return json.loads(content)
        except ValueError:
            raise CtlError(
                f"Server at {self.host} answered `{method} {path}` with something that is not JSON: "
                f"{content[:200].decode(errors='replace')}"
            ) from None

    def _unreachable(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            reason = f"no answer within {self.options.timeout:g} s"
        elif isinstance(error, ssl.SSLCertVerificationError):
            reason = f"its certificate is not trusted: {error.verify_message} (see --tls-ca-cert)"
        elif isinstance(error, ssl.SSLError):
            reason = f"TLS failed: {error.reason or error} (does it use TLS?)"
        elif isinstance(error, socket.gaierror):
            reason = f"the name cannot be resolved: {error.strerror}"
        elif isinstance(error, ConnectionRefusedError):
            reason = "connection refused; is it running there, and with admin_host and admin_port like that?"
        elif isinstance(error, http.client.RemoteDisconnected):
            reason = "it closed the connection" + ("" if self.secure else "; does it want TLS (--secure)?")
        else:
            reason = str(error)
        return f"Could not connect to {self.host}: {reason}"

    def _refusal(self, method: str, path: str, response: http.client.HTTPResponse, content: bytes) -> str:
        reason = response.reason or http.client.responses.get(response.status, "")
        text = f"Server at {self.host} responded with {response.status} {reason} to `{method} {path}`"
        if not content.strip():
            return text
        try:
            return text + "\n" + json.dumps(json.loads(content), indent=4, ensure_ascii=False)
        except ValueError:
            return text + "\n" + content.decode(errors="replace").strip()

    def get(self, path: str) -> Json:
        """The whole document of a GET."""
        return self.request("GET", path).body or {}

    def data(self, path: str) -> Json:
        """`data` of a GET: a resource or a list of resources."""
        return self.get(path).get("data")
