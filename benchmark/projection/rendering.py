"""Noise-free projections of a volume: line integrals by the projector, maxima by marching."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from benchmark.projection.marching import line_integral
from benchmark.projection.rays import view_rays
from benchmark.projection.slabs import project
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.scan import Composite

STEP = 0.5  # of the shortest voxel edge, between two samples of a maximum


@torch.no_grad()
def rendered(
    volume: np.ndarray, geometry: ConeBeamGeometry, composite: Composite = "sum", views: Sequence[int] | np.ndarray | None = None
) -> np.ndarray:
    """Project a volume [z, y, x] on the geometry's grid: float32 [view, v, u], all views or those given.

    'sum': line integrals (Joseph's interpolation); volume and views may lie in files. 'max': the largest value on the part
    of each ray inside the box, of the volume interpolated between voxel centres, sampled twice per voxel; 0 for rays that
    miss the box. 'over': opacity of the volume (of extinction), 1 - exp(-line integral).
    Raise MissingDependency if no kernels can be built.
    """
    geometry = geometry if views is None else geometry.subset(views)
    if composite != "max":
        integrals = project(volume, geometry)
        return integrals if composite == "sum" else -np.expm1(-integrals)
    values = torch.from_numpy(np.array(volume, dtype=np.float32))
    step = STEP * min(geometry.volume_spacing)
    maxima = line_integral(interpolated(values, geometry), view_rays(geometry), geometry.volume_bounds, step=step, mode="max")
    return maxima.numpy().reshape(geometry.projection_shape)


def interpolated(volume: torch.Tensor, geometry: ConeBeamGeometry) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the volume [z, y, x] as a field: positions [M, 3] (x y z [mm], inside the box) -> [M], linear between voxel centres and
    constant from the outermost ones to the faces.
    """
    lower, upper = torch.tensor(geometry.volume_bounds, dtype=torch.float32)

    def field(positions: torch.Tensor) -> torch.Tensor:
        places = (2 * (positions - lower) / (upper - lower) - 1).view(1, 1, 1, -1, 3)
        return torch.nn.functional.grid_sample(volume[None, None], places, padding_mode="border", align_corners=False).view(-1)

    return field
