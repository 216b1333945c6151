"""The journal of a monitor: the states of its servers on disk, so that they survive a restart of the product.

A journal is used only if module, version and servers are the same and it is not too old; a damaged one is
ignored.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

import fairlead

# Largest journal that is read, in bytes.
JOURNAL_BYTES_MAX = 4 * 1024 * 1024


class Entry(Struct, frozen=True):
    """A server and its status bits."""

    name: str
    status: int


class Journal(Struct, frozen=True):
    """The file. `fields` are the module's own; in the file they stand beside the others."""

    module: str
    timestamp: int
    servers: list[Entry]
    maxscale_version: str = fairlead.__version__
    fields: dict[str, Any] = {}


def journal_path(datadir: str | os.PathLike[str], monitor: str) -> Path:
    """Where the journal of a monitor is."""
    return Path(datadir) / f"{monitor}_journal.json"


def write(path: Path, journal: Journal) -> None:
    """Replace the journal; OSError if that fails."""
    content = msgspec.to_builtins(journal)
    content.update(content.pop("fields"))
    draft = path.with_name(path.name + ".new")
    try:
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(content)) + b"\n")
        os.replace(draft, path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def read(path: Path, module: str, servers: list[str], now: float, max_age_s: float) -> Journal | str | None:
    """The journal; None if there is none, or as text why it is not used."""
    try:
        with path.open("rb") as file:
            raw = file.read(JOURNAL_BYTES_MAX)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"
    try:
        journal = msgspec.json.decode(raw, type=Journal)
        fields = msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return f"it is damaged: {error}"
    if journal.module != module:
        return f"it was written by module {journal.module}, not {module}"
    if journal.maxscale_version != fairlead.__version__:
        return f"it was written by version {journal.maxscale_version}"
    if [entry.name for entry in journal.servers] != servers:
        return "it is about other servers"
    age = now - journal.timestamp
    if age > max_age_s:
        return f"it is {age:.0f} s old, and journal_max_age is {max_age_s:g} s"
    own = set(Journal.__struct_fields__)
    return msgspec.structs.replace(journal, fields={k: v for k, v in fields.items() if k not in own})
