"""What the field modules share to hand torch tensors to the C++ kernels."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch

from benchmark.ct.kernels.library import library


def call(name: str, *arguments: object) -> None:
    """Run a kernel on torch's number of threads; tensors (float32, CPU, contiguous) become addresses."""
    lib = library()
    lib.seed_set_threads(torch.get_num_threads())
    getattr(lib, name)(*(_address(a) if isinstance(a, torch.Tensor) else a for a in arguments))


def addresses(tensors: Sequence[torch.Tensor]) -> ctypes.Array[ctypes.c_void_p]:
    """An array of addresses, for kernels that take several tensors of one kind."""
    return (ctypes.c_void_p * len(tensors))(*(_address(t).value for t in tensors))


def feature_major(values: torch.Tensor) -> torch.Tensor:
    """A [points, features] tensor as contiguous [features, points], without a copy where it already lies so."""
    return values.detach().t().contiguous()


def _address(tensor: torch.Tensor) -> ctypes.c_void_p:
    if tensor.dtype != torch.float32 or tensor.device.type != "cpu" or not tensor.is_contiguous():
        raise TypeError(f"the CPU kernels take contiguous float32 tensors, found {tensor.dtype} {tuple(tensor.shape)} on {tensor.device}")
    return ctypes.c_void_p(tensor.data_ptr())
