"""Losses of ZeroRF's field: the residual of whole views of the voxel grid, or of random rays."""

from __future__ import annotations

import dataclasses
import math

import torch

from benchmark.api import Projector, Scan, coarser, to_device
from benchmark.fields import Misfit, RayLoss, Support, Variation, Weighting, grown, ramp_filtered

from . import ZeroRFParams
from .field import TensorialField

USUAL = 128  # voxels along an edge, up to which `coarse` alone says how many steps are for the finest grid


class GridLoss:
    """Loss of whole views of the field on the voxel grid, on coarser grids first; relative to the data.

    A fraction 1 - coarse of the steps is for the finest grid, up to 128 voxels along an edge; above, every doubling multiplies the share of
    the steps on grids at least as fine by the square of that. So steps on large grids get rarer as their cost grows.
    """

    def __init__(self, params: ZeroRFParams, scan: Scan, device: str) -> None:
        self.params, self.steps = params, params.steps_for(scan.geometry.views)
        self.weighting, self.misfit = Weighting(scan, params.weighting), Misfit(scan, params)
        values = torch.tensor(scan.projections, device=device)
        self.variation = Variation(scan, params.tv, values.numel(), device) if params.tv else None
        self.scale = relative_to(values)
        self.levels: list[tuple[int, Projector, torch.Tensor, Support]] = []  # with their first steps, the finest grid first
        below: Scan | None = scan
        while below is not None:
            begin = round((1 - finer_share(max(below.geometry.volume_shape), params.coarse, not self.levels)) * self.steps)
            values = torch.tensor(below.projections, device=device)
            self.levels.append((begin, Projector(below.geometry), values, Support.of(below, device=device)))
            below = half_resolution(below) if begin and min(below.geometry.detector_shape) >= 2 else None

    def __call__(self, field: TensorialField, step: int, generator: torch.Generator) -> torch.Tensor:
        _, projector, values, support = next((level for level in self.levels if step >= level[0]), self.levels[-1])
        volume = field.volume(support)
        views = projector.geometry.views
        count = self.views_at(step, views)
        if count < views:
            chosen = torch.randperm(views, generator=generator)[:count].sort().values
            projector, values = projector.subset(chosen.numpy()), values[to_device(chosen, values.device)]
        power = self.params.sharpen * (1 - step / self.steps)  # the plain residual has the last word
        loss = self.misfit(ramp_filtered(self.weighting.residual(projector.forward(volume), values), power))
        if self.variation:
            loss = loss + self.variation.of_volume(volume)
        return loss * self.scale

    def views_at(self, step: int, views: int) -> int:
        """Return the number of views of this step, of so many in the scan."""
        first = self.params.views or views
        return min(views, grown(first, self.params.views_end or first, self.params.growth, step))

    def rays_at(self, step: int) -> int:
        """Return 0: a step has whole views."""
        return 0


def relative_to(values: torch.Tensor) -> float:
    """Return the factor that makes a mean squared residual relative to the measurements."""
    return 1 / max(float(values.square().mean()), 1e-12)


def finer_share(edge: int, coarse: float, finest: bool) -> float:
    """Return the share of the steps on grids with at least `edge` voxels along an edge, `finest` if there is no finer one."""
    power = 1 + 2 * math.log2(edge / USUAL)
    return (1 - coarse) ** max(1.0 if finest else 0.0, power)


def half_resolution(scan: Scan) -> Scan:
    """Return the scan with pixels and voxels of twice the size, without masks (unused here)."""
    below = coarser(scan.geometry, torch.tensor(scan.projections))
    assert below is not None  # at least two rows and columns
    return dataclasses.replace(scan, noise=None, geometry=below[0], projections=below[1].numpy(), masks=None, valid=None, depths=None)


class GrowingRayLoss:
    """Loss of random rays, more of them as training goes on (Shi et al. 2024: x4 twice, at steps 50 and 100); relative to the data."""

    def __init__(self, params: ZeroRFParams, loss_of: RayLoss) -> None:
        self.params, self.loss_of, self.weighting, self.misfit = params, loss_of, loss_of.weighting, loss_of.misfit
        self.scale = relative_to(loss_of.measurements.values)

    def __call__(self, field: TensorialField, step: int, generator: torch.Generator) -> torch.Tensor:
        return self.loss_of(field.at_points(), self.rays_at(step), generator) * self.scale

    def rays_at(self, step: int) -> int:
        """Return the number of rays of this step, if memory allows."""
        return grown(self.params.rays, self.params.rays_end, self.params.growth, step)
