"""x <- x + relaxation C A^T R (p - A x) for one subset of views after another; R and C are inverse row and column sums of A."""

from __future__ import annotations

import math

import numpy as np
import torch

from benchmark.api import Projector, Reconstruction, Run, Scan
from methods.sart import SartParams

CORRECTIONS = 500  # per reconstruction, by default: from there on noise and model error grow faster than detail
GOLDEN = (math.sqrt(5) - 1) / 2


def default_iterations(corrections_per_pass: int) -> int:
    """Passes that make about CORRECTIONS corrections, 2 .. 60."""
    return min(60, max(2, round(CORRECTIONS / corrections_per_pass)))


def spread_order(angles: np.ndarray) -> np.ndarray:
    """View indices so that each next view is far from the last few: golden-ratio steps through the sorted angles."""
    by_angle = np.argsort(np.mod(angles, 2 * np.pi))
    return by_angle[np.argsort(np.mod(np.arange(len(angles)) * GOLDEN, 1.0))]


def _inverse(sums: torch.Tensor) -> torch.Tensor:
    """1 / sums where rays or voxels are really met; 0 elsewhere, so that grazing rays do not blow up."""
    met = sums > 1e-3 * sums.max()
    return torch.where(met, 1 / sums.clamp(min=1e-20), torch.zeros(()))


class Subset:
    """Some views with their row and column weights."""

    def __init__(self, projector: Projector, indices: np.ndarray, measured: torch.Tensor) -> None:
        self.projector = projector.subset(indices)
        self.measured = measured[indices]
        self.rows = _inverse(self.projector.forward(torch.ones(projector.geometry.volume_shape)))
        self.columns = _inverse(self.projector.adjoint(torch.ones(self.projector.geometry.projection_shape)))

    def correct(self, volume: torch.Tensor, relaxation: float) -> float:
        """One correction in place; returns the mean squared residual before it."""
        residual = self.measured - self.projector.forward(volume)
        volume += relaxation * self.columns * self.projector.adjoint(self.rows * residual)
        return float(residual.square().mean())


def reconstruct(scan: Scan, params: SartParams, run: Run) -> Reconstruction:
    """Start at zero; every pass corrects with each subset once."""
    projector, measured = Projector(scan.geometry), torch.tensor(scan.projections)
    count = -(-scan.geometry.views // min(params.subset, scan.geometry.views))
    order = spread_order(scan.geometry.angles)
    subsets = [Subset(projector, order[first::count], measured) for first in range(count)]
    iterations = params.iterations or default_iterations(count)
    volume, relaxation = torch.zeros(scan.geometry.volume_shape), params.relaxation
    for _ in run.steps(iterations):
        loss = 0.0
        for subset in subsets:
            loss += subset.correct(volume, relaxation) / count
            if params.nonnegative:
                volume.clamp_(min=0)
        relaxation *= params.decay
        run.log(loss=loss)
        run.snapshot(lambda: volume.numpy().copy())
    return Reconstruction(volume=volume.numpy(), info={"iterations": iterations, "subsets": count})
