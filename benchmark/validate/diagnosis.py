"""Find the description that explains a scan's projections best, and its certainty."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

from benchmark.storage.download import Progress
from benchmark.validate.hypotheses import DECLARED, Hypothesis, after, orientation_hypotheses, single_hypotheses
from benchmark.validate.residual import Fit, fit
from benchmark.validate.setup import Setup
from benchmark.validate.shifts import SHIFTED, shift_hypotheses

SAME = 1.05  # residuals within this factor are indistinguishable
HANDICAP = 0.1  # a correction must be better by this share to be believed, per change that it makes
MOST_MAGNIFICATION = 30.0
NOTHING_FITS = {True: 0.35, False: 0.5}  # with and without a truth: a residual above this is no explanation


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
        return self.residual * (1 + HANDICAP * self.hypothesis.cost + odd) * (1.2 if magnification > MOST_MAGNIFICATION else 1.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Diagnosis:
    """Result: `best` fits the projections best, `same` equally well (equivalent descriptions, or truly ambiguous), `rival` next best."""

    declared: Candidate
    best: Candidate
    same: list[Candidate]
    rival: Candidate | None
    tried: int

    @property
    def as_declared(self) -> bool:
        """True if nothing explains the projections better than the description."""
        return self.best is self.declared and math.isfinite(self.declared.residual)

    @property
    def explains(self) -> bool:
        """False if even the best hypothesis leaves too large a residual."""
        return self.best.residual <= NOTHING_FITS[self.best.setup.truth is not None]

    @property
    def certainty(self) -> float:
        """Ratio of the rival's residual to the best one's."""
        return math.inf if self.rival is None else self.rival.residual / max(self.best.residual, 1e-12)


def diagnose(setup: Setup, progress: Progress = lambda done, total, what: None) -> Diagnosis:
    """Try every single mistake, then shifts combined with the likeliest ones, then a second mistake combined with the best."""
    declared = _candidate(setup, DECLARED, DECLARED)
    known = setup.truth is not None
    more = orientation_hypotheses() if known and not setup.any_orbit else []
    found = [declared, *_tried(setup, DECLARED, single_hypotheses(setup) + more, progress)]
    for base in dict.fromkeys([declared, min(found, key=_score)]):
        if math.isfinite(base.residual):
            found += _tried(setup, base.hypothesis, shift_hypotheses(base.setup), progress)
    best = min(found, key=_score)
    if best is not declared and known:
        found += _tried(setup, best.hypothesis, single_hypotheses(best.setup), progress)
        best = min(found, key=_score)
    return _judged(declared, best, found)


def _judged(declared: Candidate, best: Candidate, found: list[Candidate]) -> Diagnosis:
    """Split the candidates into those equivalent to the best and the rest; further corrections of the best one count as neither."""
    others = sorted((c for c in found if not set(best.hypothesis.parts) <= set(c.hypothesis.parts)), key=_residual)
    if best is declared:  # every correction extends the empty one; shifts alone are no rivals
        others = sorted((c for c in found if c is not best and not any(SHIFTED in part for part in c.hypothesis.parts)), key=_residual)
    others = [c for c in others if math.isfinite(c.residual)]
    close = [c for c in others if c.residual <= best.residual * SAME]
    same = [c for c in close if c.hypothesis.cost <= best.hypothesis.cost + 1.5]
    further = [c for c in others if c.residual > best.residual * SAME]
    rival = min((c for c in further if c.residual <= further[0].residual * SAME), key=lambda c: c.hypothesis.cost, default=None)
    return Diagnosis(declared, best, same, rival, len(found))


def _candidate(setup: Setup, before: Hypothesis, hypothesis: Hypothesis) -> Candidate:
    both = after(before, hypothesis)
    changed = both.change(setup)
    return Candidate(both, changed, fit(changed))


def _tried(setup: Setup, before: Hypothesis, hypotheses: Iterable[Hypothesis], progress: Progress) -> list[Candidate]:
    hypotheses = list(hypotheses)
    found = []
    for index, hypothesis in enumerate(hypotheses):
        progress(index, len(hypotheses), hypothesis.name)
        found.append(_candidate(setup, before, hypothesis))
    return found


def _residual(candidate: Candidate) -> float:
    return candidate.residual


def _score(candidate: Candidate) -> float:
    return candidate.score
