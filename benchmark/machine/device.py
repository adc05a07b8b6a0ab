"""Names of devices: 'auto', 'cpu', 'cuda', 'cuda:0'."""

from __future__ import annotations

import re

from benchmark.errors import InputError


def check_device(device: str) -> None:
    """Raise InputError if `device` is not the name of a device."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise InputError("--device", expected="auto, cpu, cuda or cuda:0", found=repr(device))


def resolve_device(device: str) -> str:
    """Return 'cpu' or 'cuda:<index>'. 'auto' is the first CUDA device that torch can use, else the CPU.

    Raise InputError if the device does not exist.
    """
    check_device(device)
    if device == "cpu":
        return device
    count = cuda_devices()
    if device == "auto":
        return "cuda:0" if count else "cpu"
    index = int(device.partition(":")[2] or 0)
    if index >= count:
        raise InputError("--device", expected="a device that torch can use", found=f"'{device}' with {count} CUDA devices", fix="Use cpu.")
    return f"cuda:{index}"


def cuda_devices() -> int:
    """Return the number of CUDA devices that torch can use. Imports torch, which takes seconds."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
