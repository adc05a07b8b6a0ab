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
from benchmark.execution.fit_curve import FitCurve
from benchmark.execution.libraries import set_up_libraries
from benchmark.plan import quantities
from benchmark.plan.entries import Entry, resolve_entry
from benchmark.plan.frames import divided, set_frames
from benchmark.plan.offers import Offers
from benchmark.plan.plan import apply_sets
from benchmark.plan.sources import load_case, scans_in
from benchmark.plugins.registry import Registry
from benchmark.plugins.specs import DatasetSpec, MethodSpec, resolve
from benchmark.records.record import RunSpec
from benchmark.runtime.checkpoint import Checkpoint, Checkpoints
from benchmark.runtime.context import Run
from benchmark.runtime.validation import Validation
from benchmark.runtime.weights import Weights, source_of
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
    judges: tuple[Lesson, ...] = ()  # for validation
    every: int = 0  # steps between validations
    patience: int | None = None
    tests: tuple[dict[str, Any], ...] = ()  # parameters of the scans that the fit does not see
    load: Path | None = None  # weights of a fit to go on with

    def facts(self) -> dict[str, Any]:
        """Return the facts that the weights file holds about itself. Scans for validation count as seen: they choose the weights."""
        facts: dict[str, Any] = {
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
                for lesson in (*self.lessons, *self.judges)
            ],
        }
        if self.judges:
            facts["validation"] = {"scans": len(self.judges), "every": self.every, "patience": self.patience}
        if self.load is not None:
            before = Weights.read(self.load)
            facts["fitted_to"] = [*before.fitted_to, *(entry for entry in facts["fitted_to"] if entry not in before.fitted_to)]
            facts["goes_on_from"] = before.digest
        return facts


def open_course(
    registry: Registry,
    method: str,
    scans: list[str],
    given: dict[str, Any],
    sets: tuple[str, ...],
    seed: int,
    each: tuple[str, ...] = (),
    *,
    frames: str | None = None,
    split: str | None = None,
    every: int | None = None,
    patience: int | None = None,
    load: Path | None = None,
) -> Course:
    """Load and check everything. `given` (size, views) is for all datasets; `each` names parameters with a list of values, one scan per
    value. `frames` picks those of a sequence, `split` divides the scans among fit, validation and test, and every so many steps
    the validation is computed; `load` is a fit to go on with. Raise InputError with every mistake.
    """
    spec, entry = _method_entry(registry, method)
    if load is not None:
        Weights.read(load).check(spec)
    mistakes = Mistakes()
    quantities.seeds(seed, "--seed", mistakes)
    sources = [source for scan in scans for source in scans_in(registry, scan)]
    settings = {dataset.name: Entry(dataset.name, dataset.name, {}) for dataset, _ in sources}
    apply_sets(registry, sets, list(settings.values()), [entry], mistakes)
    _apply_each(registry, each, list(settings.values()), given, mistakes)
    params = resolve_entry(entry, spec, {}, mistakes)
    offers = Offers()
    sequences = [
        [(dataset, values) for values in _resolved(settings[dataset.name], dataset, path, given, mistakes, offers, frames)]
        for dataset, path in sources
    ]
    mistakes.raise_if_any("fit")
    if all(len(sequence) == 1 for sequence in sequences):  # a folder of scans, say, is one series
        sequences = [[scan for sequence in sequences for scan in sequence]]
    parts = [divided(sequence, split) for sequence in sequences]
    named, judging, tests = ([scan for part in parts for scan in part[index]] for index in range(3))
    if bool(judging) != (every is not None):
        expected = "with the scans that --split sets aside" if every is not None else "for the scans that --split sets aside"
        raise InputError("--validate-every", expected=expected, found="no --split" if every is not None else "none")
    if patience is not None and not judging:
        raise InputError("--patience", expected="with --validate-every", found="none")
    if params[0].get("weights") is not None:
        raise InputError(f"{spec.name}.weights", expected="none: a fit makes them", found=f"'{params[0]['weights']}'")
    lessons, judges = (tuple(Lesson(dataset, values, load_case(dataset, values)) for dataset, values in part) for part in (named, judging))
    for lesson in (*lessons, *judges):
        _check(spec, params[0], lesson)
    unseen = tuple({"dataset": dataset.name, **values} for dataset, values in tests)
    return Course(spec, params[0], lessons, seed, tuple(offers.notes), judges, every or 0, patience, unseen, load)


def _method_entry(registry: Registry, method: str) -> tuple[MethodSpec, Entry]:
    """Return the method of 'name' or 'name:preset'. Raise InputError for a method that cannot be fitted."""
    name, _, preset = method.partition(":")
    spec = registry.method(name)
    if spec.fit is None:
        able = ", ".join(name for name, other in registry.methods.items() if other.fit is not None)
        raise InputError("method", expected=f"one that can be fitted to many scans ({able})", found=f"'{name}', which cannot")
    return spec, Entry(name, name, {}, preset or "default")


def _resolved(
    entry: Entry,
    dataset: DatasetSpec,
    path: str | None,
    given: dict[str, Any],
    mistakes: Mistakes,
    offers: Offers,
    frames: str | None,
) -> list[dict[str, Any]]:
    """Return the parameters of every scan of a dataset, which may have its own path."""
    own = dataclasses.replace(entry, values=entry.values | ({} if path is None else {"path": path}), grid={**entry.grid})
    if frames is not None:
        set_frames(frames, own, dataset, mistakes)
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
    """Fit and write the weights file, which holds the losses along the fit in its facts, as `curve` (see FitCurve).

    An interrupted fit goes on from its checkpoint beside it. Raise any error of the method.
    """
    assert course.method.fit is not None
    function = resolve(course.method.fit)
    set_up_libraries(course.seed, threads, device)
    facts = course.facts()
    unfinished = output.with_name(f"{output.name}.checkpoint")
    checkpoints = Checkpoints(unfinished, facts | {"unfinished": True}, CHECKPOINT_EVERY)
    judges = tuple(lesson.case.scan for lesson in course.judges)
    before = None if course.load is None else Checkpoint.read(course.load)
    curve = FitCurve(before.facts.get("curve") if before is not None else None)

    def log(values: dict[str, Any]) -> None:
        curve.log(values)
        on_log(values)

    run = Run(
        seed=course.seed,
        device=device,
        threads=threads,
        on_log=log,
        checkpoints=checkpoints,
        history=curve,
        weights=before.state if before is not None else None,
        validation=Validation(judges, course.every, course.patience) if judges else None,
    )
    run.clock.start()
    params = course.method.params(**course.params)
    state = function([lesson.case.scan for lesson in course.lessons], params, run)
    run.clock.stop()
    if checkpoints.damage:
        note(f"the fit began again from the start, its checkpoint was damaged: {checkpoints.damage}")
    steps = run.step + (before.step if before is not None else 0)
    Checkpoint(facts | {"curve": curve.points}, steps, run.clock.seconds, {}, state).write(output)
    unfinished.unlink(missing_ok=True)
    return output
