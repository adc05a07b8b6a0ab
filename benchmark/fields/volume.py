"""Sampling of a field on the voxel grid of a geometry."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch

from benchmark.scan.geometry import ConeBeamGeometry


def voxel_positions(
    geometry: ConeBeamGeometry, shift: tuple[float, float, float] = (0.0, 0.0, 0.0), device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Return the voxel centres, moved by `shift` voxels along z, y, x: float32 [z * y * x, 3], x y z [mm]."""
    return _grid(_axes(geometry, shift, device))


def _axes(geometry: ConeBeamGeometry, shift: tuple[float, float, float], device: torch.device | str) -> list[torch.Tensor]:
    """Return the voxel centres along z, y, x, moved by `shift` voxels: float32 each [mm]."""
    centres = [geometry.voxel_centres(axis) + shift[axis] * geometry.volume_spacing[axis] for axis in range(3)]
    return [torch.tensor(centre, dtype=torch.float32, device=device) for centre in centres]


def _grid(axes: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return all combinations of coordinates along z, y, x: float32 [z * y * x, 3], x y z."""
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    return torch.stack([x, y, z], -1).view(-1, 3)


@torch.no_grad()
def field_volume(
    field: Callable[[torch.Tensor], torch.Tensor],
    geometry: ConeBeamGeometry,
    supersample: int = 2,
    chunk: int = 1 << 18,
    device: torch.device | str = "cpu",
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Sample a field on a geometry's voxels: the mean over supersample^3 points in each, float32 [z, y, x] [1/mm].

    `field` maps positions [M, 3] (x y z [mm], on `device`) to attenuation [M] [1/mm]; one call gets at most `chunk` of them. Voxels
    outside `mask` (bool [z, y, x]) are 0.
    """
    steps = [(i + 0.5) / supersample - 0.5 for i in range(supersample)]
    total = torch.zeros(geometry.volume_shape, dtype=torch.float32, device=device)
    planes = max(1, chunk // math.prod(geometry.volume_shape[1:]))
    for shift in itertools.product(steps, steps, steps):
        z, y, x = _axes(geometry, shift, device)
        for first in range(0, len(z), planes):
            part = slice(first, first + planes)
            positions = _grid([z[part], y, x])
            inside = slice(None) if mask is None else mask[part].flatten().nonzero()[:, 0]
            values = [field(some).reshape(-1) for some in positions[inside].split(chunk) if len(some)]
            if values:
                total[part].view(-1)[inside] += torch.cat(values)
    return total / supersample**3
