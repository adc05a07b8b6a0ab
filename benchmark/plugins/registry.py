"""Registry of plug-ins: find them and map names to specs.

Three sources, one set of hooks: the harness's own metrics and reporters, every module of the folders `methods/` and
`datasets/`, and installed packages with an entry point in the group "benchmark". A plug-in that cannot be
imported, would crash this process, or has an invalid declaration is set aside with the reason; it never stops the
others. Nothing heavy is imported here: specs are cheap, their targets are resolved when a run needs them.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import importlib
import importlib.metadata
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pluggy

from benchmark.errors import InputError, unknown_name
from benchmark.machine.global_state import Change
from benchmark.plugins import hooks
from benchmark.plugins.spec_checks import defect
from benchmark.plugins.specs import DatasetSpec, MethodSpec, MetricSpec, ReporterSpec, ScanFormatSpec, SpeedSpec
from benchmark.records.record import RunRecord, RunSpec

GROUP = "benchmark"  # of the entry points
OWN = ("benchmark.metrics", "benchmark.report")
FOLDERS = ("benchmark.methods", "benchmark.datasets")
KINDS: dict[str, type] = {
    "methods": MethodSpec,
    "datasets": DatasetSpec,
    "metrics": MetricSpec,
    "reporters": ReporterSpec,
    "scan_formats": ScanFormatSpec,
    "speed": SpeedSpec,
}


@dataclasses.dataclass(frozen=True)
class Problem:
    """Plug-in, or part of one, that was set aside."""

    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


class Registry:
    """Every usable spec by its kind and name, and the problems of plug-ins set aside."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(hooks.PROJECT)
        self.manager.add_hookspecs(hooks)
        self.methods: dict[str, MethodSpec] = {}
        self.datasets: dict[str, DatasetSpec] = {}
        self.metrics: dict[tuple[str, str], MetricSpec] = {}  # by (kind, name)
        self.reporters: dict[str, ReporterSpec] = {}
        self.scan_formats: dict[str, ScanFormatSpec] = {}
        self.speed: dict[str, SpeedSpec] = {}  # by method
        self.origins: dict[tuple[str, Any], str] = {}  # (what, name) -> plug-in
        self.problems: list[Problem] = []
        self.changes: dict[str, tuple[Change, ...]] = {}  # plug-in -> global state that its import has changed, restored since

    def method(self, name: str, where: str = "method") -> MethodSpec:
        """Return the method of this name. Raise InputError with the valid names and the nearest one."""
        return self._lookup(self.methods, name, where)

    def dataset(self, name: str, where: str = "dataset") -> DatasetSpec:
        """Return the dataset of this name. Raise InputError with the valid names and the nearest one."""
        return self._lookup(self.datasets, name, where)

    def scan_format(self, name: str, where: str = "format") -> ScanFormatSpec:
        """Return the scan format of this name. Raise InputError with the valid names and the nearest one."""
        return self._lookup(self.scan_formats, name, where)

    def _lookup(self, specs: dict[str, Any], name: str, where: str) -> Any:
        if name in specs:
            return specs[name]
        quarantined = [problem for problem in self.problems if re.search(rf"\b{re.escape(name)}\b", problem.source)]
        if quarantined:
            raise InputError(where, expected="a working plug-in", found=f"'{name}', set aside because of {quarantined[0].reason}")
        raise unknown_name(where, name, specs)

    def add(self, plugin: Any, source: str) -> None:
        """Register one plug-in (a module or an object with hook implementations); problems are noted, never raised."""
        try:
            self.manager.register(plugin, name=source)
            self._check_hook_names(plugin, source)
        except Exception as error:  # pluggy raises several kinds, a plug-in's own properties any
            self._quarantine(source, error)
            return
        if not self.manager.get_hookcallers(plugin):
            self.manager.unregister(plugin)
            self.problems.append(Problem(source, _without_hooks(plugin)))
            return
        for what, kind in KINDS.items():
            for implementation in self._implementations(f"register_{what}", plugin):
                try:
                    specs = list(implementation())
                except (Exception, SystemExit) as error:
                    self._quarantine(source, error, f"register_{what}() failed: ")
                    continue
                for spec in specs:
                    try:
                        self._add_spec(what, kind, spec, source)
                    except Exception as error:  # of a spec's own properties and validators
                        self._quarantine(source, error, f"{what.removesuffix('s')}: ")

    def with_methods(self, specs: Iterable[MethodSpec]) -> Registry:
        """Return a copy that also holds these methods. Raise InputError for an invalid spec or a name that is taken."""
        copied = copy.copy(self)
        copied.methods, copied.origins, copied.problems = dict(self.methods), dict(self.origins), []
        for spec in specs:
            copied._add_spec("methods", MethodSpec, spec, "another method")
        if copied.problems:
            raise InputError("methods", expected="a valid MethodSpec", found=copied.problems[0].reason)
        copied.problems = self.problems
        return copied

    def _check_hook_names(self, plugin: Any, source: str) -> None:
        try:
            self.manager.check_pending()
        except Exception:
            self.manager.unregister(plugin)
            raise

    def _implementations(self, hook: str, plugin: Any) -> Iterator[Callable[..., Any]]:
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            if implementation.plugin is plugin:
                yield implementation.function

    def _add_spec(self, what: str, kind: type, spec: Any, source: str) -> None:
        reason = defect(kind, spec)
        if reason is None:
            table: dict[Any, Any] = getattr(self, what)
            key = (spec.kind, spec.name) if isinstance(spec, MetricSpec) else spec.name
            if key not in table:
                table[key] = spec
                self.origins[what, key] = source
                return
            reason = f"the name '{spec.name}' is taken by {self.origins[what, key]}"
        name = getattr(spec, "name", "?")
        self.problems.append(Problem(source, f"{what.removesuffix('s')} '{name}': {reason}"))

    def _quarantine(self, source: str, error: BaseException, prefix: str = "") -> None:
        text = " ".join(str(error).split()) or "no message"
        self.problems.append(Problem(source, f"{prefix}{type(error).__name__}: {text}"))

    # -- observers --------------------------------------------------------------------------------------------------

    def run_started(self, spec: RunSpec) -> list[Problem]:
        """Notify every observer of a started run; return their errors."""
        return self._observe("run_started", spec=spec)

    def run_finished(self, record: RunRecord) -> list[Problem]:
        """Notify every observer of a finished run; return their errors."""
        return self._observe("run_finished", record=record)

    def _observe(self, hook: str, **values: Any) -> list[Problem]:
        from benchmark.plugins.isolation import call

        problems = []
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            try:
                call(implementation.function, *(values[name] for name in implementation.argnames))
            except Exception as error:
                problems.append(Problem(implementation.plugin_name, f"{hook}() failed: {type(error).__name__}: {error}"))
        return problems


