"""Scores of rendered projections against measured ones, both [view, v, u], dimensionless. None where a score is undefined.

Where `valid` (bool [view, v, u]) is given, other pixels do not count.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmark.metrics.similarity import decibels, finite, gaussian_ssim, images, mean_square, pair, pieces, zero_padded_ssim
from benchmark.storage import mapped

Valid = np.ndarray | None  # bool [view, v, u]: the pixels that count
Marked = tuple[np.ndarray, np.ndarray, Valid]  # prediction, truth and valid pixels of a view [v, u]


def psnr(prediction: np.ndarray, truth: np.ndarray, valid: Valid = None) -> float | None:
    """PSNR, strict: one mean squared error over all views, range = maximum of the true stack, no clipping [dB]."""
    prediction, truth = pair(prediction, truth)
    return decibels(mean_square(pieces(prediction, truth), valid), mapped.extent(truth)[1])


def ssim(prediction: np.ndarray, truth: np.ndarray, valid: Valid = None) -> float | None:
    """SSIM, strict: 2-D per view, Gaussian window of sigma 1.5, range = maximum of the true stack, mean over the views."""
    prediction, truth = pair(prediction, truth)
    peak = mapped.extent(truth)[1]
    return _mean([gaussian_ssim(x, y, peak, mark) for x, y, mark in _marked(prediction, truth, valid)])


def psnr_naf(prediction: np.ndarray, truth: np.ndarray, valid: Valid = None) -> float | None:
    """PSNR of NAF: prediction and truth of a view each scaled to its own [0, 1]. NAF scores one random view; this is the mean over all.

    The scaling hides a wrong scale or offset. As in NAF, a view with a prediction or truth of maximum 0 scores 0 dB.
    """
    prediction, truth = pair(prediction, truth)
    marked = _marked(prediction, truth, valid)
    return _mean([_own_range_psnr(x[None], y[None], None if mark is None else mark[None]) for x, y, mark in marked])


def psnr_sax(prediction: np.ndarray, truth: np.ndarray, valid: Valid = None) -> float | None:
    """PSNR of SAX-NeRF (Cai et al. 2024, arXiv 2311.10959): as NAF, but over the stack of all views at once."""
    return _own_range_psnr(*pair(prediction, truth), valid)


def ssim_sax(prediction: np.ndarray, truth: np.ndarray, valid: Valid = None) -> float | None:
    """SSIM of SAX-NeRF: raw values cast to 8 bits (1 becomes 255, below 0 becomes 0), then SSIM per view with the constants of range 255.

    Line integrals of SAX-NeRF are 0 .. 0.3, so few grey levels remain and any decent result scores near 1. The cast
    is defined on [-1, 1] only; None for other data, which the code of SAX-NeRF refuses.
    """
    prediction, truth = pair(prediction, truth)
    if not np.max(np.abs([mapped.extent(prediction), mapped.extent(truth)])) <= 1:
        return None
    return _mean([gaussian_ssim(_eight_bits(x), _eight_bits(y), 255.0, mark) for x, y, mark in _marked(prediction, truth, valid)])


def psnr_r2(prediction: np.ndarray, truth: np.ndarray, valid: Valid = None) -> float | None:
    """PSNR of R2-Gaussian: each view of prediction and truth divided by its own maximum; empty true views are left out."""
    scaled = _own_maximum(*pair(prediction, truth), valid)
    return _mean([decibels(mean_square([(x, y)], mark), 1.0) for x, y, mark in scaled])


def ssim_r2(prediction: np.ndarray, truth: np.ndarray, valid: Valid = None) -> float | None:
    """SSIM of R2-Gaussian: scaled as in psnr_r2; 2-D, Gaussian window, zero padding, range 1."""
    scaled = _own_maximum(*pair(prediction, truth), valid)
    return _mean([float(zero_padded_ssim(x[None], y[None], None if mark is None else mark[None])[0]) for x, y, mark in scaled])


def _own_range_psnr(prediction: np.ndarray, truth: np.ndarray, valid: Valid = None) -> float | None:
    """Return the PSNR of stacks [view, v, u], each scaled to its own [0, 1]."""
    (low_x, high_x), (low_y, high_y) = mapped.extent(prediction), mapped.extent(truth)
    if high_x == 0 or high_y == 0:
        return 0.0
    if high_x == low_x or high_y == low_y:
        return None  # a constant cannot be scaled to [0, 1]
    scaled = (((x - low_x) / (high_x - low_x), (y - low_y) / (high_y - low_y)) for x, y in pieces(prediction, truth))
    return decibels(mean_square(scaled, valid), 1.0)


def _own_maximum(prediction: np.ndarray, truth: np.ndarray, valid: Valid) -> Iterator[Marked]:
    """Return the views with a non-empty truth, each image divided by its own maximum (a prediction of zeros stays 0)."""
    for x, y, mark in _marked(prediction, truth, valid):
        if y.max() > 0:
            yield x / (x.max() or 1.0), y / y.max(), mark


def _marked(prediction: np.ndarray, truth: np.ndarray, valid: Valid) -> Iterator[Marked]:
    """Yield prediction, truth and valid pixels of every view."""
    for index, (x, y) in enumerate(images(prediction, truth)):
        yield x, y, None if valid is None else np.asarray(valid[index])


def _eight_bits(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image * 255), 0, 255)


def _mean(scores: list[float | None]) -> float | None:
    """Return the mean, or None if any score is undefined: a mean over the other views would be a different quantity."""
    if not scores or any(score is None for score in scores):
        return None
    return finite(np.mean([score for score in scores if score is not None]))
