"""`serve` and `check`: the command line of the process becomes a configuration file and overrides of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

DEFAULT_FILES = ("/etc/fairlead.cnf", "/etc/maxscale.cnf")
EXIT_BAD_ARGUMENT = 5

_DIRECTORIES = (
    ("-L", "logdir", "Directory of the log."),
    ("-A", "cachedir", "Directory of cached data."),
    ("-B", "libdir", "Directory of modules."),
    ("-D", "datadir", "Directory of data, users and secrets."),
    ("-E", "execdir", "Directory of helper programs."),
    ("-F", "persistdir", "Directory of changes made at run time."),
    ("-M", "module_configdir", "Base of relative file names in parameters."),
    ("-H", "connector_plugindir", "Accepted, without effect."),
    ("-J", "sharedir", "Directory of shared data."),
    ("-N", "language", "Accepted, without effect."),
    ("-P", "piddir", "Directory of the PID file."),
)


def _directory_options(command: Any) -> Any:
    for short, name, text in reversed(_DIRECTORIES):
        option = click.option(short, f"--{name}", name, metavar="DIR", help=text)
        command = option(command)
    return command


def configuration_file(config: str | None, configdir: str | None) -> Path:
    """The main file: as said, in the directory said, or the first default that exists."""
    if config:
        return Path(config)
    if configdir:
        found = [Path(configdir) / name for name in ("fairlead.cnf", "maxscale.cnf")]
        return next((path for path in found if path.exists()), found[-1])
    return next((Path(name) for name in DEFAULT_FILES if os.path.exists(name)), Path(DEFAULT_FILES[-1]))


@click.command("serve", help="Run in the foreground. SIGTERM drains; SIGUSR1 opens the log again.")
@click.option(
    "-f", "--config", metavar="FILE", help=f"Configuration file (default {', then '.join(DEFAULT_FILES)})."
)
@click.option("-C", "--configdir", metavar="DIR", help="Directory of fairlead.cnf or maxscale.cnf.")
@click.option("-R", "--basedir", metavar="DIR", help="Put all directories below DIR.")
@click.option("-d", "--nodaemon", is_flag=True, help="Accepted: always in the foreground.")
@click.option(
    "-l",
    "--log",
    type=click.Choice(("file", "stdout")),
    default="file",
    show_default=True,
    help="Where the log goes.",
)
@click.option("-s", "--syslog", type=click.Choice(("yes", "no")), help="Log to syslog too.")
@click.option("-S", "--maxlog", type=click.Choice(("yes", "no")), help="Log to the log file.")
@click.option("-G", "--log_augmentation", type=click.Choice(("0", "1")), help="1: the log names functions.")
@click.option("-p", "--passive", is_flag=True, help="Start passive: the monitor changes nothing by itself.")
@click.option("-U", "--user", metavar="USER", help="Become this user before anything else.")
@click.option("-g", "--debug", metavar="LIST", help="Debug options, comma separated.")
@click.option("-c", "--config-check", is_flag=True, help="Only check the configuration.")
@click.option("-e", "--export-config", metavar="FILE", help="Only write the merged configuration to FILE.")
@_directory_options
@click.pass_context
def serve(
    ctx: click.Context, /, config: str | None, configdir: str | None, basedir: str | None, **options: Any
) -> None:
    path = configuration_file(config, configdir)
    if options["user"]:
        become(options["user"])
    if options["config_check"]:
        ctx.exit(run_check(path))
    base, overrides = Path(basedir) if basedir else None, overrides_of(options)
    if options["export_config"]:
        ctx.exit(export(path, base, overrides, Path(options["export_config"])))
    from fairlead.workers.main import serve as run_server

    ctx.exit(
        run_server(
            path,
            basedir=base,
            overrides=overrides,
            log_to_stdout=options["log"] == "stdout",
            start_rest=start_rest,
        )
    )


async def start_rest(product: Any) -> Any:
    """Start the REST API; its libraries are loaded only now."""
    from fairlead.admin import app

    return await app.start(product)


def overrides_of(options: dict[str, Any]) -> dict[str, str]:
    """Global parameters that the command line decides."""
    result = {name: str(Path(options[name]).absolute()) for _, name, _ in _DIRECTORIES if options[name]}
    for name in ("syslog", "maxlog"):
        if options[name]:
            result[name] = "true" if options[name] == "yes" else "false"
    if options["log_augmentation"]:
        result["log_augmentation"] = options["log_augmentation"]
    if options["passive"]:
        result["passive"] = "true"
    if options["debug"]:
        result["debug"] = options["debug"]
    return result


def become(name: str) -> None:
    """Give up root for the named user, with all its groups."""
    import pwd

    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        click.echo(f"Error: --user: there is no user `{name}`", err=True)
        sys.exit(EXIT_BAD_ARGUMENT)
    if os.geteuid() == entry.pw_uid:
        return
    try:
        os.initgroups(name, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    except PermissionError:
        click.echo(f"Error: --user: only root may become `{name}`", err=True)
        sys.exit(EXIT_BAD_ARGUMENT)


@click.command("check", help="Check a configuration file; exit code 1 with all errors when it is not right.")
@click.argument("file", required=False)
@click.pass_context
def check(ctx: click.Context, file: str | None) -> None:
    ctx.exit(run_check(configuration_file(file, None)))


def run_check(path: Path) -> int:
    from fairlead.config.check import check_file

    return int(check_file(path))


def export(path: Path, basedir: Path | None, overrides: dict[str, str], target: Path) -> int:
    """Write all files as one; it may hold passwords, so only its owner may read it."""
    from fairlead.config.store import ConfigErrors, ConfigStore

    try:
        store = ConfigStore.load(path, basedir=basedir, overrides=overrides, create_directories=False)
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(store.export_text())
    except ConfigErrors as errors:
        click.echo(str(errors), err=True)
        return 1
    except OSError as error:
        click.echo(f"Error: {target}: {error.strerror}", err=True)
        return 1
    return 0
