"""Ramp filter on residuals of projections: fine detail of a volume converges as fast as its shape."""

from __future__ import annotations

import torch


def ramp_filtered(residual: torch.Tensor, power: float) -> torch.Tensor:
    """Filter each detector row [..., u] by |frequency|^power, scaled to keep the energy of white noise.

    Projections damp a volume's high frequencies by the ramp (Fourier slice theorem); the filter takes a part of that back.
    """
    if not power:
        return residual
    count = residual.shape[-1]
    frequency = torch.fft.rfftfreq(2 * count, dtype=residual.dtype, device=residual.device) * 2 + 1 / (2 * count)  # for the mean to count
    gain = frequency**power
    gain = gain / gain.square().mean().sqrt()
    return torch.fft.irfft(torch.fft.rfft(residual, 2 * count) * gain, 2 * count)[..., :count]
