"""From the JSON of a request to a change of the configuration: one transaction per request.

Invariant: changes are made one after another, and a refused one leaves no trace.
Source: spec core.md d1, d3, h19.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fairlead.admin.http import ApiError, member
from fairlead.config.store import Change
from fairlead.workers.ports import Product

Json = Any

# Where the name of the module stands among the attributes of a new object.
MODULE_ATTRIBUTE = {"services": "router", "monitors": "module", "filters": "module"}


class Changes:
    """Applies changes of the configuration, one at a time."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._one_at_a_time = asyncio.Lock()

    async def apply(self, build: Callable[[], Change], cut_off: bool = False) -> list[str]:
        """Build a change of the current configuration and apply it; returns warnings.

        `cut_off`: also close the sessions of what does not run any more.
        """
        async with self._one_at_a_time:
            before = self._product.store.snapshot()
            change = build()
            await self._product.change(change)
            if cut_off:
                await self._product.close_cut_off(before)
            return list(change.warnings)


# -- what clients send


def attributes_of(data: dict[str, Json]) -> dict[str, Json]:
    """`attributes` of a resource."""
    found: dict[str, Json] = member(data, "attributes", dict, {})
    return found


def parameters_of(data: dict[str, Json]) -> dict[str, Json]:
    """`attributes.parameters` of a resource."""
    parameters: dict[str, Json] = member(attributes_of(data), "parameters", dict, {})
    _refuse_line_breaks(parameters)
    return parameters


def _refuse_line_breaks(parameters: dict[str, Json]) -> None:
    for name, value in parameters.items():
        if isinstance(value, dict):
            _refuse_line_breaks(value)
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and ("\n" in text or "\r" in text):
                raise ApiError(400, f"Parameter '{name}' contains a line break")


def identity_of(data: dict[str, Json], kind: str, name: str | None = None) -> str:
    """`id` of a resource; if `name` is given the two must agree."""
    given = data.get("id")
    given = name if given is None else given
    if not isinstance(given, str) or not given:
        raise ApiError(400, "'id' is missing or is not a name")
    if name is not None and given != name:
        raise ApiError(400, f"'id' is '{given}' but the request is for '{name}'")
    _check_type(data, kind)
    return given


def _check_type(data: dict[str, Json], kind: str) -> None:
    if data.get("type", kind) != kind:
        raise ApiError(400, f"'type' is '{data['type']}'; allowed: '{kind}'")


def relationships_of(data: dict[str, Json]) -> dict[str, list[str]]:
    """`relationships` of a resource as names by kind."""
    found: dict[str, list[str]] = {}
    for kind, value in member(data, "relationships", dict, {}).items():
        if value is None:
            found[kind] = []
        elif isinstance(value, dict) and "data" in value:
            found[kind] = names_of(value["data"], kind)
        else:
            raise ApiError(400, f"Relationship '{kind}' has no member 'data'")
    return found


def names_of(data: Json, kind: str) -> list[str]:
    """The names in the `data` of a relationship; null is none."""
    if data is None:
        return []
    if not isinstance(data, list):
        raise ApiError(400, f"'data' of relationship '{kind}' is not an array")
    names: list[str] = []
    for item in data:
        if not isinstance(item, dict) or not isinstance(item.get("id"), str):
            raise ApiError(400, f"A member of relationship '{kind}' has no 'id'")
        if item.get("type") != kind:
            raise ApiError(400, f"A member of relationship '{kind}' is not of type '{kind}'")
        names.append(item["id"])
    return names


def creation(product: Product, kind: str, data: dict[str, Json], service: str | None = None) -> Change:
    """The change that makes a new object; `service`: the one a listener is for."""
    name = identity_of(data, kind)
    if product.store.kind_of(name) is not None:
        raise ApiError(400, f"'{name}' exists already")
    attributes = attributes_of(data)
    parameters = {key: value for key, value in parameters_of(data).items() if value is not None}
    module: str | None = None
    if kind in MODULE_ATTRIBUTE:
        module = member(attributes, MODULE_ATTRIBUTE[kind], str)
    elif kind == "listeners":
        module = member(attributes, "protocol", str)
    relationships = relationships_of(data)
    if service is not None:
        relationships["services"] = [service]
    return product.store.create(kind, name, module, parameters, relationships)


def alteration(product: Product, kind: str, name: str, data: dict[str, Json]) -> Change:
    """The change of parameters and relationships of an object."""
    identity_of(data, kind, name)
    wanted = relationships_of(data)
    if kind != "maxscale":
        # A client may send back what it was shown, also what cannot be changed from this side.
        current = product.store.relationships(kind, name)
        wanted = {relation: names for relation, names in wanted.items() if names != current.get(relation, [])}
    return product.store.alter(kind, name, parameters_of(data), wanted)
