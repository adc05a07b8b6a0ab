"""Upper bound of a volume from maximum projections: no voxel exceeds the value of any ray through it."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.scan import Scan


def upper_bound(scan: Scan, device: torch.device | str = "cpu") -> torch.Tensor:
    """Return the minimum over all views of the pixel that sees each voxel's centre, float32 [z, y, x] on `device`.

    No field can exceed it where the views are maxima (space carving, Kutulakos & Seitz 2000, doi 10.1023/A:1008191222954, with values
    in place of silhouettes). Voxels that no view sees get the scan's largest value.
    """
    geometry, views = scan.geometry, torch.tensor(scan.projections, device=device)
    bound = torch.full(geometry.volume_shape, torch.inf, dtype=torch.float32, device=device)
    for view, places in enumerate(_pixels(geometry, device)):
        seen = (places.abs() <= 1).all(-1)
        values = torch.nn.functional.grid_sample(views[None, None, view], places[None], padding_mode="border", align_corners=False)
        bound = torch.where(seen.view(bound.shape), torch.minimum(bound, values.view(bound.shape)), bound)
    return torch.where(bound.isfinite(), bound, views.max())


def _pixels(geometry: ConeBeamGeometry, device: torch.device | str) -> Iterator[torch.Tensor]:
    """Yield, for each view, the detector positions of voxel centres, with edges at -1 and 1: [z * y, x, (u, v)]."""
    z, y, x = torch.meshgrid(*(torch.from_numpy(geometry.voxel_centres(axis)) for axis in range(3)), indexing="ij")
    points = torch.stack([x, y, z], -1).flatten(0, 1).to(device)
    half = torch.tensor(geometry.detector_shape[::-1], dtype=torch.float64, device=device) / 2
    for source, centre, u, v in torch.from_numpy(geometry.vectors()).to(device):
        towards, normal = points - source, torch.linalg.cross(u, v)
        hit = towards * ((centre - source) @ normal / (towards @ normal))[..., None] - (centre - source)
        yield (torch.stack([hit @ u / (u @ u), hit @ v / (v @ v)], -1) / half).float()
