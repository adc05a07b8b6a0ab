"""Carving of a scan before any training: the visual hull, and values back-projected into it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import torch

from benchmark.api import ConeBeamGeometry, InputError, OrderedSubsets, Projector, Scan, filtered_backprojection
from benchmark.fields import Measurements, Support

from . import CarveParams

CORRECTIONS = 50  # of one view each
FAINTEST = 0.05  # smallest initial value, relative to the mean attenuation, so that every voxel of the hull has a gradient


@dataclasses.dataclass(frozen=True, eq=False)
class Carving:
    """Input of the networks from one scan, on its own grid.

    geometry: the scanner with the carving grid; mask: the visual hull, bool [z, y, x]; values: attenuation relative to `mean`
    [1/mm], float32 [z, y, x], 0 outside of the hull.
    """

    geometry: ConeBeamGeometry
    mask: torch.Tensor
    values: torch.Tensor
    mean: float

    def features(self, count: int) -> torch.Tensor:
        """Return [count, z, y, x]: softplus^-1 of the values, occupancy, and zeros for the networks to fill."""
        logits = inverse_softplus(self.values.clamp(min=FAINTEST)) * self.mask
        empty = torch.zeros(count - 2, *self.mask.shape, dtype=torch.float32, device=self.mask.device)
        return torch.cat([logits[None], self.mask[None].float(), empty])

    def state_dict(self) -> dict[str, Any]:
        return {"mask": self.mask, "values": self.values, "mean": self.mean}


def inverse_softplus(x: torch.Tensor) -> torch.Tensor:
    """Return the number whose softplus is x > 0."""
    return x + torch.log(-torch.expm1(-x))


def carving_geometry(geometry: ConeBeamGeometry, longest: int) -> ConeBeamGeometry:
    """Return the scanner with its box on a grid of at most `longest` voxels along an edge, never finer than its own."""
    factor = max(1.0, max(geometry.volume_shape) / longest)
    z, y, x = (max(1, math.ceil(count / factor)) for count in geometry.volume_shape)
    return geometry.with_volume((z, y, x))


def alone(scan: Scan) -> Scan:
    """Return the scan without objects outside its masks, such as a holder or a table: line integrals are 0 there."""
    return scan if scan.masks is None else dataclasses.replace(scan, projections=scan.projections * scan.masks)


def carve(scan: Scan, params: CarveParams, device: str = "cpu") -> Carving:
    """Return hull and values of a scan, on `device`. Raise InputError for views without matter, or if the views agree on no voxel."""
    check_silhouettes(scan, params.threshold)
    coarse = dataclasses.replace(scan, geometry=carving_geometry(scan.geometry, params.voxels))
    mask = check_hull(hull(coarse, params.threshold, device).mask)
    if not scan.projections.max() > 0:
        fix = "Check which way round the masks are (first_row, first_column)."
        raise InputError("masks", expected="line integrals above 0 where the thing is", found="none", fix=fix)
    mean = Measurements(scan, device).mean_attenuation
    volume = back_projected(coarse, params.values, device) * mask
    projected = float(Projector(coarse.geometry).forward(volume).double().sum())
    scale = float(torch.tensor(scan.projections).double().sum()) / projected if projected > 0 else 0.0
    return Carving(coarse.geometry, mask, volume * (max(scale, 0.0) / mean), mean)


def hull(scan: Scan, threshold: float, device: str = "cpu") -> Support:
    """Return the voxels of the scan's grid that no silhouette rules out.

    A voxel is judged by the pixels whose central rays meet it. Matter in a voxel's corner may be seen only by a pixel whose central ray
    misses the voxel by half a pixel, so silhouettes are widened by a pixel.
    """
    widened = torch.nn.functional.max_pool2d(silhouettes(scan, threshold)[:, None].float(), 3, 1, 1)[:, 0]
    return Support.hull((widened > 0).to(device), scan.geometry)


def silhouettes(scan: Scan, threshold: float) -> torch.Tensor:
    """Return silhouettes, bool [view, v, u]: the scan's masks, or pixels above this part of the largest line integral."""
    if scan.masks is not None:
        return torch.tensor(scan.masks)
    projections = torch.tensor(scan.projections)
    return projections > threshold * projections.max().clamp(min=0)


def check_silhouettes(scan: Scan, threshold: float) -> None:
    """Raise InputError for views with an empty silhouette."""
    shown = silhouettes(scan, threshold).flatten(1).any(1)
    if not shown.all():
        empty = torch.nonzero(~shown)[:, 0].tolist()
        raise InputError(
            "silhouettes",
            expected=f"pixels above {threshold:g} times the largest line integral in every view",
            found=f"none in {len(empty)} of {len(shown)} views, the first is view {empty[0]}",
            fix="Leave these views out, or lower threshold.",
        )


def check_hull(mask: torch.Tensor) -> torch.Tensor:
    """Return the mask. Raise InputError if it is empty."""
    if not mask.any():
        fix = "Check the geometry; then the masks, or lower threshold where there are none."
        raise InputError("visual hull", expected="voxels that every silhouette covers", found="none", fix=fix)
    return mask


def seen_first(mask: torch.Tensor, geometry: ConeBeamGeometry) -> Iterator[torch.Tensor]:
    """Yield, for each view, the voxels [z, y, x] that its rays meet first: none of the hull is farther in front than a voxel's diagonal.

    The ray through a voxel's centre is followed from there to the source, in steps of half a voxel.
    """
    support, (lower, upper) = Support(mask), torch.tensor(geometry.volume_bounds, dtype=torch.float32, device=mask.device)
    extent, spacing = upper - lower, torch.tensor(geometry.volume_spacing[::-1], dtype=torch.float32, device=mask.device)
    places, diagonal = lower + support.points() * extent, float(spacing.norm())
    steps = torch.arange(diagonal, float(extent.norm()), float(spacing.min()) / 2, device=mask.device)  # [mm]
    for source, *_ in geometry.vectors():
        towards = torch.tensor(source, dtype=torch.float32, device=mask.device) - places
        towards = towards / towards.norm(dim=1, keepdim=True).clamp(min=1e-12)
        hidden = torch.zeros(len(places), dtype=torch.bool, device=mask.device)
        for step in steps:
            points = (places + step * towards - lower) / extent
            hidden |= support.at(points) & ((points >= 0) & (points < 1)).all(1)
        yield support.fill((~hidden).float()) > 0


def back_projected(scan: Scan, kind: str, device: str) -> torch.Tensor:
    """Return [z, y, x], at least 0 (1/mm up to a factor): SART corrections, filtered backprojection, or means over the rays of a voxel."""
    geometry = scan.geometry
    if kind == "fdk":
        return torch.from_numpy(filtered_backprojection(scan.projections, geometry, device=device)[0]).clamp(min=0).to(device)
    if kind == "plain":
        projector = Projector(geometry)
        rays = projector.adjoint(torch.ones(geometry.projection_shape, dtype=torch.float32, device=device))
        return (projector.adjoint(torch.tensor(scan.projections, device=device)) / rays.clamp(min=1e-6)).clamp(min=0)
    volume, subsets = torch.zeros(geometry.volume_shape, dtype=torch.float32, device=device), OrderedSubsets(scan, device=device)
    for index in range(max(len(subsets), CORRECTIONS)):
        subsets.correct(volume, index, 0.5)
    return volume
