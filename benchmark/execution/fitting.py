"""Fit a method to many scans once, to apply it to others without optimisation. The method gets scans only: no truth, no
held-out views, as in every run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark.errors import InputError, Mistakes, note
from benchmark.execution.eligibility import skip_reason
from benchmark.execution.libraries import set_up_libraries
from benchmark.plan import quantities
from benchmark.plan.entries import Entry, resolve_entry
from benchmark.plan.offers import Offers
from benchmark.plan.plan import apply_sets
from benchmark.plan.sources import load_case, scans_in
from benchmark.plugins.registry import Registry
from benchmark.plugins.specs import DatasetSpec, MethodSpec, resolve
from benchmark.records.record import RunSpec
from benchmark.runtime.checkpoint import Checkpoint, Checkpoints
from benchmark.runtime.context import Run
from benchmark.runtime.weights import source_of
from benchmark.scan.case import Case

CHECKPOINT_EVERY = 60.0  # [s] of method time


@dataclasses.dataclass(frozen=True)
class Lesson:
    """One scan to fit to: its dataset, the parameters it was loaded with, and its case; the method gets only the scan."""

    dataset: DatasetSpec
    params: dict[str, Any]
    case: Case


@dataclasses.dataclass(frozen=True)
class Course:
    """A method, its resolved parameters and all lessons."""

    method: MethodSpec
    params: dict[str, Any]
    lessons: tuple[Lesson, ...]
    seed: int
    notes: tuple[str, ...] = ()  # views that were asked for and do not exist

    def facts(self) -> dict[str, Any]:
        """Return the facts that the weights file holds about itself."""
        return {
            "method": self.method.name,
            "revision": self.method.revision,
            "params": self.params,
            "seed": self.seed,
            "fitted_to": [
                {
                    "scan": lesson.case.scan.digest,
                    "dataset": lesson.dataset.name,
                    "case": lesson.case.name,
                    "source": source_of(lesson.dataset.name, lesson.params, lesson.case),
                }
                for lesson in self.lessons
            ],
        }


def open_course(
    registry: Registry,
    method: str,
    scans: list[str],
    given: dict[str, Any],
    sets: tuple[str, ...],
    seed: int,
    each: tuple[str, ...] = (),
) -> Course:
    """Load and check everything. `given` (size, views) is for all datasets; `each` names parameters with a list of values, one scan per
    value. Raise InputError with every mistake.
    """
    spec, entry = _method_entry(registry, method)
    mistakes = Mistakes()
    quantities.seeds(seed, "--seed", mistakes)
    sources = [source for scan in scans for source in scans_in(registry, scan)]
    settings = {dataset.name: Entry(dataset.name, dataset.name, {}) for dataset, _ in sources}
    apply_sets(registry, sets, list(settings.values()), [entry], mistakes)
    _apply_each(registry, each, list(settings.values()), given, mistakes)
    params = resolve_entry(entry, spec, {}, mistakes)
    offers = Offers()
    named = [
        (dataset, values)
        for dataset, path in sources
        for values in _resolved(settings[dataset.name], dataset, path, given, mistakes, offers)
    ]
    mistakes.raise_if_any("fit")
    if params[0].get("weights") is not None:
        raise InputError(f"{spec.name}.weights", expected="none: a fit makes them", found=f"'{params[0]['weights']}'")
    lessons = tuple(Lesson(dataset, values, load_case(dataset, values)) for dataset, values in named)
    for lesson in lessons:
        _check(spec, params[0], lesson)
    return Course(spec, params[0], lessons, seed, tuple(offers.notes))


def _method_entry(registry: Registry, method: str) -> tuple[MethodSpec, Entry]:
    """Return the method of 'name' or 'name:preset'. Raise InputError for a method that cannot be fitted."""
    name, _, preset = method.partition(":")
    spec = registry.method(name)
    if spec.fit is None:
        able = ", ".join(name for name, other in registry.methods.items() if other.fit is not None)
        raise InputError("method", expected=f"one that can be fitted to many scans ({able})", found=f"'{name}', which cannot")
    return spec, Entry(name, name, {}, preset or "default")


def _resolved(
    entry: Entry, dataset: DatasetSpec, path: str | None, given: dict[str, Any], mistakes: Mistakes, offers: Offers
) -> list[dict[str, Any]]:
    """Return the parameters of every scan of a dataset, which may have its own path."""
    own = dataclasses.replace(entry, values=entry.values | ({} if path is None else {"path": path}))
    return resolve_entry(own, dataset, given, mistakes, offers)


def _apply_each(registry: Registry, each: tuple[str, ...], settings: list[Entry], given: dict[str, Any], mistakes: Mistakes) -> None:
    """Turn --each name.key=[...] into an axis of the dataset's grid."""
    varied = [Entry(entry.name, entry.name, {}) for entry in settings]
    apply_sets(registry, each, varied, [], mistakes, "--each")
    for entry, axis in zip(settings, varied, strict=True):
        for key, values in axis.values.items():
            where = f"--each {entry.name}.{key}"
            if not (isinstance(values, list) and values):
                mistakes.add(where, expected="a list of values, such as [0, 5, 10]", found=repr(values))
            elif key in entry.values or key in given:
                found = f"--set {entry.name}.{key}" if key in entry.values else f"--{key}"
                mistakes.add(where, expected=f"no other value of {key}", found=found)
            else:
                entry.grid[key] = values


def _check(method: MethodSpec, params: dict[str, Any], lesson: Lesson) -> None:
    """Raise InputError for a scan that the method declines."""
    asked = RunSpec(dataset=lesson.dataset.name, dataset_params=lesson.params, method=method.name, method_params=params)
    reason = skip_reason(method, asked, lesson.case)
    if reason:
        raise InputError(f"scan {lesson.case.name}", expected=f"a scan that {method.name} supports", found=reason)


def fit(course: Course, output: Path, on_log: Callable[[dict[str, Any]], None], threads: int | None = None, device: str = "cpu") -> Path:
    """Fit and write the weights file; an interrupted fit goes on from its checkpoint beside it. Raise any error of the method."""
    assert course.method.fit is not None
    function = resolve(course.method.fit)
    set_up_libraries(course.seed, threads, device)
    facts = course.facts()
    unfinished = output.with_name(f"{output.name}.checkpoint")
    checkpoints = Checkpoints(unfinished, facts | {"unfinished": True}, CHECKPOINT_EVERY)
    run = Run(seed=course.seed, device=device, threads=threads, on_log=on_log, checkpoints=checkpoints)
    run.clock.start()
    params = course.method.params(**course.params)
    state = function([lesson.case.scan for lesson in course.lessons], params, run)
    run.clock.stop()
    if checkpoints.damage:
        note(f"the fit began again from the start, its checkpoint was damaged: {checkpoints.damage}")
    Checkpoint(facts, run.step, run.clock.seconds, {}, state).write(output)
    unfinished.unlink(missing_ok=True)
    return output
