"""Call a compiled kernel without copying tensors or arrays: on the CPU, or on the tensors' CUDA device."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import torch

from benchmark.errors import InputError
from benchmark.kernels.arguments import Arguments
from benchmark.kernels.cpu_library import library
from benchmark.kernels.declarations import CPU, CUDA

DEVICES = frozenset({"cpu", "cuda"})  # where kernels run
NO_MEMORY = 1  # status of a kernel: entry.hpp


def call(name: str, *arguments: Any) -> int:
    """Call seed_<name>(arguments) on torch's number of threads, or on a GPU; return the kernel's whole number, if it has one.

    The arguments are those of the kernel's declaration. Raise InputError for any other, for tensors on several devices, and for a device
    without kernels; MemoryError if memory runs out; RuntimeError with the kernel's own message for any other error.
    """
    takes = _takes(name)
    values, device = takes.checked(arguments)
    if device is None or device.type == "cpu":
        return _on_cpu(takes, values)
    if not runs_on(device):
        raise InputError(f"kernel {name}", expected="tensors on one device, the CPU or a CUDA device", found=str(device))
    from benchmark.kernels import cuda_kernels

    there = getattr(cuda_kernels, name, None)
    if there is None:
        raise InputError(f"kernel {name}", expected="tensors on the CPU: it has no CUDA counterpart", found=str(device))
    return there(*arguments) or 0


def runs_on(device: torch.device) -> bool:
    """Return True if kernels exist for a device."""
    return device.type in DEVICES


@functools.cache
def _takes(name: str) -> Arguments:
    """Return a kernel's parameters: common to CPU and GPU, or those of a GPU-only kernel."""
    return Arguments(CPU[name] if name in CPU else CUDA[name])


def _on_cpu(takes: Arguments, values: list[Any]) -> int:
    name, lib = takes.kernel.name, library()
    if name not in CPU:
        raise InputError(f"kernel {name}", expected="tensors on a CUDA device: it has no counterpart on the CPU", found="the CPU")
    lib.seed_set_threads(torch.get_num_threads())
    function, answer = getattr(lib, f"seed_{name}"), ctypes.c_int64()
    status = function(*values, ctypes.byref(answer)) if takes.kernel.answers else function(*values)
    if status:
        words = lib.seed_error().decode(errors="replace")
        raise MemoryError(f"kernel {name}: out of memory") if status == NO_MEMORY else RuntimeError(f"kernel {name}: {words}")
    return answer.value
