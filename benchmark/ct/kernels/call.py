"""Calls a compiled kernel with tensors and arrays as they are."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import torch

from benchmark.ct.kernels.library import library


def call(name: str, *arguments: Any) -> int:
    """seed_<name>(arguments) on torch's number of threads; the kernel's int64 result, if it has one.

    Tensors and arrays go by address (they must be C-contiguous), whole numbers as int64, None as a null pointer; anything
    else must be a ctypes value.
    """
    lib = library()
    lib.seed_set_threads(torch.get_num_threads())
    function = getattr(lib, f"seed_{name}")
    function.restype = ctypes.c_int64
    return function(*(_argument(value) for value in arguments))


def _argument(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        if not value.is_contiguous():
            raise ValueError("kernel arguments must be C-contiguous")
        return ctypes.c_void_p(value.data_ptr())
    if isinstance(value, np.ndarray):
        if not value.flags.c_contiguous:
            raise ValueError("kernel arguments must be C-contiguous")
        return ctypes.c_void_p(value.ctypes.data)
    return ctypes.c_int64(value) if isinstance(value, int) else value
