"""Scores of rendered projections against measured ones, both [view, v, u], dimensionless. None where a score is undefined."""

from __future__ import annotations

import numpy as np

from benchmark.metrics.similarity import decibels, finite, gaussian_ssim, pair, zero_padded_ssim


def psnr(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    """Strict: one mean squared error over all views, range = maximum of the true stack, no clipping [dB]."""
    prediction, truth = pair(prediction, truth)
    return decibels(prediction, truth, truth.max())


def ssim(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    """Strict: 2-D SSIM per view, Gaussian window of sigma 1.5, range = maximum of the true stack, mean over the views."""
    prediction, truth = pair(prediction, truth)
    peak = truth.max()
    return _mean([gaussian_ssim(x, y, peak) for x, y in zip(prediction, truth, strict=True)])


def psnr_naf(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    """NAF: prediction and truth of a view each scaled to its own [0, 1]. They score one random view; this is the mean over all.

    The scaling hides a wrong scale or offset. As theirs, a view whose prediction or truth has a maximum of 0 scores 0 dB.
    """
    prediction, truth = pair(prediction, truth)
    return _mean([_own_range_psnr(x, y) for x, y in zip(prediction, truth, strict=True)])


def psnr_sax(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    """SAX-NeRF (Cai et al. 2024, arXiv 2311.10959): as NAF, but over the stack of all views at once."""
    return _own_range_psnr(*pair(prediction, truth))


def ssim_sax(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    """SAX-NeRF: raw values cast to 8 bits (1 becomes 255, below 0 becomes 0), then SSIM per view with the constants of range 255.

    Their line integrals are 0 .. 0.3, so few grey levels are left and the score is near 1 for anything decent. The cast
    is defined on [-1, 1] only; None for other data, which their code refuses.
    """
    prediction, truth = pair(prediction, truth)
    if not max(np.abs(prediction).max(), np.abs(truth).max()) <= 1:
        return None
    x, y = (np.clip(np.rint(images * 255), 0, 255) for images in (prediction, truth))
    return _mean([gaussian_ssim(a, b, 255.0) for a, b in zip(x, y, strict=True)])


def psnr_r2(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    """R2-Gaussian: each view, prediction and truth apart, divided by its own maximum; empty true views are left out."""
    x, y = _own_maximum(*pair(prediction, truth))
    return _mean([decibels(a, b, 1.0) for a, b in zip(x, y, strict=True)])


def ssim_r2(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    """R2-Gaussian: as psnr_r2, with their 2-D SSIM (Gaussian window, zero padding, range 1)."""
    x, y = _own_maximum(*pair(prediction, truth))
    return finite(zero_padded_ssim(x, y).mean()) if len(y) else None


def _own_range_psnr(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    if truth.max() == 0 or prediction.max() == 0:
        return 0.0
    if np.ptp(truth) == 0 or np.ptp(prediction) == 0:
        return None  # a constant cannot be scaled to [0, 1]
    x, y = ((images - images.min()) / np.ptp(images) for images in (prediction, truth))
    return decibels(x, y, 1.0)


def _own_maximum(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The views whose truth is not empty, each image divided by its own maximum (a prediction that is 0 everywhere stays 0)."""
    kept = truth.max(axis=(1, 2)) > 0
    prediction, truth = prediction[kept], truth[kept]
    peak = prediction.max(axis=(1, 2), keepdims=True)
    return prediction / np.where(peak == 0, 1.0, peak), truth / truth.max(axis=(1, 2), keepdims=True)


def _mean(scores: list[float | None]) -> float | None:
    """The mean, or None as soon as one score is undefined: a mean over other views would not be the same quantity."""
    if not scores or any(score is None for score in scores):
        return None
    return finite(np.mean([score for score in scores if score is not None]))
