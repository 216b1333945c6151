"""`fairlead explain`: where a statement would go by a configuration, without servers and sessions."""

from __future__ import annotations

import sys
from typing import Any

import click

from fairlead.cli.process import configuration_file

# What a new session is like: nothing is open, nothing is locked, autocommit is on.
_TARGETS = {1: "primary", 2: "replica", 3: "all servers", 4: "the previous statement's server"}


@click.command("explain", help="Say where a statement would go by a configuration, and why.")
@click.option("--config", "file", help="The configuration file.")
@click.option("--service", help="The service; may be left out if only one routes by statements.")
@click.argument("statement")
def explain(file: str | None, service: str | None, statement: str) -> None:
    from fairlead.config.store import ConfigErrors, ConfigStore

    try:
        store = ConfigStore.load(configuration_file(file, None), create_directories=False)
    except ConfigErrors as errors:
        click.echo(str(errors), err=True)
        sys.exit(1)
    chosen = _service(store.snapshot(), service)
    for what, value in explanation(chosen, statement):
        click.echo(f"{what:<12} {value}")


def _service(snapshot: Any, name: str | None) -> Any:
    """The service that is meant; ends with a message if that is not clear."""
    services = {each.name: each for each in snapshot.services}
    if name is None:
        named = [each.name for each in snapshot.services if each.router == "readwritesplit"] or list(services)
        if len(named) != 1:
            raise click.UsageError(f"--service is needed; there are: {', '.join(services) or 'none'}")
        name = named[0]
    if name not in services:
        raise click.UsageError(f"there is no service '{name}'; there are: {', '.join(services) or 'none'}")
    return services[name]


def explanation(service: Any, statement: str) -> list[tuple[str, str]]:
    """(what, value) for a new session of a service."""
    from fairlead.session.functions import ReadFunctions
    from fairlead.sql.classifier import Classifier
    from fairlead.sql.types import mask_text, operation_text

    declared = ReadFunctions()
    declared.configure(service.params)
    # Of the default database nothing is known here.
    info = declared.judge(Classifier(0).classify_text(statement), "")
    rows = [
        ("service", f"{service.name} ({service.router})"),
        ("operation", operation_text(info.operation)),
        ("type", mask_text(info.type_mask)),
    ]
    if service.router != "readwritesplit":
        return [*rows, ("target", "the one server of the session"), ("why", "the router does not look at it")]
    return [*rows, *_split(service, info)]


def _split(service: Any, info: Any) -> list[tuple[str, str]]:
    from fairlead.routers.readwritesplit.config import RwsConfig
    from fairlead.routers.readwritesplit.decide import (
        D_NO_SLAVES,
        REASONS,
        TARGET_MASK,
        TARGET_SLAVE,
        decide,
    )
    from fairlead.sql.types import TYPE_BEGIN_TRX, TYPE_READONLY

    config = RwsConfig(service.params)
    mask = info.type_mask
    begins = mask & TYPE_BEGIN_TRX != 0
    read_only = begins and info.trx_mask & TYPE_READONLY != 0
    decision = decide(mask, False, False, begins, read_only, config.variables_on_all)
    if decision & TARGET_MASK == TARGET_SLAVE and config.max_slave_connections == 0:
        decision = D_NO_SLAVES
    return [("target", _TARGETS[decision & TARGET_MASK]), ("why", REASONS[decision])]
