"""The REST API as a server in the supervisor's event loop.

Invariant: every request gets exactly one answer, within `REQUEST_TIMEOUT_S`, and no exception leaves here.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fairlead.admin import http, objects_api
from fairlead.admin.access import Access
from fairlead.admin.changing import Changes
from fairlead.admin.http import Answer, ApiError, Call, Freshness
from fairlead.admin.loads import LoadHistory
from fairlead.admin.product_api import ProductApi
from fairlead.admin.query import BadQuery
from fairlead.admin.resources import Objects
from fairlead.admin.routing import Handler, Routes
from fairlead.admin.tokens import Tokens
from fairlead.admin.users import Users
from fairlead.cluster import board as cells
from fairlead.config.store import ConfigErrors
from fairlead.net import tls
from fairlead.workers.ports import Product, ProductError

logger = logging.getLogger(__name__)

# A request that takes longer is answered with 503; what it has begun goes on. A switchover may take 90 s.
REQUEST_TIMEOUT_S = 300.0
CONNECTIONS_MAX = 1000
IDLE_CONNECTION_S = 60
# How long requests may go on when the API stops.
STOP_TIMEOUT_S = 0.8
LOAD_INTERVAL_S = 1.0

# Endpoints of the reference that do not exist yet.
_ABSENT = ("sql", "maxscale/logs/stream", "maxscale/threads/rebalance", "maxscale/debug")


class Api:
    """The ASGI application."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.loads: dict[int, LoadHistory] = {}
        self.reload_certificate: Callable[[], None] = _nothing
        users = Users(product.store.paths.datadir)
        self._access = Access(product, users, Tokens(product.store.snapshot().globals))
        self._freshness = Freshness()
        self._routes = Routes()
        self._running: set[asyncio.Task[Answer]] = set()
        changes = Changes(product)
        objects_api.register(self._routes, product, Objects(product), changes)
        ProductApi(product, users, changes, self.loads, lambda: self.reload_certificate()).register(
            self._routes
        )
        self._routes.add("GET", "auth", self._access.login)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        response = await self._respond(request)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        method = request.headers.get("x-http-method-override", request.method).upper()
        try:
            call = Call(request, method, request.url.scheme == "https")
        except ApiError as error:
            document = {"errors": [{"detail": detail} for detail in error.details]}
            return Response(http.compact(document), error.status, http.SECURITY_HEADERS)
        try:
            answer = await self._answer(call)
            return http.render(call, answer, self._freshness)
        except Exception as error:
            return http.render(call, http.error_answer(self._error_of(call, error)), self._freshness)

    def _error_of(self, call: Call, error: Exception) -> ApiError:
        """What the client is told of an exception."""
        if isinstance(error, ApiError):
            return error
        if isinstance(error, BadQuery):
            # The answer that says so must not fail for the same reason.
            call.options.pop("pretty", None)
            return ApiError(400, str(error))
        if isinstance(error, ConfigErrors):
            return ApiError(400, *(str(problem) for problem in error.problems))
        if isinstance(error, ProductError):
            return ApiError(400, *error.details)
        where = f"{call.method} /{'/'.join(call.segments)}"
        logger.error("REST API request %s failed", where, exc_info=error)
        return ApiError(500, f"The request failed because of an internal error: {type(error).__name__}")

    async def _answer(self, call: Call) -> Answer:
        if call.method not in http.METHODS or call.request.method not in http.METHODS:
            raise ApiError(405, f"Method '{call.method}' is not supported")
        if call.segments == ["auth"] and call.flag("logout"):
            return await self._access.login(call)
        await self._access.admit(call)
        if self.product.stopping:
            raise ApiError(503, "MaxScale is shutting down")
        if call.method == "OPTIONS":
            return self._options(call)
        found = self._routes.find(call.method, call.segments)
        if found is None:
            raise self._not_found(call)
        handler, call.names = found
        if not call.is_reading and http.has_precondition(call.request.headers):
            await self._check_precondition(call)
        return await self._in_time(call, handler)

    def _options(self, call: Call) -> Answer:
        methods = self._routes.methods(call.segments)
        if not methods:
            raise self._not_found(call)
        # Clients know this header from the reference, which leaves PATCH out.
        shown = [method for method in methods if method != "PATCH"]
        return Answer(200, headers={"Accept": ", ".join(shown), "Allow": ", ".join(methods)})

    def _not_found(self, call: Call) -> ApiError:
        path = "/".join(call.segments)
        if any(path == absent or path.startswith(f"{absent}/") for absent in _ABSENT):
            return ApiError(404, f"`/{path}` is not available in this version")
        methods = self._routes.methods(call.segments)
        if methods:
            possible = ", ".join(methods)
            return ApiError(404, f"{call.method} is not possible for `/{path}`; possible: {possible}")
        return ApiError(404, f"`/{path}` is not an endpoint")

    async def _check_precondition(self, call: Call) -> None:
        """412 if what is to be changed is not what the client has seen."""
        found = self._routes.find("GET", call.segments)
        if found is None:
            return
        handler, names = found
        looked = Call(call.request, "GET", call.scheme == "https")
        looked.names, looked.options, looked.option_list, looked.raw_query = names, {}, [], ""
        answer = await self._in_time(looked, handler)
        etag = http.etag_of(http.compact(answer.document))
        changed_at = self._freshness.changed_at(f"{'/'.join(call.segments)}?", etag)
        if http.is_unexpected(call.request.headers, etag, changed_at):
            raise ApiError(412, "The resource has been changed in the meantime", headers={"ETag": etag})

    async def _in_time(self, call: Call, handler: Handler) -> Answer:
        """The handler's answer, or 503 if it takes too long; a change that has begun is never cut off."""
        task: asyncio.Task[Answer] = asyncio.get_running_loop().create_task(_run(handler, call))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        done, _ = await asyncio.wait({task}, timeout=REQUEST_TIMEOUT_S)
        if done:
            return task.result()
        if call.is_reading:
            task.cancel()
        else:
            task.add_done_callback(functools.partial(_report_late, call))
        raise ApiError(503, f"The request was not completed within {REQUEST_TIMEOUT_S:g} seconds")

    async def sample_loads(self) -> None:
        """Take a sample of every worker's busy time, again and again."""
        while True:
            board = self.product.board
            for worker in range(board.workers):
                history = self.loads.setdefault(worker, LoadHistory())
                history.sample(time.monotonic(), board.get(cells.worker_index(worker, cells.W_BUSY_US)))
            await asyncio.sleep(LOAD_INTERVAL_S)


