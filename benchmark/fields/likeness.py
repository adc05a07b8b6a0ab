"""SSIM of images as a training loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F

WINDOW, SIGMA = 11, 1.5


def ssim(images: torch.Tensor, others: torch.Tensor, data_range: float) -> torch.Tensor:
    """Return the mean structural similarity of two stacks [view, v, u] (Wang et al. 2004, doi 10.1109/TIP.2003.819861), differentiable.

    The Gaussian window stays inside the images; small images get a smaller one.
    """
    size = min(WINDOW, *images.shape[1:])
    window = torch.exp(-0.5 * ((torch.arange(size, dtype=torch.float32, device=images.device) - (size - 1) / 2) / SIGMA) ** 2)
    window = window / window.sum()

    def blurred(stack: torch.Tensor) -> torch.Tensor:
        along = F.conv2d(stack[:, None], window.view(1, 1, -1, 1))
        return F.conv2d(along, window.view(1, 1, 1, -1))[:, 0]

    x, y = blurred(images), blurred(others)
    xx, yy, xy = blurred(images * images) - x * x, blurred(others * others) - y * y, blurred(images * others) - x * y
    one, two = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    return ((2 * x * y + one) * (2 * xy + two) / ((x * x + y * y + one) * (xx + yy + two))).mean()
