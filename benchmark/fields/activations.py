"""Activations that turn a network's output into attenuation."""

from __future__ import annotations

from typing import Any

import torch


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
    """exp(x) whose gradient is exp(clamp(x, -15, 15)), so that one outlier cannot blow up training (torch-ngp)."""
    return _TruncExp.apply(x)
