"""The frame of every command: global options anywhere on the line, one run per host, output, exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from .complete import object_names
from .options import CtlError, Options, resolve
from .output import OK, Outcome, Text, document_of, render
from .rest import Client

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def global_options() -> list[click.Option]:
    """The options that every command takes, before or after its name."""
    return [
        click.Option(
            ["-c", "--config"],
            metavar="FILE",
            help="Read options from FILE (default ~/.fairctl.cnf or ~/.maxctrl.cnf).",
        ),
        click.Option(["-u", "--user"], metavar="NAME", help="User of the REST API (default admin)."),
        click.Option(["-p", "--password"], metavar="TEXT", help="Password; -p '' asks for it."),
        click.Option(["-h", "--hosts"], metavar="LIST", help="HOST[:PORT],... (default 127.0.0.1:8989)."),
        click.Option(["-t", "--timeout"], metavar="TIME", help="Per request: milliseconds, or with h, m, s."),
        click.Option(["-q", "--quiet"], is_flag=True, default=None, help="No output, only the exit code."),
        click.Option(["--tsv"], is_flag=True, default=None, help="Tab separated, no headers, no colours."),
        click.Option(["--json"], is_flag=True, default=None, help="The data as JSON."),
        click.Option(["-s", "--secure"], is_flag=True, default=None, help="Use HTTPS."),
        click.Option(["--tls-key"], metavar="FILE", help="Private key of a client certificate."),
        click.Option(["--tls-cert"], metavar="FILE", help="Client certificate."),
        click.Option(["--tls-passphrase"], metavar="TEXT", help="Passphrase of the key."),
        click.Option(["--tls-ca-cert"], metavar="FILE", help="Certificates to trust."),
        click.Option(["-n", "--tls-verify-server-cert"], metavar="BOOL", help="false: do not verify it."),
        click.Option(["--skip-sync"], is_flag=True, default=None, help="Do not synchronise this change."),
    ]


EPILOG = "Options of every command, such as --hosts and --tsv: see fairlead ctl --help"
GLOBAL_NAMES = frozenset(str(option.name) for option in global_options())


def _take_globals(ctx: click.Context) -> None:
    """Move the global options out of the parameters of this command into what all commands share."""
    shared: dict[str, Any] = ctx.ensure_object(dict)
    for name in GLOBAL_NAMES:
        value = ctx.params.pop(name, None)
        if value is not None:
            shared[name] = value


class CtlCommand(click.Command):
    """A command that takes the global options too, and options with several values (`--servers a b`)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("epilog", EPILOG)
        super().__init__(*args, **kwargs)
        own = {name for param in self.params for name in param.opts}
        for option in global_options():
            if not own & set(option.opts):
                option.hidden = True
                self.params.append(option)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        several = {
            name
            for param in self.params
            if isinstance(param, click.Option) and param.multiple
            for name in param.opts
        }
        result = super().parse_args(ctx, _repeat_options(args, several))
        _take_globals(ctx)
        return result


def _repeat_options(args: Sequence[str], several: set[str]) -> list[str]:
    """`--servers a b` -> `--servers a --servers b`."""
    result: list[str] = []
    current = ""
    fresh = False
    for arg in args:
        if arg in several:
            current, fresh = arg, True
            continue
        if arg.startswith("-"):
            current = ""
        if current:
            result.append(current)
            fresh = False
        elif fresh:
            fresh = False
        result.append(arg)
    if fresh:
        result.append(current)
    return result


class CtlGroup(click.Group):
    """A group of commands; takes the global options before the name of the command."""

    command_class = CtlCommand
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        hidden = kwargs.get("name") not in (None, "ctl")
        for option in global_options():
            option.hidden = hidden
            self.params.append(option)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and self.no_args_is_help and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit(1)
        result = super().parse_args(ctx, args)
        _take_globals(ctx)
        return result


def settle(ctx: click.Context) -> Options:
    """The options that hold for this command."""
    given: dict[str, Any] = dict(ctx.ensure_object(dict))
    if given.get("password") == "":
        given["password"] = ctx.obj["password"] = click.prompt("Password", hide_input=True, err=True)
    return resolve(given)


def run(ctx: click.Context, action: Callable[[Client], Outcome]) -> None:
    """Carry out `action` on every host and print; exit code 1 when one of them failed."""
    try:
        options = settle(ctx)
    except CtlError as error:
        fail(str(error))
    failed = False
    terminal = sys.stdout.isatty()
    results: dict[str, Any] = {}
    several = len(options.hosts) > 1
    for host in options.hosts:
        client = Client(host, options)
        try:
            outcome = action(client)
            if several and options.json:
                results[host] = document_of(outcome)
            elif not options.quiet:
                show(
                    outcome,
                    options,
                    colour=terminal and "NO_COLOR" not in os.environ,
                    prefix=host if several else "",
                )
        except CtlError as error:
            failed = True
            if not options.quiet:
                click.echo((f"{host}\n" if several else "") + f"Error: {error}", err=True)
        finally:
            client.close()
        if sys.stderr.isatty() and os.environ.get("MAXCTRL_WARNINGS") != "0" and not options.quiet:
            for warning in client.warnings:
                click.echo(f"Warning: {warning}", err=True)
    if results and not options.quiet:
        click.echo(render(Text("", results), as_document=True))
    if failed:
        ctx.exit(1)


def show(outcome: Outcome, options: Options, *, colour: bool, prefix: str) -> None:
    text = render(outcome, tsv=options.tsv, as_document=options.json, colour=colour and not options.tsv)
    if prefix:
        click.echo(prefix)
    if text:
        click.echo(text)


def fail(text: str) -> None:
    """End with a message and exit code 1."""
    click.echo(f"Error: {text}", err=True)
    raise click.exceptions.Exit(1)


def name_argument(
    kind: str, dest: str = "name", metavar: str = "", *, nargs: int = 1, required: bool = True
) -> Callable[[Decorated], Decorated]:
    """An argument that is the name of an object, completed from the running product."""
    return click.argument(
        dest,
        metavar=metavar or f"<{kind.rstrip('s').rsplit('/', 1)[-1]}>",
        nargs=nargs,
        required=required,
        shell_complete=object_names(kind),
    )


def names_option(*decls: str, kind: str, help: str) -> Callable[[Decorated], Decorated]:
    """An option that takes several names."""
    return click.option(*decls, multiple=True, metavar="NAMES", help=help, shell_complete=object_names(kind))


def changed(client: Client, method: str, path: str, body: Any = None) -> Outcome:
    """A request that changes something: its output is what the answer holds, or OK."""
    answer = client.request(method, path, body)
    if answer.body is None:
        return OK
    document = answer.body
    if isinstance(document, dict) and "meta" in document:
        return Text(render(Text("", document["meta"]), as_document=True), document["meta"])
    return OK
