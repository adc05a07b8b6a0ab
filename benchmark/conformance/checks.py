"""The checks. Each takes a Subject, returns a remark for the table, and raises Violation or NotApplicable."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from benchmark.conformance import scans
from benchmark.conformance.imports import forbidden_imports, package_of
from benchmark.conformance.subject import NotApplicable, Result, Subject, Violation
from benchmark.conformance.traps import DECOYS, alarm, decoys, interrupt, opened_files
from benchmark.conformance.values import another
from benchmark.errors import InputError, MissingDependency
from benchmark.plugins.registry import registry
from benchmark.records.budget import Budget
from benchmark.runtime.checkpoint import Checkpoints
from benchmark.runtime.context import Interrupted

BUDGET = 1.0  # [s] time budget of the checks of time
LONGEST = 2 * BUDGET + 1.0  # [s] time allowed under that budget: the last step and the work after the loop are extra
SPENT = 1e-9  # [s], over before the first step
UNASKED = 10  # projections allowed without a call of run.steps(): enough for a single fit, not for a loop
GOOD_ENOUGH = 0.5  # correlation with the truth after SECONDS of work
SECONDS = 5.0

Check = Callable[[Subject], str]


def result(subject: Subject) -> str:
    """Require a finite volume of the right shape and type from a plain scan, and unchanged input."""
    found = subject.run(scans.cube()[0])
    return f"{found.seconds:.2f} s, {found.steps} steps" if found.steps else f"{found.seconds:.2f} s, no use of run.steps()"


def orientation(subject: Subject) -> str:
    """Require that the volume resembles the truth, and more than any mirror image or swap of axes of the truth."""
    scan, truth = scans.cube(views=24)
    volume = subject.run(scan, most=None, budget=Budget(seconds=SECONDS)).volume
    straight = _likeness(volume, truth)
    likeness = {turn: _likeness(volume, np.flip(truth.transpose(turn[0]), turn[1])) for turn in _turns()}
    (axes, flips), best = max(likeness.items(), key=lambda item: item[1])
    if best > straight:
        raise Violation(f"more like the truth with its axes in the order {axes} and mirrored along {flips} than like the truth itself")
    if straight < GOOD_ENOUGH:
        raise Violation(f"correlation with the truth is {straight:.2f} after {SECONDS:g} s, expected {GOOD_ENOUGH:g} or more")
    return f"correlation with the truth {straight:.3f}"


def determinism(subject: Subject) -> str:
    """Require bitwise equal results for the same scan, parameters and seed; for any seed if the method is declared deterministic."""
    scan = scans.cube()[0]
    first, again = subject.run(scan, seed=3).volume, subject.run(scan, seed=3).volume
    if not np.array_equal(first, again):
        worst = np.abs(first - again).max()
        raise Violation(f"two runs with the same seed differ by up to {worst:.3g} (use run.rng, or a generator seeded by it)")
    differs = bool((subject.run(scan, seed=4).volume != first).any())
    if differs and subject.spec.deterministic:
        raise Violation("another seed gives other numbers: remove `deterministic=True` from its MethodSpec")
    advice = "" if subject.spec.deterministic else ": `deterministic=True` in its MethodSpec saves a run for each further seed"
    return "another seed differs" if differs else f"does not depend on the seed{advice}"


def views(subject: Subject) -> str:
    """Require results for any number of views, including one."""
    done, declined = [], []
    for count in (1, 2, 3, 7):
        try:
            subject.run(scans.cube(count)[0])
            done.append(count)
        except NotApplicable as reason:
            declined.append(f"{count}: {reason}")
        except Exception as error:
            raise Violation(f"{count} views: {_words(error)}") from error
    if not done:
        raise NotApplicable("; ".join(declined))
    return f"{', '.join(map(str, done))} views" + (f"; {'; '.join(declined)}" if declined else "")


def non_cubic(subject: Subject) -> str:
    """Require a result for a box of 9 x 15 x 18 voxels of 15 x 12 x 9 mm."""
    return _size(subject.run(scans.box()[0]))


def offset_detector(subject: Subject) -> str:
    """Require a result for a detector of 17 x 23 pixels off centre, a volume beside the axis and a shifted axis."""
    return _size(subject.run(scans.offset()[0]))


def one_slice(subject: Subject) -> str:
    """Require a result for a volume of a single slice."""
    return _size(subject.run(scans.slab()[0]))


def empty_scan(subject: Subject) -> str:
    """Require a finite volume from projections of zeros (air, or a dead detector)."""
    place = scans.geometry()
    volume = subject.run(type(scans.cube()[0])(np.zeros(place.projection_shape), place)).volume
    return f"largest voxel {np.abs(volume).max():.2g} 1/mm"


def parameters(subject: Subject) -> str:
    """Require that every declared parameter and preset is accepted, and that undeclared parameters are refused."""
    _refuses(subject)
    scan = scans.cube()[0]
    usual = subject.run(scan).volume
    without: list[str] = []
    for name in subject.spec.params.model_fields:
        value = another(subject.params(), name)
        if value == getattr(subject.params(), name):
            without.append(f"{name} (no other value found)")
        elif not _changed(subject, scan, {name: value}, f"{name}={value}", usual):
            without.append(name)
    for preset, values in subject.spec.presets.items():
        if not {key for key, value in values.items() if isinstance(value, int) and value > 1000}:  # too large for a check
            _changed(subject, scan, dict(values), f"preset {preset}", usual)
    count = len(subject.spec.params.model_fields)
    if count and len(without) == count:
        raise Violation(f"no declared parameter has an effect: {', '.join(without)}")
    return f"{count} declared" + (f"; no effect on this scan: {', '.join(without)}" if without else "")


def budget(subject: Subject) -> str:
    """Require that the method ends soon after its time budget, with a volume, even if the budget is spent before the first step.

    Repeated work must be counted as steps of run.steps().
    """
    scan = scans.cube()[0]
    found = subject.run(scan, most=None, budget=Budget(seconds=BUDGET))
    if found.seconds > LONGEST:
        raise Violation(f"{found.seconds:.1f} s with a budget of {BUDGET:g} s (loop over run.steps(), which ends in time)")
    projections = found.counters.get("forward_views", 0) / scan.geometry.views
    if not found.steps and projections > UNASKED:
        raise Violation(f"{projections:.0f} projections that no budget can end (loop over run.steps(), which ends in time)")
    try:
        subject.run(scan, budget=Budget(seconds=SPENT))
    except Exception as error:
        raise Violation(f"with a budget that is spent before the first step: {_words(error)}") from error
    return f"{found.seconds:.2f} s of {BUDGET:g} s"


def cancel(subject: Subject) -> str:
    """Require that Ctrl-C ends a run, and that the next run is unaffected."""
    scan = scans.cube()[0]
    usual = subject.run(scan, seed=3)
    try:
        if usual.steps > 1:
            subject.run(scan, seed=3, at_step=interrupt)
        elif usual.seconds > 0.1:
            with alarm(usual.seconds / 3):
                subject.run(scan, seed=3)
        else:
            raise NotApplicable(f"done after {usual.seconds:.2f} s")
    except KeyboardInterrupt:
        pass
    else:
        raise Violation("KeyboardInterrupt was swallowed: catch Exception at most, never everything")
    if not np.array_equal(subject.run(scan, seed=3).volume, usual.volume):
        raise Violation("the run after a cancelled one gives other numbers: something was left behind")
    return "ended, and the next run gives the same numbers"


def resume(subject: Subject) -> str:
    """Require bitwise equal results after a stop between two steps and a resume from the checkpoint."""
    scan = scans.cube()[0]
    usual = subject.run(scan, seed=3)
    if usual.steps < 2:
        raise NotApplicable("keeps no checkpoint: no two steps to stop between")
    with tempfile.TemporaryDirectory() as folder:
        kept = Checkpoints(Path(folder) / "checkpoint.pt", {"method": subject.spec.name}, every=0.0)
        try:
            subject.run(scan, seed=3, checkpoints=kept, stop_after=usual.steps // 2)
        except Interrupted as stopped:
            text = str(stopped)
        else:
            raise NotApplicable("keeps no checkpoint (run.steps() was given no state)")
        resumed = subject.run(scan, seed=3, checkpoints=kept)
    if not np.array_equal(resumed.volume, usual.volume):
        worst = np.abs(resumed.volume - usual.volume).max()
        raise Violation(f"stopped {text} and resumed, it differs by up to {worst:.3g} (state_dict() must hold all that training changes)")
    if resumed.counters != usual.counters:
        raise Violation(f"stopped {text} and resumed, it has done other work: {resumed.counters}, not {usual.counters}")
    return f"stopped {text} and resumed: the same numbers"


def no_truth(subject: Subject) -> str:
    """Require that the method imports only benchmark.api and benchmark.fields of the harness, and opens no file of results."""
    package = package_of(subject.target.__module__)
    offences = forbidden_imports(package)
    if offences:
        raise Violation("; ".join(offences))
    with decoys() as folder, opened_files() as opened:
        subject.run(scans.cube()[0])
    known = [path for path in opened if Path(path).name in DECOYS or str(folder) in path or "heldout" in path]
    if known:
        raise Violation(f"opened {', '.join(sorted(set(known)))}")
    return f"sources of {package} and the files it opened"


def global_state(subject: Subject) -> str:
    """Require that neither the import of the method nor a run changes settings of the process that change results of other code."""
    subject.run(scans.cube()[0])
    name = ("methods", subject.spec.name)
    source = registry().origins.get(name, "")
    found = {change: "at import" for change in registry().changes.get(source, ())} | subject.changes
    # libraries that are first imported in a run set filters of warnings of their own
    grave = [f"{change.words} {when}" for change, when in found.items() if change.grave and "warnings filters" not in change.words]
    if grave:
        remedy = "set it back in the run, as numpy.errstate and torch.enable_grad do; give dtype= and device= to each tensor"
        raise Violation(f"{'; '.join(grave)} (restored for others; {remedy})")
    mild = [f"{change.words} {when}" for change, when in found.items()]
    return f"{'; '.join(mild)}: restored for others" if mild else "nothing changed"


CHECKS: dict[str, Check] = {
    "result": result,
    "orientation": orientation,
    "determinism": determinism,
    "views": views,
    "non-cubic": non_cubic,
    "offset": offset_detector,
    "one-slice": one_slice,
    "empty": empty_scan,
    "parameters": parameters,
    "budget": budget,
    "cancel": cancel,
    "resume": resume,
    "no-truth": no_truth,
    "global-state": global_state,
}


def _likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Return the correlation; 0 if one of the two is constant."""
    if not np.ptp(a) or not np.ptp(b):
        return 0.0
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def _turns() -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield every swap of axes and mirroring of a cube except the identity."""
    flips = [axes for count in range(4) for axes in itertools.combinations(range(3), count)]
    for turn in itertools.product(itertools.permutations(range(3)), flips):
        if turn != ((0, 1, 2), ()):
            yield turn


def _size(found: Result) -> str:
    return f"volume {' x '.join(map(str, found.volume.shape))}"


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, Violation | InputError) else f"{type(error).__name__}: {error}"


def _refuses(subject: Subject) -> None:
    try:
        subject.params(no_such_parameter=1)
    except (ValidationError, ValueError):
        return
    raise Violation("an unknown parameter was accepted (derive from benchmark.api.Params)")


def _changed(subject: Subject, scan: Any, values: dict[str, Any], name: str, usual: np.ndarray) -> bool:
    """Return whether a run with these values gives other numbers; a clear refusal counts as an effect."""
    try:
        return not np.array_equal(subject.run(scan, subject.params(**values)).volume, usual)
    except (InputError, MissingDependency, NotApplicable):
        return True
    except Exception as error:
        raise Violation(f"{name}: {_words(error)}") from error
