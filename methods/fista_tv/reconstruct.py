"""Reconstruction by FISTA-TV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from benchmark.api import (
    ConeBeamGeometry,
    Iterate,
    Reconstruction,
    Run,
    Scan,
    TvChoice,
    TvProblem,
    choose_tv_weight,
    engine_name,
    fista,
    on_finer_grid,
    pyramid,
    subset_steps,
    upsampled,
)

from . import FistaTvParams

LOG_EVERY = 5  # [steps]
COARSEST = 64  # voxels along an edge: larger volumes begin on grids half as fine, and these again, down to this


def reconstruct(scan: Scan, params: FistaTvParams, run: Run) -> Reconstruction:
    """Reconstruct on the scan's voxels, or on finer ones."""
    return on_finer_grid(fitted, scan, params, run) if params.fine else fitted(scan, params, run)


def fitted(scan: Scan, params: FistaTvParams, run: Run) -> Reconstruction:
    """Choose the weight (unless given), then fit all views with it, on ever finer grids."""
    data = torch.from_numpy(np.array(scan.projections)).to(run.device)
    how: dict[str, Any] = {"nonnegative": params.nonnegative, "engine": params.engine}
    if params.weight == "auto":
        choice = choose_tv_weight(scan, data, run, inner=params.inner, **how)
    else:
        choice = TvChoice(weight=params.weight)
    levels, volume = pyramid(scan.geometry, data, COARSEST), choice.volume
    for halvings, (geometry, values) in reversed(list(enumerate(levels))):
        problem = TvProblem(geometry, values, **how)
        start = _on_grid(volume, geometry, run)
        end = Iterate(start)
        for end in _fits(problem, choice.on(halvings), params, run, start, by_subsets=halvings < len(levels) - 1):
            if not halvings:
                run.snapshot(lambda: end.x.cpu().numpy())  # noqa: B023 (called at once)
        volume = end.x
    return Reconstruction(volume=end.x.cpu().numpy(), engine=engine_name(params.engine), info=_info(choice, problem, end))


def _fits(
    problem: TvProblem, weight: float, params: FistaTvParams, run: Run, start: torch.Tensor, *, by_subsets: bool
) -> Iterator[Iterate]:
    """Yield and log the iterates of a fit from `start` [z, y, x]."""
    if by_subsets:
        for end in subset_steps(problem, weight, run.steps(params.iterations), tolerance=params.tolerance, start=start):
            start = end.x
            yield end
    steps = run.steps(params.iterations)
    for end in fista(problem, weight, steps, tolerance=params.tolerance, inner=params.inner, start=start):
        if end.steps % LOG_EVERY == 0:
            run.log(loss=end.objective)
        yield end


def _on_grid(volume: torch.Tensor | None, geometry: ConeBeamGeometry, run: Run) -> torch.Tensor:
    """Return the volume on the geometry's grid [z, y, x]; zeros for none."""
    if volume is None:
        return torch.zeros(geometry.volume_shape, dtype=torch.float32, device=run.device)
    return upsampled(volume, geometry.volume_shape)


def _info(choice: TvChoice, problem: TvProblem, end: Iterate) -> dict:
    """Return facts for the record: the weight, its origin, and the convergence of the fit."""
    finite = {"objective": end.objective, "decrement_over_10_steps": end.decrement}
    return {
        "weight": choice.weight,
        "weight_slope": choice.slope,
        "weights_tried": [list(row) for row in choice.tried],
        "held_back_views": choice.held_back if choice.tried else [],
        "mean_attenuation": problem.attenuation,
        "iterations": end.steps,
        **{name: value for name, value in finite.items() if np.isfinite(value)},
    }
