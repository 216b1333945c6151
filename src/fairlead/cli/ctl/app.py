"""The admin client put together: all groups, the interactive prompt, commands from a pipe."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from typing import Any, NoReturn

import click

from fairlead import __version__

from . import changing, making, seeing
from .base import CtlGroup, fail, settle
from .options import CtlError

HISTORY = "~/.fairctl_history"


def run_and_exit(arguments: list[str], prog_name: str) -> NoReturn:
    """Run one command line; every error ends with exit code 1, as scripts written for maxctrl expect."""
    try:
        status = ctl.main(arguments, prog_name=prog_name, standalone_mode=False)
    except click.Abort:
        click.echo("Aborted.", err=True)
        status = 1
    except click.ClickException as error:
        error.show()
        status = 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status if isinstance(status, int) else 0)


@click.group(
    "ctl",
    cls=CtlGroup,
    invoke_without_command=True,
    help="The admin client: look at and change a running Fairlead (or MaxScale) by its REST API. "
    "Without a command: a prompt, or the commands that come from a pipe.",
)
@click.version_option(__version__, prog_name="fairlead ctl", message="%(prog)s %(version)s")
@click.pass_context
def ctl(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        try:
            settle(ctx)  # reads the configuration file and asks for the password once
        except CtlError as error:
            fail(str(error))
        status = prompt(ctx) if sys.stdin.isatty() else piped(ctx)
        ctx.exit(status)


for _group in (
    seeing.list_group,
    seeing.show_group,
    changing.set_group,
    changing.clear_group,
    changing.enable_group,
    changing.disable_group,
    making.create_group,
    making.destroy_group,
    changing.link_group,
    changing.unlink_group,
    changing.start_group,
    changing.stop_group,
    changing.alter_group,
    changing.rotate_group,
    changing.reload_group,
    changing.pause_group,
    changing.resume_group,
    changing.call_group,
    making.api_group,
    seeing.classify,
    making.debug_group,
):
    ctl.add_command(_group)


def execute(ctx: click.Context, line: str) -> int | None:
    """One line of commands; its exit status, None for `exit`."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        click.echo(f"Error: {error}", err=True)
        return 1
    if not words:
        return 0
    if words[0] in ("exit", "quit"):
        return None
    if words == ["help"]:
        words = ["--help"]
    if words[0] == ctx.info_name or words[0] in ("maxctrl", "fairctl"):
        words = words[1:] or ["--help"]
    try:
        status = ctl.main(words, prog_name="", standalone_mode=False, obj=dict(ctx.ensure_object(dict)))
    except click.ClickException as error:
        error.show()
        return 1
    except click.Abort:
        return 1
    return status if isinstance(status, int) else 0


def piped(ctx: click.Context) -> int:
    """Commands line by line; exit code 1 when one of them failed."""
    failed = False
    for line in sys.stdin:
        status = execute(ctx, line)
        if status is None:
            break
        failed = failed or status != 0
    return int(failed)


def prompt(ctx: click.Context) -> int:
    """Read and execute until `exit`, with history and completion of command names."""
    try:
        import readline
    except ImportError:
        readline = None  # type: ignore[assignment]
    history = os.path.expanduser(HISTORY)
    if readline is not None:
        readline.set_completer_delims(" \t")
        readline.set_completer(_Completer(ctx).complete)
        readline.parse_and_bind("tab: complete")
        if os.path.exists(history):
            readline.read_history_file(history)
    while True:
        try:
            line = input("fairctl> ")
        except EOFError:
            click.echo()
            break
        except KeyboardInterrupt:
            click.echo()
            continue
        if execute(ctx, line) is None:
            break
    if readline is not None:
        _save_history(readline, history)
    return 0


def _save_history(readline: Any, path: str) -> None:
    """Keep what was typed, except lines with passwords."""
    for index in range(readline.get_current_history_length(), 0, -1):
        if any(word in readline.get_history_item(index) for word in ("password", " user ", "-p")):
            readline.remove_history_item(index - 1)
    readline.set_history_length(1000)
    with contextlib.suppress(OSError):
        readline.write_history_file(path)


class _Completer:
    """Completion at the prompt, by the same rules as in the shell."""

    def __init__(self, ctx: click.Context) -> None:
        self._obj = dict(ctx.ensure_object(dict))
        self._found: list[str] = []

    def complete(self, text: str, index: int) -> str | None:
        if index == 0:
            import readline

            before = readline.get_line_buffer()[: readline.get_begidx()]
            self._found = self.candidates(before, text)
        return self._found[index] + " " if index < len(self._found) else None

    def candidates(self, before: str, text: str) -> list[str]:
        from click.shell_completion import ShellComplete

        try:
            words = shlex.split(before)
        except ValueError:
            return []
        completer = ShellComplete(ctl, {"obj": dict(self._obj)}, "", "")
        return [item.value for item in completer.get_completions(words, text)]
