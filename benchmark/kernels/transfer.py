"""The way of numbers from the host to a device."""

from __future__ import annotations

import torch


def to_device(tensor: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """A tensor of the CPU on a device; itself where that is the CPU.

    A GPU gets it from page-locked memory, so that the host goes on at once; from any other it would first wait until the device
    has done everything it was given before.
    """
    if torch.device(device).type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)
