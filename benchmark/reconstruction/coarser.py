"""A scan on coarser grids: voxels and pixels of twice the size, again and again, for searches and fits that begin there."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from benchmark.scan.geometry import ConeBeamGeometry

Level = tuple[ConeBeamGeometry, torch.Tensor]


def coarser(geometry: ConeBeamGeometry, projections: torch.Tensor) -> Level | None:
    """Return the geometry with voxels and pixels of twice the size, and projections [view, v, u] averaged to them.

    An odd last row or column of pixels is dropped; an odd number of voxels is rounded up, in the same box. None for one row or column.
    """
    if min(geometry.detector_shape) < 2:
        return None
    z, y, x = (-(-n // 2) for n in geometry.volume_shape)
    return geometry.binned(2).with_volume((z, y, x)), F.avg_pool2d(projections, 2)


def pyramid(geometry: ConeBeamGeometry, projections: torch.Tensor, longest: int) -> list[Level]:
    """Return the scan itself and its coarser versions, down to the first without an edge of more than `longest` voxels."""
    levels = [(geometry, projections)]
    while max(levels[-1][0].volume_shape) > longest and (below := coarser(*levels[-1])) is not None:
        levels.append(below)
    return levels


def upsampled(volume: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """Return a volume [z, y, x] on another grid of the same box, by linear interpolation between voxel centres."""
    if tuple(volume.shape) == shape:
        return volume
    return F.interpolate(volume[None, None], shape, mode="trilinear")[0, 0].contiguous()
