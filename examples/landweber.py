"""A method of your own: projected Landweber iterations, x <- max(0, x + step A^T (p - A x)). Used by own_method.py.

It lies in a file of its own, since each run executes in a process of its own that imports it.
"""

from __future__ import annotations

import torch

from benchmark.api import Field, MethodSpec, Params, Projector, Reconstruction, Run, Scan


class LandweberParams(Params):
    """Parameters: every value is checked, and part of a run's identity."""

    iterations: int = Field(40, ge=1, description="steps")
    relaxation: float = Field(1.0, gt=0, lt=2, description="length of a step, as a share of the longest that is stable")


def reconstruct(scan: Scan, params: LandweberParams, run: Run) -> Reconstruction:
    """Return the volume [z, y, x] [1/mm] after `iterations` steps."""
    A = Projector(scan.geometry)
    measured = torch.tensor(scan.projections)  # [view, v, u]
    volume = torch.zeros(scan.geometry.volume_shape)
    step = params.relaxation / largest_eigenvalue(A, volume)
    for _ in run.steps(params.iterations):  # ends early when the budget is spent
        residual = measured - A.forward(volume)
        volume = (volume + step * A.adjoint(residual)).clamp(min=0)
        run.log(loss=float(residual.square().mean()))
        run.snapshot(volume.numpy)  # for the convergence curve
    return Reconstruction(volume.numpy())


def largest_eigenvalue(A: Projector, volume: torch.Tensor, iterations: int = 8) -> float:
    """Return an estimate of the largest eigenvalue of A^T A, by power iteration from a constant volume."""
    vector, value = torch.ones_like(volume), 0.0
    for _ in range(iterations):
        vector = A.adjoint(A.forward(vector / vector.norm()))
        value = float(vector.norm())
    return value


METHOD = MethodSpec(
    name="landweber", target="landweber:reconstruct", params=LandweberParams, summary="projected Landweber iterations", deterministic=True
)
