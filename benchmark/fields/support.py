"""Voxels that may hold matter: attenuation is never negative, so a ray with a line integral of 0 meets no matter."""

from __future__ import annotations

import functools

import torch

from benchmark.projection.projector import Projector
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.scan import Scan

THRESHOLD = 2e-3  # of the largest line integral; a pixel below it is empty


class Support:
    """Voxels of a grid that may hold matter: `mask` (bool [z, y, x]), also stored as `runs` along x.

    `runs` is int64 [n, 5]: z, y, first x, length, number of voxels in the runs before. `count` is the number of voxels.
    """

    def __init__(self, mask: torch.Tensor) -> None:
        self.mask = mask
        z, y, x = mask.shape
        self.shape = (z, y, x)
        padded = torch.zeros(z, y, x + 2, dtype=torch.int8, device=mask.device)
        padded[..., 1:-1] = mask
        edges = padded.diff(dim=2)
        starts, ends = (edges == 1).nonzero(), (edges == -1).nonzero()
        lengths = ends[:, 2] - starts[:, 2]
        self.runs = torch.cat([starts, lengths[:, None], (lengths.cumsum(0) - lengths)[:, None]], 1).contiguous()
        self.count = int(lengths.sum())

    @classmethod
    def everywhere(cls, shape: tuple[int, int, int], device: torch.device | str = "cpu") -> Support:
        """Return the support of all voxels of a grid [z, y, x]."""
        return cls(torch.ones(shape, dtype=torch.bool, device=device))

    @classmethod
    def of(cls, scan: Scan, threshold: float = THRESHOLD, device: torch.device | str = "cpu") -> Support:
        """Return the visual hull of a scan: all voxels except those with an empty footprint in some view.

        A pixel is empty below `threshold` times the scan's largest value. Voxels that no view sees stay in. Noise can only add voxels.
        """
        measured = torch.tensor(scan.projections, device=device)
        return cls.hull(measured > threshold * measured.max(), scan.geometry)

    @classmethod
    def hull(cls, silhouettes: torch.Tensor, geometry: ConeBeamGeometry) -> Support:
        """Return the visual hull of silhouettes (bool [view, v, u], on their device) on the geometry's grid; unseen voxels stay in.

        A voxel is outside if, in some view that sees it, all pixels of its footprint lie outside the silhouette.
        """
        projector, matter, device = Projector(geometry), silhouettes.float(), silhouettes.device
        mask = torch.ones(geometry.volume_shape, dtype=torch.bool, device=device)
        for view in range(geometry.views):
            one = projector.subset([view])
            seen = one.adjoint(torch.ones(one.geometry.projection_shape, dtype=torch.float32, device=device)) > 0
            mask &= ~(seen & (one.adjoint(matter[view : view + 1]) == 0))
        return cls(mask)

    def points(self) -> torch.Tensor:
        """Return the centres of the support's voxels, in order: [count, 3] (x y z in the unit cube)."""
        return (self.mask.nonzero().flip(1).float() + 0.5) / torch.tensor(self.shape[::-1], device=self.mask.device)

    def at(self, points: torch.Tensor) -> torch.Tensor:
        """Return whether points [M, 3] (x y z in the unit cube) lie in the support: bool [M]."""
        counts = torch.tensor(self.shape[::-1], device=points.device)
        x, y, z = (points * counts).long().clamp(min=0).minimum(counts - 1).unbind(1)
        return self.mask[z, y, x]

    def fill(self, values: torch.Tensor) -> torch.Tensor:
        """Return a volume [z, y, x] with `values` [count] in the support's voxels, in order, and 0 elsewhere."""
        empty = torch.zeros(self.mask.numel(), dtype=torch.float32, device=values.device)
        return empty.index_copy(0, self._index, values).view(self.mask.shape)

    @functools.cached_property
    def _index(self) -> torch.Tensor:
        """Return flat indices of the support's voxels [count], in order. Indexing by the mask would wait for a GPU each time."""
        return self.mask.flatten().nonzero()[:, 0]
