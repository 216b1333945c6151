"""Endpoints of the configured objects: servers, services, listeners, filters, monitors.

Source: spec core.md d3 "Core objects".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fairlead.admin.changing import Changes, alteration, creation, names_of
from fairlead.admin.http import Answer, ApiError, Call, no_content
from fairlead.admin.resources import Objects, relationship
from fairlead.admin.routing import Routes
from fairlead.admin.shaping import collection, single
from fairlead.config.values import Duration
from fairlead.workers.ports import Product

Json = Any

SINGULAR = {
    "servers": "server",
    "services": "service",
    "listeners": "listener",
    "filters": "filter",
    "monitors": "monitor",
}
# Relationships by object: those that can be changed and those that can only be looked at.
CHANGEABLE = {
    "servers": ("services", "monitors"),
    "services": ("servers", "services", "monitors", "filters"),
    "monitors": ("servers", "services"),
    "listeners": (),
    "filters": (),
}
READ_ONLY = {
    "servers": (),
    "services": ("listeners",),
    "monitors": (),
    "listeners": ("services",),
    "filters": ("services",),
}

# How long a pause lasts that says nothing of it.
PAUSE_DEFAULT = "30s"

Handler = Callable[[Call], Awaitable[Answer]]


class ObjectsApi:
    """Handlers of one kind of object."""

    def __init__(self, kind: str, product: Product, objects: Objects, changes: Changes) -> None:
        self.kind = kind
        self._product = product
        self._objects = objects
        self._changes = changes

    def register(self, routes: Routes) -> None:
        """Enter the endpoints of this kind."""
        kind = self.kind
        routes.add("GET", kind, self.get_all)
        routes.add("GET", f"{kind}/:name", self.get)
        routes.add("POST", kind, self.create)
        routes.add("PATCH", f"{kind}/:name", self.alter)
        routes.add("DELETE", f"{kind}/:name", self.destroy)
        for relation in (*CHANGEABLE[kind], *READ_ONLY[kind]):
            routes.add("GET", f"{kind}/:name/relationships/{relation}", self._related(relation))
        for relation in CHANGEABLE[kind]:
            routes.add("PATCH", f"{kind}/:name/relationships/{relation}", self._relate(relation))
        if kind in ("services", "listeners", "monitors"):
            routes.add("PUT", f"{kind}/:name/start", self._start_stop(False))
            routes.add("PUT", f"{kind}/:name/stop", self._start_stop(True))

    def existing(self, call: Call) -> str:
        """The name in the path; 404 if there is no such object."""
        name = call.names["name"]
        if self._product.store.kind_of(name) != self.kind:
            raise ApiError(404, f"`{name}` is not a {SINGULAR[self.kind]}")
        return name

    async def get_all(self, call: Call) -> Answer:
        return collection(call, self._objects.all(call, self.kind))

    async def get(self, call: Call) -> Answer:
        return single(call, self._objects.one(call, self.kind, self.existing(call)))

    async def create(self, call: Call) -> Answer:
        data = await call.data()
        return no_content(await self._changes.apply(lambda: creation(self._product, self.kind, data)))

    async def alter(self, call: Call) -> Answer:
        name = self.existing(call)
        data = await call.data()
        return no_content(await self._changes.apply(lambda: alteration(self._product, self.kind, name, data)))

    async def destroy(self, call: Call) -> Answer:
        name, force = self.existing(call), call.flag("force")
        store = self._product.store
        return no_content(await self._changes.apply(lambda: store.destroy(self.kind, name, force), force))

    def _related(self, relation: str) -> Handler:
        async def get_related(call: Call) -> Answer:
            name = self.existing(call)
            members = self._objects.relationships(self.kind, name).get(relation, [])
            return Answer(200, relationship(call, (self.kind, name), relation, members))

        return get_related

    def _relate(self, relation: str) -> Handler:
        async def relate(call: Call) -> Answer:
            name = self.existing(call)
            body = await call.body()
            if not isinstance(body, dict) or "data" not in body:
                raise ApiError(400, "The request body has no member 'data'")
            members = names_of(body["data"], relation)
            store = self._product.store
            return no_content(
                await self._changes.apply(lambda: store.relate(self.kind, name, relation, members))
            )

        return relate

    def _start_stop(self, stopped: bool) -> Handler:
        async def start_or_stop(call: Call) -> Answer:
            name = self.existing(call)
            store = self._product.store
            warnings = await self._changes.apply(
                lambda: store.start_stop(self.kind, name, stopped), stopped and call.flag("force")
            )
            return no_content(warnings)

        return start_or_stop


class ServersApi(ObjectsApi):
    """Servers: also their status bits."""

    def register(self, routes: Routes) -> None:
        super().register(routes)
        routes.add("PUT", "servers/:name/set", self.set_state)
        routes.add("PUT", "servers/:name/clear", self.clear_state)

    async def set_state(self, call: Call) -> Answer:
        name, state = self.existing(call), _state_of(call)
        timeout = call.options.get("timeout")
        timeout_ms = _timeout_ms(timeout) if timeout else 0
        if timeout and not timeout_ms:
            raise ApiError(400, f"The option 'timeout' is {timeout}; allowed: a duration above 0")
        try:
            await self._product.monitors.set_state(name, state, call.flag("force"), timeout_ms)
        except ValueError as error:
            raise ApiError(400, str(error)) from None
        return no_content()

    async def clear_state(self, call: Call) -> Answer:
        name, state = self.existing(call), _state_of(call)
        try:
            await self._product.monitors.clear_state(name, state)
        except ValueError as error:
            raise ApiError(400, str(error)) from None
        return no_content()


def _state_of(call: Call) -> str:
    state: str = call.options.get("state", "")
    if not state:
        raise ApiError(400, "The option 'state' is missing")
    return state


def _timeout_ms(text: str) -> int:
    """The option `timeout` in milliseconds."""
    try:
        return Duration().parse(text)
    except ValueError as error:
        raise ApiError(400, f"The option 'timeout': {error}") from None


class ServicesApi(ObjectsApi):
    """Services: also their accounts and, in the older form, their listeners."""

    def register(self, routes: Routes) -> None:
        super().register(routes)
        routes.add("POST", "services/:name/reload", self.reload)
        routes.add("PUT", "services/:name/pause", self.pause)
        routes.add("PUT", "services/:name/resume", self.resume)
        routes.add("GET", "services/:name/listeners", self.get_listeners)
        routes.add("POST", "services/:name/listeners", self.create_listener)
        routes.add("GET", "services/:name/listeners/:listener", self.get_listener)
        routes.add("DELETE", "services/:name/listeners/:listener", self.destroy_listener)

    async def reload(self, call: Call) -> Answer:
        await self._product.reload_accounts(self.existing(call))
        return no_content()

    async def pause(self, call: Call) -> Answer:
        """Hold back the statements of the service; `timeout`: for how long at most (30s)."""
        name = self.existing(call)
        timeout_ms = _timeout_ms(call.options.get("timeout", PAUSE_DEFAULT))
        under_way = await self._product.pause_service(name, timeout_ms)
        return Answer(200, {"links": {"self": call.self_link}, "meta": {"sessions_under_way": under_way}})

    async def resume(self, call: Call) -> Answer:
        await self._product.resume_service(self.existing(call))
        return no_content()

    async def get_listeners(self, call: Call) -> Answer:
        names = self._product.store.listeners_of(self.existing(call))
        return collection(call, [self._objects.one(call, "listeners", name) for name in names])

    async def create_listener(self, call: Call) -> Answer:
        name = self.existing(call)
        data = await call.data()
        return no_content(
            await self._changes.apply(lambda: creation(self._product, "listeners", data, service=name))
        )

    def _listener(self, call: Call) -> str:
        service = self.existing(call)
        listener: str = call.names["listener"]
        if listener not in self._product.store.listeners_of(service):
            raise ApiError(404, f"`{listener}` is not a listener of service `{service}`")
        return listener

    async def get_listener(self, call: Call) -> Answer:
        return single(call, self._objects.one(call, "listeners", self._listener(call)))

    async def destroy_listener(self, call: Call) -> Answer:
        listener, force = self._listener(call), call.flag("force")
        store = self._product.store
        return no_content(
            await self._changes.apply(lambda: store.destroy("listeners", listener, force), force)
        )


def register(routes: Routes, product: Product, objects: Objects, changes: Changes) -> None:
    """Enter the endpoints of all configured objects."""
    ServersApi("servers", product, objects, changes).register(routes)
    ServicesApi("services", product, objects, changes).register(routes)
    for kind in ("listeners", "filters", "monitors"):
        ObjectsApi(kind, product, objects, changes).register(routes)
