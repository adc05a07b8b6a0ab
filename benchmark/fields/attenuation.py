"""Map from a network's output to attenuation, with an untrained network at the scan's mean."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F

Activation = Literal["softplus", "exp", "sigmoid"]
SIGMOID_CEILING = 20.0  # highest attenuation a sigmoid can reach, relative to the mean over the box


class Attenuation:
    """Map from a network's output to attenuation: x -> mean * activation(x) [1/mm], with activation(0) = 1.

    An untrained network thus starts at the scan's mean. `activation` is 'softplus', 'exp' (with a bounded gradient) or 'sigmoid'.
    """

    def __init__(self, activation: Activation, mean: float) -> None:
        self.activation, self.mean = activation, mean

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self.activation == "softplus":
            return self.mean * F.softplus(x + math.log(math.e - 1))
        if self.activation == "exp":
            return self.mean * trunc_exp(x)
        return self.mean * SIGMOID_CEILING * torch.sigmoid(x - math.log(SIGMOID_CEILING - 1))


class _TruncExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x.exp()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        return gradient * x.clamp(-15, 15).exp()


def trunc_exp(x: torch.Tensor) -> torch.Tensor:
    """Return exp(x) with the gradient exp(clamp(x, -15, 15)), so that one outlier cannot blow up training (torch-ngp)."""
    return _TruncExp.apply(x)
