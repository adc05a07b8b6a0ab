"""Ramp filter of filtered backprojection and its usual windows."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch

from benchmark.errors import unknown_name

FilterName = Literal["ram-lak", "shepp-logan", "cosine", "hamming", "hann"]


def ramp_response(name: FilterName, samples: int, pitch: float, cutoff: float = 1.0) -> np.ndarray:
    """Return the response of the windowed ramp filter: float64 [samples // 2 + 1] for a real FFT of `samples`, unit 1 / length of `pitch`.

    The ramp is the transform of its band-limited spatial kernel (Kak & Slaney 1988, chapter 3, doi
    10.1137/1.9780898719277), h(0) = 1 / 4a^2, h(n odd) = -1 / (n pi a)^2, else 0, times a: sampling the ramp in
    frequency instead would lose the mean. `cutoff` (0 .. 1] is where the window ends, as a fraction of Nyquist.
    """
    if name not in get_args(FilterName):
        raise unknown_name("filter", name, get_args(FilterName))
    n = np.minimum(np.arange(samples), samples - np.arange(samples)).astype(np.float64)
    kernel = np.zeros(samples)
    kernel[0] = 0.25
    odd = n % 2 == 1
    kernel[odd] = -1 / (np.pi * n[odd]) ** 2
    ramp = np.fft.rfft(kernel).real / pitch
    f = np.fft.rfftfreq(samples) * 2 / cutoff  # 1 at the end of the window
    window = {
        "ram-lak": np.ones_like(f),
        "shepp-logan": np.sinc(f / 2),
        "cosine": np.cos(np.pi * f / 2),
        "hamming": 0.54 + 0.46 * np.cos(np.pi * f),
        "hann": 0.5 + 0.5 * np.cos(np.pi * f),
    }[name]
    return ramp * np.where(f <= 1 + 1e-9, window, 0.0)


def filter_rows(projections: torch.Tensor, name: FilterName, pitch: float, cutoff: float = 1.0) -> torch.Tensor:
    """Convolve the last axis (u) with the windowed ramp, zeros beyond the detector; same shape, unit 1 / length of `pitch`."""
    columns = projections.shape[-1]
    samples = padded_length(columns)
    response = torch.from_numpy(ramp_response(name, samples, pitch, cutoff)).to(projections)
    return torch.fft.irfft(torch.fft.rfft(projections, samples) * response, samples)[..., :columns]


def padded_length(columns: int) -> int:
    """Return the length of the Fourier transform of a row: a power of two without wrap-around."""
    return 1 << (2 * columns - 1).bit_length()
