"""Losses of ZeroRF's field: the residual of whole views of the voxel grid, or of random rays."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import nn

from benchmark.api import Projector, Scan, to_device
from benchmark.fields import RayLoss, Support, Variation, Weighting, ramp_filtered

from . import ZeroRFParams
from .field import TensorialField


class GridLoss:
    """Mean squared residual of whole views of the field on the voxel grid, at half resolution first; relative to the data."""

    def __init__(self, params: ZeroRFParams, scan: Scan, device: str) -> None:
        self.params, self.steps = params, params.steps_for(scan.geometry.views)
        self.first_fine = round(params.coarse * self.steps)
        self.weighting = Weighting(scan, params.weighting)
        values = torch.tensor(scan.projections, device=device)
        self.variation = Variation(scan, params.tv, values.numel(), device) if params.tv else None
        self.scale = relative_to(values)
        self.fine = self.coarse = Projector(scan.geometry), values, Support.of(scan, device=device)
        if self.first_fine and min(scan.geometry.detector_shape) >= 2:
            half = half_resolution(scan)
            self.coarse = Projector(half.geometry), torch.tensor(half.projections, device=device), Support.of(half, device=device)

    def __call__(self, field: TensorialField, step: int, generator: torch.Generator) -> torch.Tensor:
        projector, values, support = self.coarse if step < self.first_fine else self.fine
        volume = field.volume(support)
        views = projector.geometry.views
        if self.params.views is not None and self.params.views < views:
            chosen = torch.randperm(views, generator=generator)[: self.params.views].sort().values
            projector, values = projector.subset(chosen.numpy()), values[to_device(chosen, values.device)]
        power = self.params.sharpen * (1 - step / self.steps)  # the plain residual has the last word
        loss = ramp_filtered(self.weighting.residual(projector.forward(volume), values), power).square().mean()
        if self.variation:
            loss = loss + self.variation.of_volume(volume)
        return loss * self.scale

    def rays_at(self, step: int) -> int:
        """Return None: a step has whole views."""
        return 0


def relative_to(values: torch.Tensor) -> float:
    """Return the factor that makes a mean squared residual relative to the measurements."""
    return 1 / max(float(values.square().mean()), 1e-12)


def half_resolution(scan: Scan) -> Scan:
    """Return the scan with pixels and voxels of twice the size, without masks (unused here)."""
    z, y, x = (-(-n // 2) for n in scan.geometry.volume_shape)
    binned = nn.functional.avg_pool2d(torch.tensor(scan.projections), 2).numpy()
    grid = scan.geometry.binned(2).with_volume((z, y, x))
    return dataclasses.replace(scan, noise=None, geometry=grid, projections=binned, masks=None, valid=None, depths=None)


class GrowingRayLoss:
    """Mean squared residual of random rays, more of them as training goes on (Shi et al. 2024: x4 twice, at steps 50 and 100); relative
    to the data.
    """

    def __init__(self, params: ZeroRFParams, loss_of: RayLoss) -> None:
        self.loss_of, self.weighting = loss_of, loss_of.weighting
        self.counts = (params.rays, round(math.sqrt(params.rays * params.rays_end)), params.rays_end)
        self.scale = relative_to(loss_of.measurements.values)

    def __call__(self, field: TensorialField, step: int, generator: torch.Generator) -> torch.Tensor:
        return self.loss_of(field.at_points(), self.rays_at(step), generator) * self.scale

    def rays_at(self, step: int) -> int:
        """Return the number of rays of this step, if memory allows."""
        return self.counts[(step >= 50) + (step >= 100)]
