"""Coloured, opaque Gaussians, held against photographs and their silhouettes."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
import torch.nn.functional as F

from benchmark.api import ConeBeamGeometry, Projector, Scan, to_device
from benchmark.fields import Mixture, Splats, splat, ssim

from . import CarveParams
from .hull import carving_geometry, check_hull, check_silhouettes, hull
from .network import Carver, Shapes

COLOURS = 3
SSIM = 0.2  # weight of 1 - SSIM unless given
FAR = 5.0  # logit of an opacity beyond which there is nothing to see: such Gaussians are all there, or not at all
PULL = 1e-3  # weight of the squared distance of logits beyond it
EXTREME = 0.02  # of a back-projected colour, so that its logit is finite


@dataclasses.dataclass(frozen=True, eq=False)
class ColourCarving:
    """Photographs as the networks get them: the visual hull, bool [z, y, x], and mean colours [3, z, y, x] of the rays through a voxel."""

    geometry: ConeBeamGeometry
    mask: torch.Tensor
    colours: torch.Tensor

    def features(self, count: int) -> torch.Tensor:
        """[count, z, y, x]: logit of an opacity of one half, occupancy, logits of the colours, and zeros."""
        logits = torch.logit(self.colours, eps=EXTREME) * self.mask
        opacity, empty = (torch.zeros(n, *self.mask.shape, dtype=torch.float32, device=self.mask.device) for n in (1, count - 2 - COLOURS))
        return torch.cat([opacity, self.mask[None].float(), logits, empty])

    def state_dict(self) -> dict[str, Any]:
        return {"mask": self.mask, "colours": self.colours}


def carve_colours(scan: Scan, params: CarveParams, device: str = "cpu") -> ColourCarving:
    """Hull and colours of photographs, on `device`. Raises InputError for silhouettes that are empty or agree on no voxel."""
    check_silhouettes(scan, params.threshold)
    coarse = dataclasses.replace(scan, geometry=carving_geometry(scan.geometry, params.voxels))
    mask = check_hull(hull(coarse, params.threshold, device).mask)
    projector = Projector(coarse.geometry)
    covered = projector.adjoint(torch.tensor(scan.projections, device=device)).clamp(min=1e-6)
    assert scan.colours is not None
    channels = torch.tensor(scan.colours, device=device).movedim(-1, 0).contiguous()
    colours = torch.stack([projector.adjoint(channel) / covered for channel in channels])
    return ColourCarving(coarse.geometry, mask, (colours * mask).clamp(0, 1))


def splats_of(carver: Carver, carving: ColourCarving, prune: float = 0.0) -> Splats:
    """Every voxel's Gaussian but those that are less opaque than `prune`. Raises InputError if there is none left."""
    return coloured(carver(carving), prune)


def coloured(shapes: Shapes, prune: float = 0.0) -> Splats:
    """Opacity and colour of what the network says."""
    opacities = torch.sigmoid(shapes.level)
    colours = torch.sigmoid(shapes.features[:, 2 : 2 + COLOURS] + shapes.others)
    kept = opacities >= prune
    splats = Splats(*(part[kept] for part in (shapes.means, shapes.quaternions, shapes.log_scales, opacities, colours)))
    splats.check()
    return splats


def extinction(splats: Splats) -> Mixture:
    """The mixture of extinction [1/mm] whose line integral through a mean is as opaque as the Gaussian (for one that is round)."""
    depth = -torch.log1p(-splats.opacities.clamp(max=0.999))
    width = math.sqrt(2 * math.pi) * splats.log_scales.mean(1).exp()
    return Mixture(splats.means, splats.quaternions, splats.log_scales, torch.log(depth / width))


class Photographs:
    """What the networks get is the carving of `seen`; the photographs that their Gaussians are held against are those of `scan`."""

    more = COLOURS

    def __init__(self, seen: Scan, scan: Scan, params: CarveParams, device: str = "cpu") -> None:
        self.params, self.carving, self.geometry = params, carve_colours(seen, params, device), scan.geometry
        assert scan.colours is not None
        self.masks, self.colours = (torch.tensor(values, device=device) for values in (scan.projections, scan.colours))
        self.ssim = SSIM if params.ssim is None else params.ssim

    def loss(self, carver: Carver, progress: float, generator: torch.Generator) -> tuple[torch.Tensor, int]:
        """L1 (or L2) of the colours, 1 - IoU of the silhouettes, 1 - SSIM, and what keeps logits of opacities where they have a gradient.

        Photographs pull a logit no further than FAR, but the networks' outputs drift, and one step that makes every Gaussian opaque or
        none would be the last: a saturated opacity has no gradient that could bring it back.
        """
        shapes = carver(self.carving)
        splats = coloured(shapes)
        chosen = torch.randperm(len(self.masks), generator=generator)[: self.params.views].sort().values
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
    """Of opacities and masks, both 0 .. 1 [view, v, u], as a differentiable number: sum of products over sum of a + m - a m."""
    both = (alpha * masks).sum()
    return both / (alpha.sum() + masks.sum() - both).clamp(min=1e-6)


def _stack(colours: torch.Tensor) -> torch.Tensor:
    """[view, v, u, 3] -> [view * 3, v, u]."""
    return colours.movedim(-1, 1).flatten(0, 1)
