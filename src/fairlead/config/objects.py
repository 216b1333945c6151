"""One object of the configuration: its parameters bound to their declarations, completed and checked.

What an object says about others (references) is checked by `graph`. Problems are gathered, never raised.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from fairlead.cluster.params import SERVER_PARAMS, check_server
from fairlead.config import modules, secrets
from fairlead.config.files import Section, Value
from fairlead.config.globals import DIRECTORY_NAMES, GLOBAL_PARAMS, check_globals
from fairlead.config.params import PARSED_ONLY, REFUSED, REQUIRED, Finding, ModuleSpec, Param
from fairlead.config.problems import ConfigProblem
from fairlead.config.values import Password, Path, Reference, ReferenceList, did_you_mean
from fairlead.monitors.params import MONITOR_PARAMS, check_monitor
from fairlead.net.params import LISTENER_PARAMS, check_listener, ignored_options
from fairlead.session.params import SERVICE_PARAMS, check_service

KINDS = ("servers", "services", "listeners", "filters", "monitors")
GLOBAL = "maxscale"
KIND_OF_TYPE = {kind[:-1]: kind for kind in KINDS}

FILTER_PARAMS: tuple[Param, ...] = (Param("module", Reference("module"), REQUIRED, "What the filter does."),)

# The parameter that names the module of an object, and the kind of module it names.
MODULE_PARAMETER = {
    "services": ("router", "Router"), "listeners": ("protocol", "Protocol"), "filters": ("module", "Filter"),
    "monitors": ("module", "Monitor"),
}  # fmt: skip
COMMON_PARAMS: dict[str, tuple[Param, ...]] = {
    GLOBAL: GLOBAL_PARAMS, "servers": SERVER_PARAMS, "services": SERVICE_PARAMS, "listeners": LISTENER_PARAMS,
    "filters": FILTER_PARAMS, "monitors": MONITOR_PARAMS,
}  # fmt: skip
_CHECKS: dict[str, Callable[[dict[str, Any]], Iterable[Finding]]] = {
    GLOBAL: check_globals, "servers": check_server, "services": check_service, "listeners": check_listener,
    "monitors": check_monitor,
}  # fmt: skip


@dataclass(frozen=True)
class Relations:
    """What an object refers to: names in the order given. `service` is a listener's."""

    servers: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    cluster: str | None = None
    service: str = ""


@dataclass(frozen=True)
class Obj:
    """One object. `given`: native values that were written; `params`: complete, with what modules imply.

    `places` tells for each parameter where it was written, "" stands for the section itself.
    """

    kind: str
    name: str
    module: str = ""
    given: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    relations: Relations = Relations()
    stopped: bool = False
    slot: int = -1
    file: str | None = None
    source: str = "static"  # static, runtime, volatile
    places: dict[str, tuple[str, int]] = field(default_factory=dict)

    def non_default(self) -> dict[str, Any]:
        """The written values that differ from the defaults, and the mandatory ones."""
        table = parameter_table(self.kind, self.module)
        return {
            name: value for name, value in self.given.items()
            if table[name].required or callable(table[name].default) or value != table[name].default_value()
        }  # fmt: skip

    def definition(self) -> tuple[Any, ...]:
        """What makes two definitions of an object equal."""
        return self.kind, self.module, self.non_default(), self.relations


