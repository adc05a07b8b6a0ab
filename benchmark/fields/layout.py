"""How field tensors lie in memory: the kernels read and write features first, points last."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch


def feature_major(values: torch.Tensor) -> torch.Tensor:
    """A [points, features] tensor as contiguous [features, points], without a copy where it already lies so."""
    return values.detach().t().contiguous()


def addresses(tensors: Sequence[torch.Tensor]) -> ctypes.Array[ctypes.c_void_p]:
    """Addresses of contiguous tensors, for kernels that take several of one kind. The tensors must outlive the call."""
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))
