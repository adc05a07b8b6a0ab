"""Training in half precision: the choice of products, and loss scaling against underflow of small gradients."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import torch

from benchmark.errors import MissingDependency
from benchmark.fields.fitting.training_params import Precision

TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def products_in(precision: Precision, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Return a context in which torch computes convolutions and matrix products on this device in `precision`; parameters stay float32."""
    return torch.autocast(device.type, TYPES.get(precision), enabled=precision in TYPES)


class LossScale:
    """Loss scaling that keeps float16 gradients from underflowing (Micikevicius et al. 2018, arXiv 1710.03740), by torch's GradScaler.

    The loss is multiplied by a factor before the backward pass; gradients are divided by it before they are clipped or used. A step
    with gradients that are not finite moves no optimiser and halves the factor; 2000 good steps in a row double it. Where not
    `enabled`, all of it has no effect.
    """

    def __init__(self, enabled: bool, device: str) -> None:
        self._scaler = torch.amp.GradScaler(torch.device(device).type, enabled=enabled)
        self.skipped = 0  # steps

    @classmethod
    def of(cls, precision: Precision, device: str) -> LossScale:
        """Return the scaling of a precision, enabled for float16. Raises MissingDependency for float16 on the CPU: the run is skipped."""
        if precision == "float16" and torch.device(device).type == "cpu":
            raise MissingDependency("precision=float16 needs a CUDA device (--device cuda:0); the CPU has bfloat16 and float32")
        return cls(precision == "float16", device)

    def backward(self, loss: torch.Tensor) -> None:
        """Compute the gradients of the scaled loss."""
        self._scaler.scale(loss).backward()

    def unscale(self, optimisers: Sequence[torch.optim.Optimizer]) -> None:
        """Divide the optimisers' gradients by the factor; call it once before each step."""
        for optimiser in optimisers:
            self._scaler.unscale_(optimiser)

    def step(self, optimisers: Sequence[torch.optim.Optimizer]) -> None:
        """Step all optimisers, or none if a gradient is not finite."""
        if self._scaler.is_enabled() and not _finite(optimisers):
            self.skipped += 1
        else:
            for optimiser in optimisers:
                optimiser.step()
        self._scaler.update()

    def notes(self) -> dict[str, float]:
        """Return the factor and the number of skipped steps, for the record; nothing where not enabled."""
        return {"loss_scale": self._scaler.get_scale(), "skipped_steps": self.skipped} if self._scaler.is_enabled() else {}

    def state_dict(self) -> dict[str, Any]:
        """Return the state, for a checkpoint."""
        return {"scaler": self._scaler.state_dict(), "skipped": self.skipped}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self._scaler.load_state_dict(state["scaler"])
        self.skipped = state["skipped"]


def _finite(optimisers: Sequence[torch.optim.Optimizer]) -> bool:
    """Return whether all gradients are finite; synchronise with the device once."""
    groups = [group for optimiser in optimisers for group in optimiser.param_groups]
    gradients = [parameter.grad for group in groups for parameter in group["params"] if parameter.grad is not None]
    return bool(torch.stack([gradient.isfinite().all() for gradient in gradients]).all())
