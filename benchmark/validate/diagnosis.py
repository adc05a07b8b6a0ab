"""Find the description that explains a scan's projections best, and its certainty."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch

from benchmark.storage.download import Progress
from benchmark.validate.hypotheses import DECLARED, FLIP_U, SIGN, Hypothesis, after, orientation_hypotheses, single_hypotheses
from benchmark.validate.residual import BLIND_PIXELS, PIXELS, VOXELS, Fit, expected_residual, fit
from benchmark.validate.setup import Setup
from benchmark.validate.shifts import SHIFTED, shift_hypotheses
from benchmark.validate.turns import REFINED, arc_hypotheses, order_hypotheses

SAME = 1.05  # residuals within this factor are indistinguishable
HANDICAP = 0.1  # a correction must be better by this share to be believed, per change that it makes
MOST_MAGNIFICATION = 30.0
# A residual above the first is no explanation, nor is one above the second if it is so many times what a right description would leave.
NOTHING_FITS = {True: (0.35, 0.35), False: (0.5, 0.08)}  # with and without a truth
WORSE = 3.0
GOOD = 0.1  # with a truth: no second mistake in the angles below it
ALIKE = 0.01  # of the projections: views that differ less do not tell the angles
ROOMY = 0.9  # a larger volume must be better by this factor
WORTH, MOST_TRIED = 1.6, 10  # without a truth: hypotheses tried thoroughly, by their rough residual over the best one, and at most


@dataclasses.dataclass(frozen=True, eq=False)
class Candidate:
    """A hypothesis and its fit to the projections."""

    hypothesis: Hypothesis
    setup: Setup
    fit: Fit

    @property
    def residual(self) -> float:
        return self.fit.residual

    @property
    def score(self) -> float:
        """Residual, penalised for each change, for an unlikely scale of the numbers and for an unlikely magnification."""
        if not math.isfinite(self.residual):
            return math.inf
        odd = 0.0
        if self.setup.truth is not None:
            odd += min(3.0, abs(math.log10(max(abs(self.fit.scale), 1e-9)))) if self.fit.scale > 0 else 3.0
        magnification = self.setup.geometry["source_to_detector"] / self.setup.geometry["source_to_origin"]
        return self.residual * (_penalty(self.hypothesis) + odd) * (1.2 if magnification > MOST_MAGNIFICATION else 1.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Diagnosis:
    """Result: `best` fits the projections best, `same` equally well (equivalent descriptions, or truly ambiguous), `rival` next best.

    `expected` is the residual that a right description would leave, where it is known.
    """

    declared: Candidate
    best: Candidate
    same: list[Candidate]
    rival: Candidate | None
    tried: int
    expected: float | None = None

    @property
    def as_declared(self) -> bool:
        """True if nothing explains the projections better than the description."""
        return self.best is self.declared and math.isfinite(self.declared.residual)

    @property
    def explains(self) -> bool:
        """False if even the best hypothesis leaves too large a residual."""
        return _explains(self.best, self.expected)

    @property
    def certainty(self) -> float:
        """Ratio of the rival's residual to the best one's."""
        return math.inf if self.rival is None else self.rival.residual / max(self.best.residual, 1e-12)


def _explains(best: Candidate, expected: float | None) -> bool:
    most, suspect = NOTHING_FITS[best.setup.truth is not None]
    if best.residual > most or not math.isfinite(best.residual):
        return False
    return best.residual <= suspect or expected is None or best.residual <= WORSE * expected


def diagnose(setup: Setup, progress: Progress = lambda done, total, what: None) -> Diagnosis:
    """Try every single mistake, then shifts combined with the likeliest ones, then a second mistake combined with the best."""
    known = setup.truth is not None
    with one_thread():
        return _diagnose(setup.binned(PIXELS if known else BLIND_PIXELS, VOXELS), known, progress)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread: for such small scans, waiting for other threads takes longer than their help saves."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _diagnose(setup: Setup, known: bool, progress: Progress) -> Diagnosis:
    setup = setup if known else _roomy(setup)
    declared = _candidate(setup, DECLARED, DECLARED)
    if not known and _alike(setup):
        others = _tried(declared, _singles(setup), progress)
        shifts = _tried(declared, shift_hypotheses(setup), progress)
        return _judged(declared, min([declared, *shifts], key=_score), [declared, *others, *shifts], None)
    more = orientation_hypotheses() if known and not setup.any_orbit else []
    found = [declared, *_tried(declared, [*_singles(setup), *more], progress)]
    for base in dict.fromkeys([declared, min(found, key=_score)]):
        if math.isfinite(base.residual):
            found += _tried(base, shift_hypotheses(base.setup), progress)
    best = min(found, key=_score)
    expected = None if known else _expected(best)
    if (best is not declared and known) or not _explains(best, expected):
        turned = [c for c in found if c.hypothesis is SIGN or (known and c.hypothesis is FLIP_U)]
        for base in dict.fromkeys([best, *(turned if not known or best.residual > GOOD else [])]):
            once_more = _singles(base.setup) if best.residual > GOOD else single_hypotheses(base.setup)
            found += _tried(base, once_more, progress)
        best = min(found, key=_score)
        if not _explains(best, expected) and math.isfinite(best.residual):
            found += _tried(best, shift_hypotheses(best.setup), progress)
            best = min(found, key=_score)
        expected = None if known else _expected(best)
    return _judged(declared, best, found, expected)


def _alike(setup: Setup) -> bool:
    """Return True if all views show the same, like a ball on the axis."""
    projections = setup.projections
    return float(np.std(projections, axis=0, dtype=np.float64).mean()) <= ALIKE * float(np.abs(projections).mean(dtype=np.float64))


def _roomy(setup: Setup) -> Setup:
    """Return the setup with the detector's field of view as its volume if the object is larger than the declared one."""
    if setup.any_orbit or setup.box_follows:
        return setup
    larger = dataclasses.replace(setup, box_follows=True)
    return larger if fit(larger, quick=True).residual < ROOMY * fit(setup, quick=True).residual else setup