def _nothing() -> None:
    """Without TLS there is no certificate to read again."""


async def _run(handler: Handler, call: Call) -> Answer:
    return await handler(call)


def _report_late(call: Call, task: asyncio.Task[Answer]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("REST API request %s failed late: %s", "/".join(call.segments), task.exception())


# -- the server


class _Uvicorn(uvicorn.Server):
    """Leaves the signals to the supervisor."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server:
    """A running API."""

    def __init__(self, api: Api, listening: socket.socket, context: ssl.SSLContext | None) -> None:
        self.api = api
        api.reload_certificate = self.reload_certificate
        self._socket = listening
        self._context = context
        config = uvicorn.Config(
            api,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=IDLE_CONNECTION_S,
            timeout_graceful_shutdown=1,
        )
        config.load()
        # A context of our own instead of one that is made of file names.
        config.ssl = context
        self._server = _Uvicorn(config)
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._server.serve(sockets=[listening])),
            loop.create_task(api.sample_loads()),
        ]

    @property
    def address(self) -> tuple[Any, ...] | str:
        """Where it listens."""
        address: tuple[Any, ...] | str = self._socket.getsockname()
        return address

    def reload_certificate(self) -> None:
        """Use the certificate files as they are now for new connections; ValueError if that cannot be."""
        if self._context is None:
            return
        parameters = self.api.product.store.snapshot().globals
        tls_context(parameters)
        self._context.load_cert_chain(parameters["admin_ssl_cert"], parameters["admin_ssl_key"])

    async def stop(self) -> None:
        """Stop listening and end the connections."""
        self._server.should_exit = True
        self._tasks[1].cancel()
        _, late = await asyncio.wait(self._tasks, timeout=STOP_TIMEOUT_S)
        if late:
            self._server.force_exit = True
            for task in late:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._socket.close()


def tls_context(parameters: Mapping[str, Any]) -> ssl.SSLContext | None:
    """The TLS context of the API; None without a certificate. ValueError if it cannot be made."""
    certificate, key = parameters.get("admin_ssl_cert"), parameters.get("admin_ssl_key")
    if not certificate and not key:
        return None
    authorities = parameters.get("admin_ssl_ca")
    try:
        context = tls.listener_context(
            {
                "ssl_cert": certificate,
                "ssl_key": key,
                "ssl_ca": authorities,
                "ssl_version": parameters.get("admin_ssl_version"),
                "ssl_verify_peer_certificate": bool(authorities),
            }
        )
    except ValueError as error:
        raise ValueError(f"TLS of the REST API: {error}") from None
    return context


def _listen(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise OSError(error.errno, f"{host}:{port}: {error.strerror}") from None
    listening.setblocking(False)
    return listening


async def start(product: Product) -> Server:
    """Serve the API of a product; OSError if the address, a file or the certificate cannot be used."""
    parameters = product.store.snapshot().globals
    try:
        api = Api(product)
        context = tls_context(parameters)
    except ValueError as error:
        raise OSError(str(error)) from error
    listening = _listen(str(parameters.get("admin_host") or ""), int(parameters.get("admin_port") or 0))
    return Server(api, listening, context)
