"""Scores of a reconstructed volume against the truth, both [z, y, x] in 1/mm. None where a score is undefined.

The peers' volumes have a maximum of 1; ours are in 1/mm. The two differ by a change of unit only, so the peers' protocols are
applied after dividing prediction and truth by the maximum of the truth. On the peers' own data that changes nothing.
"""

from __future__ import annotations

import numpy as np

from benchmark.metrics.similarity import decibels, finite, gaussian_ssim, mean_square, pair, pieces, uniform_ssim, zero_padded_ssim
from benchmark.storage import mapped


def psnr(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    """PSNR, strict: range = max - min of the truth, no clipping [dB]."""
    prediction, truth = pair(prediction, truth)
    lowest, highest = mapped.extent(truth)
    return decibels(mean_square(pieces(prediction, truth)), highest - lowest)


def ssim(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    """SSIM, strict: 3-D, Gaussian window of sigma 1.5, range = max - min of the truth."""
    prediction, truth = pair(prediction, truth)
    lowest, highest = mapped.extent(truth)
    return gaussian_ssim(prediction, truth, highest - lowest)


def rmse_hu(prediction: np.ndarray, truth: np.ndarray, mu_water: float) -> float | None:
    """Root of the mean squared error in Hounsfield units, 1000 / mu_water times that in 1/mm."""
    prediction, truth = pair(prediction, truth)
    return finite(1000 / mu_water * np.sqrt(mean_square(pieces(prediction, truth))))


def psnr_naf(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    """PSNR of NAF (Zha et al. 2022, doi 10.1007/978-3-031-16446-0_42) and SAX-NeRF: range 1, and 100 dB for no error."""
    prediction, truth = pair(prediction, truth)
    square, peak = mean_square(pieces(prediction, truth)), mapped.extent(truth)[1]
    return 100.0 if square == 0 and peak > 0 else decibels(square, peak)


def ssim_naf(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    """SSIM of NAF and SAX-NeRF: uniform 7 x 7 x 7 window, range 2 (the default for floats, which their code leaves unset).

    Their code averages over three transpositions of the volume, which all give the same number.
    """
    prediction, truth = pair(prediction, truth)
    return uniform_ssim(prediction, truth, 2 * mapped.extent(truth)[1])


def psnr_r2(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    """PSNR of R2-Gaussian (Zha et al. 2024, arXiv 2405.20693): range 1."""
    prediction, truth = pair(prediction, truth)
    return decibels(mean_square(pieces(prediction, truth)), mapped.extent(truth)[1])


def ssim_r2(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    """SSIM of R2-Gaussian: 2-D over every slice with a non-empty truth, mean per axis, then mean over the three axes."""
    prediction, truth = pair(prediction, truth)
    peak = mapped.extent(truth)[1]
    if not peak > 0:
        return None
    axes = []
    for axis in range(3):
        scores = []
        for x, y in pieces(_along(prediction, axis), _along(truth, axis)):
            kept = y.max(axis=(1, 2)) > 0
            if kept.any():
                scores.append(zero_padded_ssim(x[kept] / peak, y[kept] / peak))
        axes.append(np.concatenate(scores).mean())
    return finite(np.mean(axes))


def _along(volume: np.ndarray, axis: int) -> np.ndarray:
    """Return the volume with this axis first. In a file, a slice across x touches every page: such a volume is copied to another file."""
    turned = np.moveaxis(volume, axis, 0)
    if axis < 2 or mapped.file_map(volume) is None:
        return turned

    def write(copy: np.ndarray) -> None:
        for part in mapped.pieces(volume):
            copy[:, part] = turned[:, part]
            mapped.release(copy)

    return mapped.filled(turned.shape, write, volume.dtype)
