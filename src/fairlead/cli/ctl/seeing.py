"""The commands that only look: list, show, classify, api get, create report's ingredients."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from .base import CtlCommand, CtlGroup, name_argument, run
from .options import CtlError
from .output import Document, Outcome, Sheets, Table
from .rest import Client, query, segment
from .views import (
    LISTS,
    SHOWS,
    Column,
    Resource,
    account_table,
    at,
    command_table,
    replication_table,
    sheets,
    table,
    thread_table,
)

STATEMENT_LENGTH = 120


@click.group("list", cls=CtlGroup, help="List objects.")
def list_group() -> None:
    pass


@click.group("show", cls=CtlGroup, help="Show objects in detail.")
def show_group() -> None:
    pass


def _listing(kind: str, text: str) -> None:
    path, columns = LISTS[kind]

    @list_group.command(kind, help=text)
    @click.pass_context
    def command(ctx: click.Context) -> None:
        run(ctx, lambda client: _list(client, path, columns))


def _list(client: Client, path: str, columns: tuple[Column, ...]) -> Outcome:
    resources = client.data(path) or []
    return table(columns, resources)


for _kind, _text in (
    ("servers", "Servers, their states and connections."),
    ("services", "Services and what they route to."),
    ("monitors", "Monitors and their servers."),
    ("filters", "Filters and the services that use them."),
    ("threads", "Worker threads and their load."),
    ("modules", "Modules that are loaded."),
    ("users", "Users of the REST API."),
):
    _listing(_kind, _text)


@list_group.command("listeners", help="Listeners, of all services or of one.")
@name_argument("services", required=False)
@click.pass_context
def list_listeners(ctx: click.Context, name: str | None) -> None:
    path, columns = LISTS["listeners"]

    def action(client: Client) -> Outcome:
        if name is None:
            return table(columns, client.data(path) or [])
        service = client.data(f"services/{segment(name)}")
        listeners: list[Resource] = []
        for item in at("listeners")(service) or []:
            listener = dict(item)
            listener.setdefault("relationships", {"services": {"data": [{"id": name, "type": "services"}]}})
            listeners.append(listener)
        return table(columns, listeners)

    run(ctx, action)


@list_group.command("sessions", help="Client sessions.")
@click.option("--rdns", is_flag=True, help="Resolve the addresses of the clients.")
@click.pass_context
def list_sessions(ctx: click.Context, rdns: bool) -> None:
    path, columns = LISTS["sessions"]
    run(
        ctx,
        lambda client: table(columns, client.data(path + query(("rdns", "true") if rdns else None)) or []),
    )


@list_group.command("commands", help="Module commands.")
@click.pass_context
def list_commands(ctx: click.Context) -> None:
    def action(client: Client) -> Outcome:
        modules = client.data("maxscale/modules") or []
        rows = [
            [module.get("id"), [command.get("id") for command in at("commands")(module)]]
            for module in modules
            if at("commands")(module)
        ]
        return Table(["Module", "Commands"], rows, modules)

    run(ctx, action)


@list_group.command("queries", help="The statements that are being executed (needs retain_last_statements).")
@click.option(
    "-l",
    "--max-length",
    type=int,
    default=STATEMENT_LENGTH,
    show_default=True,
    metavar="N",
    help="Cut statements at N characters; 0: never.",
)
@click.pass_context
def list_queries(ctx: click.Context, max_length: int) -> None:
    def action(client: Client) -> Outcome:
        parameters = at("parameters")(client.data("maxscale") or {}) or {}
        if not parameters.get("retain_last_statements"):
            raise CtlError(
                "retain_last_statements is 0: statements are not kept. "
                "Turn it on with: alter maxscale retain_last_statements=1"
            )
        return query_table(client.data("sessions") or [], max_length)

    run(ctx, action)


def query_table(sessions: list[Resource], max_length: int) -> Table:
    """The statement of every session that has no complete answer yet, the longest running first."""
    rows: list[list[Any]] = []
    now = datetime.now(UTC)
    for session in sessions:
        for statement in at("queries")(session) or []:
            if statement.get("completed"):
                continue
            text = str(statement.get("statement", ""))
            if max_length and len(text) > max_length:
                text = text[:max_length] + "..."
            rows.append(
                [
                    session.get("id"),
                    at("user")(session),
                    at("remote")(session),
                    _age(statement.get("received"), now),
                    text,
                ]
            )
            break
    rows.sort(key=lambda row: -(row[3] if isinstance(row[3], float) else 0.0))
    shown = [[*row[:3], "" if row[3] is None else f"{row[3]:.3f}s", row[4]] for row in rows]
    return Table(["Id", "User", "Host", "Duration", "Query"], shown, sessions)


def _age(received: Any, now: datetime) -> float | None:
    try:
        moment = datetime.fromisoformat(str(received))
    except ValueError:
        return None
    return max(0.0, (now - (moment if moment.tzinfo else moment.astimezone())).total_seconds())


def _show(kind: str, path: str, plural_help: str, singular: str, singular_help: str) -> None:
    @show_group.command(kind, help=plural_help)
    @click.pass_context
    def all_of_them(ctx: click.Context) -> None:
        run(ctx, lambda client: sheets(kind, client.data(path) or []))

    @show_group.command(singular, help=singular_help)
    @name_argument(path)
    @click.pass_context
    def one(ctx: click.Context, name: str) -> None:
        run(ctx, lambda client: sheets(kind, client.data(f"{path}/{segment(name)}")))


for _kind in ("servers", "services", "monitors", "filters", "listeners"):
    _one = _kind[:-1]
    _show(_kind, _kind, f"Show all {_kind}.", _one, f"Show one {_one}.")


@show_group.command("sessions", help="Show all sessions.")
@click.option("--rdns", is_flag=True, help="Resolve the addresses of the clients.")
@click.pass_context
def show_sessions(ctx: click.Context, rdns: bool) -> None:
    run(
        ctx,
        lambda c: sheets("sessions", c.data("sessions" + query(("rdns", "true") if rdns else None)) or []),
    )


@show_group.command("session", help="Show one session.")
@name_argument("sessions", metavar="<id>")
@click.option("--rdns", is_flag=True, help="Resolve the address of the client.")
@click.pass_context
def show_session(ctx: click.Context, name: str, rdns: bool) -> None:
    path = f"sessions/{segment(name)}" + query(("rdns", "true") if rdns else None)
    run(ctx, lambda client: sheets("sessions", client.data(path)))


@show_group.command("modules", help="Show all modules.")
@click.option("--load-all", is_flag=True, help="Also those that no object uses.")
@click.pass_context
def show_modules(ctx: click.Context, load_all: bool) -> None:
    path = "maxscale/modules" + query(("load", "all") if load_all else None)
    run(ctx, lambda client: sheets("modules", client.data(path) or []))


@show_group.command("module", help="Show one module: its parameters and commands.")
@name_argument("maxscale/modules")
@click.pass_context
def show_module(ctx: click.Context, name: str) -> None:
    run(ctx, lambda client: sheets("modules", client.data(f"maxscale/modules/{segment(name)}")))


@show_group.command("commands", help="Show the commands of a module.")
@name_argument("maxscale/modules")
@click.pass_context
def show_commands(ctx: click.Context, name: str) -> None:
    run(ctx, lambda client: command_table(client.data(f"maxscale/modules/{segment(name)}") or {}))


@show_group.command("dbusers", help="Show the database accounts that a service has loaded.")
@name_argument("services")
@click.pass_context
def show_dbusers(ctx: click.Context, name: str) -> None:
    run(ctx, lambda client: account_table(client.data(f"services/{segment(name)}") or {}))


@show_group.command("replication", help="Show the replication connections that monitors see.")
@click.option("--monitor", metavar="NAME", help="Only of this monitor.")
@click.pass_context
def show_replication(ctx: click.Context, monitor: str | None) -> None:
    def action(client: Client) -> Outcome:
        data = client.data(f"monitors/{segment(monitor)}" if monitor else "monitors")
        return replication_table(data if isinstance(data, list) else [data or {}])

    run(ctx, action)


@show_group.command("maxscale", help="Show global parameters, version and machine.")
@click.pass_context
def show_maxscale(ctx: click.Context) -> None:
    run(ctx, lambda client: sheets("maxscale", client.data("maxscale")))


@show_group.command("fairlead", hidden=True)
@click.pass_context
def show_fairlead(ctx: click.Context) -> None:
    run(ctx, lambda client: sheets("maxscale", client.data("maxscale")))


@show_group.command("logging", help="Show where the log is and which levels are on.")
@click.pass_context
def show_logging(ctx: click.Context) -> None:
    run(ctx, lambda client: sheets("logging", client.data("maxscale/logs")))


@show_group.command("threads", help="Show the statistics of all worker threads.")
@click.pass_context
def show_threads(ctx: click.Context) -> None:
    run(ctx, lambda client: thread_table(client.data("maxscale/threads") or []))


@show_group.command("thread", help="Show the statistics of one worker thread.")
@name_argument("maxscale/threads")
@click.pass_context
def show_thread(ctx: click.Context, name: str) -> None:
    run(ctx, lambda client: thread_table(client.data(f"maxscale/threads/{segment(name)}") or {}))


@show_group.command("qc_cache", help="Show the statements that the classifier keeps.")
@click.option("--top", type=int, default=20, show_default=True, metavar="N", help="Only the N hottest.")
@click.pass_context
def show_qc_cache(ctx: click.Context, top: int) -> None:
    def action(client: Client) -> Outcome:
        entries = client.data("maxscale/query_classifier/cache" + query(("top", top))) or []
        columns: tuple[Column, ...] = (
            ("Statement", lambda entry: entry.get("id")),
            ("Hits", at("hits")),
            ("Size", at("classification", "size")),
            ("Operation", at("classification", "operation")),
            ("Type mask", at("classification", "type_mask")),
        )
        return table(columns, entries)

    run(ctx, action)


@click.command("classify", cls=CtlCommand, help="Show how a statement is understood.")
@click.argument("statement")
@click.pass_context
def classify(ctx: click.Context, statement: str) -> None:
    def action(client: Client) -> Outcome:
        data = client.data("maxscale/query_classifier/classify" + query(("sql", statement))) or {}
        titles = (
            ("Parse result", "parse_result"),
            ("Type mask", "type_mask"),
            ("Operation", "operation"),
            ("Canonical", "canonical"),
            ("Functions", "functions"),
            ("Fields", "fields"),
        )
        known = [(title, at(key)(data)) for title, key in titles]
        return Sheets([[(title, value) for title, value in known if value not in (None, [])]], data)

    run(ctx, action)


REPORT_PATHS = (
    "maxscale",
    "maxscale/threads",
    "maxscale/logs",
    "maxscale/modules",
    "servers",
    "services",
    "listeners",
    "monitors",
    "filters",
    "sessions",
    "users",
)


def gather_report(client: Client, lines: int) -> Document:
    """Everything that the API tells, in one document; a part that cannot be had says why."""
    report: dict[str, Any] = {}
    parts = [
        *REPORT_PATHS,
        "maxscale/logs/data" + query(("page[size]", lines)),
        "maxscale/debug/server_diagnostics",
    ]
    for path in parts:
        try:
            report[path.split("?")[0]] = client.get(path)
        except CtlError as error:
            report[path.split("?")[0]] = {"error": str(error)}
    return Document(report)


__all__ = ["SHOWS", "classify", "gather_report", "list_group", "query_table", "show_group"]
