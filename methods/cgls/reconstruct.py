"""Conjugate gradients on A^T A x = A^T p, started at zero; each residual is the smallest its Krylov space allows."""

from __future__ import annotations

import numpy as np
import torch

from benchmark.api import Projector, Reconstruction, Run, Scan
from methods.cgls import CglsParams


def reconstruct(scan: Scan, params: CglsParams, run: Run) -> Reconstruction:
    """Iterate until the residual hardly falls any more."""
    projector = Projector(scan.geometry)
    volume = torch.zeros(scan.geometry.volume_shape)
    residual = torch.tensor(scan.projections)
    gradient = projector.adjoint(residual)
    direction, power, norm, iterations = gradient.clone(), gradient.double().square().sum(), residual.norm(), 0
    for _ in run.steps(params.iterations):
        projected = projector.forward(direction)
        curvature = projected.double().square().sum()
        if curvature == 0 or power == 0:
            break  # exactly solved
        length = float(power / curvature)
        volume += length * direction
        residual -= length * projected
        gradient = projector.adjoint(residual)
        new_power = gradient.double().square().sum()
        direction = gradient + float(new_power / power) * direction
        power, iterations = new_power, iterations + 1
        before, norm = norm, residual.norm()
        run.log(loss=float(norm**2 / residual.numel()))
        run.snapshot(lambda: finished(volume, params))  # noqa: B023 (called at once)
        if norm > (1 - params.tolerance) * before:
            break
    return Reconstruction(volume=finished(volume, params), info={"iterations": iterations})


def finished(volume: torch.Tensor, params: CglsParams) -> np.ndarray:
    """A copy for the caller, [z, y, x]."""
    return (volume.clamp(min=0) if params.nonnegative else volume.clone()).numpy()
