"""The weight of the total variation, chosen from the scan alone: it never sees a truth.

Two tests, because each is blind where the other sees. Views that were held back tell noise from detail, but need neighbours
to be predicted from. The fitted views, blurred to the resolution of the voxels, tell too sharp from too smooth however few
they are, but noise that was fitted looks like detail to them. So the larger of the two weights counts, and the second alone
where nothing predicts the held-back views better than the smoothest volume does.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch

from benchmark.api import Run, Scan, ViewError, held_back_views
from methods.fista_tv.problem import Problem, fista

WEIGHTS = tuple(0.032 / 2**k for k in range(8))  # tried in this order, each fit from the last one's volume
STEPS, TOLERANCE = 60, 3e-4  # of FISTA per weight: a fit that stops too early looks like one of a larger weight
FALLBACK = 0.005  # for scans too short to hold a view back
RISE = 1.01  # both errors must have risen by this factor from their minimum before the search ends


@dataclasses.dataclass
class Choice:
    """The chosen weight, the errors it was chosen from, and the volume of the last fit (a start for the next)."""

    weight: float = FALLBACK
    tried: list[tuple[float, float, float]] = dataclasses.field(default_factory=list)  # weight, errors of held-back and fitted views
    held_back: list[int] = dataclasses.field(default_factory=list)
    volume: torch.Tensor | None = None


def choose_weight(scan: Scan, data: torch.Tensor, run: Run, *, nonnegative: bool, inner: int) -> Choice:
    """Fit all views but the held-back ones with ever smaller weights until what the fits predict of those gets worse."""
    choice = Choice(held_back=[int(i) for i in held_back_views(scan.geometry.angles)])
    kept = np.setdiff1d(np.arange(scan.geometry.views), choice.held_back)
    if kept.size < 2:
        return choice
    problem = Problem(scan.geometry.subset(kept), data[kept], nonnegative=nonnegative)
    held, fitted = (ViewError(scan.geometry.subset(part), data[part]) for part in (choice.held_back, kept))
    steps = run.steps(len(WEIGHTS) * STEPS)
    for weight in WEIGHTS:
        iterate = None
        for iterate in fista(problem, weight, itertools.islice(steps, STEPS), tolerance=TOLERANCE, inner=inner, start=choice.volume):
            choice.volume = iterate.x
        if iterate is None or choice.volume is None:
            break  # the time is up
        choice.tried.append((weight, held.error(choice.volume), fitted.error(choice.volume)))
        run.log(loss=iterate.objective, weight=weight, held_back_error=choice.tried[-1][1])
        if all(choice.tried[-1][k] > RISE * min(row[k] for row in choice.tried) for k in (1, 2)):
            break
    if choice.tried:
        choice.weight = chosen(choice.tried)
    return choice


def chosen(tried: list[tuple[float, float, float]]) -> float:
    """The weight that the errors of held-back and of fitted views speak for."""
    weights, held, fitted = zip(*tried, strict=True)
    by_held, by_fitted = minimum(weights, held), minimum(weights, fitted)
    return by_fitted if by_held == weights[0] else max(by_held, by_fitted)


def minimum(weights: Sequence[float], errors: Sequence[float]) -> float:
    """The weight of the least error, by a parabola in log weight through the best one and its two neighbours."""
    k = min(range(len(errors)), key=errors.__getitem__)
    if not 0 < k < len(errors) - 1:
        return weights[k]
    left, here, right = (math.log(max(errors[i], 1e-30)) for i in (k - 1, k, k + 1))
    curvature = left - 2 * here + right
    shift = 0.5 * (left - right) / curvature if curvature > 0 else 0.0
    return weights[k] * (weights[k + 1] / weights[k]) ** min(0.5, max(-0.5, shift))
