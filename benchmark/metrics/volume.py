"""Scores of a reconstructed volume against the truth, both [z, y, x] in 1/mm. None where a score is undefined.

The peers' volumes have a maximum of 1; ours are in 1/mm. A change of unit is all that lies between, so their protocols are
applied after dividing prediction and truth by the maximum of the truth. On their own data that changes nothing.
"""

from __future__ import annotations

import numpy as np

from benchmark.metrics.similarity import decibels, finite, gaussian_ssim, pair, uniform_ssim, zero_padded_ssim


def psnr(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    """Strict: range = max - min of the truth, no clipping [dB]."""
    prediction, truth = pair(prediction, truth)
    return decibels(prediction, truth, np.ptp(truth))


def ssim(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    """Strict: 3-D, Gaussian window of sigma 1.5, range = max - min of the truth."""
    prediction, truth = pair(prediction, truth)
    return gaussian_ssim(prediction, truth, np.ptp(truth))


def rmse_hu(prediction: np.ndarray, truth: np.ndarray, mu_water: float) -> float | None:
    """Root of the mean squared error in Hounsfield units, 1000 / mu_water times that in 1/mm."""
    prediction, truth = pair(prediction, truth)
    return finite(1000 / mu_water * np.sqrt(np.mean(np.square(prediction - truth))))


def psnr_naf(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    """NAF (Zha et al. 2022, doi 10.1007/978-3-031-16446-0_42) and SAX-NeRF: range 1, and 100 dB for no error at all."""
    prediction, truth = pair(prediction, truth)
    if np.array_equal(prediction, truth) and truth.max() > 0:
        return 100.0
    return decibels(prediction, truth, truth.max())


def ssim_naf(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    """NAF and SAX-NeRF: uniform 7 x 7 x 7 window; the range they left unset meant 2 for floats.

    They average this over three transpositions of the volume, which all give the same number.
    """
    prediction, truth = pair(prediction, truth)
    return uniform_ssim(prediction, truth, 2 * truth.max())


def psnr_r2(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    """R2-Gaussian (Zha et al. 2024, arXiv 2405.20693): range 1."""
    prediction, truth = pair(prediction, truth)
    return decibels(prediction, truth, truth.max())


def ssim_r2(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    """R2-Gaussian: 2-D SSIM of every slice whose truth is not empty, mean per axis, then mean over the three axes."""
    prediction, truth = pair(prediction, truth)
    peak = truth.max()
    if not peak > 0:
        return None
    axes = []
    for axis in range(3):
        x, y = np.moveaxis(prediction, axis, 0) / peak, np.moveaxis(truth, axis, 0) / peak
        kept = y.max(axis=(1, 2)) > 0
        axes.append(zero_padded_ssim(x[kept], y[kept]).mean())
    return finite(np.mean(axes))
