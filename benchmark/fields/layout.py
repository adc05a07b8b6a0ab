"""Memory layout of field tensors: the kernels read and write features first, points last."""

from __future__ import annotations

import torch


def feature_major(values: torch.Tensor) -> torch.Tensor:
    """Return a [points, features] tensor as contiguous [features, points], without a copy if it already has that layout."""
    return values.detach().t().contiguous()
