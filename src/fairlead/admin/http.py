"""One request and its answer: bodies with limits, JSON in and out, conditional requests.

Invariant: an answer is rendered once; its ETag is that of the compact form, however it is indented.
Source: spec core.md d1.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate, parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_plus

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from fairlead.admin import query

Json = Any

# Largest body of a request.
BODY_BYTES_MAX = 4 * 1024 * 1024
# How long a client may take to send the body.
BODY_TIMEOUT_S = 30.0
# A body that nobody wants is read to its end up to this size; behind a larger one the connection is closed.
UNREAD_BYTES_MAX = 64 * 1024
# Query options of one request.
OPTIONS_MAX = 256
# Documents whose time of change is remembered.
REMEMBERED_DOCUMENTS_MAX = 1024

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
READING = ("GET", "HEAD", "OPTIONS")

SECURITY_HEADERS = {
    "Cache-Control": "no-cache",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "Deny",
    "X-XSS-Protection": "1",
}


class ApiError(Exception):
    """The request ends with this status; every detail is one element of `errors`."""

    def __init__(self, status: int, *details: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {'; '.join(details)}")
        self.status = status
        self.details = details
        self.headers = dict(headers or {})


@dataclass
class Answer:
    """What a handler returns. `document`: JSON; otherwise `content` of `content_type`, or nothing at all."""

    status: int = 200
    document: Json = None
    content: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    cookie: str = ""


def no_content(warnings: list[str] | None = None) -> Answer:
    """The answer to most modifications."""
    return Answer(204, headers=warning_header(warnings or []))


def warning_header(warnings: list[str]) -> dict[str, str]:
    """`Mxs-Warning`, if there is anything to warn of."""
    text = ";".join(" ".join(warning.split()) for warning in warnings)
    return {"Mxs-Warning": text.encode("latin-1", "replace").decode("latin-1")} if text else {}


class Call:
    """One request, as handlers see it. `method` is the method that counts (after an override)."""

    def __init__(self, request: Request, method: str, tls: bool) -> None:
        self.request = request
        self.method = method
        self.names: dict[str, str] = {}
        self.user = ""
        self.account = ""
        self.scheme = "https" if tls else "http"
        host = request.headers.get("host") or _own_address(request)
        self.base = f"{self.scheme}://{host}/v1"
        raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
        text = raw.partition(b"?")[0].decode("latin-1")
        segments = [unquote(part) for part in text.split("/") if part]
        if segments and segments[0] == "v1":
            segments = segments[1:]
        self.segments = segments
        self.raw_query = request.scope.get("query_string", b"").decode("latin-1")
        try:
            self.option_list = parse_qsl(self.raw_query, keep_blank_values=True, max_num_fields=OPTIONS_MAX)
        except ValueError:
            raise ApiError(400, f"More than {OPTIONS_MAX} query options") from None
        self.options = dict(self.option_list)
        self._body: Json = None
        self._has_body = False
        self._is_read = False

    @property
    def leaves_body_unread(self) -> bool:
        """Whether so much of the body is still to come that the connection is better closed."""
        if self._is_read:
            return False
        headers = self.request.headers
        length = headers.get("content-length", "0")
        return "transfer-encoding" in headers or not length.isdigit() or int(length) > UNREAD_BYTES_MAX

    @property
    def client_address(self) -> str:
        """The address of the peer."""
        client = self.request.client
        return client.host if client is not None else "localhost"

    @property
    def is_reading(self) -> bool:
        """Whether the request changes nothing."""
        return self.method in READING

    def flag(self, name: str, default: bool = False) -> bool:
        """A yes/no option."""
        return query.switch(self.options, name, default)

    def link(self, *segments: str) -> str:
        """An absolute link; it ends with a slash."""
        return "/".join((self.base, *segments)) + "/"

    @property
    def self_link(self) -> str:
        """The link of what was asked for."""
        return self.link(*self.segments) if self.segments else f"{self.base}/"

    def arguments(self) -> list[str]:
        """The positional arguments of a module command."""
        known = ("pretty", "sync", "rdns", "fields[", "page[", "filter")
        pieces = [unquote_plus(piece) for piece in self.raw_query.split("&") if piece]
        return [piece for piece in pieces if not ("=" in piece and piece.startswith(known))]

    async def body(self) -> Json:
        """The JSON of the request; 400 if there is none or it is none."""
        if not self._has_body:
            content = await self._read()
            if not content.strip():
                raise ApiError(400, "Missing request body")
            try:
                self._body = msgspec.json.decode(content)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise ApiError(400, f"Invalid JSON in request: {error}") from None
            self._has_body = True
        return self._body

    async def _read(self) -> bytes:
        length = self.request.headers.get("content-length", "")
        if length.isdigit() and int(length) > BODY_BYTES_MAX:
            raise ApiError(413, f"The request body is larger than {BODY_BYTES_MAX} bytes")
        content = bytearray()
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                async for chunk in self.request.stream():
                    content += chunk
                    if len(content) > BODY_BYTES_MAX:
                        raise ApiError(413, f"The request body is larger than {BODY_BYTES_MAX} bytes")
        except TimeoutError:
            text = f"The request body did not arrive within {BODY_TIMEOUT_S:g} seconds"
            raise ApiError(408, text) from None
        except ClientDisconnect:
            raise ApiError(400, "The request body is incomplete") from None
        self._is_read = True
        return bytes(content)

    async def data(self) -> dict[str, Json]:
        """The `data` object of the request."""
        body = await self.body()
        data = body.get("data") if isinstance(body, dict) else None
        if not isinstance(data, dict):
            raise ApiError(400, "The request body has no object 'data'")
        return data


def _own_address(request: Request) -> str:
    server = request.scope.get("server")
    return f"{server[0]}:{server[1]}" if server else "localhost"


_TYPE_WORDS = {"dict": "object", "list": "array", "str": "string"}


def member(data: dict[str, Json], name: str, kind: type[Any], default: Any = None) -> Any:
    """A member of a JSON object; 400 if it is there with another type. `null` counts as not there."""
    value = data.get(name)
    if value is None:
        return default
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ApiError(400, f"'{name}' is not of type {_TYPE_WORDS[kind.__name__]}")
    return value


# -- rendering


def compact(document: Json) -> bytes:
    """The document as JSON with sorted keys and no spaces."""
    return msgspec.json.encode(document, order="sorted")


def etag_of(content: bytes) -> str:
    """The ETag of a compact document."""
    return f'"{hashlib.sha1(content, usedforsecurity=False).hexdigest()}"'


class Freshness:
    """Since when each document has been as it is, as far as anybody has looked."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[str, int]] = OrderedDict()

    def changed_at(self, key: str, etag: str) -> int:
        """Unix seconds at which this document was first seen with this ETag."""
        known = self._seen.pop(key, None)
        if known is None or known[0] != etag:
            known = (etag, int(time.time()))
        self._seen[key] = known
        if len(self._seen) > REMEMBERED_DOCUMENTS_MAX:
            self._seen.popitem(last=False)
        return known[1]


