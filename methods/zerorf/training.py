"""Training of one field: its generator first, then, with many views, the tensors from the generator."""

from __future__ import annotations

import copy
import math
from typing import Any, Protocol

import torch
from torch import nn

from benchmark.fields import LossScale, Muon, RayLoss

from . import ZeroRFParams
from .field import TensorialField
from .losses import GridLoss, GrowingRayLoss, relative_to

# Of the tensors and the network in fine-tuning: at its start, and at its end over that. They are about 2 in size, TensoRF's 0.1.
TENSOR_RATE, NETWORK_RATE, DECAY = 0.1, 5e-3, 0.03


class Stage(Protocol):
    """Stage of a field's training."""

    field: TensorialField  # in training
    mean: TensorialField  # running mean of its weights
    taken: int  # updates until now

    @property
    def steps(self) -> int: ...

    @property
    def batches(self) -> int:
        """Updates in each step."""

    @property
    def rays(self) -> int:
        """Number of rays of the next update, if memory allows; 0 for whole views."""

    def loss(self, generator: torch.Generator) -> torch.Tensor: ...

    def update(self) -> None:
        """Update the field by its present gradients."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Training:
    """Training of generator and network by one batch per step: optimisers, their schedule and the running mean of the weights.

    `scale` is that of the loss.
    """

    batches = 1

    def __init__(
        self, field: TensorialField, params: ZeroRFParams, steps: int, loss_of: GridLoss | GrowingRayLoss, scale: LossScale
    ) -> None:
        self.field, self.params, self.steps, self.loss_of, self.scale, self.taken = field, params, steps, loss_of, scale, 0
        self.mean = copy.deepcopy(field)
        matrices = [p for p in field.parameters() if p.ndim >= 2 and params.muon]
        others = [p for p in field.parameters() if p.ndim < 2 or not params.muon]
        self.optimisers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(others, lr=params.learning_rate, betas=(0.9, 0.98), weight_decay=params.weight_decay, fused=True)
        ]
        if matrices:
            self.optimisers.append(Muon(matrices, lr=params.muon))
        self.rates = [optimiser.param_groups[0]["lr"] for optimiser in self.optimisers]

    @property
    def rays(self) -> int:
        return self.loss_of.rays_at(self.taken)

    def loss(self, generator: torch.Generator) -> torch.Tensor:
        return self.loss_of(self.field, self.taken, generator)

    def _set_rates(self) -> None:
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, self.taken / self.steps)))
        for optimiser, rate in zip(self.optimisers, self.rates, strict=True):
            optimiser.param_groups[0]["lr"] = rate * (self.params.decay + (1 - self.params.decay) * cosine)

    def update(self) -> None:
        self.scale.unscale(self.optimisers)
        nn.utils.clip_grad_norm_(self.field.parameters(), self.params.clip)
        self._set_rates()
        self.scale.step(self.optimisers)
        self.taken += 1
        keep = min(self.params.average, self.taken / (9 + self.taken))  # short memory at first
        with torch.no_grad():
            torch._foreach_lerp_(list(self.mean.parameters()), list(self.field.parameters()), 1 - keep)

    def state_dict(self) -> dict[str, Any]:
        optimisers = [optimiser.state_dict() for optimiser in self.optimisers]
        return {"field": self.field.state_dict(), "mean": self.mean.state_dict(), "optimisers": optimisers, "taken": self.taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.field.load_state_dict(state["field"])
        self.mean.load_state_dict(state["mean"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.taken = state["taken"]


class FineTuning:
    """Training of the tensors and the network by random rays (as in TensoRF, Chen et al. 2022, section 5).

    A batch of rays takes a twentieth of the time of whole views, hence 20 batches per step.
    """

    batches = 20

    def __init__(self, field: TensorialField, steps: int, rays: int, loss_of: RayLoss, scale: LossScale) -> None:
        field.generator.release()
        self.field = self.mean = field
        self.steps, self.rays, self.loss_of, self.scale, self.taken = steps, rays, loss_of, scale, 0
        self.level = relative_to(loss_of.measurements.values)
        self.rates = (TENSOR_RATE, NETWORK_RATE)
        parts = (field.generator, field.network)
        groups = [{"params": list(part.parameters()), "lr": rate} for part, rate in zip(parts, self.rates, strict=True)]
        self.optimiser = torch.optim.Adam(groups, betas=(0.9, 0.99), fused=True)

    def loss(self, generator: torch.Generator) -> torch.Tensor:
        return self.loss_of(self.field.at_points(), self.rays, generator) * self.level

    def update(self) -> None:
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * DECAY ** (self.taken / (self.steps * self.batches))
        self.scale.unscale([self.optimiser])
        self.scale.step([self.optimiser])
        self.taken += 1

    def state_dict(self) -> dict[str, Any]:
        return {"mean": self.field.state_dict(), "optimiser": self.optimiser.state_dict(), "taken": self.taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.field.load_state_dict(state["mean"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.taken = state["taken"]
