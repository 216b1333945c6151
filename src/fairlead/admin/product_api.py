"""Endpoints of the product itself: sessions, users, globals, workers, log, modules, classifier, metrics.

Source: spec core.md d3.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from fairlead.admin import logs, metrics, query, system
from fairlead.admin.changing import (
    Changes,
    alteration,
    attributes_of,
    identity_of,
    names_of,
    parameters_of,
    relationships_of,
)
from fairlead.admin.http import Answer, ApiError, Call, member, no_content
from fairlead.admin.loads import LoadHistory
from fairlead.admin.resources import Resource, relationship, resource, session_resource
from fairlead.admin.routing import Routes
from fairlead.admin.shaping import collection, page_link, single
from fairlead.admin.users import BASIC, UserError, Users
from fairlead.workers.ports import Product, UnknownCommand

Json = Any

SESSION_TTL_S_MAX = 365 * 86_400
CLASSIFY_CHARS_MAX = 1024 * 1024
CACHE_ENTRIES_MAX = 100_000
# How long /maxscale/debug/monitor_wait waits for every monitor to look twice.
MONITOR_WAIT_S = 20.0


class ProductApi:
    """Handlers; `loads` are the histories of the workers."""

    def __init__(
        self,
        product: Product,
        users: Users,
        changes: Changes,
        loads: dict[int, LoadHistory],
        reload_certificate: Callable[[], None],
    ) -> None:
        self._product = product
        self._users = users
        self._changes = changes
        self._loads = loads
        self._reload_certificate = reload_certificate

    def register(self, routes: Routes) -> None:
        """Enter the endpoints."""
        for method, path, handler in (
            ("GET", "", self.alive),
            ("GET", "metrics", self.metrics),
            ("GET", "sessions", self.sessions),
            ("GET", "sessions/:id", self.session),
            ("PATCH", "sessions/:id", self.alter_session),
            ("DELETE", "sessions/:id", self.close_session),
            ("POST", "sessions/:id/restart", self.restart_session),
            ("POST", "sessions/restart", self.restart_sessions),
            ("GET", "sessions/:id/relationships/services", self.session_services),
            ("GET", "sessions/:id/relationships/filters", self.session_filters),
            ("PATCH", "sessions/:id/relationships/filters", self.set_session_filters),
            ("GET", "users", self.all_users),
            ("GET", "users/inet", self.all_users),
            ("POST", "users/inet", self.add_user),
            ("GET", "users/inet/:name", self.user),
            ("PATCH", "users/inet/:name", self.alter_user),
            ("DELETE", "users/inet/:name", self.remove_user),
            ("GET", "users/unix", self.unix_users),
            ("POST", "users/unix", self.refuse_unix_user),
            ("GET", "maxscale", self.maxscale),
            ("PATCH", "maxscale", self.alter_maxscale),
            ("GET", "maxscale/threads", self.threads),
            ("GET", "maxscale/threads/:id", self.thread),
            ("GET", "maxscale/logs", self.log),
            ("PATCH", "maxscale/logs", self.alter_log),
            ("GET", "maxscale/logs/data", self.log_data),
            ("GET", "maxscale/logs/entries", self.log_entries),
            ("POST", "maxscale/logs/flush", self.flush_log),
            ("POST", "maxscale/tls/reload", self.reload_tls),
            ("GET", "maxscale/modules", self.modules),
            ("GET", "maxscale/modules/:module", self.module),
            ("GET", "maxscale/modules/:module/:command", self.command),
            ("POST", "maxscale/modules/:module/:command", self.command),
            ("GET", "maxscale/query_classifier", self.classifier),
            ("PATCH", "maxscale/query_classifier", self.alter_classifier),
            ("GET", "maxscale/query_classifier/classify", self.classify),
            ("GET", "maxscale/query_classifier/cache", self.classifier_cache),
            ("GET", "maxscale/memory", self.memory),
            ("GET", "maxscale/debug/monitor_wait", self.monitor_wait),
        ):
            routes.add(method, path, handler)

    async def alive(self, call: Call) -> Answer:
        return Answer(200)

    async def metrics(self, call: Call) -> Answer:
        openmetrics = metrics.wants_openmetrics(call.request.headers.get("accept", ""))
        kind = metrics.OPENMETRICS_TYPE if openmetrics else metrics.TEXT_TYPE
        return Answer(200, content=metrics.render(self._product, openmetrics), content_type=kind)

    # -- sessions

    async def sessions(self, call: Call) -> Answer:
        found = await self._product.sessions(call.flag("rdns"))
        return collection(call, [session_resource(call, each) for each in found])

    def _session_id(self, call: Call) -> int:
        text = call.names["id"]
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise self._no_session(call)
        return int(text)

    def _no_session(self, call: Call) -> ApiError:
        return ApiError(404, f"`{call.names['id']}` is not a session")

    async def _session(self, call: Call) -> Resource:
        found = await self._product.session(self._session_id(call), call.flag("rdns"))
        if found is None:
            raise self._no_session(call)
        return session_resource(call, found)

    async def session(self, call: Call) -> Answer:
        return single(call, await self._session(call))

    async def alter_session(self, call: Call) -> Answer:
        session_id = self._session_id(call)
        data = await call.data()
        identity_of(data, "sessions", call.names["id"])
        filters = relationships_of(data).get("filters")
        if not await self._product.alter_session(session_id, parameters_of(data), filters):
            raise self._no_session(call)
        return Answer(200)

    async def set_session_filters(self, call: Call) -> Answer:
        session_id = self._session_id(call)
        body = await call.body()
        if not isinstance(body, dict) or "data" not in body:
            raise ApiError(400, "The request body has no member 'data'")
        if not await self._product.alter_session(session_id, {}, names_of(body["data"], "filters")):
            raise self._no_session(call)
        return Answer(200)

    async def _session_related(self, call: Call, relation: str) -> Answer:
        shown = (await self._session(call))["relationships"].get(relation)
        where = ("sessions", call.names["id"])
        return Answer(200, shown or relationship(call, where, relation, []))

    async def session_services(self, call: Call) -> Answer:
        return await self._session_related(call, "services")

    async def session_filters(self, call: Call) -> Answer:
        return await self._session_related(call, "filters")

    async def close_session(self, call: Call) -> Answer:
        session_id = self._session_id(call)
        ttl = query.number(call.options, "ttl", 0, SESSION_TTL_S_MAX, 0)
        if not await self._product.close_session(session_id, ttl):
            raise self._no_session(call)
        return Answer(200)

    async def restart_session(self, call: Call) -> Answer:
        if not await self._product.restart_sessions(self._session_id(call)):
            raise self._no_session(call)
        return Answer(200)

    async def restart_sessions(self, call: Call) -> Answer:
        await self._product.restart_sessions(None)
        return Answer(200)

    # -- users

    def _user_resource(self, call: Call, name: str) -> Resource:
        return resource(call, "inet", name, self._users.attributes(name), path=("users", "inet", name))

    def _user_name(self, call: Call) -> str:
        name = call.names["name"]
        if self._users.get(name) is None:
            raise ApiError(404, f"`{name}` is not a user")
        return name

    async def all_users(self, call: Call) -> Answer:
        return collection(call, [self._user_resource(call, name) for name in self._users.names()])

    async def user(self, call: Call) -> Answer:
        return single(call, self._user_resource(call, self._user_name(call)))

    async def unix_users(self, call: Call) -> Answer:
        return collection(call, [])

    async def refuse_unix_user(self, call: Call) -> Answer:
        raise ApiError(400, "Users of the operating system are not supported")

    async def add_user(self, call: Call) -> Answer:
        data = await call.data()
        name = identity_of(data, "inet")
        attributes = attributes_of(data)
        password = member(attributes, "password", str, "")
        account = member(attributes, "account", str, BASIC)
        try:
            await self._users.add(name, password, account)
        except UserError as error:
            raise ApiError(400, str(error)) from None
        return no_content()

    async def alter_user(self, call: Call) -> Answer:
        name = self._user_name(call)
        data = await call.data()
        identity_of(data, "inet", name)
        password = member(attributes_of(data), "password", str)
        if password is None:
            raise ApiError(400, "The attribute 'password' is missing")
        try:
            await self._users.set_password(name, password)
        except UserError as error:
            raise ApiError(400, str(error)) from None
        return no_content()

    async def remove_user(self, call: Call) -> Answer:
        try:
            self._users.remove(self._user_name(call))
        except UserError as error:
            raise ApiError(400, str(error)) from None
        return no_content()

    # -- the product

    async def maxscale(self, call: Call) -> Answer:
        return single(call, system.maxscale(call, self._product))

    async def alter_maxscale(self, call: Call) -> Answer:
        data = await call.data()
        product = self._product
        warnings = await self._changes.apply(lambda: alteration(product, "maxscale", "maxscale", data))
        if any(name in parameters_of(data) for name in ("admin_ssl_cert", "admin_ssl_key")):
            self._reload_own_certificate()
        return no_content(warnings)

    async def _all_threads(self, call: Call) -> list[Resource]:
        infos = await self._product.threads()
        none = LoadHistory()
        return [system.thread(call, self._product, info, self._loads.get(info.id, none)) for info in infos]

    async def threads(self, call: Call) -> Answer:
        return collection(call, await self._all_threads(call))

    async def thread(self, call: Call) -> Answer:
        for each in await self._all_threads(call):
            if each["id"] == call.names["id"]:
                return single(call, each)
        raise ApiError(404, f"`{call.names['id']}` is not a thread")

    def _reload_own_certificate(self) -> None:
        try:
            self._reload_certificate()
        except (ValueError, OSError) as error:
            raise ApiError(400, str(error)) from None

    async def reload_tls(self, call: Call) -> Answer:
        self._reload_own_certificate()
        await self._product.reload_tls()
        return no_content()

    async def memory(self, call: Call) -> Answer:
        parts = dict(await self._product.memory())
        for name in ("query_classifier", "sessions", "zombies"):
            parts.setdefault(name, 0)
        parts["total"] = sum(parts.values())
        return single(call, resource(call, "memory", "memory", parts, path=("maxscale", "memory")))

    async def monitor_wait(self, call: Call) -> Answer:
        monitors = self._product.monitors
        waiting = {
            name: monitors.ticks(name)
            for name in self._product.store.names("monitors")
            if monitors.state(name) == "Running"
        }
        deadline = time.monotonic() + MONITOR_WAIT_S
        while waiting:
            # The tick that was going on when the request came does not count.
            waiting = {name: begin for name, begin in waiting.items() if monitors.ticks(name) < begin + 2}
            if waiting and time.monotonic() > deadline:
                raise ApiError(
                    400, f"Monitor '{min(waiting)}' did not look within {MONITOR_WAIT_S:g} seconds"
                )
            if waiting:
                await asyncio.sleep(0.02)
        return Answer(200)

    # -- the log

    async def log(self, call: Call) -> Answer:
        return single(call, system.log_settings(call, self._product))

    async def alter_log(self, call: Call) -> Answer:
        given = parameters_of(await call.data())
        parameters = {system.LOG_PARAMETERS.get(name, name): value for name, value in given.items()}
        store = self._product.store
        return no_content(
            await self._changes.apply(lambda: store.alter("maxscale", "maxscale", parameters, {}))
        )

    async def flush_log(self, call: Call) -> Answer:
        self._product.rotate_logs()
        return no_content()

    async def _log_page(self, call: Call) -> tuple[list[dict[str, Json]], dict[str, str]]:
        size = query.number(call.options, "page[size]", 1, logs.PAGE_LINES_MAX, logs.PAGE_LINES)
        given = "page[cursor]" in call.options
        cursor = query.number(call.options, "page[cursor]", 0, 2**59, 0) if given else None
        wanted = logs.wanted_priorities(call.options.get("priority"))
        path = self._product.log_path
        if path is None:
            return [], {"self": call.self_link}
        try:
            entries, before = await asyncio.to_thread(logs.read_page, path, cursor, size, wanted)
        except OSError as error:
            raise ApiError(400, f"The log file '{path}' cannot be read: {error.strerror}") from None
        links = {"self": page_link(call), "last": page_link(call, cursor=None)}
        if before > 0:
            links["prev"] = page_link(call, cursor=before)
        return entries, links

    async def log_data(self, call: Call) -> Answer:
        entries, links = await self._log_page(call)
        attributes = {"log_source": "maxlog" if self._product.log_path else None, "log": entries}
        answer = single(
            call, resource(call, "log_data", "log_data", attributes, path=("maxscale", "logs", "data"))
        )
        answer.document["links"] = links
        return answer

    async def log_entries(self, call: Call) -> Answer:
        entries, links = await self._log_page(call)
        shown = []
        for entry in entries:
            attributes = {key: value for key, value in entry.items() if key != "id"}
            attributes["log_source"] = "maxlog"
            where = ("maxscale", "logs", "entries", entry["id"])
            shown.append(resource(call, "log_entry", entry["id"], attributes, path=where))
        tests = query.parse_filters(call.option_list)
        shown = [each for each in shown if all(test(each) for test in tests)]
        return Answer(200, {"data": shown, "links": links})

    # -- modules and commands

    async def modules(self, call: Call) -> Answer:
        infos = self._product.store.module_info(None, call.options.get("load") == "all")
        return collection(call, [system.module(call, info) for info in infos])

    async def module(self, call: Call) -> Answer:
        name = call.names["module"]
        try:
            info = self._product.store.module_info(name)
        except KeyError:
            raise ApiError(404, f"`{name}` is not a module") from None
        return single(call, system.module(call, info))

    async def command(self, call: Call) -> Answer:
        verb = "GET" if call.method == "HEAD" else call.method
        module, command = call.names["module"], call.names["command"]
        try:
            result = await self._product.command(module, command, call.arguments(), verb)
        except UnknownCommand:
            raise ApiError(404, f"`{module}` has no command `{command}` for {verb}") from None
        if result is None:
            return no_content()
        return Answer(200, {"links": {"self": call.self_link}, "meta": result})

    # -- the classifier

    def _classifier_resource(self, call: Call) -> Resource:
        size = self._product.store.snapshot().globals.get("query_classifier_cache_size")
        attributes = {"parameters": {"cache_size": size}}
        where = ("maxscale", "query_classifier")
        return resource(call, "query_classifier", "query_classifier", attributes, path=where)

    async def classifier(self, call: Call) -> Answer:
        return single(call, self._classifier_resource(call))

    async def alter_classifier(self, call: Call) -> Answer:
        given = parameters_of(await call.data())
        unknown = set(given) - {"cache_size"}
        if unknown:
            raise ApiError(400, f"Unknown parameter '{min(unknown)}'; allowed: cache_size")
        parameters = {f"query_classifier_{name}": value for name, value in given.items()}
        store = self._product.store
        return no_content(
            await self._changes.apply(lambda: store.alter("maxscale", "maxscale", parameters, {}))
        )

    async def classify(self, call: Call) -> Answer:
        sql = call.options.get("sql", "")
        if not sql:
            raise ApiError(400, "The option 'sql' is missing")
        if len(sql) > CLASSIFY_CHARS_MAX:
            raise ApiError(400, f"The statement is longer than {CLASSIFY_CHARS_MAX} characters")
        attributes = await self._product.classify(sql)
        where = ("maxscale", "query_classifier", "classify")
        return single(call, resource(call, "classify", "classify", attributes, path=where))

    async def classifier_cache(self, call: Call) -> Answer:
        top = query.number(call.options, "top", 1, CACHE_ENTRIES_MAX, 20)
        entries = await self._product.classifier_cache(top)
        where = ("maxscale", "query_classifier", "cache")
        shown = []
        for entry in entries:
            attributes = {"hits": entry["hits"], "classification": entry["classification"]}
            shown.append(resource(call, "query_classifier", entry["canonical"], attributes, path=where))
        return collection(call, shown)