@dataclass
class Report:
    """Problems and warnings of one reading or change."""

    problems: list[ConfigProblem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def error(self, text: str, obj: str = "", parameter: str = "", place: tuple[str, int] = ("", 0)) -> None:
        problem = ConfigProblem(text, obj, parameter, *place)
        if problem not in self.problems:
            self.problems.append(problem)

    def warn(self, text: str, obj: str = "", parameter: str = "", place: tuple[str, int] = ("", 0)) -> None:
        warning = str(ConfigProblem(text, obj, parameter, *place))
        if warning not in self.warnings:
            self.warnings.append(warning)

    def about(self, text: str, obj: Obj, parameter: str = "") -> None:
        """A problem of an object that exists already, at the place of the parameter or of its section."""
        self.error(text, obj.name, parameter, obj.places.get(parameter) or obj.places.get("") or ("", 0))


@dataclass(frozen=True)
class Context:
    """What the binding of values needs to know of the surroundings."""

    key: bytes | None = None
    configdir: str = "/etc/maxscale.modules.d"
    defaults: Mapping[str, Any] = field(default_factory=dict)  # of global parameters, where they differ


def module_of(kind: str, module: str) -> ModuleSpec | None:
    """The module of an object, None if objects of this kind have none or it is not known."""
    if kind not in MODULE_PARAMETER or not module:
        return None
    try:
        return modules.find_module(MODULE_PARAMETER[kind][1], module)
    except ValueError:
        return None


@cache
def parameter_table(kind: str, module: str) -> dict[str, Param]:
    """Every parameter of an object of this kind and module by full name."""
    table = {param.name: param for param in COMMON_PARAMS[kind]}
    spec = module_of(kind, module)
    for param in spec.params if spec else ():
        name = f"{module}.{param.name}" if kind == "listeners" else param.name
        assert name not in table, f"{module} declares {name}, which every object of its kind has"
        table[name] = param
    return table


@cache
def _written_names(kind: str, module: str) -> dict[str, str]:
    """Every spelling of a parameter with its full name."""
    found: dict[str, str] = {}
    for name, param in parameter_table(kind, module).items():
        for spelling in (name, *param.aliases):
            found[spelling] = name
    if kind == "listeners":
        spec = module_of(kind, module)
        for alias in spec.aliases if spec else ():
            found.update({f"{alias}.{p.name}": f"{module}.{p.name}" for p in (spec.params if spec else ())})
    return found


def full_name(kind: str, module: str, written: str) -> str | None:
    """The full name of a parameter as somebody wrote it, None if there is none."""
    names = _written_names(kind, module)
    if written in names:
        return names[written]
    head, dot, rest = written.partition(".")
    return names.get(f"{head.lower()}.{rest}") if dot else None


def flatten(kind: str, module: str, params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested JSON objects as dotted names; values that are objects themselves stay."""
    found: dict[str, Any] = {}
    for key, value in params.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and full_name(kind, module, name) is None:
            found.update(flatten(kind, module, value, f"{name}."))
        else:
            found[name] = value
    return found


class Binder:
    """Binds written values to declarations, one object at a time."""

    def __init__(self, report: Report, context: Context):
        self.report = report
        self.context = context

    # -- from a file

    def section(self, section: Section, source: str) -> tuple[Obj, bool] | None:
        """The object of a section and whether it is sound; None if not even its kind is known."""
        place = (section.file, section.line)
        values = dict(section.values)
        if section.is_global:
            kind = GLOBAL
            values.pop("type", None)
        else:
            written = values.pop("type", None)
            if written is None:
                self.report.error(f"type is not given; allowed: type={_TYPES}", section.name, "", place)
                return None
            if written.text not in KIND_OF_TYPE:
                hint = did_you_mean(written.text, KIND_OF_TYPE)
                text = f"'{written.text}' is unknown; allowed: {_TYPES}{hint}"
                self.report.error(text, section.name, "type", (written.file, written.line))
                return None
            kind = KIND_OF_TYPE[written.text]
        name = GLOBAL if kind == GLOBAL else section.name
        before = len(self.report.problems)
        places = {"": place}
        texts = {key: value.text for key, value in values.items()}
        for key, value in values.items():
            places[key] = (value.file, value.line)
        module = self._module(kind, name, values, places)
        obj = Obj(kind, name, module or "", file=section.file, source=source, places=places)
        obj = self.bind(obj, texts, from_json=False)
        sound = module is not None and len(self.report.problems) == before
        return self.complete(obj, checked=sound, fresh=True), sound

    def _module(
        self, kind: str, name: str, values: dict[str, Value], places: dict[str, tuple[str, int]]
    ) -> str | None:
        """The name of the module, "" where there is none, None if it is missing or unknown."""
        if kind not in MODULE_PARAMETER:
            return ""
        parameter, module_kind = MODULE_PARAMETER[kind]
        value = values.get(parameter)
        written = value.text if value and value.text else "mariadbprotocol" if kind == "listeners" else None
        if written is None:
            return None  # reported as a missing mandatory parameter
        return self.find_module(name, parameter, module_kind, written, places.get(parameter, places[""]))

    def find_module(
        self, name: str, parameter: str, kind: str, written: str, place: tuple[str, int] = ("", 0)
    ) -> str | None:
        """The name of a module, None if it is not available (and reported)."""
        try:
            spec = modules.find_module(kind, written)
        except ValueError as error:
            self.report.error(str(error), name, parameter, place)
            return None
        warning = modules.old_name_warning(written)
        if warning:
            self.report.warn(warning, name, parameter, place)
        return spec.name

    # -- values

    def bind(self, obj: Obj, values: Mapping[str, Any], from_json: bool) -> Obj:
        """The object with these values over those it has; a JSON null takes a value away."""
        given = dict(obj.given)
        relations: dict[str, Any] = {}
        spelled: dict[str, str] = {}
        table = parameter_table(obj.kind, obj.module)
        unknown_module = obj.kind in MODULE_PARAMETER and not obj.module
        for written, value in values.items():
            place = obj.places.get(written, ("", 0))
            name = full_name(obj.kind, obj.module, written)
            if name is None:
                if not unknown_module:  # its parameters are not known either
                    self.report.error(self._unknown(obj, written), obj.name, written, place)
                continue
            if name in spelled:
                self.report.error(f"is the same as {spelled[name]}, which is given too; allowed: one of them",
                                  obj.name, written, place)  # fmt: skip
                continue
            spelled[name] = written
            if written != name:
                obj.places.setdefault(name, place)
            param = table[name]
            if value is None and from_json:
                given.pop(name, None)
                relations.pop(name, None)
                continue
            native = self._value(obj, (written, name), param, value, from_json)
            if native is _BAD:
                continue
            (relations if param.relation else given)[name] = native
        return replace(obj, given=given, relations=self._relations(obj, relations, given))

    def _unknown(self, obj: Obj, written: str) -> str:
        table = parameter_table(obj.kind, obj.module)
        names = [n for n, full in _written_names(obj.kind, obj.module).items() if not table[full].hidden]
        what = {GLOBAL: "the global section", "servers": "a server"}.get(
            obj.kind, obj.module or obj.kind[:-1]
        )
        hint = did_you_mean(written, names) or f"; allowed: {', '.join(sorted(names))}"
        return f"is not a parameter of {what}{hint}"

    def _value(
        self, obj: Obj, names: tuple[str, str], param: Param, value: Any, from_json: bool
    ) -> Any:
        """The native value, `_BAD` if it is refused; `names`: as it was written, and in full."""
        written, name = names
        place = obj.places.get(written, ("", 0))
        try:
            native = param.type.from_json(value) if from_json else param.type.parse(value)
            warning = param.type.warning(value) if isinstance(value, str) else None
            native = self._finished(name, param, native)
            if from_json and native is not None and re.search(r"[\r\n\0]", param.type.to_text(native)):
                raise ValueError("contains a line break; allowed: one line")
        except ValueError as error:
            self.report.error(str(error), obj.name, written, place)
            return _BAD
        if warning:
            self.report.warn(warning, obj.name, written, place)
        if isinstance(param.type, ReferenceList):
            native = self._without_repeats(obj, written, native, place)
        if not param.required and native != param.default_value():
            if param.support == REFUSED:
                self.report.error("is known but not available in this release yet; allowed: its default",
                                  obj.name, written, place)  # fmt: skip
            elif param.support == PARSED_ONLY:
                self.report.warn("is known but has no effect in this release yet", obj.name, written, place)
            elif param.deprecated:
                self.report.warn("is deprecated", obj.name, written, place)
        return native

    def _finished(self, name: str, param: Param, native: Any) -> Any:
        """Decrypt passwords, complete and check paths, recognise required values that are empty."""
        if isinstance(param.type, Password):
            native = secrets.reveal(self.context.key, native)
        elif isinstance(param.type, Path) and native is not None:
            base = os.getcwd() if name in DIRECTORY_NAMES else self.context.configdir
            native = os.path.normpath(os.path.join(base, native))
            param.type.verify(native)
        if param.required and native in (None, ""):
            raise ValueError("is empty; allowed: a value")
        return native

    def _without_repeats(self, obj: Obj, name: str, names: tuple[str, ...], place: tuple[str, int]) -> Any:
        for each in dict.fromkeys(n for n in names if names.count(n) > 1):
            self.report.warn(f"'{each}' is named more than once", obj.name, name, place)
        return tuple(dict.fromkeys(names))

    def _relations(self, obj: Obj, named: dict[str, Any], given: dict[str, Any]) -> Relations:
        """Relations as written; which of `targets` are services is settled by `graph`."""
        relations = obj.relations
        if "servers" in named:
            relations = replace(relations, servers=named["servers"])
        if "targets" in named:
            relations = replace(relations, services=named["targets"])
        if "filters" in named:
            relations = replace(relations, filters=named["filters"])
        if "cluster" in named:
            relations = replace(relations, cluster=named["cluster"])
        if obj.kind == "listeners" and given.get("service"):
            relations = replace(relations, service=given["service"])
        return relations

    # -- the whole object

    def complete(self, obj: Obj, checked: bool = True, fresh: bool = False) -> Obj:
        """The object with all parameters.

        `checked`: also ask whether they make sense together. `fresh`: its relations are as somebody wrote
        them, with targets not yet told apart.
        """
        params: dict[str, Any] = {}
        given = dict(obj.given)
        for name, param in parameter_table(obj.kind, obj.module).items():
            if param.relation:
                continue
            if name in given:
                params[name] = given[name]
            elif param.required:
                if not any(p.section == obj.name and p.parameter == name for p in self.report.problems):
                    self.report.about("is not given; allowed: it is mandatory", obj, name)
                    checked = False
                params[name] = ""
            elif obj.kind == GLOBAL and name in self.context.defaults:
                params[name] = self.context.defaults[name]
            else:
                params[name] = param.default_value()
        if obj.kind in MODULE_PARAMETER:
            parameter = MODULE_PARAMETER[obj.kind][0]
            params[parameter] = obj.module
            if parameter in given:
                given[parameter] = obj.module
        spec = module_of(obj.kind, obj.module)
        if checked and spec:
            for warning in spec.imply(params):
                self.report.warn(warning, obj.name, "", obj.places.get("", ("", 0)))
        obj = replace(obj, given=given, params=params)
        if checked:
            self._check(obj, spec, fresh)
        return obj

    def _check(self, obj: Obj, spec: ModuleSpec | None, fresh: bool) -> None:
        before = len(self.report.problems)
        relations = obj.relations
        servers = relations.servers if fresh or not relations.services else ()
        together = {
            **obj.params,
            "servers": servers,
            "targets": relations.services,
            "cluster": relations.cluster,
        }
        checks = [_CHECKS[obj.kind]] if obj.kind in _CHECKS else []
        if spec:
            checks.append(spec.check)
        for check in checks:
            for parameter, text in check(together):
                self.report.about(text, obj, parameter)
        if obj.kind == "listeners":
            for warning in ignored_options(obj.params):
                self.report.warn(warning, obj.name, "", obj.places.get("", ("", 0)))
            for written in obj.params["authenticator"]:
                self.find_module(obj.name, "authenticator", "Authenticator", written,
                                 obj.places.get("authenticator", ("", 0)))  # fmt: skip
        if len(self.report.problems) == before:
            self._check_tls(obj)

    def _check_tls(self, obj: Obj) -> None:
        """Certificates, keys and ciphers are tried out, so that what cannot work is refused now."""
        if obj.kind not in ("servers", "listeners") or not obj.params["ssl"]:
            return
        try:
            tls = importlib.import_module("fairlead.net.tls")
        except ModuleNotFoundError:
            return
        make = tls.listener_context if obj.kind == "listeners" else tls.server_context
        try:
            make(obj.params)
        except (ValueError, OSError) as error:
            self.report.about(str(error), obj, "ssl")


_TYPES = ", ".join(KIND_OF_TYPE)
_BAD: Any = object()
