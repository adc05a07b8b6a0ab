"""Reconstruction by FISTA-TV."""

from __future__ import annotations

import numpy as np
import torch

from benchmark.api import Iterate, Reconstruction, Run, Scan, TvChoice, TvProblem, choose_tv_weight, engine_name, fista

from . import FistaTvParams

LOG_EVERY = 5  # [steps]


def reconstruct(scan: Scan, params: FistaTvParams, run: Run) -> Reconstruction:
    """Choose the weight (unless given), then fit all views with it."""
    data = torch.from_numpy(np.array(scan.projections)).to(run.device)
    problem = TvProblem(scan.geometry, data, nonnegative=params.nonnegative, engine=params.engine)
    if params.weight == "auto":
        choice = choose_tv_weight(scan, data, run, nonnegative=params.nonnegative, inner=params.inner, engine=params.engine)
    else:
        choice = TvChoice(weight=params.weight)
    start = torch.zeros(scan.geometry.volume_shape, dtype=torch.float32, device=run.device) if choice.volume is None else choice.volume
    end = Iterate(start)
    steps = run.steps(params.iterations)
    for end in fista(problem, choice.weight, steps, tolerance=params.tolerance, inner=params.inner, start=start):
        if end.steps % LOG_EVERY == 0:
            run.log(loss=end.objective)
        run.snapshot(lambda: end.x.cpu().numpy())  # noqa: B023 (called at once)
    return Reconstruction(volume=end.x.cpu().numpy(), engine=engine_name(params.engine), info=_info(choice, problem, end))


def _info(choice: TvChoice, problem: TvProblem, end: Iterate) -> dict:
    """Return facts for the record: the weight, its origin, and the convergence of the fit."""
    finite = {"objective": end.objective, "decrement_over_10_steps": end.decrement}
    return {
        "weight": choice.weight,
        "weights_tried": [list(row) for row in choice.tried],
        "held_back_views": choice.held_back if choice.tried else [],
        "mean_attenuation": problem.attenuation,
        "iterations": end.steps,
        **{name: value for name, value in finite.items() if np.isfinite(value)},
    }
