"""Completion from the running product: names of objects and parameters; quick, silent without an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

    Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

TIMEOUT = 0.5

SERVER_STATES = ("maintenance", "drain", "master", "slave", "synced", "running")


def _completer(candidates: Callable[[click.Context], list[str]]) -> Completer:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        try:
            return [CompletionItem(text) for text in candidates(ctx) if text.startswith(incomplete)]
        except (KeyError, TypeError):  # the answer is not of the expected shape: nothing to offer
            return []

    return complete


def server_states() -> Completer:
    """The states that can be set."""
    return _completer(lambda ctx: list(SERVER_STATES))


def object_names(kind: str) -> Completer:
    """The names of one collection of the API."""
    return _completer(lambda ctx: [str(item["id"]) for item in fetch(ctx, kind) or []])


def parameters_of(kind: str, *, name: str = "name") -> Completer:
    """`key=` for every parameter of the object that is already named, or of the resource itself."""

    def candidates(ctx: click.Context) -> list[str]:
        typed = ctx.params.get(name)
        resource = fetch(ctx, f"{kind}/{typed}" if typed else kind) or {}
        return [f"{key}=" for key in resource["attributes"]["parameters"]]

    return _completer(candidates)


def parameters_of_module(param: str) -> Completer:
    """`key=` for every parameter of a module: the one that this argument names, or of this very name."""

    def candidates(ctx: click.Context) -> list[str]:
        name = ctx.params.get(param, param)
        module = fetch(ctx, f"maxscale/modules/{name}") or {}
        return [f"{parameter['name']}=" for parameter in module["attributes"]["parameters"]]

    return _completer(candidates)


def fetch(ctx: click.Context, path: str) -> Any:
    """`data` of a GET; None when the API cannot be asked or answers something else."""
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
            return client.data(path)
        finally:
            client.close()
    except CtlError:
        return None
