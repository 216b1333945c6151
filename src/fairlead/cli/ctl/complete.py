"""Completion of object names from the running product: quick, and silent when it does not answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

TIMEOUT = 0.5

SERVER_STATES = ("maintenance", "drain", "master", "slave", "synced", "running")


def object_names(kind: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """A completer for the names of one collection of the API."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(name) for name in fetch_names(ctx, kind) if name.startswith(incomplete)]

    return complete


def fetch_names(ctx: click.Context, kind: str) -> list[str]:
    """Names of all objects of one collection; none when the API cannot be asked."""
    from dataclasses import replace

    from .options import CtlError, resolve
    from .rest import Client

    given: dict[str, Any] = dict(ctx.ensure_object(dict))
    step: click.Context | None = ctx
    while step is not None:
        given.update(
            {key: value for key, value in step.params.items() if value is not None and key not in given}
        )
        step = step.parent
    try:
        options = replace(resolve(given), timeout=TIMEOUT)
        client = Client(options.hosts[0], options)
        try:
            return [str(item["id"]) for item in client.data(kind) or []]
        finally:
            client.close()
    except (CtlError, KeyError, TypeError):
        return []
