"""Coloured, opaque Gaussians, compared with photographs and their silhouettes."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
import torch.nn.functional as F

from benchmark.api import ConeBeamGeometry, Projector, Scan, to_device
from benchmark.fields import Mixture, Splats, splat, ssim

from . import CarveParams
from .hull import carving_geometry, check_hull, check_silhouettes, hull, seen_first
from .network import Carver, Shapes

COLOURS = 3
SSIM = 0.2  # weight of 1 - SSIM unless given
FAR = 5.0  # logit beyond which an opacity is visibly 0 or 1
PULL = 1e-3  # weight of the squared distance of logits beyond it
EXTREME = 0.02  # of a back-projected colour, so that its logit is finite


@dataclasses.dataclass(frozen=True, eq=False)
class ColourCarving:
    """Input of the networks from photographs: visual hull, bool [z, y, x], and mean colours [3, z, y, x] of the rays through a
    voxel, in which cameras that the hull hides the voxel from weigh less."""

    geometry: ConeBeamGeometry
    mask: torch.Tensor
    colours: torch.Tensor

    def features(self, count: int) -> torch.Tensor:
        """Return [count, z, y, x]: logit of an opacity of one half, occupancy, logits of the colours, and zeros."""
        logits = torch.logit(self.colours, eps=EXTREME) * self.mask
        opacity, empty = (torch.zeros(n, *self.mask.shape, dtype=torch.float32, device=self.mask.device) for n in (1, count - 2 - COLOURS))
        return torch.cat([opacity, self.mask[None].float(), logits, empty])

    def state_dict(self) -> dict[str, Any]:
        return {"mask": self.mask, "colours": self.colours}


def carve_colours(scan: Scan, params: CarveParams, device: str = "cpu") -> ColourCarving:
    """Return hull and colours of photographs, on `device`. Raise InputError for silhouettes that are empty or agree on no voxel."""
    check_silhouettes(scan, params.threshold)
    coarse = dataclasses.replace(scan, geometry=carving_geometry(scan.geometry, params.voxels))
    mask = check_hull(hull(coarse, params.threshold, device).mask)
    assert scan.colours is not None
    painted = torch.cat([torch.tensor(scan.colours, device=device), torch.tensor(scan.projections, device=device)[..., None]], -1)
    sums = torch.zeros(COLOURS + 1, *mask.shape, dtype=torch.float32, device=device)
    for view, weights in enumerate(seen_first(mask, coarse.geometry)):
        one = Projector(coarse.geometry.subset([view]))
        shares = torch.where(weights, 1.0, params.occluded)
        sums += shares * torch.stack([one.adjoint(painted[view : view + 1, ..., part].contiguous()) for part in range(COLOURS + 1)])
    colours = sums[:COLOURS] / sums[COLOURS].clamp(min=1e-6)
    return ColourCarving(coarse.geometry, mask, (colours * mask).clamp(0, 1))


def coloured(shapes: Shapes) -> Splats:
    """Return opacity and colour from the network's output."""
    opacities = torch.sigmoid(shapes.level)
    colours = torch.sigmoid(shapes.features[:, 2 : 2 + COLOURS] + shapes.others)
    splats = Splats(shapes.means, shapes.quaternions, shapes.log_scales, opacities, colours)
    splats.check()
    return splats


def extinction(splats: Splats) -> Mixture:
    """Return the mixture of extinction [1/mm] whose line integral through a mean is as opaque as the Gaussian (if round)."""
    depth = -torch.log1p(-splats.opacities.clamp(max=0.999))
    width = math.sqrt(2 * math.pi) * splats.log_scales.mean(1).exp()
    return Mixture(splats.means, splats.quaternions, splats.log_scales, torch.log(depth / width))


class Photographs:
    """Example of photographs: the networks get the carving of `seen`; their Gaussians are compared with the photographs of `scan`."""

    more = COLOURS

    def __init__(self, seen: Scan, scan: Scan, params: CarveParams, device: str = "cpu") -> None:
        self.params, self.carving, self.geometry = params, carve_colours(seen, params, device), scan.geometry
        assert scan.colours is not None
        self.masks, self.colours = (torch.tensor(values, device=device) for values in (scan.projections, scan.colours))
        self.ssim = SSIM if params.ssim is None else params.ssim

    def loss(self, carver: Carver, progress: float, generator: torch.Generator, views: int) -> tuple[torch.Tensor, int]:
        """Return L1 (or L2) of the colours, 1 - IoU of the silhouettes, 1 - SSIM, and a penalty on logits of opacities without gradient.

        Photographs pull a logit no further than FAR, but the networks' outputs drift, and training would not recover from a step that
        makes all Gaussians opaque or all transparent: a saturated opacity has no gradient.
        """
        shapes = carver(self.carving)
        splats = coloured(shapes.strongest(shapes.level, -math.inf, self.params))
        chosen = torch.randperm(len(self.masks), generator=generator)[:views].sort().values
        images = splat(splats, self.geometry, chosen.tolist())
        colours, alpha = images[..., :3], images[..., 3]
        there = to_device(chosen, self.masks.device)
        masks, photographs = self.masks[there], self.colours[there]
        residual = colours - photographs
        loss = (residual.abs() if self.params.loss == "l1" else residual.square()).mean()
        loss = loss + self.params.iou * (1 - intersection_over_union(alpha, masks))
        if self.ssim:
            loss = loss + self.ssim * (1 - ssim(_stack(colours), _stack(photographs), 1.0))
        loss = loss + PULL * F.relu(shapes.level.abs() - FAR).square().mean()
        return loss, len(splats.means)


def intersection_over_union(alpha: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Return the differentiable IoU of opacities a and masks m, both 0 .. 1 [view, v, u]: sum of a m over sum of a + m - a m."""
    both = (alpha * masks).sum()
    return both / (alpha.sum() + masks.sum() - both).clamp(min=1e-6)


def _stack(colours: torch.Tensor) -> torch.Tensor:
    """Return [view, v, u, 3] as [view * 3, v, u]."""
    return colours.movedim(-1, 1).flatten(0, 1)
