"""Transfer of arrays from the host to a device."""

from __future__ import annotations

import torch


def to_device(tensor: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """Move a tensor from the CPU to a device; return it unchanged if the device is the CPU.

    A GPU copies from page-locked memory in the background; from ordinary memory the host would wait for all earlier work of the GPU.
    """
    if torch.device(device).type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)
