"""Isotropic total variation of a volume or a field in a training loss, weighted as in benchmark.reconstruction.tv_problem."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from benchmark.errors import InputError
from benchmark.kernels.transfer import to_device
from benchmark.plugins.specs import TvWeight
from benchmark.reconstruction.tv_problem import TvProblem
from benchmark.reconstruction.tv_weight import choose_tv_weight
from benchmark.runtime.context import Run
from benchmark.scan.scan import Scan

POINTS = 1024  # random points per step for the gradient of a field


def variation_weight(weight: TvWeight, scan: Scan, run: Run) -> float:
    """Return a weight given as a number, or the one that `choose_tv_weight` chooses for 'auto'.

    Raises InputError for a weight on views that are not line integrals.
    """
    if weight and scan.composite != "sum":
        raise InputError("weight of the total variation", expected="0 where the views are maxima", found=f"{weight}")
    if weight != "auto":
        return float(weight)
    data = torch.from_numpy(np.array(scan.projections)).to(run.device)
    return choose_tv_weight(scan, data, run, nonnegative=True, inner=5).weight


def total_variation(block: torch.Tensor, spacing: Sequence[float]) -> torch.Tensor:
    """Return the mean length of the gradient of [..., z, y, x] with voxels of this spacing (z, y, x), smoothed near 0.

    Forward differences of all voxels but the last along each axis; an axis of one voxel has no gradient.
    """
    z, y, x = (slice(0, max(1, count - 1)) for count in block.shape[-3:])
    inside, later = block[..., z, y, x], slice(1, None)
    ahead = (block[..., later, y, x], block[..., z, later, x], block[..., z, y, later])
    slopes = [(values - inside) / step for values, step in zip(ahead, spacing, strict=True) if values.shape == inside.shape]
    return _mean_length(torch.stack(slopes) if slopes else torch.zeros_like(inside)[None], block)


def _mean_length(slopes: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Return the mean length of vectors (components along the first axis), smoothed below 1e-4 of the values' size for a gradient at 0."""
    floor = 1e-8 * values.detach().square().mean() + 1e-20
    return (slopes.square().sum(0) + floor).sqrt().mean()


class Variation:
    """Total variation as a term of a training loss whose data term is the mean squared residual over `pixels` measured pixels.

    `weight` is that of TvProblem, which minimises |A x - b|^2 / (2 kappa) + w m TV(x); so does
    |A x - b|^2 / pixels + (2 w m kappa / pixels) TV(x), where TV(x) is the mean length of the gradient times the number of voxels, which
    random points of a field estimate without bias. The mean is per voxel of the scan's own grid, whatever grid a volume is sampled on.
    `weight` must be a number: `variation_weight` resolves 'auto'. Volumes and fields lie on `device`.
    """

    def __init__(self, scan: Scan, weight: TvWeight, pixels: int, device: torch.device | str = "cpu") -> None:
        problem = TvProblem(scan.geometry, torch.from_numpy(np.array(scan.projections)).to(device))
        self.geometry, self.device = scan.geometry, device
        edge = math.prod(scan.geometry.volume_spacing) ** (1 / 3)
        self.extent = [length / edge for length in scan.geometry.volume_extent]  # z y x, in (mean) voxel edges
        voxels = math.prod(max(1, count - 1) for count in scan.geometry.volume_shape)
        self.factor = 2 * float(weight) * problem.attenuation * problem.kappa * voxels / pixels

    def of_volume(self, volume: torch.Tensor) -> torch.Tensor:
        """Return the term of the whole box, sampled on any grid [z, y, x]."""
        spacing = [length / count for length, count in zip(self.extent, volume.shape, strict=True)]
        return self.factor * total_variation(volume, spacing)

    def of_field(self, field: Callable[[torch.Tensor], torch.Tensor], generator: torch.Generator) -> torch.Tensor:
        """Return the term of a field ([M, 3] x y z [mm] -> [M]), from differences over a voxel's edge at random points of the box."""
        counts = torch.tensor(self.geometry.volume_shape)
        several = (counts > 1).float()
        ahead = torch.cat([torch.zeros(1, 3, dtype=torch.float32), torch.diag(several)])
        random = torch.rand(POINTS, 1, 3, dtype=torch.float32, generator=generator)
        index = random * (counts - several) + ahead  # z y x in voxels from the lower corner
        spacing, lower = self.geometry.volume_spacing, self.geometry.volume_bounds[0]
        positions = (index * torch.tensor(spacing, dtype=torch.float32)).flip(-1).view(-1, 3) + torch.tensor(lower, dtype=torch.float32)
        values = field(to_device(positions, self.device)).view(POINTS, 4)
        edges = torch.tensor([length / count for length, count in zip(self.extent, counts.tolist(), strict=True)], dtype=torch.float32)
        return self.factor * _mean_length(((values[:, 1:] - values[:, :1]) / to_device(edges, values.device)).t(), values)
