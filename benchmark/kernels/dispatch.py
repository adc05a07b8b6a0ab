"""Calls a compiled kernel with tensors and arrays as they are: on the CPU, or on the CUDA device where the tensors lie."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import torch

from benchmark.errors import InputError
from benchmark.kernels.cpu_library import library

DEVICES = frozenset({"cpu", "cuda"})  # where kernels run


def call(name: str, *arguments: Any) -> int:
    """seed_<name>(arguments) on torch's number of threads, or on a GPU; the kernel's int64 result, if it has one.

    Tensors and arrays go by address (they must be C-contiguous), whole numbers as int64, None as a null pointer; anything
    else must be a ctypes value. Raises InputError for tensors on several devices, or where no kernel runs.
    """
    devices = {argument.device for argument in arguments if isinstance(argument, torch.Tensor)}
    if len(devices) > 1 or any(not runs_on(device) for device in devices):
        found = " and ".join(sorted(map(str, devices)))
        raise InputError(f"kernel {name}", expected="tensors on one device, the CPU or a CUDA device", found=found)
    if devices and next(iter(devices)).type != "cpu":
        from benchmark.kernels import cuda_kernels

        there = getattr(cuda_kernels, name, None)
        if there is None:
            raise InputError(f"kernel {name}", expected="tensors on the CPU: it has no CUDA counterpart", found=str(next(iter(devices))))
        return there(*arguments) or 0
    lib = library()
    lib.seed_set_threads(torch.get_num_threads())
    function = getattr(lib, f"seed_{name}")
    function.restype = ctypes.c_int64
    return function(*(_argument(value) for value in arguments))


def runs_on(device: torch.device) -> bool:
    """Whether there are kernels for a device."""
    return device.type in DEVICES


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
