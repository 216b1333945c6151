"""The reference page and the JSON Schema, generated from the declarations of the parameters.

`python -m fairlead.config.docs` writes docs/reference.md; with `--json-schema` it prints the schema.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fairlead.config import modules
from fairlead.config.globals import GLOBAL_PARAMS
from fairlead.config.objects import COMMON_PARAMS, GLOBAL, KINDS, MODULE_PARAMETER, parameter_table
from fairlead.config.params import PARSED_ONLY, REFUSED, ModuleSpec, Param
from fairlead.monitors.params import MONITOR_PARAMS
from fairlead.net.params import LISTENER_PARAMS
from fairlead.session.params import SERVICE_PARAMS

PAGE = Path(__file__).parents[3] / "docs" / "reference.md"

_INTRODUCTION = """\
# Reference of the parameters

This page is generated from the program (`python -m fairlead.config.docs`). How a file is written and what the
types mean is told in [configuration.md](configuration.md).

*At run time* tells whether a parameter can be changed while Fairlead runs. Parameters marked
**no effect yet** are taken and checked; there is a warning when one is set to anything but its default.
"""


def _default(param: Param) -> str:
    if param.required:
        return "mandatory"
    text = param.default_doc or param.default_text()
    return f"`{text}`" if text else ""


def _meaning(param: Param) -> str:
    text = param.doc
    if param.aliases:
        text += f" Also written {', '.join(f'`{alias}`' for alias in param.aliases)}."
    if param.deprecated:
        text += " Deprecated."
    if param.support == PARSED_ONLY:
        text += " **No effect yet.**"
    elif param.support == REFUSED:
        text += " **Refused**: not available yet."
    values = getattr(param.type, "all_words", None)
    words = values() if values else getattr(param.type, "values", ())
    if words:
        text += f" Values: {', '.join(f'`{word}`' for word in words)}."
    return text.replace("|", "\\|")


def _table(params: Iterable[Param], prefix: str = "") -> str:
    rows = ["| Parameter | Type | Default | At run time | Meaning |", "|---|---|---|---|---|"]
    for param in params:
        if param.hidden:
            continue
        dynamic = "yes" if param.dynamic else "as relationship" if param.relation else "no"
        default = _default(param).replace("|", "\\|")
        cells = (f"`{prefix}{param.name}`", param.type.name, default, dynamic, _meaning(param))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _section(title: str, text: str, params: Iterable[Param], prefix: str = "") -> str:
    return f"## {title}\n\n{text}\n\n{_table(params, prefix)}\n"


def _modules(specs: Iterable[ModuleSpec]) -> str:
    rows = ["| Module | Kind | Other names | What it does |", "|---|---|---|---|"]
    for spec in specs:
        names = ", ".join(f"`{alias}`" for alias in spec.aliases)
        rows.append(f"| `{spec.name}` | {spec.kind.lower()} | {names} | {spec.description}. |")
    return "\n".join(rows)


def reference() -> str:
    """The text of the reference page."""
    by_name = {spec.name: spec for spec in modules.BUILT_IN}
    rws, rcr, mon = (by_name[name] for name in ("readwritesplit", "readconnroute", "mariadbmon"))
    protocol = by_name["mariadbprotocol"]
    parts = [
        _INTRODUCTION,
        f"## Modules\n\n{_modules(modules.BUILT_IN)}\n",
        _section("Global", "Section `[maxscale]` or `[fairlead]`.", GLOBAL_PARAMS),
        _section("Service", "`type=service`. The parameters of its router come on top.", SERVICE_PARAMS),
        _section("readwritesplit", f"Router. {rws.description}.", rws.params),
        _section("readconnroute", f"Router. {rcr.description}.", rcr.params),
        _section("Server", "`type=server`.", COMMON_PARAMS["servers"]),
        _section("Listener", "`type=listener`.", LISTENER_PARAMS),
        _section("mariadbprotocol", f"{protocol.description}.", protocol.params, "mariadbprotocol."),
        _section("Monitor", "`type=monitor`. The parameters of its module come on top.", MONITOR_PARAMS),
        _section("mariadbmon", f"Monitor. {mon.description}.", mon.params),
        _section("Filter", "`type=filter`. `hintfilter` has no others.", COMMON_PARAMS["filters"]),
    ]
    return "\n".join(parts)


def _object_schema(kind: str, module: str, spellings: Mapping[str, list[str]]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required: list[str] = []
    if kind != GLOBAL:
        properties["type"] = {"const": kind[:-1]}
        required.append("type")
    for name, param in parameter_table(kind, module).items():
        schema = {**param.type.schema(), "description": param.doc}
        if param.deprecated:
            schema["deprecated"] = True
        for spelling in (name, *param.aliases):
            properties[spelling] = schema
        if param.required:
            required.append(name)
    if kind in MODULE_PARAMETER:
        parameter = MODULE_PARAMETER[kind][0]
        properties[parameter] = {**properties[parameter], "enum": spellings[module]}
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def json_schema() -> dict[str, Any]:
    """JSON Schema of a configuration as an object of sections."""
    spellings = {spec.name: [spec.name, *spec.aliases] for spec in modules.all_modules()}
    sections: list[dict[str, Any]] = []
    for kind in KINDS:
        if kind in MODULE_PARAMETER:
            wanted = MODULE_PARAMETER[kind][1]
            names = [spec.name for spec in modules.all_modules() if spec.kind == wanted]
            sections.extend(_object_schema(kind, name, spellings) for name in names)
        else:
            sections.append(_object_schema(kind, "", spellings))
    top = _object_schema(GLOBAL, "", spellings)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of Fairlead",
        "type": "object",
        "properties": {"maxscale": top, "fairlead": top},
        "additionalProperties": {"anyOf": sections},
    }


def main(arguments: list[str]) -> int:
    """Write the page, or print the schema."""
    if arguments == ["--json-schema"]:
        print(json.dumps(json_schema(), indent=2))
        return 0
    if arguments:
        print("usage: python -m fairlead.config.docs [--json-schema]", file=sys.stderr)
        return 2
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(reference(), encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
