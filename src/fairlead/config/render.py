"""The configuration as the REST API shows it: parameters of objects, modules and their parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fairlead import __version__
from fairlead.config import modules
from fairlead.config.objects import COMMON_PARAMS, GLOBAL, KINDS, MODULE_PARAMETER, Obj, parameter_table
from fairlead.config.params import Command, ModuleSpec, Param
from fairlead.config.values import Enum, EnumList, EnumMask

# Pseudo modules whose parameters are those of the objects themselves.
_PSEUDO = (GLOBAL, *KINDS)
_DESCRIPTIONS = {
    GLOBAL: "The global parameters", "servers": "Servers", "services": "Services", "listeners": "Listeners",
    "filters": "Filters", "monitors": "Monitors",
}  # fmt: skip


def parameters_json(obj: Obj) -> dict[str, Any]:
    """The parameters of an object; dotted names become nested objects."""
    shown: dict[str, Any] = {}
    table = parameter_table(obj.kind, obj.module)
    for name, native in obj.params.items():
        param = table[name]
        if param.hidden or param.relation:
            continue
        value = None if native is None else param.type.to_json(native)
        if obj.kind == "servers" and name in ("address", "port") and obj.params["socket"]:
            value = None
        if obj.kind == "listeners" and name in ("address", "port") and obj.params["socket"]:
            value = None
        _put(shown, name.split("."), value)
    if obj.kind not in (GLOBAL, "servers"):
        shown["type"] = obj.kind[:-1]
    return shown


def _put(shown: dict[str, Any], path: list[str], value: Any) -> None:
    for each in path[:-1]:
        json_name = next(
            (str(spec.extra["json_name"]) for spec in modules.BUILT_IN if spec.name == each and spec.extra),
            each,
        )
        shown = shown.setdefault(json_name, {})
    shown[path[-1]] = value


def parameter_info(param: Param) -> dict[str, Any]:
    """What a parameter is, for forms and for `maxctrl`."""
    info: dict[str, Any] = {
        "name": param.name,
        "type": param.type.name,
        "description": param.doc,
        "mandatory": param.required,
        "modifiable": param.dynamic,
    }
    default = param.default_value()
    if not param.required:
        info["default_value"] = None if default is None else param.type.to_json(default)
    if isinstance(param.type, EnumMask):
        info["enum_values"] = list(param.type.all_words())
    elif isinstance(param.type, Enum | EnumList):
        info["enum_values"] = list(param.type.values)
    unit = param.unit or param.type.unit
    if unit:
        info["unit"] = unit
    if param.deprecated:
        info["deprecated"] = True
    return info


def _command_info(module: str, command: Command) -> dict[str, Any]:
    return {
        "id": command.name,
        "type": "module_command",
        "attributes": {
            "method": command.method,
            "arg_min": sum(argument.required for argument in command.arguments),
            "arg_max": len(command.arguments),
            "description": command.doc,
            "parameters": [
                {"type": argument.type, "required": argument.required, "description": argument.doc}
                for argument in command.arguments
            ],
        },
        "links": {"self": f"/maxscale/modules/{module}/{command.name}/"},
    }


def _module(
    name: str, kind: str, description: str, params: Iterable[Param], spec: ModuleSpec | None = None
) -> dict[str, Any]:
    return {
        "id": name,
        "type": "modules",
        "attributes": {
            "module_type": kind,
            "version": spec.version if spec else __version__,
            "description": description,
            "api": (spec.api or spec.kind.lower()) if spec else "",
            "maturity": spec.maturity if spec else "GA",
            "parameters": [parameter_info(param) for param in params if not param.hidden],
            "commands": [_command_info(name, command) for command in spec.commands] if spec else [],
        },
    }


def _spec_info(spec: ModuleSpec) -> dict[str, Any]:
    """A module with the parameters of every object that uses it, the module's own first."""
    kind = next(
        (kind for kind, (_, module_kind) in MODULE_PARAMETER.items() if module_kind == spec.kind), None
    )
    common = COMMON_PARAMS[kind] if kind in ("services", "monitors", "listeners") else ()
    return _module(spec.name, spec.kind, spec.description, (*spec.params, *common), spec)


def module_info(name: str) -> dict[str, Any]:
    """One module or pseudo module; KeyError if there is none of this name."""
    if name in _PSEUDO:
        return _module(name, "", _DESCRIPTIONS[name], COMMON_PARAMS[name])
    for spec in modules.all_modules():
        if name.lower() == spec.name or name.lower() in spec.aliases:
            return _spec_info(spec)
    raise KeyError(name)


def modules_info() -> list[dict[str, Any]]:
    """All modules, the pseudo modules first."""
    return [module_info(name) for name in _PSEUDO] + [_spec_info(spec) for spec in modules.all_modules()]
