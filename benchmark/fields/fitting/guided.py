"""Final fit of the volume with a total variation that spares the edges found by a field.

The weight of a voxel's gradient is 1 / (1 + |grad f| / (tau m)), f being the field's volume and m the mean attenuation of the data, scaled
to a mean of 1: iteratively reweighted total variation (Candes, Wakin, Boyd 2008, doi 10.1007/s00041-008-9045-x), with the field in place of
the last iterate.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from benchmark.reconstruction.tv_problem import TvProblem, fista
from benchmark.runtime.context import Run
from benchmark.scan.scan import Scan

TAU = 1.0  # smallest gradient of a field that counts as an edge, unless given [mean attenuations per voxel]
HEAVIER = 2.0  # times the suitable weight without a guide: edges are no longer penalised
STEPS, TOLERANCE, INNER = 300, 1e-4, 5
LOG_EVERY = 5  # [steps]


def edge_weights(volume: torch.Tensor, spacing: tuple[float, float, float], attenuation: float, tau: float = TAU) -> torch.Tensor:
    """Return weights [z, y, x] of a guide [z, y, x] (1/mm) on voxels of this spacing (z, y, x); `attenuation`: the data's mean (1/mm)."""
    edge = math.prod(spacing) ** (1 / 3)
    ahead = [volume.narrow(axis, count - 1, 1) for axis, count in enumerate(volume.shape)]  # the last differences are 0
    slopes = [volume.diff(dim=axis, append=last) * (edge / spacing[axis]) for axis, last in enumerate(ahead)]
    weights = 1 / (1 + torch.stack(slopes).square().sum(0).sqrt() / (tau * max(attenuation, 1e-12)))
    return (weights / weights.mean()).contiguous()


def guided_fit(guide: torch.Tensor, scan: Scan, weight: float, run: Run, tau: float = TAU) -> torch.Tensor:
    """Return the non-negative least-squares fit with weight m sum_i w_i |grad x|_i, started from `guide` [z, y, x] [1/mm].

    The voxel weights w_i are small at the guide's edges, so that total variation spares them. `weight` is that of a TvProblem without a
    guide; 0 returns the guide. `tau` is the smallest gradient of an edge, in mean attenuations per voxel.
    Ends when the fit has converged or the run's budget is spent.
    """
    if not weight:
        return guide
    data = torch.from_numpy(np.array(scan.projections)).to(guide.device)
    problem = TvProblem(scan.geometry, data)
    problem.weigh(edge_weights(guide, scan.geometry.volume_spacing, problem.attenuation, tau))
    volume = guide
    for end in fista(problem, HEAVIER * weight, run.steps(STEPS), tolerance=TOLERANCE, inner=INNER, start=guide.clamp(min=0)):
        volume = end.x
        if end.steps % LOG_EVERY == 0:
            run.log(loss=end.objective)
    return volume
