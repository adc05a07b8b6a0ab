"""Building blocks of all protocols: mean squared error in decibels, and SSIM over a sliding window.

Prediction and truth may lie in files and be larger than memory: all functions work on a few slices at a time.

SSIM: Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural similarity",
IEEE Transactions on Image Processing 13 (2004) 600-612, doi 10.1109/TIP.2003.819861.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from benchmark.storage import mapped

RADIUS = 5  # [pixel] of the Gaussian window of sigma 1.5: 11 taps
SLAB = 2**22  # [voxel] scored at once: bounds the memory of SSIM, which holds about fifteen float64 copies
RESOLUTION = float(np.finfo(np.float32).eps)  # results are float32: errors below this share of the range are rounding


Pairs = Iterator[tuple[np.ndarray, np.ndarray]]


def pair(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as arrays. Raise ValueError if the shapes differ."""
    if np.shape(prediction) != np.shape(truth):
        raise ValueError(f"prediction {np.shape(prediction)} and truth {np.shape(truth)} have different shapes")
    return np.asarray(prediction), np.asarray(truth)


def pieces(prediction: np.ndarray, truth: np.ndarray, depth: int | None = None) -> Pairs:
    """Yield matching slices of both as float64, `depth` along the first axis at a time (default: as many as make a SLAB)."""
    depth = depth or max(1, SLAB // truth[0].size)
    for start in range(0, len(truth), depth):
        part = slice(start, start + depth)
        yield np.asarray(prediction[part], dtype=np.float64), np.asarray(truth[part], dtype=np.float64)
        mapped.release(prediction)
        mapped.release(truth)


def images(prediction: np.ndarray, truth: np.ndarray) -> Pairs:
    """Yield pairs of images from two stacks [image, row, column], float64."""
    return ((x[0], y[0]) for x, y in pieces(prediction, truth, 1))


def mean_square(pairs: Iterable[tuple[np.ndarray, np.ndarray]], valid: np.ndarray | None = None) -> float:
    """Return the mean of the squared differences over all pairs, each number counted once.

    With `valid` (bool, the shape of all pairs together), only the numbers so marked count.
    """
    total, count, start = 0.0, 0, 0
    for prediction, truth in pairs:
        square, end = np.square(prediction - truth), start + len(truth)
        counted = square if valid is None else square[valid[start:end]]
        total, count, start = total + float(np.sum(counted)), count + counted.size, end
    return total / count


def filled_in(prediction: np.ndarray, truth: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """Return the prediction with the truth's numbers where `valid` (bool, same shape) is False, so that no score counts them as errors."""
    if valid is None:
        return prediction
    prediction, truth = pair(prediction, truth)

    def write(filled: np.ndarray) -> None:
        for part in mapped.pieces(filled):
            filled[part] = np.where(valid[part], prediction[part], truth[part])
            for array in (prediction, truth, valid):
                mapped.release(array)

    return mapped.filled(prediction.shape, write)


def finite(score: float | np.floating) -> float | None:
    """Return the score, or None if it is undefined: records hold no NaN."""
    return float(score) if np.isfinite(score) else None


def decibels(square: float, data_range: float) -> float | None:
    """Return the peak signal-to-noise ratio 10 log10(range^2 / MSE) [dB] of a mean squared error; None if the range is not positive.

    An error below float32 rounding counts as rounding, so a perfect result scores 138.5 dB, not infinity.
    """
    if not data_range > 0:
        return None
    error = np.sqrt(square) / data_range
    return finite(-20 * np.log10(max(error, RESOLUTION)) if np.isfinite(error) else np.nan)


def gaussian_ssim(prediction: np.ndarray, truth: np.ndarray, data_range: float, valid: np.ndarray | None = None) -> float | None:
    """Return the mean SSIM, 2-D or 3-D: Gaussian window of sigma 1.5 (11 taps), population covariance, borders of 5 left out.

    An axis of length 1 does not count: a volume of one slice is scored as an image, a detector of one row as a line. With `valid` (bool),
    of an image: the mean over the windows about valid pixels. None if the range is not positive, if any other axis is shorter than the
    window or if no pixel is valid.
    """
    prediction, truth = np.squeeze(prediction), np.squeeze(truth)
    if not truth.ndim or not data_range > 0 or min(truth.shape) < 2 * RADIUS + 1:
        return None
    options: dict[str, Any] = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=data_range)
    if valid is None or valid.all():
        return _in_slabs(prediction, truth, RADIUS, **options)
    from skimage.metrics import structural_similarity

    valid = np.squeeze(valid)
    inner = (slice(RADIUS, -RADIUS),) * truth.ndim
    scores = structural_similarity(truth, prediction, full=True, **options)[1]
    return finite(scores[inner][valid[inner]].mean()) if valid[inner].any() else None


def uniform_ssim(prediction: np.ndarray, truth: np.ndarray, data_range: float, width: int = 7) -> float | None:
    """Return the mean SSIM: uniform window of `width`, sample covariance, borders left out; else as gaussian_ssim."""
    prediction, truth = np.squeeze(prediction), np.squeeze(truth)
    if not truth.ndim or not data_range > 0 or min(truth.shape) < width:
        return None
    return _in_slabs(prediction, truth, width // 2, win_size=width, data_range=data_range)


def _in_slabs(prediction: np.ndarray, truth: np.ndarray, radius: int, **options) -> float | None:
    """Return scikit-image's mean SSIM, computed over overlapping slabs of the first axis: the same number in less memory.

    It leaves `radius` out at every border, so slabs that overlap by 2 radius see each voxel once, with its whole window.
    """
    from skimage.metrics import structural_similarity

    inner = truth.shape[0] - 2 * radius
    depth = max(2 * radius, SLAB // truth[0].size)
    total = 0.0
    for start in range(0, inner, depth):
        count = min(depth, inner - start)
        slab = slice(start, start + count + 2 * radius)
        x, y = (np.asarray(volume[slab], dtype=np.float64) for volume in (prediction, truth))
        total += count * structural_similarity(y, x, **options)
        mapped.release(prediction)
        mapped.release(truth)
    return finite(total / inner)


def ssim_map(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray | None:
    """Return the strict SSIM at every voxel [z, y, x], float32; its mean without the outermost RADIUS voxels is the strict volume SSIM.

    None if undefined.
    """
    from skimage.metrics import structural_similarity

    prediction, truth = pair(prediction, truth)
    lowest, highest = mapped.extent(truth)
    shape, prediction, truth = truth.shape, np.squeeze(prediction), np.squeeze(truth)
    if not truth.ndim or not highest > lowest or min(truth.shape) < 2 * RADIUS + 1:
        return None
    window: dict[str, Any] = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": highest - lowest}
    depth = max(2 * RADIUS + 1, SLAB // truth[0].size)

    def write(whole: np.ndarray) -> None:
        scores = np.squeeze(whole)
        for start in range(0, len(truth), depth):
            end = min(start + depth, len(truth))
            low = max(0, min(start - RADIUS, end - 2 * RADIUS - 1))
            slab = slice(low, min(len(truth), end + RADIUS))
            x, y = (np.asarray(volume[slab], dtype=np.float64) for volume in (prediction, truth))
            scores[start:end] = structural_similarity(y, x, full=True, **window)[1][start - low : end - low]
            for array in (prediction, truth, scores):
                mapped.release(array)

    return mapped.filled(shape, write)


def zero_padded_ssim(prediction: np.ndarray, truth: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """Return the SSIM of each image of two stacks [image, row, column]: range 1, Gaussian window of 11 taps, zeros beyond the border.

    This is the window of the Gaussian-splatting code bases (borders count, images may be smaller than the window). Returns [image]: means
    over the pixels that are `valid` (bool, the stacks' shape; default all).
    """
    from scipy.ndimage import correlate1d

    x, y = prediction, truth
    taps = np.exp(-((np.arange(2 * RADIUS + 1) - RADIUS) ** 2) / (2 * 1.5**2))
    taps /= taps.sum()

    def blur(images: np.ndarray) -> np.ndarray:
        return correlate1d(correlate1d(images, taps, axis=1, mode="constant"), taps, axis=2, mode="constant")

    c1, c2 = 0.01**2, 0.03**2
    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y, cov = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2, blur(x * y) - mean_x * mean_y
    score = (2 * mean_x * mean_y + c1) * (2 * cov + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return score.mean(axis=(1, 2)) if valid is None else score.mean(axis=(1, 2), where=valid)
