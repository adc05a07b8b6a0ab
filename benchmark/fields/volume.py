"""Sampling of a field on the voxel grid of a geometry."""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmark.scan.geometry import ConeBeamGeometry


def voxel_positions(
    geometry: ConeBeamGeometry, shift: tuple[float, float, float] = (0.0, 0.0, 0.0), device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Return the voxel centres, moved by `shift` voxels along z, y, x: float32 [z * y * x, 3], x y z [mm]."""
    axes = [
        torch.tensor(geometry.voxel_centres(axis) + shift[axis] * geometry.volume_spacing[axis], dtype=torch.float32, device=device)
        for axis in range(3)
    ]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    return torch.stack([x, y, z], -1).view(-1, 3)


@torch.no_grad()
def field_volume(
    field: Callable[[torch.Tensor], torch.Tensor],
    geometry: ConeBeamGeometry,
    supersample: int = 2,
    chunk: int = 1 << 18,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Sample a field on a geometry's voxels: the mean over supersample^3 points in each, float32 [z, y, x] [1/mm].

    `field` maps positions [M, 3] (x y z [mm], on `device`) to attenuation [M] [1/mm]; one call gets at most `chunk` of them.
    """
    steps = [(i + 0.5) / supersample - 0.5 for i in range(supersample)]
    total = torch.zeros(geometry.volume_shape, dtype=torch.float32, device=device).view(-1)
    for dz in steps:
        for dy in steps:
            for dx in steps:
                positions = voxel_positions(geometry, (dz, dy, dx), device)
                for first in range(0, len(positions), chunk):
                    total[first : first + chunk] += field(positions[first : first + chunk]).reshape(-1)
    return (total / supersample**3).view(geometry.volume_shape)
