"""The commands that create and destroy objects, the support report, and raw requests (`api`)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from .base import CtlGroup, Decorated, changed, name_argument, names_option, run
from .complete import parameters_of_module
from .options import CtlError
from .output import OK, Document, Outcome, Text, as_json
from .rest import Client, query, segment
from .seeing import gather_report
from .values import names, pairs, parameters, pick, references, split_relationships

create_group = CtlGroup(name="create", help="Create objects.")
destroy_group = CtlGroup(name="destroy", help="Destroy objects.")
api_group = CtlGroup(name="api", help="Send a request as it is.")


def key_values(param: str) -> Callable[[Decorated], Decorated]:
    """The argument `key=value...`, completed with the parameters of the module that `param` names."""
    return click.argument(
        "values", metavar="[key=value]...", nargs=-1, shell_complete=parameters_of_module(param)
    )


def body_of(
    kind: str, name: str, attributes: dict[str, Any], relationships: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The body of a POST."""
    data: dict[str, Any] = {"id": name, "type": kind, "attributes": attributes}
    if relationships:
        data["relationships"] = relationships
    return {"data": data}


def _merge(relationships: dict[str, Any], kind: str, chosen: tuple[str, ...]) -> None:
    ids = [name for part in chosen for name in names(part)]
    if ids:
        earlier = [item["id"] for item in relationships.get(kind, {}).get("data", [])]
        relationships[kind] = references(kind, [*earlier, *(name for name in ids if name not in earlier)])


@create_group.command(
    "server", help="Create a server: <name> address=... port=... (or <name> <host> <port>)."
)
@click.argument("name")
@key_values("servers")
@names_option("--services", kind="services", help="Services that use it.")
@names_option("--monitors", kind="monitors", help="The monitor that watches it.")
@click.pass_context
def create_server(
    ctx: click.Context,
    name: str,
    values: tuple[str, ...],
    services: tuple[str, ...],
    monitors: tuple[str, ...],
) -> None:
    def action(client: Client) -> Outcome:
        relationships: dict[str, Any] = {}
        _merge(relationships, "services", services)
        _merge(relationships, "monitors", monitors)
        given = list(values)
        old: list[str] = []
        while given and "=" not in given[0] and len(old) < 2:
            old.append(given.pop(0))
        first: list[tuple[str, str]] = []
        if old:
            first.append(("socket" if old[0].startswith("/") else "address", old[0]))
        if len(old) > 1:
            first.append(("port", old[1]))
        body = body_of("servers", name, {"parameters": parameters([*first, *pairs(given)])}, relationships)
        return changed(client, "POST", "servers", body)

    run(ctx, action)


@create_group.command("monitor", help="Create a monitor: <name> <module> key=value...")
@click.argument("name")
@click.argument("module")
@key_values("module")
@names_option("--servers", kind="servers", help="Servers to watch.")
@click.option("--monitor-user", metavar="NAME", help="Same as user=NAME.")
@click.option("--monitor-password", metavar="TEXT", help="Same as password=TEXT.")
@click.pass_context
def create_monitor(
    ctx: click.Context,
    name: str,
    module: str,
    values: tuple[str, ...],
    servers: tuple[str, ...],
    monitor_user: str | None,
    monitor_password: str | None,
) -> None:
    def action(client: Client) -> Outcome:
        rest, relationships = split_relationships(pairs(values), ("servers",))
        _merge(relationships, "servers", servers)
        given = parameters(rest)
        if monitor_user is not None:
            given["user"] = monitor_user
        if monitor_password is not None:
            given["password"] = monitor_password
        body = body_of("monitors", name, {"module": module, "parameters": given}, relationships)
        return changed(client, "POST", "monitors", body)

    run(ctx, action)


@create_group.command("service", help="Create a service: <name> <router> key=value...")
@click.argument("name")
@click.argument("router")
@key_values("router")
@names_option("--servers", kind="servers", help="Servers to route to.")
@names_option("--services", kind="services", help="Services to route to.")
@names_option("--filters", kind="filters", help="Filters, in order.")
@click.option("--cluster", metavar="MONITOR", help="Use the servers of this monitor.")
@click.pass_context
def create_service(
    ctx: click.Context,
    name: str,
    router: str,
    values: tuple[str, ...],
    servers: tuple[str, ...],
    services: tuple[str, ...],
    filters: tuple[str, ...],
    cluster: str | None,
) -> None:
    def action(client: Client) -> Outcome:
        rest, relationships = split_relationships(
            pairs(values), ("servers", "services", "cluster", "filters")
        )
        _merge(relationships, "servers", servers)
        _merge(relationships, "services", services)
        _merge(relationships, "filters", filters)
        _merge(relationships, "monitors", (cluster,) if cluster else ())
        body = body_of("services", name, {"router": router, "parameters": parameters(rest)}, relationships)
        return changed(client, "POST", "services", body)

    run(ctx, action)


@create_group.command("filter", help="Create a filter: <name> <module> key=value...")
@click.argument("name")
@click.argument("module")
@key_values("module")
@click.pass_context
def create_filter(ctx: click.Context, name: str, module: str, values: tuple[str, ...]) -> None:
    def action(client: Client) -> Outcome:
        body = body_of("filters", name, {"module": module, "parameters": parameters(pairs(values))})
        return changed(client, "POST", "filters", body)

    run(ctx, action)


@create_group.command("listener", help="Create a listener: <service> <name> <port> key=value...")
@name_argument("services", dest="service")
@click.argument("name")
@click.argument("port")
@key_values("listeners")
@click.pass_context
def create_listener(ctx: click.Context, service: str, name: str, port: str, values: tuple[str, ...]) -> None:
    def action(client: Client) -> Outcome:
        given = parameters([("socket" if port.startswith("/") else "port", port), *pairs(values)])
        body = body_of(
            "listeners", name, {"parameters": given}, {"services": references("services", [service])}
        )
        return changed(client, "POST", "listeners", body)

    run(ctx, action)


