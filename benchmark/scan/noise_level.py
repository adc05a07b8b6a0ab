"""Estimate the noise of measured views from the views alone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from benchmark.scan.scan import Scan

MAD = 0.6745  # median of the absolute value of a standard normal variable
ORDERS = (1, 2, 3)  # of the differences along each direction


def scan_noise(scan: Scan) -> float:
    """Return the standard deviation of a typical pixel's noise, in the projections' unit.

    Estimated from the scan alone: from differences of neighbouring pixels (median absolute deviation, Donoho 1995, doi 10.1109/18.382009,
    for wavelets), or `scan.noise` if that is less. Pixels behind dense matter are noisier, pixels in air less noisy; noise shared by
    neighbours is not detected, and structure as fine as the pixels counts as noise.
    """
    shown = noise_level(scan.projections)
    return shown if scan.noise is None else min(shown, scan.noise)


def noise_of_means(views: Iterable[np.ndarray], factor: int) -> float | None:
    """Return the standard deviation of the noise of means of factor x factor pixels, estimated from the single pixels of views [v, u].

    Use it before binning: in binned views structure is mistaken for noise. Returns None for a factor of 1.
    """
    return None if factor == 1 else noise_level(views) / factor


def noise_level(projections: Iterable[np.ndarray]) -> float:
    """Return the standard deviation of a typical pixel's noise, in the unit of the projections [view, v, u]; 0 for a single row or column.

    Differences across pixels, taken along v and along u, hold much of the noise and little of an object except at edges and corners;
    their median absolute value ignores edges and corners (Donoho 1995, doi 10.1109/18.382009, for wavelets). Noise has the same level in
    differences of any order, fine structure has not: each order measures the sum of noise and structure, so the smallest is returned.
    Pixels behind dense matter are noisier, pixels in air less noisy; noise shared by neighbours is not detected, and structure as fine
    as the pixels counts as noise.
    """
    squares: dict[int, list[float]] = {order: [] for order in ORDERS}
    for view in projections:
        for order in ORDERS:
            if order < min(view.shape):
                differences = np.diff(np.diff(view.astype(np.float64), n=order, axis=0), n=order, axis=1)
                squares[order].append(float(np.median(np.abs(differences))) ** 2)
    # Binomial coefficients squared sum to comb(2 n, n) along each of the two directions: the variance of n-th differences.
    return min((math.sqrt(np.mean(of)) / (math.comb(2 * order, order) * MAD) for order, of in squares.items() if of), default=0.0)