def _singles(setup: Setup) -> list[Hypothesis]:
    return [*single_hypotheses(setup), *([] if setup.any_orbit else [*order_hypotheses(setup), *arc_hypotheses(setup)])]


def _expected(best: Candidate) -> float | None:
    return expected_residual(best.setup) if math.isfinite(best.residual) else None


def _judged(declared: Candidate, best: Candidate, found: list[Candidate], expected: float | None) -> Diagnosis:
    """Split the candidates into those equivalent to the best and the rest; further corrections of the best one count as neither."""
    others = sorted((c for c in found if not set(best.hypothesis.parts) <= set(c.hypothesis.parts)), key=_residual)
    if best is declared:  # every correction extends the empty one; small shifts and factors alone are no rivals
        others = sorted((c for c in found if c is not best and not _refines(c.hypothesis)), key=_residual)
    others = [c for c in others if math.isfinite(c.residual)]
    close = [c for c in others if c.residual <= best.residual * SAME]
    same = [c for c in close if c.hypothesis.cost <= best.hypothesis.cost + 1.5]
    further = [c for c in others if c.residual > best.residual * SAME]
    rival = min((c for c in further if c.residual <= further[0].residual * SAME), key=lambda c: c.hypothesis.cost, default=None)
    return Diagnosis(declared, best, same, rival, len(found), expected)


def _candidate(setup: Setup, before: Hypothesis, hypothesis: Hypothesis, found: Fit | None = None) -> Candidate:
    both = after(before, hypothesis)
    changed = hypothesis.change(setup)
    return Candidate(both, changed, found or fit(changed))


def _tried(base: Candidate, hypotheses: Iterable[Hypothesis], progress: Progress) -> list[Candidate]:
    """Return the candidates that correct one thing more than `base`; without a truth, only likely ones thoroughly."""
    setup, before, hypotheses = base.setup, base.hypothesis, list(hypotheses)

    def each(chosen: Iterable[Hypothesis], of: Callable[[Hypothesis], Fit]) -> dict[Hypothesis, Fit]:
        found = {}
        for index, hypothesis in enumerate(chosen):
            progress(index, len(hypotheses), hypothesis.name)
            found[hypothesis] = of(hypothesis)
        return found

    if setup.truth is not None:
        return [_candidate(setup, before, one, result) for one, result in each(hypotheses, lambda one: fit(one.change(setup))).items()]
    rough = each(hypotheses, lambda one: fit(one.change(setup), quick=True))
    as_is = fit(setup, quick=True).residual
    ordered = sorted((one for one in rough if math.isfinite(rough[one].residual)), key=lambda one: rough[one].residual * _penalty(one))
    least = min([as_is, *(rough[one].residual for one in ordered)])
    likely = [one for one in ordered if rough[one].residual <= WORTH * least][:MOST_TRIED]
    thorough = each(likely, lambda one: fit(one.change(setup)))
    scale = base.residual / as_is if math.isfinite(as_is) and math.isfinite(base.residual) and as_is else 1.0
    return [
        _candidate(setup, before, one, thorough.get(one) or dataclasses.replace(found, residual=found.residual * scale))
        for one, found in rough.items()
    ]


def _refines(hypothesis: Hypothesis) -> bool:
    """Return True for a hypothesis that is as good as the declaration if its number is nearly 0 or 1."""
    return hypothesis.cost == REFINED or any(SHIFTED in part for part in hypothesis.parts)


def _penalty(hypothesis: Hypothesis) -> float:
    return 1 + HANDICAP * hypothesis.cost


def _residual(candidate: Candidate) -> float:
    return candidate.residual


def _score(candidate: Candidate) -> float:
    return candidate.score
