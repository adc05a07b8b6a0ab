"""Choice of the weight of total variation from the scan alone, without any truth.

Two complementary tests. Held-back views distinguish noise from detail, but can only be predicted from
neighbours. Fitted views, blurred to the resolution of the voxels, distinguish too sharp from too smooth for any number of
views, but cannot tell fitted noise from detail. So the larger of the two weights counts; the second alone
if the smoothest volume predicts the held-back views best although the fitted views are matched far better (too few views,
not too much noise).

The weight is a pure number, which changes slowly with the size of the voxels: volumes of more than SEARCHED voxels along an edge are
not fitted themselves. The search is done on the first coarser grid below that, and once more on voxels of twice the size; the power of the
voxel size that joins the two weights gives the weight of the finest grid.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from benchmark.machine.engine import Engine
from benchmark.reconstruction.coarser import coarser, pyramid
from benchmark.reconstruction.held_back import ViewError, held_back_views
from benchmark.reconstruction.tv_problem import TvProblem, fista
from benchmark.runtime.context import Run
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.scan import Scan

WEIGHTS = tuple(0.032 / 2**k for k in range(8))  # tried in this order, each fit from the last one's volume
STEPS, TOLERANCE = 60, 3e-4  # of FISTA per weight: a fit stopped too early resembles a fit with a larger weight
SEARCHED = 64  # most voxels along an edge of the grid that the weight is searched on
STEEPEST = 1.0  # largest power of the voxel size: noise alone, at a fixed smoothness in mm, makes the weight grow as 1 / size
FALLBACK = 0.005  # for scans too short to hold a view back
LARGEST = 0.3  # upper limit of the weights, reached only if the first weight predicts best
UNTOLD = 0.7  # relative error above which the other views explain less than half of the held-back views (squared) ...
UNPREDICTABLE = 2.0  # ... if it is also this many times the error of the fitted views: else it is noise
RISE = 1.01  # both errors must have risen by this factor from their minimum before the search ends


@dataclasses.dataclass
class TvChoice:
    """Result of `choose_tv_weight`: the chosen weight, what was tried, the indices of the held-back views, and the last fit [z, y, x].

    Weights were tried, and the last fit lies, on the grid of the search: the scan's own up to 64 voxels along an edge, else a coarser
    one. `slope` is the power of the number of voxels along an edge that the weight grows with.
    """

    weight: float = FALLBACK
    slope: float = 0.0
    tried: list[tuple[float, float, float]] = dataclasses.field(default_factory=list)  # weight, errors of held-back and fitted views
    held_back: list[int] = dataclasses.field(default_factory=list)
    volume: torch.Tensor | None = None

    def on(self, halvings: int) -> float:
        """Return the weight for the scan with its voxels and pixels doubled in size so many times."""
        return self.weight * 2 ** (-self.slope * halvings)


def choose_tv_weight(scan: Scan, data: torch.Tensor, run: Run, *, nonnegative: bool, inner: int, engine: Engine = "auto") -> TvChoice:
    """Choose the weight of a TvProblem from the scan alone, by fitting all but the held-back views with ever smaller weights.

    The search ends when the fits predict the held-back views worse again (see `held_back_views`, ViewError). `data` are the projections
    [view, v, u] on the device to use; `inner` is that of `fista`. The steps count as steps of `run`. A scan too short to hold views
    back gets the default weight. Volumes of more than 64 voxels along an edge are searched on coarser grids.
    """
    how: dict[str, Any] = {"nonnegative": nonnegative, "inner": inner, "engine": engine}
    levels = pyramid(scan.geometry, data, SEARCHED)
    choice = _searched(*levels[-1], run, **how)
    below = coarser(*levels[-1]) if len(levels) > 1 else None
    if choice.tried and below is not None:
        coarse = _searched(*below, run, **how)
        if coarse.tried:
            choice.slope = min(STEEPEST, max(-STEEPEST, math.log2(choice.weight / coarse.weight)))
        choice.weight *= 2 ** (choice.slope * (len(levels) - 1))
    return choice


def _searched(geometry: ConeBeamGeometry, data: torch.Tensor, run: Run, *, nonnegative: bool, inner: int, engine: Engine) -> TvChoice:
    """Search for the weight on this very grid."""
    choice = TvChoice(held_back=[int(i) for i in held_back_views(geometry.angles)])
    kept = np.setdiff1d(np.arange(geometry.views), choice.held_back)
    if kept.size < 2:
        return choice
    problem = TvProblem(geometry.subset(kept), data[kept], nonnegative=nonnegative, engine=engine)
    held, fitted = (ViewError(geometry.subset(part), data[part]) for part in (choice.held_back, kept))
    steps = run.steps((len(WEIGHTS) + 4) * STEPS)

    def attempt(weight: float) -> bool:
        """Fit with a weight and record both errors; return False when the time is up."""
        end = None
        for end in fista(problem, weight, itertools.islice(steps, STEPS), tolerance=TOLERANCE, inner=inner, start=choice.volume):
            choice.volume = end.x
        if end is not None:
            choice.tried.append((weight, held.error(end.x), fitted.error(end.x)))
            choice.tried.sort(reverse=True)
            run.log(loss=end.objective, weight=weight, held_back_error=held.error(end.x))
        return end is not None

    for weight in WEIGHTS:
        if not attempt(weight) or all(choice.tried[-1][k] > RISE * min(row[k] for row in choice.tried) for k in (1, 2)):
            break
    while choice.tried and smoothest_is_best(choice.tried) and not unpredictable(choice.tried):
        weight = 2 * choice.tried[0][0]
        if weight > LARGEST or not attempt(weight):
            break
    if choice.tried:
        choice.weight = chosen(choice.tried)
    return choice


def smoothest_is_best(tried: list[tuple[float, float, float]]) -> bool:
    """Return whether the largest weight tried predicts the held-back views best."""
    return tried[0][1] == min(held for _, held, _ in tried)


def unpredictable(tried: list[tuple[float, float, float]]) -> bool:
    """Return whether the smoothest volume predicts the held-back views best, and badly: the fits do not inform about them."""
    best = min(fitted for _, _, fitted in tried)
    return smoothest_is_best(tried) and tried[0][1] > max(UNTOLD, UNPREDICTABLE * best)


def chosen(tried: list[tuple[float, float, float]]) -> float:
    """Return the weight supported by the errors of held-back and of fitted views; the largest weight comes first."""
    weights, held, fitted = zip(*tried, strict=True)
    by_fitted = minimum(weights, fitted)
    return by_fitted if unpredictable(tried) else max(minimum(weights, held), by_fitted)


def minimum(weights: Sequence[float], errors: Sequence[float]) -> float:
    """Return the weight of least error, by a parabola in log weight through the best weight and its two neighbours."""
    k = min(range(len(errors)), key=errors.__getitem__)
    if not 0 < k < len(errors) - 1:
        return weights[k]
    left, here, right = (math.log(max(errors[i], 1e-30)) for i in (k - 1, k, k + 1))
    curvature = left - 2 * here + right
    shift = 0.5 * (left - right) / curvature if curvature > 0 else 0.0
    return weights[k] * (weights[k + 1] / weights[k]) ** min(0.5, max(-0.5, shift))
