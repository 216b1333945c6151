"""The configuration of one instance: loaded once, changed by transactions.

Every change is validated completely and yields a `Change`, which has no effect until it is committed; what
was valid stays valid. Committing keeps the changed objects on disk, unless that is switched off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fairlead.cluster.defs import (
    FilterDef,
    ListenerDef,
    MonitorDef,
    ServerDef,
    ServiceDef,
    Snapshot,
)
from fairlead.config import loader, persist, render
from fairlead.config.files import name_problem, name_warning
from fairlead.config.graph import GraphCheck, State, assign_slots, settle_targets, users_of, without
from fairlead.config.loader import Loaded, Paths
from fairlead.config.modules import find_module
from fairlead.config.objects import (
    GLOBAL,
    KINDS,
    MODULE_PARAMETER,
    Binder,
    Context,
    Obj,
    Relations,
    Report,
    flatten,
    full_name,
    parameter_table,
)
from fairlead.config.problems import ConfigErrors, ConfigProblem, refuse

__all__ = ["Change", "ConfigErrors", "ConfigProblem", "ConfigStore", "Paths"]

AnyDef = ServerDef | ServiceDef | ListenerDef | FilterDef | MonitorDef

# The relationships that can be changed, by the object that is asked.
RELATIONS = {
    "services": ("servers", "services", "filters", "monitors"),
    "monitors": ("servers", "services"),
    "servers": ("services", "monitors"),
    "listeners": (),
    "filters": (),
}


@dataclass(frozen=True)
class Change:
    """A validated change. `changed`, `destroyed`: names of objects; `persistent`: it is kept on disk."""

    snapshot: Snapshot
    warnings: list[str]
    base_version: int
    state: State = field(repr=False)
    changed: tuple[str, ...] = ()
    destroyed: tuple[str, ...] = ()
    persistent: bool = True
    loaded: Loaded | None = field(default=None, repr=False)


class ConfigStore:
    """The current configuration and the way to the next one."""

    def __init__(self, loaded: Loaded):
        self.paths = loaded.paths
        self.warnings = loaded.warnings
        self.main_file = loaded.main_file
        self._loaded = loaded
        self._state = loaded.state
        self._snapshot = loaded.state.snapshot()
        self._context: Context = loaded.context
        self._static = loaded.static
        self._used_slots: dict[str, set[int]] = {}
        self._remember_slots(loaded.state)

    @classmethod
    def load(
        cls, main_file: Path, *, basedir: Path | None = None, overrides: Mapping[str, str] | None = None,
        create_directories: bool = True,
    ) -> ConfigStore:  # fmt: skip
        """Read and check everything; ConfigErrors tells all that is wrong at once."""
        return cls(loader.load(main_file, basedir, overrides or {}, create_directories))

    # -- looking

    def snapshot(self) -> Snapshot:
        """The current configuration."""
        return self._snapshot

    def names(self, kind: str) -> list[str]:
        """The names of the objects of a kind, in order."""
        return [obj.name for obj in self._state.of(kind)]

    def get(self, kind: str, name: str) -> AnyDef:
        """An object as in the snapshot; KeyError if there is none."""
        self._object(kind, name)
        for each in getattr(self._snapshot, kind):
            if each.name == name:
                found: AnyDef = each
                return found
        raise KeyError(name)

    def kind_of(self, name: str) -> str | None:
        """The kind of the object of this name, if there is one."""
        obj = self._state.objects.get(name)
        return None if obj is None else obj.kind

    def source(self, kind: str, name: str) -> dict[str, str | None]:
        """Where the definition of an object comes from."""
        obj = self._object(kind, name)
        return {"file": obj.file, "type": obj.source}

    def parameters_json(self, kind: str, name: str = GLOBAL) -> dict[str, Any]:
        """The parameters of an object as the REST API shows them."""
        return render.parameters_json(self._object(kind, name))

    def module_info(self, name: str | None = None, load_all: bool = False) -> Any:
        """What the REST API tells of a module (KeyError if there is none), or of all of them.

        Modules are Python code that is there from the start, so `load_all` makes no difference.
        """
        return render.modules_info() if name is None else render.module_info(name)

    def monitor_of(self, server: str) -> str | None:
        """The monitor of a server."""
        monitor = self._state.monitor_of(server)
        return None if monitor is None else monitor.name

    def listeners_of(self, service: str) -> list[str]:
        """The listeners of a service."""
        return [obj.name for obj in self._state.of("listeners") if obj.relations.service == service]

    def relationships(self, kind: str, name: str) -> dict[str, list[str]]:
        """The related objects of an object by kind, as the REST API shows them; empty ones are left out."""
        obj, state = self._object(kind, name), self._state
        found: dict[str, list[str]] = {}
        if kind == "services":
            found["servers"] = list(obj.relations.servers)
            found["services"] = list(obj.relations.services)
            found["filters"] = list(obj.relations.filters)
            found["listeners"] = self.listeners_of(name)
            found["monitors"] = [obj.relations.cluster] if obj.relations.cluster else []
        elif kind == "monitors":
            found["servers"] = list(obj.relations.servers)
            found["services"] = [s.name for s in state.of("services") if s.relations.cluster == name]
        elif kind == "servers":
            found["services"] = [s.name for s in state.of("services") if name in state.servers_of(s)]
            monitor = state.monitor_of(name)
            found["monitors"] = [monitor.name] if monitor else []
        elif kind == "filters":
            found["services"] = [s.name for s in state.of("services") if name in s.relations.filters]
        elif kind == "listeners":
            found["services"] = [obj.relations.service]
        return {each: names for each, names in found.items() if names}

    def export_text(self) -> str:
        """Everything as one configuration file."""
        return persist.export_text([self._state.top, *self._state.objects.values()], self._context.key)

    def _object(self, kind: str, name: str) -> Obj:
        if kind == GLOBAL:
            return self._state.top
        obj = self._state.find(kind, name)
        if obj is None:
            raise KeyError(name)
        return obj

    # -- changes

    def alter(
        self, kind: str, name: str, params: Mapping[str, Any],
        relationships: Mapping[str, Sequence[str]] | None = None,
    ) -> Change:  # fmt: skip
        """Change parameters (JSON values; None is the default) and, in the same step, relationships."""
        old = self._object(kind, name)
        report = Report()
        binder = Binder(report, self._context)
        values = self._alterable(old, flatten(kind, old.module, params), report)
        obj = binder.bind(replace(old, places={}), values, from_json=True)
        obj = binder.complete(obj, checked=not report.problems)
        for parameter, param in parameter_table(kind, old.module).items():
            written = obj.given.get(parameter, None) != old.given.get(parameter, None)
            if written and not param.dynamic and obj.params[parameter] != old.params[parameter]:
                report.error("cannot be changed at run time", name, parameter)
        self._refuse_tls_switch(old, obj, report)
        objects = dict(self._state.objects)
        if kind != GLOBAL:
            objects[name] = obj
        for relation, names in (relationships or {}).items():
            self._relate(objects, kind, name, relation, names, report)
        top = obj if kind == GLOBAL else self._state.top
        return self._change(top, objects, report)

    def create(
        self, kind: str, name: str, module: str | None = None, params: Mapping[str, Any] | None = None,
        relationships: Mapping[str, Sequence[str]] | None = None,
    ) -> Change:  # fmt: skip
        """Make a new object; `module` is the router, the monitor's or the filter's module."""
        report = Report()
        if kind not in KINDS:
            raise KeyError(kind)
        self._check_name(name, report)
        values: dict[str, Any] = dict(params or {})
        related = {key: tuple(names) for key, names in (relationships or {}).items()}
        if kind == "listeners" and "services" in related:
            services = related.pop("services")
            if len(services) != 1:
                report.error(f"{len(services)} services are named; allowed: one", name, "services")
            values.setdefault("service", services[0] if services else "")
        written_type = values.pop("type", kind[:-1])
        if written_type != kind[:-1]:
            report.error(f"'{written_type}' is not the type of {kind}; allowed: {kind[:-1]}", name, "type")
        binder = Binder(report, self._context)
        module_name = self._new_module(binder, kind, name, module, values)
        source = "runtime" if self._persistent else "volatile"
        obj = Obj(kind, name, module_name, source=source)
        obj = binder.bind(obj, flatten(kind, module_name, values), from_json=True)
        obj = binder.complete(obj, checked=not report.problems, fresh=True)
        objects = {**self._state.objects, name: obj}
        settle_targets(objects)
        for relation, names in related.items():
            self._relate(objects, kind, name, relation, names, report)
        return self._change(self._state.top, objects, report)

    def destroy(self, kind: str, name: str, force: bool = False) -> Change:
        """Take an object away; `force`: also out of the objects that use it."""
        obj = self._object(kind, name)
        report = Report()
        objects = dict(self._state.objects)
        if kind != "listeners" and not force:
            for reason in self._reasons_to_stay(obj):
                report.error(reason, name)
        elif name in (self._state.top.params.get("config_sync_cluster"),):
            report.error("is the config_sync_cluster; allowed: a monitor that is not", name)
        del objects[name]
        if kind == "services":
            for listener in self.listeners_of(name):
                del objects[listener]
        for other in list(objects):
            objects[other] = without(objects[other], name)
        return self._change(self._state.top, objects, report)

    def relate(self, kind: str, name: str, relation: str, names: Sequence[str]) -> Change:
        """Replace one relationship of an object by these names."""
        self._object(kind, name)
        report = Report()
        objects = dict(self._state.objects)
        self._relate(objects, kind, name, relation, names, report)
        return self._change(self._state.top, objects, report)

    def start_stop(self, kind: str, name: str, stopped: bool) -> Change:
        """Mark a service, listener or monitor as stopped or not; this is not kept on disk."""
        obj = self._object(kind, name)
        if kind not in ("services", "listeners", "monitors"):
            raise refuse(f"a {kind[:-1]} can be neither started nor stopped", name)
        objects = {**self._state.objects, name: replace(obj, stopped=stopped)}
        state = State(self._state.version + 1, self._state.top, objects)
        return Change(state.snapshot(), [], self._state.version, state, persistent=False)

    def reload(self) -> Change:
        """Read all files again. What cannot change at run time stays as it is, with a warning."""
        loaded = loader.load(self.main_file, self._loaded.basedir, self._loaded.overrides, False)
        old, report = self._state, Report()
        report.warnings.extend(loaded.warnings)
        objects: dict[str, Obj] = {}
        for name, obj in loaded.state.objects.items():
            before = old.objects.get(name)
            same = before is not None and before.kind == obj.kind
            slot, stopped = (before.slot, before.stopped) if before is not None and same else (-1, False)
            objects[name] = replace(obj, slot=slot, stopped=stopped)
        top = self._reloaded_globals(old.top, loaded.state.top, report)
        change = self._change(top, objects, report)
        return replace(change, warnings=report.warnings, persistent=False, loaded=loaded)

    def commit(self, change: Change) -> None:
        """Make a change current and keep it on disk."""
        if change.base_version != self._state.version:
            raise refuse("the configuration has been changed in the meantime; try again")
        state = change.state
        if change.persistent:
            state = self._persist(change) if self._persistent else self._volatile(change)
        if change.loaded is not None:
            self._loaded, self._static = change.loaded, change.loaded.static
            self._context, self.warnings = change.loaded.context, change.loaded.warnings
        self._state = state
        self._snapshot = change.snapshot
        self._remember_slots(state)

    def discard(self, change: Change) -> None:
        """Drop a change; it never had any effect."""
        assert change.state is not self._state

    # -- how changes are made

    @property
    def _persistent(self) -> bool:
        return bool(self._state.top.params["persist_runtime_changes"])

    def _reloaded_globals(self, old: Obj, new: Obj, report: Report) -> Obj:
        """The new global parameters, but with the old values where they cannot change at run time."""
        given, params = dict(new.given), dict(new.params)
        for name, param in parameter_table(GLOBAL, "").items():
            if param.dynamic or old.params[name] == new.params[name]:
                continue
            report.warn("has been changed; the new value counts after a restart", GLOBAL, name,
                        new.places.get(name, ("", 0)))  # fmt: skip
            params[name] = old.params[name]
            given.pop(name, None)
            if name in old.given:
                given[name] = old.given[name]
        return replace(new, given=given, params=params)

    def _remember_slots(self, state: State) -> None:
        for kind in ("servers", "services"):
            self._used_slots.setdefault(kind, set()).update(obj.slot for obj in state.of(kind))

    def _alterable(self, old: Obj, values: dict[str, Any], report: Report) -> dict[str, Any]:
        """The values without those that only repeat what cannot be changed this way."""
        kept: dict[str, Any] = {}
        parameter, module_kind = MODULE_PARAMETER.get(old.kind, ("", ""))
        for written, value in values.items():
            known = full_name(old.kind, old.module, written)
            param = parameter_table(old.kind, old.module)[known] if known else None
            if old.kind != GLOBAL and written == "type":
                if value != old.kind[:-1]:
                    report.error("cannot be changed at run time", old.name, written)
            elif written == parameter:
                if not _names_module(module_kind, value, old.module):
                    report.error("cannot be changed at run time", old.name, written)
            elif param is not None and param.relation:
                report.error("cannot be changed as a parameter; change the relationship", old.name, written)
            elif value == "*****" and param is not None and param.type.name == "password":
                continue  # a client sends back what it was shown
            else:
                kept[written] = value
        return kept

    def _refuse_tls_switch(self, old: Obj, new: Obj, report: Report) -> None:
        if old.kind in ("servers", "listeners") and old.params["ssl"] and not new.params["ssl"]:
            report.error("cannot be switched off at run time", old.name, "ssl")
        if old.kind == GLOBAL and bool(old.params["admin_ssl_key"]) != bool(new.params["admin_ssl_key"]):
            report.error("TLS cannot be switched on or off at run time; allowed: another key", old.name,
                         "admin_ssl_key")  # fmt: skip

    def _check_name(self, name: str, report: Report) -> None:
        problem, warning = name_problem(name), name_warning(name)
        if problem:
            report.error(problem, name)
        elif warning:
            report.warn(warning, name)
        if name in self._state.objects:
            report.error(f"a {self._state.objects[name].kind[:-1]} of this name exists already", name)
        if name.lower() in ("maxscale", "fairlead"):
            report.error("the name is that of the global section; allowed: any other", name)

    def _new_module(
        self, binder: Binder, kind: str, name: str, module: str | None, values: dict[str, Any]
    ) -> str:
        """The module of a new object; its parameter is filled in."""
        if kind not in MODULE_PARAMETER:
            return ""
        parameter, module_kind = MODULE_PARAMETER[kind]
        written = module or values.get(parameter) or ("mariadbprotocol" if kind == "listeners" else "")
        if not isinstance(written, str) or not written:
            values.pop(parameter, None)
            return ""  # reported as a missing mandatory parameter
        values[parameter] = written
        return binder.find_module(name, parameter, module_kind, written) or ""

    def _relate(
        self,
        objects: dict[str, Obj],
        kind: str,
        name: str,
        relation: str,
        names: Sequence[str],
        report: Report,
    ) -> None:
        """Put a changed relationship into `objects`."""
        if relation not in RELATIONS[kind]:
            allowed = ", ".join(RELATIONS[kind]) or "none"
            report.error(f"this relationship cannot be changed; allowed: {allowed}", name, relation)
            return
        for each in names:
            found = objects.get(each)
            if found is None or found.kind != relation:
                report.error(f"there is no {relation[:-1]} '{each}'", name, relation)
                return
        names = tuple(dict.fromkeys(names))
        if kind == "services":
            self._relate_service(objects, name, relation, names, report)
        elif kind == "monitors" and relation == "servers":
            _put(objects, name, servers=names)
        elif kind == "monitors":
            for service in [obj for obj in objects.values() if obj.kind == "services"]:
                if service.name in names:
                    _put(objects, service.name, cluster=name)
                elif service.relations.cluster == name:
                    _put(objects, service.name, cluster=None)
        else:
            for user in [obj for obj in objects.values() if obj.kind == relation]:
                servers = tuple(s for s in user.relations.servers if s != name)
                if user.name not in names:
                    _put(objects, user.name, servers=servers)
                elif name not in user.relations.servers:
                    _put(objects, user.name, servers=(*servers, name))

    def _relate_service(
        self, objects: dict[str, Obj], name: str, relation: str, names: tuple[str, ...], report: Report
    ) -> None:
        if relation == "monitors":
            if len(names) > 1:
                report.error(f"{len(names)} monitors are named; allowed: one", name, relation)
            _put(objects, name, cluster=names[0] if names else None)
        elif relation == "servers":
            _put(objects, name, servers=names)
        elif relation == "services":
            _put(objects, name, services=names)
        else:
            _put(objects, name, filters=names)

    def _reasons_to_stay(self, obj: Obj) -> list[str]:
        """Why an object cannot simply be destroyed."""
        reasons = [f"is used by {user}; allowed: objects that nothing uses, or force"
                   for user in users_of(self._state, obj.name)]  # fmt: skip
        relations = obj.relations
        for what, names in (
            ("servers", relations.servers), ("services", relations.services), ("filters", relations.filters),
            ("the monitor", filter(None, (relations.cluster,))),
        ):  # fmt: skip
            listed = ", ".join(names)
            if listed:
                reasons.append(f"still has {what} {listed}; allowed: a {obj.kind[:-1]} without, or force")
        return reasons

    def _change(self, top: Obj, objects: dict[str, Obj], report: Report) -> Change:
        """The change to these objects, validated as a whole."""
        old = self._state
        if not report.problems:
            assign_slots(objects, self._used_slots, report)
            state = State(old.version + 1, top, objects)
            self._check_clusters(state, report)
            GraphCheck(state, report).run()
        if report.problems:
            raise ConfigErrors(report.problems)
        changed = [name for name, obj in objects.items() if _differs(old.objects.get(name), obj)]
        if top.given != old.top.given:
            changed.append(GLOBAL)
        destroyed = [name for name in old.objects if name not in objects]
        warnings = list(report.warnings)
        for name in (*changed, *destroyed):
            before = old.top if name == GLOBAL else old.objects.get(name)
            if before is not None:
                warnings.extend(self._static_warning(before, name in destroyed))
        return Change(state.snapshot(), warnings, old.version, state, tuple(changed), tuple(destroyed))

    def _check_clusters(self, state: State, report: Report) -> None:
        for service in state.of("services"):
            if service.relations.cluster and (service.relations.servers or service.relations.services):
                text = "has a monitor, whose servers it uses, and targets of its own; allowed: one of these"
                report.error(text, service.name, "cluster")

    def _static_warning(self, obj: Obj, destroyed: bool) -> list[str]:
        if obj.name not in self._static or not (obj.source == "static" or destroyed):
            return []
        place = self._static[obj.name].file
        if destroyed:
            return [f"'{obj.name}' is defined in '{place}': it will be there again after a restart"]
        if not self._persistent:
            return [f"'{obj.name}' is defined in '{place}': the change lasts until the next restart"]
        kept = persist.path_of(self.paths.persistdir, obj.name)
        return [
            f"'{obj.name}' is defined in '{place}': from now on '{kept}' takes the place of that definition"
        ]

    def _without_overrides(self, obj: Obj) -> Obj:
        """The global parameters without those that come from the command line."""
        if obj.kind != GLOBAL:
            return obj
        first = self._loaded.state.top.params
        named = {full_name(GLOBAL, "", name) or name for name in self._loaded.overrides}
        given = {n: v for n, v in obj.given.items() if n not in named or v != first[n]}
        return replace(obj, given=given)

    def _volatile(self, change: Change) -> State:
        """The state with the changed objects marked as kept nowhere."""
        objects, top = dict(change.state.objects), change.state.top
        for name in change.changed:
            if name == GLOBAL:
                top = replace(top, file=None, source="volatile")
            else:
                objects[name] = replace(objects[name], file=None, source="volatile")
        return State(change.state.version, top, objects)

    def _persist(self, change: Change) -> State:
        """Write the changed objects; the state with where they are now defined."""
        objects, top = dict(change.state.objects), change.state.top
        directory = self.paths.persistdir
        texts: dict[str, str | None] = dict.fromkeys(change.destroyed)
        for name in change.changed:
            obj = top if name == GLOBAL else objects[name]
            static = self._static.get(name)
            if static is not None and static.definition() == obj.definition():
                texts[name] = None
                obj = replace(obj, file=static.file, source="static")
            else:
                texts[name] = persist.section_text(self._without_overrides(obj), self._context.key)
                obj = replace(obj, file=str(persist.path_of(directory, name)), source="runtime")
            if name == GLOBAL:
                top = obj
            else:
                objects[name] = obj
        try:
            persist.apply(directory, texts)
        except OSError as error:
            raise refuse(f"the change cannot be kept in '{directory}': {error.strerror}") from None
        return State(change.state.version, top, objects)


def _names_module(kind: str, name: Any, module: str) -> bool:
    """Whether a JSON value is a name of this module."""
    try:
        return isinstance(name, str) and find_module(kind, name).name == module
    except ValueError:
        return False


def _put(objects: dict[str, Obj], name: str, **relations: Any) -> None:
    """Replace relations of an object."""
    obj = objects[name]
    changed: Relations = replace(obj.relations, **relations)
    objects[name] = replace(obj, relations=changed)


def _differs(old: Obj | None, new: Obj) -> bool:
    """Whether an object is new or its definition is another one."""
    return old is None or old.given != new.given or old.relations != new.relations
