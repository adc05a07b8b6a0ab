"""The weight of the total variation, chosen by what it predicts of measured views that were held back. Never sees a truth."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import torch

from benchmark.api import Run, Scan
from methods.fista_tv.heldback import HeldBack
from methods.fista_tv.problem import Problem, fista

WEIGHTS = tuple(0.032 / 2**k for k in range(8))  # tried in this order, each fit from the last one's volume
STEPS, TOLERANCE = 60, 3e-4  # of FISTA per weight: a fit that stops too early looks like one of a larger weight
FALLBACK = 0.005  # for scans too short to hold a view back
SLACK = 1.002  # the largest weight counts whose error is at most this times the least: where the error is flat, simpler is safer


@dataclasses.dataclass
class Choice:
    """The chosen weight, the errors it was chosen from, and the volume of the last fit (a start for the next)."""

    weight: float = FALLBACK
    tried: list[tuple[float, float]] = dataclasses.field(default_factory=list)  # (weight, relative error)
    held_back: list[int] = dataclasses.field(default_factory=list)
    volume: torch.Tensor | None = None


def choose_weight(scan: Scan, data: torch.Tensor, run: Run, *, nonnegative: bool, inner: int) -> Choice:
    """Fit all views but the held-back ones with ever smaller weights until what the fits predict of those gets worse."""
    choice = Choice(held_back=[int(i) for i in held_back_views(scan.geometry.angles)])
    kept = np.setdiff1d(np.arange(scan.geometry.views), choice.held_back)
    if kept.size < 2:
        return choice
    problem = Problem(scan.geometry.subset(kept), data[kept], nonnegative=nonnegative)
    check = HeldBack(scan.geometry.subset(choice.held_back), data[choice.held_back])
    steps = run.steps(len(WEIGHTS) * STEPS)
    for weight in WEIGHTS:
        for iterate in fista(problem, weight, itertools.islice(steps, STEPS), tolerance=TOLERANCE, inner=inner, start=choice.volume):
            choice.volume = iterate.x
        if choice.volume is None:
            return choice  # the time is up
        choice.tried.append((weight, check.error(choice.volume)))
        run.log(loss=iterate.objective, weight=weight, held_back_error=choice.tried[-1][1])
        if choice.tried[-1][1] > (2 * SLACK - 1) * min(error for _, error in choice.tried):
            break
    choice.weight = max(minimum(choice.tried), largest_within(choice.tried, SLACK))
    return choice


def held_back_views(angles: np.ndarray) -> np.ndarray:
    """Indices of every fifth view or so, at most ten, spread over the arc and away from its ends."""
    count = min(10, max(1, round(angles.size / 5)))
    ordered = np.argsort(angles, kind="stable")
    return np.sort(ordered[((np.arange(count) + 0.5) * angles.size / count).astype(int)])


def minimum(tried: list[tuple[float, float]]) -> float:
    """The weight of the least error, by a parabola in log weight through the best one and its two neighbours."""
    k = min(range(len(tried)), key=lambda i: tried[i][1])
    if not 0 < k < len(tried) - 1:
        return tried[k][0]
    left, here, right = (math.log(max(tried[i][1], 1e-30)) for i in (k - 1, k, k + 1))
    curvature = left - 2 * here + right
    shift = 0.5 * (left - right) / curvature if curvature > 0 else 0.0
    return tried[k][0] * (tried[k + 1][0] / tried[k][0]) ** min(0.5, max(-0.5, shift))


def largest_within(tried: list[tuple[float, float]], slack: float) -> float:
    """The largest weight whose error is at most `slack` times the least, errors interpolated in log weight."""
    limit = slack * min(error for _, error in tried)
    first = next(k for k, (_, error) in enumerate(tried) if error <= limit)
    if first == 0:
        return tried[0][0]
    (above, error_above), (weight, error) = tried[first - 1], tried[first]
    part = (limit - error) / (error_above - error)
    return weight * (above / weight) ** part
