"""Gaussians of attenuation, compared with line integrals."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from benchmark.api import Scan, to_device
from benchmark.fields import Mixture, MixtureProjector, ramp_filtered, ssim, total_variation, voxelise

from . import CarveParams
from .hull import Carving, carve
from .network import Carver, Shapes

TV_TIMES_VIEWS = 0.25  # the residual is a mean over views: its sum grows with their number, the prior does not


def mixture_of(carver: Carver, carving: Carving) -> Mixture:
    """Return the Gaussians of a step of training: none is pruned, because one that is not rendered has no gradient to bring it back."""
    shapes = carver(carving)
    return attenuating(shapes.strongest(shapes.level, -math.inf, carver.params), carving.mean, carver.params)


def attenuating(shapes: Shapes, mean: float, params: CarveParams) -> Mixture:
    """Return amplitudes from the network's output; `mean` is the scan's mean attenuation [1/mm]."""
    values = F.softplus(shapes.level)
    overlap = (2 * math.pi) ** 1.5 * params.width**3  # what Gaussians of amplitude 1 add up to before training
    log_amplitudes = torch.log(values * (mean / overlap) + 1e-30)
    mixture = Mixture(shapes.means, shapes.quaternions, shapes.log_scales, log_amplitudes)
    mixture.check()
    return mixture


class Shadows:
    """Example of line integrals: the networks get the carving of `seen`; their mixture is compared with the views of `scan`."""

    more = 0

    def __init__(self, seen: Scan, scan: Scan, params: CarveParams, device: str = "cpu") -> None:
        self.params, self.carving = params, carve(seen, params, device)
        self.projector = MixtureProjector(scan.geometry, params.cutoff, device)
        self.measured = torch.tensor(scan.projections, device=device)
        level = self.measured.abs().mean() if params.loss == "l1" else self.measured.square().mean()
        self.level, self.range = max(float(level), 1e-12), max(float(self.measured.max()), 1e-12)
        self.tv = TV_TIMES_VIEWS / seen.geometry.views if params.tv is None else params.tv
        edge = math.prod(self.carving.geometry.volume_spacing) ** (1 / 3)
        self.spacing = [length / edge for length in self.carving.geometry.volume_spacing]

    def loss(self, carver: Carver, progress: float, generator: torch.Generator, views: int) -> tuple[torch.Tensor, int]:
        """Return residual, SSIM and total variation, relative to the scan's scale."""
        mixture = mixture_of(carver, self.carving)
        chosen = torch.randperm(len(self.measured), generator=generator)[:views].sort().values
        rendered, measured = self.projector(mixture, chosen.tolist()), self.measured[to_device(chosen, self.measured.device)]
        residual = ramp_filtered(rendered - measured, self.params.sharpen * (1 - progress))
        loss = (residual.abs() if self.params.loss == "l1" else residual.square()).mean() / self.level
        if self.params.ssim:
            loss = loss + self.params.ssim * (1 - ssim(rendered, measured, self.range))
        if self.tv:
            volume = voxelise(mixture, self.carving.geometry, cutoff=self.params.cutoff)
            loss = loss + self.tv * total_variation(volume, self.spacing) / self.carving.mean
        return loss, mixture.size
