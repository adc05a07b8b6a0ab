"""First steps of a total-variation fit by some of the views at a time: as far in one pass over the views as FISTA in several."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from benchmark.reconstruction.ordered_subsets import spread_order
from benchmark.reconstruction.tv_problem import Iterate, TvProblem

VIEWS, MOST = 10, 5  # of a subset at least; subsets. With 5 views each, and momentum, the steps grew without bound.
INNER = 3  # steps of the proximal operator
CHECKED = 5  # passes between two looks at the objective


def subset_steps(problem: TvProblem, weight: float, passes: Iterable[int], *, tolerance: float, start: torch.Tensor) -> Iterator[Iterate]:
    """Approach the minimum of a TvProblem from `start` [z, y, x]; yield an Iterate after every pass over the views.

    Each step takes the gradient of a subset for that of all views, with FISTA's momentum (ordered subsets; Kim, Ramani, Fessler 2015, doi
    10.1109/TMI.2014.2350962). This does not converge: `fista` must follow. Ends when the objective, looked at every five passes,
    falls by less than `tolerance` (relative) per pass; where it has risen, the last yield is the best volume so far. Nothing is yielded for
    fewer than 20 views.
    """
    geometry, data = problem.projector.geometry, problem.data
    count = min(MOST, geometry.views // VIEWS)
    if count < 2:
        return
    order = spread_order(geometry.angles)
    parts = [np.sort(order[first::count]) for first in range(count)]
    projectors = [problem.projector.subset(part) for part in parts]
    values = [data[torch.from_numpy(part).to(data.device)] for part in parts]
    ones = torch.ones_like(start)
    largest = max(float(projector.adjoint(projector.forward(ones)).max()) for projector in projectors) * count / problem.kappa
    strength = weight * problem.attenuation
    x = y = start
    best, t, done = Iterate(start, problem.objective(start, weight)), 1.0, 0
    for _ in passes:
        for projector, measured in zip(projectors, values, strict=True):
            gradient = projector.adjoint(projector.forward(y) - measured).mul_(count / (problem.kappa * largest))
            new = problem.variation.prox(y - gradient, strength / largest, iterations=INNER, nonnegative=problem.nonnegative)
            t_next = (1 + math.sqrt(1 + 4 * t * t)) / 2
            x, y, t = new, torch.lerp(x, new, 1 + (t - 1) / t_next), t_next
        done += 1
        if done % CHECKED:
            yield Iterate(x, best.objective, done)
            continue
        now = Iterate(x, problem.objective(x, weight), done)
        risen, fall = not now.objective < best.objective, best.objective - now.objective
        best = best if risen else now
        yield best
        if risen or fall < CHECKED * tolerance * now.objective:
            return
