"""The command `fairlead`: its subcommands by name, each imported only when used: starting stays quick."""

from __future__ import annotations

import importlib
import sys

import click

from fairlead import __version__

COMMANDS = {
    "serve": "fairlead.cli.process:serve",
    "check": "fairlead.cli.process:check",
    "explain": "fairlead.cli.explaining:explain",
    "keys": "fairlead.cli.passwords:keys",
    "passwd": "fairlead.cli.passwords:passwd",
    "ctl": "fairlead.cli.ctl.app:ctl",
}


class LazyGroup(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=LazyGroup, help="An intelligent MariaDB proxy: load balancing, read/write splitting, REST.")
@click.version_option(__version__, "-v", "--version", prog_name="Fairlead", message="%(prog)s %(version)s")
def fairlead() -> None:
    pass


def main() -> None:
    """Entry point of `fairlead`."""
    if len(sys.argv) > 1 and sys.argv[1] == "ctl":
        sys.argv[1:2] = []
        ctl_main("fairlead ctl")
    fairlead.main(prog_name="fairlead")


def ctl_main(prog_name: str = "fairctl") -> None:
    """Entry point of `fairctl`, and of `fairlead ctl`."""
    from fairlead.cli.ctl.app import run_and_exit

    run_and_exit(sys.argv[1:], prog_name)
