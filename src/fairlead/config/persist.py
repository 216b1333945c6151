"""Run-time changes on disk: one file for each changed object, written aside and renamed."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairlead.config import secrets
from fairlead.config.globals import DIRECTORY_NAMES
from fairlead.config.objects import GLOBAL, MODULE_PARAMETER, Obj, parameter_table
from fairlead.config.values import Password

_HEADER = (
    "# Written by Fairlead after a change at run time. It replaces the section of this name in other files.\n"
)


def section_text(obj: Obj, key: bytes | None) -> str:
    """The section of an object: what is mandatory and what differs from the defaults."""
    lines = [f"[{obj.name}]"]
    if obj.kind != GLOBAL:
        lines.append(f"type={obj.kind[:-1]}")
    if obj.kind in MODULE_PARAMETER:
        lines.append(f"{MODULE_PARAMETER[obj.kind][0]}={obj.module}")
    lines.extend(f"{name}={text}" for name, text in _relations(obj) if text)
    table = parameter_table(obj.kind, obj.module)
    for name, native in obj.non_default().items():
        written = obj.kind in MODULE_PARAMETER and name == MODULE_PARAMETER[obj.kind][0]
        if written or name == "service" or (obj.kind == GLOBAL and name in DIRECTORY_NAMES):
            continue
        lines.append(f"{name}={_value_text(table[name].type, native, key)}")
    return "\n".join(lines) + "\n"


def _value_text(kind: Any, native: Any, key: bytes | None) -> str:
    if native is None:
        return ""
    if isinstance(kind, Password) and key is not None and native:
        return secrets.encrypt_with(key, native)
    return str(kind.to_text(native))


def _relations(obj: Obj) -> list[tuple[str, str]]:
    relations = obj.relations
    if obj.kind == "services":
        if relations.services:
            targets = [("targets", ",".join((*relations.servers, *relations.services)))]
        else:
            targets = [("servers", ",".join(relations.servers))]
        return [*targets, ("cluster", relations.cluster or ""), ("filters", "|".join(relations.filters))]
    if obj.kind == "monitors":
        return [("servers", ",".join(relations.servers))]
    if obj.kind == "listeners":
        return [("service", relations.service)]
    return []


def path_of(directory: Path, name: str) -> Path:
    """The file that keeps an object; what would make its name no ordinary file name is escaped."""
    safe = name.replace("%", "%25").replace("/", "%2F")
    return directory / f"{'%2E' + safe[1:] if safe.startswith('.') else safe}.cnf"


def apply(directory: Path, texts: Mapping[str, str | None]) -> None:
    """Keep these sections, by name of the object; None takes the file of an object away.

    Everything is written aside before the first file is renamed: what fails for lack of space or rights fails
    while the old files are still as they were.
    """
    directory.mkdir(parents=True, exist_ok=True)
    ready: list[tuple[str, Path]] = []
    try:
        for name, text in texts.items():
            if text is not None:
                ready.append((_write_aside(directory, _HEADER + text), path_of(directory, name)))
        while ready:
            os.replace(*ready[0])
            ready.pop(0)
        for name, text in texts.items():
            if text is None:
                path_of(directory, name).unlink(missing_ok=True)
    finally:
        for temporary, _ in ready:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _write_aside(directory: Path, text: str) -> str:
    descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=directory)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return temporary


def export_text(objects: list[Obj], key: bytes | None) -> str:
    """All objects as one file."""
    return "\n".join(section_text(obj, key) for obj in objects)
