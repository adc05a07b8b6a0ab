"""Corrections of a volume towards its measurements, one subset of views after another: SART's own step."""

from __future__ import annotations

import math

import numpy as np
import torch

from benchmark.ct.projector import Projector
from benchmark.types import Scan

GOLDEN = (math.sqrt(5) - 1) / 2


class OrderedSubsets:
    """x <- x + relaxation C A^T R (p - A x) for each subset of `size` views in turn (Andersen & Kak 1984, doi 10.1177/016173468400600107).

    R and C are the inverse row and column sums of the subset's A, 0 for rays and voxels that are not met. Subsets follow
    each other far apart in angle.
    """

    def __init__(self, scan: Scan, size: int = 1) -> None:
        views = scan.geometry.views
        count = -(-views // min(size, views))
        order = spread_order(scan.geometry.angles)
        projector, measured = Projector(scan.geometry), torch.tensor(scan.projections)
        self._subsets = [_Subset(projector, order[first::count], measured) for first in range(count)]

    def __len__(self) -> int:
        return len(self._subsets)

    def correct(self, volume: torch.Tensor, index: int, relaxation: float, nonnegative: bool = True) -> float:
        """Correct the volume [z, y, x] in place with subset `index` (modulo their number); the mean squared residual before."""
        loss = self._subsets[index % len(self)].correct(volume, relaxation)
        if nonnegative:
            volume.clamp_(min=0)
        return loss


class _Subset:
    def __init__(self, projector: Projector, indices: np.ndarray, measured: torch.Tensor) -> None:
        self.projector = projector.subset(indices)
        self.measured = measured[indices]
        self.rows = _inverse(self.projector.forward(torch.ones(projector.geometry.volume_shape)))
        self.columns = _inverse(self.projector.adjoint(torch.ones(self.projector.geometry.projection_shape)))

    def correct(self, volume: torch.Tensor, relaxation: float) -> float:
        residual = self.measured - self.projector.forward(volume)
        volume += relaxation * self.columns * self.projector.adjoint(self.rows * residual)
        return float(residual.square().mean())


def spread_order(angles: np.ndarray) -> np.ndarray:
    """View indices so that each next view is far from the last few: golden-ratio steps through the sorted angles."""
    by_angle = np.argsort(np.mod(angles, 2 * np.pi))
    return by_angle[np.argsort(np.mod(np.arange(len(angles)) * GOLDEN, 1.0))]


def _inverse(sums: torch.Tensor) -> torch.Tensor:
    met = sums > 1e-3 * sums.max()  # grazing rays would blow up
    return torch.where(met, 1 / sums.clamp(min=1e-20), torch.zeros(()))
