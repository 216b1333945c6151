"""The query options that shape an answer - fields, filter, page: pure functions of JSON documents.

Invariant: an option that cannot be understood is an error, never ignored. Source: spec core.md d1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

Json = Any
# How deep expressions in `filter[...]` may be nested.
EXPRESSION_DEPTH_MAX = 16
PAGE_SIZE_MAX = 1_000_000

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "lt": lambda left, right: bool(left < right),
    "le": lambda left, right: bool(left <= right),
    "gt": lambda left, right: bool(left > right),
    "ge": lambda left, right: bool(left >= right),
}
_CALL = re.compile(r"\s*(eq|ne|lt|le|gt|ge|and|or|not)\s*\((.*)\)\s*", re.DOTALL)
_JSONPATH_STEP = re.compile(r"\.\.?([\w-]+|\*)|\[\s*'([^']*)'\s*\]|\[\s*\"([^\"]*)\"\s*\]|\[\s*(\d+|\*)\s*\]")

Predicate = Callable[[Any], bool]


class BadQuery(ValueError):
    """A query option that cannot be understood."""


# -- fields


def sparse(resource: dict[str, Json], wanted: dict[str, list[str]]) -> dict[str, Json]:
    """The resource with only the attributes and relationships that `fields[TYPE]` names."""
    paths = wanted.get(resource.get("type", ""))
    if paths is None:
        return resource
    kept = {key: value for key, value in resource.items() if key not in ("attributes", "relationships")}
    split = [[step for step in path.split("/") if step] for path in paths]
    split = [path for path in split if path]
    for part in ("attributes", "relationships"):
        chosen = _prune(resource.get(part), split)
        if chosen:
            kept[part] = chosen
    return kept


def _prune(value: Json, paths: list[list[str]]) -> Json:
    """The part of a value that the paths lead to; an empty path is everything."""
    if any(not path for path in paths):
        return value
    if isinstance(value, list):
        pruned = [_prune(each, paths) for each in value]
        return [each for each in pruned if each is not None and each != {}]
    if not isinstance(value, dict):
        return None
    found: dict[str, Json] = {}
    for key in value:
        below = [path[1:] for path in paths if path[0] == key]
        if below:
            part = _prune(value[key], below)
            if part is not None or any(not path for path in below):
                found[key] = part
    return found


# -- filter


def parse_filters(options: Iterable[tuple[str, str]]) -> list[Predicate]:
    """A test of a resource for every `filter` option; a resource is kept if all of them pass."""
    tests: list[Predicate] = []
    for name, text in options:
        if name == "filter":
            pointer, equals, value = text.partition("=")
            if not equals:
                raise BadQuery(f"Invalid filter '{text}': it must be /json/pointer=VALUE")
            tests.append(_test(pointer, _equal_to(_value(value))))
        elif name.startswith("filter[") and name.endswith("]"):
            tests.append(_test(name[len("filter[") : -1], _expression(text, 0)))
    return tests


def _test(where: str, predicate: Predicate) -> Predicate:
    steps = _steps(where)
    return lambda resource: any(predicate(value) for value in _values(resource, steps))


def _steps(where: str) -> list[str]:
    """The steps of a JSON pointer or of a simple JSON path; `*` is every member."""
    if where.startswith("$"):
        steps: list[str] = []
        position = 1
        while position < len(where):
            match = _JSONPATH_STEP.match(where, position)
            if match is None:
                raise BadQuery(f"Invalid JSON path '{where}'")
            steps.append(next(group for group in match.groups() if group is not None))
            position = match.end()
        return steps
    return [step.replace("~1", "/").replace("~0", "~") for step in where.strip("/").split("/") if step]


def _values(value: Json, steps: list[str]) -> list[Json]:
    found = [value]
    for step in steps:
        following: list[Json] = []
        for each in found:
            if isinstance(each, dict):
                following.extend(each.values() if step == "*" else [each[step]] if step in each else [])
            elif isinstance(each, list):
                if step == "*":
                    following.extend(each)
                elif step.isdigit() and len(step) < 10 and int(step) < len(each):
                    following.append(each[int(step)])
        found = following
    return found


def _expression(text: str, depth: int) -> Predicate:
    if depth > EXPRESSION_DEPTH_MAX:
        raise BadQuery("The filter expression is nested too deeply")
    match = _CALL.fullmatch(text)
    if match is None:
        return _equal_to(_value(text))
    operator, inside = match.groups()
    if operator in ("and", "or", "not"):
        parts = [_expression(part, depth + 1) for part in _arguments(inside)]
        if operator == "not":
            if len(parts) != 1:
                raise BadQuery("not() takes one expression")
            return lambda value: not parts[0](value)
        combine = all if operator == "and" else any
        return lambda value: combine(part(value) for part in parts)
    operand = _value(inside)
    if operator == "eq":
        return _equal_to(operand)
    if operator == "ne":
        equal = _equal_to(operand)
        return lambda value: not equal(value)
    compare = _OPERATORS[operator]
    return lambda value: _comparable(value, operand) and compare(value, operand)


def _arguments(text: str) -> list[str]:
    """The parts between commas that are in no parentheses, brackets or strings."""
    parts, depth, start, quoted, escaped = [], 0, 0, False, False
    for index, char in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            escaped = char == "\\"
            quoted = char != '"'
        elif char == '"':
            quoted = True
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return parts


def _value(text: str) -> Json:
    try:
        return msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, RecursionError):
        raise BadQuery(f"Invalid filter: '{text}' is not a JSON value") from None


def _equal_to(wanted: Json) -> Predicate:
    return lambda value: value == wanted and isinstance(value, bool) == isinstance(wanted, bool)


def _comparable(left: Json, right: Json) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return False
    if isinstance(left, str):
        return isinstance(right, str)
    return isinstance(left, int | float) and isinstance(right, int | float)


# -- page


def page_of(options: dict[str, str]) -> tuple[int, int] | None:
    """(size, number) if the answer is to be paged."""
    if "page[size]" not in options:
        return None
    size = number(options, "page[size]", 1, PAGE_SIZE_MAX, 0)
    return size, number(options, "page[number]", 0, PAGE_SIZE_MAX, 0)


def number(options: dict[str, str], name: str, least: int, most: int, default: int) -> int:
    """A number among the query options."""
    text = options.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 18 or not least <= int(text) <= most:
        raise BadQuery(f"Invalid value for '{name}': '{text}'; allowed: {least} to {most}")
    return int(text)


def switch(options: dict[str, str], name: str, default: bool = False) -> bool:
    """A yes/no query option; without a value it is yes."""
    text = options.get(name)
    if text is None:
        return default
    if text.lower() in ("", "yes", "true", "on", "1"):
        return True
    if text.lower() in ("no", "false", "off", "0"):
        return False
    raise BadQuery(f"Invalid value for '{name}': '{text}'; allowed: yes, no")
