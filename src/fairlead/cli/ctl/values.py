"""`key=value` on the command line -> JSON values of a request."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from .options import CtlError

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
_TEXT_KEYS = re.compile(r"(^|[._])(user|password|passwd|pw|secret|passphrase|token|version_string|name)$")


def typed_value(key: str, text: str) -> Any:
    """A boolean, a number or a JSON object or list where the text is one; otherwise the text.

    Credentials always stay text, and so does a number that would not read back the same (`007`, `10.10`).
    """
    if text == "null":
        raise CtlError(f"`{key}=null`: null is not a value; to go back to the default give the default")
    if _TEXT_KEYS.search(key):
        return text
    if text in ("true", "false"):
        return text == "true"
    if _NUMBER.fullmatch(text):
        number: int | float = float(text) if "." in text else int(text)
        return number if str(number) == text else text
    if text[:1] in ("{", "["):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def pairs(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """`a=1 b=2`, or the old form `a 1 b 2`."""
    if not arguments:
        return []
    if "=" in arguments[0]:
        result = []
        for argument in arguments:
            key, sign, value = argument.partition("=")
            if not sign or not key:
                raise CtlError(f"`{argument}` is not of the form key=value")
            result.append((key, value))
        return result
    if len(arguments) % 2:
        raise CtlError(f"`{arguments[-1]}` has no value: write key=value")
    return list(zip(arguments[::2], arguments[1::2], strict=True))


def parameters(given: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Typed values; `module.name` becomes a nested object."""
    result: dict[str, Any] = {}
    for key, text in given:
        place = result
        *parents, last = key.split(".")
        for parent in parents:
            inner = place.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise CtlError(f"`{key}`: `{parent}` is given as a value as well")
            place = inner
        place[last] = typed_value(key, text)
    return result


def names(text: str, separators: str = ",") -> list[str]:
    """`a,b` -> names; empty text is no name."""
    return [part.strip() for part in re.split(f"[{re.escape(separators)}]", text) if part.strip()]


def references(kind: str, ids: Sequence[str]) -> dict[str, Any]:
    """A relationship of JSON:API."""
    return {"data": [{"id": name, "type": kind} for name in ids]}


_RELATIONS = {
    "servers": ("servers", ","),
    "services": ("services", ","),
    "cluster": ("monitors", ","),
    "filters": ("filters", "|,"),
}


def split_relationships(
    given: Sequence[tuple[str, str]], allowed: Sequence[str]
) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    """Take `servers=a,b`, `cluster=M`, `filters=a|b` out of the parameters: they are relationships."""
    rest: list[tuple[str, str]] = []
    relationships: dict[str, Any] = {}
    for key, text in given:
        if key in allowed:
            kind, separators = _RELATIONS[key]
            relationships[kind] = references(kind, names(text, separators))
        else:
            rest.append((key, text))
    return rest, relationships


def pick(document: Any, path: str) -> Any:
    """Part of a document: `data.attributes.state`, `data[0].id`, `data[].id` (every element)."""
    steps = [step for step in re.split(r"\.|(?=\[)", path) if step]
    return _walk(document, steps)


def _walk(value: Any, steps: list[str]) -> Any:
    for index, step in enumerate(steps):
        if step == "[]":
            elements = (
                value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
            )
            return [_walk(element, steps[index + 1 :]) for element in elements]
        key = step[1:-1].strip("'\"") if step.startswith("[") else step
        if isinstance(value, list) and key.isdigit():
            value = value[int(key)] if int(key) < len(value) else None
        elif isinstance(value, dict):
            value = value.get(key)
        else:
            return None
    return value
