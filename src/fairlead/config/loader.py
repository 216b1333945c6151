"""From files to the first state: directories, key, static and persisted sections, all checked at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fairlead.config import files, secrets
from fairlead.config.files import Reading, Section, Value
from fairlead.config.globals import DIRECTORIES, DIRECTORY_NAMES, MADE_DIRECTORIES
from fairlead.config.graph import GraphCheck, State, assign_slots, settle_targets
from fairlead.config.objects import GLOBAL, Binder, Context, Obj, Report
from fairlead.config.problems import ConfigErrors

_AUDIT_FILE = "admin_audit_file"
_COMMAND_LINE = "command line"


@dataclass(frozen=True)
class Paths:
    """The directories of this instance; `secretsdir` is where the key of encrypted passwords is."""

    logdir: Path
    datadir: Path
    persistdir: Path
    cachedir: Path
    piddir: Path
    libdir: Path
    sharedir: Path
    execdir: Path
    connector_plugindir: Path
    module_configdir: Path
    language: Path
    secretsdir: Path


@dataclass(frozen=True)
class Loaded:
    """A configuration that is valid. `static`: the objects as the static files define them."""

    main_file: Path
    paths: Paths
    state: State
    context: Context
    static: dict[str, Obj]
    warnings: list[str]
    basedir: Path | None
    overrides: Mapping[str, str]


def _default_directories(basedir: Path | None) -> dict[str, str]:
    """The defaults that depend on the base directory."""
    found = {param.name: param.default_text() for param in DIRECTORIES}
    found[_AUDIT_FILE] = "/var/log/maxscale/admin_audit.csv"
    if basedir is not None:
        base = str(basedir.absolute())
        found = {name: base + path for name, path in found.items()}
    return found


def _global_section(reading: Reading, main_file: Path, overrides: Mapping[str, str]) -> Section:
    """The global section with the command line's values over the file's."""
    section = next((each for each in reading.sections if each.is_global), None)
    found = (
        Section(GLOBAL, str(main_file), 0)
        if section is None
        else replace(section, values=dict(section.values))
    )
    for name, text in overrides.items():
        found.values[name] = Value(text, _COMMAND_LINE, 0)
    return found


def _paths(top: Obj) -> Paths:
    params = top.params
    named = {name: Path(params[name]) for name in DIRECTORY_NAMES}
    return Paths(**named, secretsdir=Path(params["secretsdir"] or params["datadir"]))


def _make_directories(paths: Paths, report: Report) -> None:
    for name in MADE_DIRECTORIES:
        path: Path = getattr(paths, name)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            report.error(f"the directory '{path}' cannot be made: {error.strerror}", GLOBAL, name)


def _merge(static: list[Section], persisted: list[Section], report: Report) -> tuple[list[Section], set[str]]:
    """The sections that count, and the names of the persisted ones among them."""
    by_name: dict[str, Section] = {}
    for section in persisted:
        name = GLOBAL if section.is_global else section.name
        if name in by_name:
            text = f"the section is there twice, first in {by_name[name].file}; allowed: once"
            report.error(text, section.name, "", (section.file, section.line))
        by_name[name] = section
    merged: list[Section] = []
    for section in static:
        replacement = by_name.pop(section.name, None)
        if replacement is not None:
            text = f"'{replacement.file}', written at a change at run time, takes the place of this section"
            report.warn(text, section.name, "", (section.file, section.line))
        merged.append(replacement or section)
    return [*merged, *by_name.values()], {GLOBAL if s.is_global else s.name for s in persisted}


def _persisted_global(top: Section, persisted: list[Section], overrides: Mapping[str, str]) -> Section:
    """The global section that counts: the persisted one, but directories and command line as they were."""
    changed = next((each for each in persisted if each.is_global), None)
    if changed is None:
        return top
    values = {name: value for name, value in changed.values.items() if name not in DIRECTORY_NAMES}
    for name, value in top.values.items():
        if name in DIRECTORY_NAMES or name in overrides:
            values[name] = value
    return replace(changed, values=values)


def load(main_file: Path, basedir: Path | None, overrides: Mapping[str, str], create: bool) -> Loaded:
    """Read and check the configuration."""
    report = Report()
    reading = files.read_static(main_file)
    report.problems.extend(reading.problems)
    report.warnings.extend(reading.warnings)
    defaults = _default_directories(basedir)
    context = Context(None, defaults["module_configdir"], defaults)
    static_top = _global_section(reading, main_file, overrides)
    first = Binder(Report(), context).section(static_top, "static")
    assert first is not None
    paths = _paths(first[0])
    if create:
        _make_directories(paths, report)
    context = replace(context, key=_load_key(paths, report), configdir=str(paths.module_configdir))
    static = [section for section in reading.sections if not section.is_global]
    persisted: list[Section] = []
    if first[0].params["load_persisted_configs"]:
        kept = files.read_persisted(paths.persistdir)
        report.problems.extend(kept.problems)
        report.warnings.extend(kept.warnings)
        persisted = kept.sections
    top = _persisted_global(static_top, persisted, overrides)
    state = _build(top, static, persisted, context, report)
    if report.problems:
        raise ConfigErrors(report.problems)
    quiet = Report()
    originals = _objects(Binder(quiet, context), static, set())[0]
    settle_targets(originals)
    original_top = Binder(quiet, context).section(static_top, "static")
    assert original_top is not None
    originals[GLOBAL] = original_top[0]
    return Loaded(main_file, paths, state, context, originals, report.warnings, basedir, overrides)


def _load_key(paths: Paths, report: Report) -> bytes | None:
    try:
        return secrets.load_key(paths.secretsdir)
    except secrets.SecretsError as error:
        report.error(str(error), GLOBAL, "secretsdir")
        return None


def _objects(
    binder: Binder, sections: list[Section], persisted: set[str]
) -> tuple[dict[str, Obj], frozenset[str]]:
    """The objects of sections, and the names of those that are not even objects."""
    objects: dict[str, Obj] = {}
    broken: set[str] = set()
    for section in sections:
        found = binder.section(section, "runtime" if section.name in persisted else "static")
        if found is None:
            broken.add(section.name)
        else:
            objects[section.name] = found[0]
    return objects, frozenset(broken)


def _build(
    top: Section, static: list[Section], persisted: list[Section], context: Context, report: Report
) -> State:
    binder = Binder(report, context)
    changed = [section for section in persisted if not section.is_global]
    sections, runtime = _merge(static, changed, report)
    bound = binder.section(
        top, "runtime" if top.file != _COMMAND_LINE and _is_in(top, persisted) else "static"
    )
    assert bound is not None
    objects, broken = _objects(binder, sections, runtime)
    settle_targets(objects)
    assign_slots(objects, {}, report)
    state = State(1, bound[0], objects)
    GraphCheck(state, report, broken).run()
    return state


def _is_in(top: Section, persisted: list[Section]) -> bool:
    return any(each.file == top.file for each in persisted)
