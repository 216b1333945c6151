"""All objects together: which refer to which, whether they may, and the snapshot that the other rooms get.

A `State` is immutable and complete; a change makes a new one. Board slots stay with their object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fairlead.cluster.board import SERVERS_MAX, SERVICES_MAX
from fairlead.cluster.defs import FilterDef, ListenerDef, MonitorDef, ServerDef, ServiceDef, Snapshot
from fairlead.config.objects import GLOBAL, Obj, Report, parameter_table
from fairlead.config.values import Reference, ReferenceList, did_you_mean

_SLOTS = {"servers": SERVERS_MAX, "services": SERVICES_MAX}


@dataclass(frozen=True)
class State:
    """Every object by name, in the order of the configuration, and the global parameters."""

    version: int
    top: Obj
    objects: Mapping[str, Obj]

    def of(self, kind: str) -> list[Obj]:
        """The objects of a kind."""
        return [obj for obj in self.objects.values() if obj.kind == kind]

    def find(self, kind: str, name: str) -> Obj | None:
        """An object by kind and name."""
        obj = self.objects.get(name)
        return obj if obj is not None and obj.kind == kind else None

    def servers_of(self, service: Obj) -> tuple[str, ...]:
        """The direct servers of a service, or those of its monitor."""
        if service.relations.cluster:
            monitor = self.find("monitors", service.relations.cluster)
            return monitor.relations.servers if monitor else ()
        return service.relations.servers

    def monitor_of(self, server: str) -> Obj | None:
        """The monitor of a server."""
        return next((each for each in self.of("monitors") if server in each.relations.servers), None)

    def snapshot(self) -> Snapshot:
        """The configuration as the other rooms see it."""
        return Snapshot(
            version=self.version,
            globals=self.top.params,
            servers=tuple(ServerDef(s.name, s.slot, s.params) for s in self.of("servers")),
            services=tuple(
                ServiceDef(
                    s.name,
                    s.slot,
                    s.module,
                    s.params,
                    self.servers_of(s),
                    s.relations.services,
                    s.relations.filters,
                    s.relations.cluster,
                    s.stopped,
                )
                for s in self.of("services")
            ),
            listeners=tuple(
                ListenerDef(x.name, x.relations.service, x.params, x.stopped) for x in self.of("listeners")
            ),
            filters=tuple(FilterDef(f.name, f.module, f.params) for f in self.of("filters")),
            monitors=tuple(
                MonitorDef(m.name, m.module, m.relations.servers, m.params, m.stopped)
                for m in self.of("monitors")
            ),
        )


def settle_targets(objects: dict[str, Obj]) -> None:
    """Tell servers and services apart in what was written as `targets`."""
    for name, obj in objects.items():
        if obj.kind != "services" or not obj.relations.services:
            continue
        targets = obj.relations.services
        servers = tuple(t for t in targets if t in objects and objects[t].kind == "servers")
        services = tuple(t for t in targets if t not in servers)
        relations = replace(obj.relations, servers=obj.relations.servers + servers, services=services)
        objects[name] = replace(obj, relations=relations)


def assign_slots(objects: dict[str, Obj], used: Mapping[str, set[int]], report: Report) -> None:
    """Give every server and service without a slot one; slots never used before come first."""
    for kind, limit in _SLOTS.items():
        taken = {obj.slot for obj in objects.values() if obj.kind == kind and obj.slot >= 0}
        fresh = [slot for slot in range(limit) if slot not in taken and slot not in used.get(kind, ())]
        again = [slot for slot in range(limit) if slot not in taken and slot in used.get(kind, ())]
        free = iter([*fresh, *again])
        for name, obj in objects.items():
            if obj.kind != kind or obj.slot >= 0:
                continue
            slot = next(free, None)
            if slot is None:
                report.about(f"is one of more than {limit} {kind}; allowed: up to {limit}", obj)
                return
            objects[name] = replace(obj, slot=slot)


class GraphCheck:
    """Checks the references of a state. `broken`: names whose own section is wrong; they are not missed."""

    def __init__(self, state: State, report: Report, broken: frozenset[str] = frozenset()):
        self.state = state
        self.report = report
        self.broken = broken

    def run(self) -> None:
        """Report everything that is wrong between objects."""
        for obj in (self.state.top, *self.state.objects.values()):
            self._references_in_parameters(obj)
        for service in self.state.of("services"):
            targets = "targets" if service.relations.services else "servers"
            self._all(service, targets, service.relations.servers, ("servers",))
            self._all(service, "targets", service.relations.services, ("services", "servers"))
            self._all(service, "filters", service.relations.filters, ("filters",))
            self._all(service, "cluster", filter(None, (service.relations.cluster,)), ("monitors",))
        for listener in self.state.of("listeners"):
            self._all(listener, "service", filter(None, (listener.relations.service,)), ("services",))
        for monitor in self.state.of("monitors"):
            self._all(monitor, "servers", monitor.relations.servers, ("servers",))
        self._one_monitor_each()
        self._circles()
        self._same_addresses()
        self._same_ports()

    def _all(self, obj: Obj, parameter: str, names: Iterable[str], kinds: tuple[str, ...]) -> None:
        for name in names:
            self._refers(obj, parameter, name, kinds)

    def _refers(self, obj: Obj, parameter: str, name: str, kinds: tuple[str, ...]) -> None:
        found = self.state.objects.get(name)
        what = " or ".join(kind[:-1] for kind in kinds)
        if found is None and name not in self.broken:
            there = [other.name for other in self.state.objects.values() if other.kind in kinds]
            hint = did_you_mean(name, there) or (
                f"; allowed: {', '.join(there)}" if there else "; there is none"
            )
            self.report.about(f"there is no {what} '{name}'{hint}", obj, parameter)
        elif found is not None and found.kind not in kinds:
            self.report.about(f"'{name}' is a {found.kind[:-1]}; allowed: a {what}", obj, parameter)

    def _references_in_parameters(self, obj: Obj) -> None:
        for name, param in parameter_table(obj.kind, obj.module).items():
            if param.relation or obj.params.get(name) is None:
                continue
            if isinstance(param.type, ReferenceList) and param.type.kind in ("server", "service"):
                self._all(obj, name, obj.params[name], (f"{param.type.kind}s",))
            elif isinstance(param.type, Reference) and param.type.kind in ("server", "monitor"):
                self._all(obj, name, (obj.params[name],), (f"{param.type.kind}s",))

    def _one_monitor_each(self) -> None:
        owner: dict[str, str] = {}
        for monitor in self.state.of("monitors"):
            for server in monitor.relations.servers:
                if server in owner:
                    text = f"'{server}' is monitored by '{owner[server]}' already; allowed: one monitor each"
                    self.report.about(text, monitor, "servers")
                owner.setdefault(server, monitor.name)

    def _circles(self) -> None:
        for service in self.state.of("services"):
            path = self._path_to(service.name, service.name, set())
            if path:
                way = " -> ".join([service.name, *path])
                self.report.about(f"the services lead in a circle: {way}", service, "targets")

    def _path_to(self, start: str, goal: str, seen: set[str]) -> list[str] | None:
        obj = self.state.find("services", start)
        for target in obj.relations.services if obj else ():
            if target == goal:
                return [target]
            if target not in seen:
                seen.add(target)
                rest = self._path_to(target, goal, seen)
                if rest:
                    return [target, *rest]
        return None

    def _same_addresses(self) -> None:
        if "allow-duplicate-servers" in (self.state.top.params.get("debug") or ""):
            return
        seen: dict[Any, str] = {}
        for server in self.state.of("servers"):
            params = server.params
            if not params["address"] and not params["socket"]:
                continue
            address = params["socket"] or (params["address"], params["port"])
            shown = address if isinstance(address, str) else f"{address[0]}:{address[1]}"
            if address in seen:
                text = f"{shown} is the address of '{seen[address]}' already; allowed: one server each"
                self.report.about(text, server, "socket" if params["socket"] else "address")
            seen.setdefault(address, server.name)

    def _same_ports(self) -> None:
        seen: dict[Any, str] = {}
        for listener in self.state.of("listeners"):
            params = listener.params
            if not params["port"] and not params["socket"]:
                continue
            place = params["socket"] or (params["address"], params["port"])
            shown = place if isinstance(place, str) else f"{place[0]}:{place[1]}"
            if place in seen:
                text = f"'{seen[place]}' listens on {shown} already; allowed: one listener for each"
                self.report.about(text, listener, "socket" if params["socket"] else "port")
            seen.setdefault(place, listener.name)


def users_of(state: State, name: str) -> list[str]:
    """Which objects name this one, as `kind name`."""
    found = []
    for obj in state.objects.values():
        relations = obj.relations
        named = (*relations.servers, *relations.services, *relations.filters, relations.cluster)
        if name in named or (obj.kind == "listeners" and relations.service == name) or name in _listed(obj):
            found.append(f"the {obj.kind[:-1]} '{obj.name}'")
    if name in _listed(state.top):
        found.append("the global section")
    return found


def _listed(obj: Obj) -> set[str]:
    """Names of objects in parameters that are not relations."""
    found: set[str] = set()
    for name, param in parameter_table(obj.kind, obj.module).items():
        value = obj.params.get(name)
        if param.relation or not value:
            continue
        if isinstance(param.type, ReferenceList):
            found.update(value)
        elif isinstance(param.type, Reference) and param.type.kind in ("server", "monitor"):
            found.add(value)
    return found


def without(obj: Obj, name: str) -> Obj:
    """The object without its references to another one."""
    relations = obj.relations
    kept = replace(
        relations,
        servers=tuple(n for n in relations.servers if n != name),
        services=tuple(n for n in relations.services if n != name),
        filters=tuple(n for n in relations.filters if n != name),
        cluster=None if relations.cluster == name else relations.cluster,
    )
    given, params = dict(obj.given), dict(obj.params)
    if obj.kind != GLOBAL:
        for key, param in parameter_table(obj.kind, obj.module).items():
            if (
                isinstance(param.type, ReferenceList)
                and not param.relation
                and name in (params.get(key) or ())
            ):
                params[key] = tuple(n for n in params[key] if n != name)
                given[key] = params[key]
    return replace(obj, relations=kept, given=given, params=params)