def is_not_modified(headers: Mapping[str, str], etag: str, changed_at: int) -> bool:
    """Whether the client has this already (304)."""
    wanted = headers.get("if-none-match")
    if wanted is not None:
        return _names_tag(wanted, etag)
    since = _time_of(headers.get("if-modified-since"))
    return since is not None and changed_at <= since


def is_unexpected(headers: Mapping[str, str], etag: str, changed_at: int) -> bool:
    """Whether the client wanted to act on another version than this one (412)."""
    wanted = headers.get("if-match")
    if wanted is not None:
        return not _names_tag(wanted, etag)
    since = _time_of(headers.get("if-unmodified-since"))
    return since is not None and changed_at > since


def has_precondition(headers: Mapping[str, str]) -> bool:
    """Whether the request depends on the version of what it changes."""
    return "if-match" in headers or "if-unmodified-since" in headers


def _names_tag(header: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag in tags or etag.strip('"') in tags


def _time_of(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def render(call: Call, answer: Answer, freshness: Freshness) -> Response:
    """The response to a request, including what its conditions demand."""
    headers = {**SECURITY_HEADERS, **answer.headers}
    if call.leaves_body_unread:
        headers["Connection"] = "close"
    content = answer.content
    status = answer.status
    if answer.document is not None:
        content = compact(answer.document)
        etag = etag_of(content)
        if status == 200:
            key = f"{'/'.join(call.segments)}?{call.raw_query}"
            changed_at = freshness.changed_at(key, etag)
            headers["ETag"] = etag
            headers["Last-Modified"] = formatdate(changed_at, usegmt=True)
            if call.is_reading and is_unexpected(call.request.headers, etag, changed_at):
                return Response(status_code=412, headers=headers)
            if call.is_reading and is_not_modified(call.request.headers, etag, changed_at):
                return Response(status_code=304, headers=headers)
        if query.switch(call.options, "pretty", True):
            content = msgspec.json.format(content, indent=4) + b"\n"
    if content:
        headers["Content-Type"] = answer.content_type
    response = Response(content, status, headers)
    if call.method == "HEAD":
        response = Response(b"", status, headers)
        if call.request.method == "HEAD":
            response.headers["Content-Length"] = str(len(content))
    if answer.cookie:
        response.headers.append("Set-Cookie", answer.cookie)
    return response


def error_answer(error: ApiError) -> Answer:
    """The answer that tells what is wrong."""
    document = {"errors": [{"detail": detail} for detail in error.details]} if error.details else None
    return Answer(error.status, document, headers=error.headers)
