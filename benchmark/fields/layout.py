"""How field tensors lie in memory: the kernels read and write features first, points last."""

from __future__ import annotations

import torch


def feature_major(values: torch.Tensor) -> torch.Tensor:
    """A [points, features] tensor as contiguous [features, points], without a copy where it already lies so."""
    return values.detach().t().contiguous()