def load() -> Registry:
    """Return a registry of all plug-ins found now. The built-in parts come first, so no plug-in can replace them."""
    from benchmark.plugins.import_guard import quiet
    from benchmark.plugins.isolation import isolated

    registry = Registry()
    for name in OWN:
        _import(registry, name)
    with quiet():
        with isolated():
            for folder in FOLDERS:
                for name in _modules(registry, folder):
                    _import(registry, name)
        for point in _entry_points():
            source = f"{point.name} ({point.dist.name if point.dist else point.value})"
            with isolated() as changes:
                _import(registry, source, functools.partial(_load, point))
            registry.changes[source] = tuple(changes)
    return registry


def _without_hooks(plugin: Any) -> str:
    """Return the reason why a plug-in implements no hook."""
    unmarked = [name for name in vars(hooks) if hasattr(getattr(hooks, name), f"{hooks.PROJECT}_spec") and hasattr(plugin, name)]
    if unmarked:
        return f"{', '.join(f'{name}()' for name in unmarked)} is not marked with @hookimpl"
    place = getattr(plugin, "__file__", None)
    if place is None and hasattr(plugin, "__path__"):
        return f"a folder without __init__.py was imported: {', '.join(plugin.__path__)}"
    return f"no hook is implemented in {place or type(plugin).__name__}: expected register_methods() or another one, marked with @hookimpl"


def _load(point: importlib.metadata.EntryPoint) -> Any:
    from benchmark.plugins.import_guard import survived

    with survived(point.module):
        return point.load()


@functools.cache
def registry() -> Registry:
    """Return the registry of this process, loaded once."""
    return load()


def _import(registry: Registry, source: str, loader: Callable[[], Any] | None = None) -> None:
    try:
        plugin = loader() if loader else importlib.import_module(source)
        if isinstance(plugin, type):
            plugin = plugin()
    except (Exception, SystemExit) as error:  # anything a third-party module does during its import
        registry._quarantine(source, error)
        return
    registry.add(plugin, source)


def _modules(registry: Registry, folder: str) -> list[str]:
    """Return the full names of the modules and packages directly inside a folder, except names that start with '_'."""
    try:
        package = importlib.import_module(folder)
    except ImportError as error:  # a copy of a clone that lost its links
        link = folder.replace(".", "/")
        reason = f"{error}. In a clone, {link} is a link to {link.rpartition('/')[2]}/: `make install` restores it."
        registry.problems.append(Problem(folder, reason))
        return []
    return [f"{folder}.{info.name}" for info in pkgutil.iter_modules(package.__path__) if not info.name.startswith("_")]


def _entry_points() -> list[importlib.metadata.EntryPoint]:
    unique = {(point.name, point.value): point for point in importlib.metadata.entry_points(group=GROUP)}
    return [unique[key] for key in sorted(unique)]
