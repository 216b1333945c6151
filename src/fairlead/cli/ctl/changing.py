"""The commands that act on existing objects: states, links, start and stop, alter, reload, call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from .base import CtlGroup, Decorated, changed, name_argument, run
from .complete import SERVER_STATES, object_names, parameters_of, server_states
from .options import CtlError
from .output import OK, Outcome
from .rest import Client, query, segment
from .values import pairs, parameters, references, split_relationships
from .views import related_ids

LOG_LEVELS = ("warning", "notice", "info", "debug")


def _group(name: str, text: str) -> CtlGroup:
    return CtlGroup(name=name, help=text)


set_group = _group("set", "Set a state of a server.")
clear_group = _group("clear", "Clear a state of a server.")
enable_group = _group("enable", "Turn something on.")
disable_group = _group("disable", "Turn something off.")
link_group = _group("link", "Add servers, services or a monitor to an object.")
unlink_group = _group("unlink", "Remove servers, services or a monitor from an object.")
start_group = _group("start", "Start services, listeners and monitors.")
stop_group = _group("stop", "Stop services, listeners and monitors.")
alter_group = _group("alter", "Change parameters of an object.")
rotate_group = _group("rotate", "Rotate log files.")
reload_group = _group("reload", "Read accounts, certificates or sessions again.")
pause_group = _group("pause", "Hold back the statements of a service.")
resume_group = _group("resume", "Let a paused service go on.")
call_group = _group("call", "Call a command of a module.")

force_option = click.option("--force", is_flag=True, help="Also close the connections that exist.")


@set_group.command("server", help=f"Set states of a server: {', '.join(SERVER_STATES)}.")
@name_argument("servers")
@click.argument("state", nargs=-1, required=True, shell_complete=server_states())
@force_option
@click.option("--deadline", metavar="DURATION", help="Of drain: when the connections that are left end.")
@click.pass_context
def set_server(
    ctx: click.Context, name: str, state: tuple[str, ...], force: bool, deadline: str | None
) -> None:
    def action(client: Client) -> Outcome:
        for one in state:
            arguments = query(
                ("force", "yes") if force else None,
                ("timeout", deadline) if deadline else None,
                ("state", one),
            )
            client.request("PUT", f"servers/{segment(name)}/set{arguments}")
        return OK

    run(ctx, action)


@clear_group.command("server", help="Clear states of a server.")
@name_argument("servers")
@click.argument("state", nargs=-1, required=True, shell_complete=server_states())
@click.pass_context
def clear_server(ctx: click.Context, name: str, state: tuple[str, ...]) -> None:
    def action(client: Client) -> Outcome:
        for one in state:
            client.request("PUT", f"servers/{segment(name)}/clear{query(('state', one))}")
        return OK

    run(ctx, action)


def _log_priority(group: CtlGroup, on: bool) -> None:
    @group.command("log-priority", help=f"Turn a log level {'on' if on else 'off'}.")
    @click.argument("level", type=click.Choice(LOG_LEVELS))
    @click.pass_context
    def command(ctx: click.Context, level: str) -> None:
        run(ctx, lambda c: changed(c, "PATCH", "maxscale/logs", _attributes({f"log_{level}": on})))


_log_priority(enable_group, True)
_log_priority(disable_group, False)


def _attributes(given: dict[str, Any], relationships: dict[str, Any] | None = None) -> dict[str, Any]:
    """The body of a PATCH."""
    data: dict[str, Any] = {}
    if given:
        data["attributes"] = {"parameters": given}
    if relationships:
        data["relationships"] = relationships
    return {"data": data}


# -- links


def _target_kinds(client: Client, targets: Sequence[str]) -> dict[str, str]:
    """Is a target a server, a service or a monitor?"""
    kinds: dict[str, str] = {}
    for kind in ("servers", "services", "monitors"):
        for resource in client.data(kind) or []:
            kinds.setdefault(resource["id"], kind)
    for target in targets:
        if target not in kinds:
            raise CtlError(f"`{target}` is neither a server nor a service nor a monitor")
    return kinds


def _relink(client: Client, path: str, targets: Sequence[str], kinds: dict[str, str], add: bool) -> Outcome:
    resource = client.data(path)
    relationships: dict[str, Any] = {}
    for kind in sorted({kinds[target] for target in targets}):
        ids = related_ids(resource, kind)
        chosen = [target for target in targets if kinds[target] == kind]
        if add:
            ids += [target for target in chosen if target not in ids]
        else:
            missing = [target for target in chosen if target not in ids]
            if missing:
                raise CtlError(f"`{path.split('/', 1)[1]}` is not linked to {', '.join(missing)}")
            ids = [name for name in ids if name not in chosen]
        relationships[kind] = references(kind, ids)
    return changed(client, "PATCH", path, _attributes({}, relationships))


def _link(group: CtlGroup, add: bool) -> None:
    verb = "Add targets to" if add else "Remove targets from"

    @group.command("service", help=f"{verb} a service: servers, services or a monitor.")
    @name_argument("services")
    @name_argument("servers", dest="targets", metavar="<target>...", nargs=-1)
    @click.pass_context
    def service(ctx: click.Context, name: str, targets: tuple[str, ...]) -> None:
        run(ctx, lambda c: _relink(c, f"services/{segment(name)}", targets, _target_kinds(c, targets), add))

    @group.command("monitor", help=f"{verb} a monitor: servers.")
    @name_argument("monitors")
    @name_argument("servers", dest="targets", metavar="<server>...", nargs=-1)
    @click.pass_context
    def monitor(ctx: click.Context, name: str, targets: tuple[str, ...]) -> None:
        kinds = dict.fromkeys(targets, "servers")
        run(ctx, lambda c: _relink(c, f"monitors/{segment(name)}", targets, kinds, add))


_link(link_group, True)
_link(unlink_group, False)


# -- start and stop


def _start_stop(group: CtlGroup, verb: str) -> None:
    def one(kind: str) -> None:
        @group.command(kind[:-1], help=f"{verb.capitalize()} one {kind[:-1]}.")
        @name_argument(kind)
        @click.pass_context
        def command(ctx: click.Context, name: str, force: bool = False) -> None:
            arguments = query(("force", "yes") if force else None)
            run(ctx, lambda c: changed(c, "PUT", f"{kind}/{segment(name)}/{verb}{arguments}"))

        if verb == "stop" and kind != "monitors":
            force_option(command)

    for kind in ("services", "listeners", "monitors"):
        one(kind)

    def all_services(name: str, hidden: bool) -> None:
        @group.command(name, hidden=hidden, help=f"{verb.capitalize()} all services.")
        @click.pass_context
        def command(ctx: click.Context, force: bool = False) -> None:
            def action(client: Client) -> Outcome:
                arguments = query(("force", "yes") if force else None)
                for resource in client.data("services") or []:
                    client.request("PUT", f"services/{segment(resource['id'])}/{verb}{arguments}")
                return OK

            run(ctx, action)

        if verb == "stop":
            force_option(command)

    all_services("services", False)
    all_services("maxscale", True)


_start_stop(start_group, "start")
_start_stop(stop_group, "stop")


# -- alter


def key_values(kind: str) -> Callable[[Decorated], Decorated]:
    """The argument `key=value...`, completed with the parameters of the object."""
    return click.argument(
        "values", metavar="<key=value>...", nargs=-1, required=True, shell_complete=parameters_of(kind)
    )


_RELATIONSHIPS_OF = {"services": ("servers", "services", "cluster", "filters"), "monitors": ("servers",)}


def _alter(kind: str) -> None:
    @alter_group.command(kind[:-1], help=f"Change parameters of a {kind[:-1]}.")
    @name_argument(kind)
    @key_values(kind)
    @click.pass_context
    def command(ctx: click.Context, name: str, values: tuple[str, ...]) -> None:
        def action(client: Client) -> Outcome:
            rest, relationships = split_relationships(pairs(values), _RELATIONSHIPS_OF.get(kind, ()))
            body = _attributes(parameters(rest), relationships)
            return changed(client, "PATCH", f"{kind}/{segment(name)}", body)

        run(ctx, action)


for _kind in ("servers", "monitors", "services", "filters", "listeners", "sessions"):
    _alter(_kind)


def _alter_one(name: str, path: str, text: str) -> None:
    @alter_group.command(name, help=text)
    @key_values(path)
    @click.pass_context
    def command(ctx: click.Context, values: tuple[str, ...]) -> None:
        run(ctx, lambda c: changed(c, "PATCH", path, _attributes(parameters(pairs(values)))))


_alter_one("maxscale", "maxscale", "Change global parameters.")
_alter_one("logging", "maxscale/logs", "Change parameters of the log.")


def _alter_filters(command_name: str, kind: str) -> None:
    @alter_group.command(command_name, help=f"Replace the filters of a {kind[:-1]}; none given: no filters.")
    @name_argument(kind)
    @name_argument("filters", dest="chosen", metavar="<filter>...", nargs=-1, required=False)
    @click.pass_context
    def command(ctx: click.Context, name: str, chosen: tuple[str, ...]) -> None:
        path = f"{kind}/{segment(name)}"
        body = _attributes({}, {"filters": references("filters", chosen)})
        run(ctx, lambda c: changed(c, "PATCH", path, body))


_alter_filters("service-filters", "services")
_alter_filters("session-filters", "sessions")


@alter_group.command("user", help="Change the password of a user of the REST API.")
@name_argument("users/inet")
@click.argument("new_password")
@click.pass_context
def alter_user(ctx: click.Context, name: str, new_password: str) -> None:
    body = {"data": {"id": name, "type": "inet", "attributes": {"password": new_password}}}
    run(ctx, lambda c: changed(c, "PATCH", f"users/inet/{segment(name)}", body))


# -- rotate, reload, call


def _post(group: CtlGroup, name: str, path: str, text: str) -> None:
    @group.command(name, help=text)
    @click.pass_context
    def command(ctx: click.Context) -> None:
        run(ctx, lambda c: changed(c, "POST", path))


_post(rotate_group, "logs", "maxscale/logs/flush", "Open the log files again, after renaming them.")
_post(reload_group, "tls", "maxscale/tls/reload", "Read all certificates again.")
_post(reload_group, "sessions", "sessions/restart", "Make all sessions use the current configuration.")


@reload_group.command("service", help="Load the database accounts of a service again.")
@name_argument("services")
@click.pass_context
def reload_service(ctx: click.Context, name: str) -> None:
    run(ctx, lambda c: changed(c, "POST", f"services/{segment(name)}/reload"))


@reload_group.command("session", help="Make one session use the current configuration.")
@name_argument("sessions", metavar="<id>")
@click.pass_context
def reload_session(ctx: click.Context, name: str) -> None:
    run(ctx, lambda c: changed(c, "POST", f"sessions/{segment(name)}/restart"))


@pause_group.command("service", help="Hold back the statements of a service, for a planned switchover.")
@name_argument("services")
@click.option("--deadline", default="30s", show_default=True, help="For how long at most.")
@click.pass_context
def pause_service(ctx: click.Context, name: str, deadline: str) -> None:
    arguments = query(("timeout", deadline))
    run(ctx, lambda c: changed(c, "PUT", f"services/{segment(name)}/pause{arguments}"))


@resume_group.command("service", help="Let a paused service go on at once.")
@name_argument("services")
@click.pass_context
def resume_service(ctx: click.Context, name: str) -> None:
    run(ctx, lambda c: changed(c, "PUT", f"services/{segment(name)}/resume"))


@call_group.command("command", help="Call a module command; see `list commands` and `show commands`.")
@click.argument("module", shell_complete=object_names("maxscale/modules"))
@click.argument("command_name", metavar="COMMAND")
@click.argument("arguments", nargs=-1, shell_complete=object_names("monitors"))
@click.pass_context
def call_command(ctx: click.Context, module: str, command_name: str, arguments: tuple[str, ...]) -> None:
    def action(client: Client) -> Outcome:
        description = client.data(f"maxscale/modules/{segment(module)}") or {}
        commands = {item["id"]: item for item in description.get("attributes", {}).get("commands") or []}
        if command_name not in commands:
            raise CtlError(
                f"module `{module}` has no command `{command_name}`; it has: "
                f"{', '.join(sorted(commands)) or 'none'}"
            )
        method = commands[command_name].get("attributes", {}).get("method", "POST")
        given = "&".join(segment(argument) for argument in arguments)
        path = f"maxscale/modules/{segment(module)}/{segment(command_name)}" + (f"?{given}" if given else "")
        return changed(client, method, path)

    run(ctx, action)
