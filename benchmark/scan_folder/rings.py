"""Ring correction: each pixel's constant deviation from its neighbours."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

WIDTH, NARROW = 9, 5  # [pixel] of the running medians
WIDE = 21  # of a detector with few rows, whose rows alone must do
FEW_ROWS = 5
USUAL = 2.5  # standard deviations of all offsets: up to here no second direction is asked


def ring_offsets(views: Iterable[np.ndarray]) -> np.ndarray:
    """Return the offset of each pixel's line integrals, float32 [v, u], from views [v, u]: the deviation of their mean from its neighbours.

    A wrong gain of a pixel adds the same number to all its line integrals and becomes a ring. The object turns, so that the mean over
    views is smooth where gains are right (Boin & Haibel 2006, doi 10.1364/OE.14.012071). Unusually large deviations count only as far
    as they are seen along u and along v: edges and walls that stand still are straight along one of them. A column deviates as a whole
    if two thirds of its pixels do. On steep slopes of the mean small offsets are missed, and those of a part of the scan remain.
    """
    total, count = np.zeros(()), 0
    for view in views:
        total, count = total + view.astype(np.float64), count + 1
    mean = total / count
    if mean.shape[0] < FEW_ROWS:
        return (mean - _running_median(mean, 1, WIDE)).astype(np.float32)
    across = mean - _running_median(mean, 1, WIDTH)
    low, middle, high = np.percentile(across, (33, 50, 67), axis=0)
    column = np.where(low * high > 0, middle, 0.0)
    mean = mean - column
    away = mean - _running_median(mean, (0, 1), WIDTH)
    away = away - _running_median(away, (0, 1), NARROW)  # tops of the object remain in the first difference, and are smooth there
    both = np.minimum.reduce([np.abs(mean - _running_median(mean, axis, WIDTH)) for axis in (0, 1)])
    most = np.maximum(2 * both, USUAL / 0.6745 * np.median(np.abs(away)))
    return (column + np.clip(away, -most, most)).astype(np.float32)


def _running_median(image: np.ndarray, axes: int | tuple[int, ...], width: int) -> np.ndarray:
    from scipy.ndimage import median_filter

    size = [1, 1]
    for axis in np.atleast_1d(axes):
        size[axis] = min(width, image.shape[axis] | 1)
    return median_filter(image, size=tuple(size), mode="reflect")
