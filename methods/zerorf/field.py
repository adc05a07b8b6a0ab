"""Field of ZeroRF: attenuation instead of radiance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmark.api import ConeBeamGeometry
from benchmark.fields import MLP, Attenuation, Support, vm_network

from . import ZeroRFParams
from .generator import PlanesAndLines, Released, new_generator


class TensorialField(nn.Module):
    """Generator, features of its tensors, network and activation: attenuation (1/mm) on a grid or at points."""

    lower: torch.Tensor  # [3] corner of the box, x y z [mm]
    extent: torch.Tensor  # [3]

    def __init__(self, params: ZeroRFParams, geometry: ConeBeamGeometry, mean: float) -> None:
        super().__init__()
        self.generator = new_generator(params, geometry)
        self.summed, self.bias = params.reduction == "sum", params.bias
        self.network = MLP(params.features * (1 if self.summed else self.generator.groups), hidden=params.hidden, layers=params.layers)
        self.attenuation = Attenuation(params.activation, mean)
        lower, upper = torch.tensor(geometry.volume_bounds, dtype=torch.float32)
        self.register_buffer("lower", lower, persistent=False)
        self.register_buffer("extent", upper - lower, persistent=False)

    @property
    def released(self) -> bool:
        """Return whether the tensors are parameters themselves, no longer made by a generator."""
        return any(isinstance(part, Released) for part in self.generator.modules())

    def volume(self, support: Support) -> torch.Tensor:
        """Return [z, y, x] over the whole box at the support's resolution, 0 outside the support."""
        if isinstance(self.generator, PlanesAndLines) and not self.summed:
            outputs = vm_network(*self.generator.on_grid(support.shape), self.network, support)
        else:
            outputs = self._outputs(self.generator.at_voxels(support))
        return support.fill(self._density(outputs))

    def at_points(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return a function from positions [M, 3] (x y z [mm]) to attenuation [M]; the tensors are generated once."""
        features = self.generator.encoder()
        return lambda positions: self._density(self._outputs(features((positions - self.lower) / self.extent)))

    def _outputs(self, features: torch.Tensor) -> torch.Tensor:
        """Return the network's outputs [M, 1] from features [M, groups * features]."""
        return self.network(features.t().unflatten(0, (self.generator.groups, -1)).sum(0).t() if self.summed else features)

    def _density(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return attenuation [M] from the network's outputs [M, 1]."""
        return self.attenuation(outputs[:, 0] + self.bias)


def is_released(saved: dict[str, Any]) -> bool:
    """Return whether the tensors of a field with this state_dict are parameters themselves."""
    return any(name.endswith(".released") for name in saved)


def restored(saved: dict[str, Any], params: ZeroRFParams, geometry: ConeBeamGeometry, mean: float) -> TensorialField:
    """Return a field from its state_dict; its tensors are parameters if they were so when saved."""
    field = TensorialField(params, geometry, mean)
    if is_released(saved):
        field.generator.release()
    field.load_state_dict(saved)
    return field
