"""Field of the Gaussians: their sum, projected by line integrals, or their soft maximum, projected by maxima."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from benchmark.api import Composite, ConeBeamGeometry
from benchmark.fields import CUTOFF, Mixture, MixtureMaxima, MixtureProjector, mixture_values, rotations, voxelise, voxelise_maxima


@dataclasses.dataclass(frozen=True)
class MixtureField:
    """Kind of field. composite: 'sum' or 'max'; temperature [1/mm] of the soft maximum; cutoff: see MixtureProjector and MixtureMaxima."""

    composite: Composite
    temperature: float
    cutoff: float = CUTOFF

    def exact(self) -> MixtureField:
        """Return the field with a negligible cut-off: for results rather than for training."""
        return dataclasses.replace(self, cutoff=CUTOFF)

    def projector(self, geometry: ConeBeamGeometry, device: str = "cpu") -> MixtureProjector | MixtureMaxima:
        """Return the projector of a mixture to views [view, v, u] on `device`."""
        if self.composite == "sum":
            return MixtureProjector(geometry, self.cutoff, device)
        return MixtureMaxima(geometry, self.temperature, self.cutoff)

    def volume(self, mixture: Mixture, geometry: ConeBeamGeometry, **how: Any) -> torch.Tensor:
        """Return the field sampled on voxels, [z, y, x] [1/mm]; `how` as for voxelise: block, supersample."""
        if self.composite == "sum":
            return voxelise(mixture, geometry, cutoff=self.cutoff, **how)
        return voxelise_maxima(mixture, geometry, self.temperature, cutoff=self.cutoff, **how)

    def at_depths(self, mixture: Mixture, positions: torch.Tensor) -> torch.Tensor:
        """Return the soft maximum [M] at a few positions [M, 3] (x y z [mm]), differentiable: every Gaussian is asked, in plain torch."""
        apart = positions[:, None] - mixture.means  # [M, K, 3]
        own = torch.einsum("kji,mkj->mki", rotations(mixture.quaternions), apart) / mixture.log_scales.exp()  # in standard deviations
        away = own.square().sum(-1)
        peaks = mixture.log_amplitudes.exp() * torch.exp(-away / 2)
        largest = peaks.amax(1, keepdim=True).detach()  # so that no exponential overflows
        others = (torch.exp((peaks - largest) / self.temperature) - torch.exp(-largest / self.temperature)).sum(1)
        return largest[:, 0] + self.temperature * torch.log(torch.exp(-largest[:, 0] / self.temperature) + others)

    def at(self, mixture: Mixture, positions: torch.Tensor) -> torch.Tensor:
        """Return values [M] at positions [M, 3] (x y z [mm])."""
        return mixture_values(mixture, positions, None if self.composite == "sum" else self.temperature, self.cutoff)