@create_group.command("user", help="Create a user of the REST API.")
@click.argument("name")
@click.argument("new_password", metavar="PASSWORD")
@click.option(
    "--type",
    "account",
    type=click.Choice(("basic", "admin")),
    default="basic",
    show_default=True,
    help="basic may only look.",
)
@click.pass_context
def create_user(ctx: click.Context, name: str, new_password: str, account: str) -> None:
    body = body_of("inet", name, {"password": new_password, "account": account})
    run(ctx, lambda c: changed(c, "POST", "users/inet", body))


@create_group.command("report", help="Write all that the REST API tells, and the end of the log, as JSON.")
@click.argument("file", required=False)
@click.option("--lines", type=int, default=1000, show_default=True, metavar="N", help="Lines of the log.")
@click.option("--archive", is_flag=True, help="Compress the file (gzip).")
@click.pass_context
def create_report(ctx: click.Context, file: str | None, lines: int, archive: bool) -> None:
    def action(client: Client) -> Outcome:
        report = gather_report(client, lines)
        if file is None:
            return report
        try:
            _write(file, as_json(report.raw).encode() + b"\n", archive)
        except OSError as error:
            raise CtlError(f"{file}: cannot be written: {error.strerror}") from None
        return OK

    run(ctx, action)


def _write(file: str, content: bytes, archive: bool) -> None:
    if archive:
        import gzip

        content = gzip.compress(content)
    with open(file, "wb") as stream:
        stream.write(content)


# -- destroy


def _destroy(kind: str) -> None:
    @destroy_group.command(kind[:-1], help=f"Destroy a {kind[:-1]}.")
    @name_argument(kind)
    @click.option("--force", is_flag=True, help="Also when other objects use it.")
    @click.pass_context
    def command(ctx: click.Context, name: str, force: bool) -> None:
        path = f"{kind}/{segment(name)}{query(('force', 'yes') if force else None)}"
        run(ctx, lambda c: changed(c, "DELETE", path))


for _kind in ("servers", "monitors", "services", "filters"):
    _destroy(_kind)


@destroy_group.command("listener", help="Destroy a listener: [service] <listener>.")
@name_argument("listeners", dest="path", metavar="[service] <listener>", nargs=-1)
@click.pass_context
def destroy_listener(ctx: click.Context, path: tuple[str, ...]) -> None:
    if len(path) > 2:
        raise click.UsageError(f"one listener at a time, not {len(path)} names", ctx)
    run(ctx, lambda c: changed(c, "DELETE", f"listeners/{segment(path[-1])}"))


@destroy_group.command("user", help="Destroy a user of the REST API.")
@name_argument("users/inet")
@click.pass_context
def destroy_user(ctx: click.Context, name: str) -> None:
    run(ctx, lambda c: changed(c, "DELETE", f"users/inet/{segment(name)}"))


@destroy_group.command("session", help="Close sessions.")
@name_argument("sessions", dest="ids", metavar="<id>...", nargs=-1)
@click.option("--ttl", type=int, metavar="SECONDS", help="Give them this long to become idle.")
@click.pass_context
def destroy_session(ctx: click.Context, ids: tuple[str, ...], ttl: int | None) -> None:
    def action(client: Client) -> Outcome:
        for one in ids:
            client.request(
                "DELETE", f"sessions/{segment(one)}{query(('ttl', ttl) if ttl is not None else None)}"
            )
        return OK

    run(ctx, action)


# -- raw requests


def _api(
    client: Client, method: str, resource: str, body: Any, path: str, total: bool, pretty: bool
) -> Outcome:
    document = client.request(method, resource.lstrip("/"), body).body
    if document is None:
        return OK
    if path:
        document = pick(document, path)
    if total:
        if not isinstance(document, list) or not all(isinstance(item, int | float) for item in document):
            raise CtlError(f"--sum: `{path}` is not a list of numbers")
        document = sum(document)
    return Document(document, pretty)


sum_option = click.option("--sum", "total", is_flag=True, help="Add up the numbers that the path selects.")
pretty_option = click.option("--pretty", is_flag=True, help="Indent the JSON.")


@api_group.command("get", help="GET a resource; a path like data[].id selects part of it.")
@click.argument("resource")
@click.argument("path", required=False, default="")
@sum_option
@pretty_option
@click.pass_context
def api_get(ctx: click.Context, resource: str, path: str, total: bool, pretty: bool) -> None:
    run(ctx, lambda c: _api(c, "GET", resource, None, path, total, pretty))


def _api_send(method: str) -> None:
    @api_group.command(method.lower(), help=f"{method} a resource with a JSON body.")
    @click.argument("resource")
    @click.argument("value", metavar="[JSON]", required=False)
    @pretty_option
    @click.pass_context
    def command(ctx: click.Context, resource: str, value: str | None, pretty: bool) -> None:
        def action(client: Client) -> Outcome:
            try:
                body = json.loads(value) if value is not None else None
            except ValueError as error:
                raise CtlError(f"the body is not JSON: {error}") from None
            return _api(client, method, resource, body, "", False, pretty)

        run(ctx, action)


for _method in ("POST", "PATCH", "PUT", "DELETE"):
    _api_send(_method)


# -- debug

debug_group = CtlGroup(name="debug", help="Helpers for support.", hidden=True)


@debug_group.command("stacktrace", help="Show what every thread is doing.")
@click.pass_context
def stacktrace(ctx: click.Context) -> None:
    def action(client: Client) -> Outcome:
        document = client.get("maxscale/debug/stacktrace")
        return Text(as_json(document), document)

    run(ctx, action)
