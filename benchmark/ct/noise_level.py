"""How noisy measured views are, from the views alone."""

from __future__ import annotations

import math

import numpy as np

MAD = 0.6745  # median of the absolute value of a standard normal variable
ORDERS = (1, 2, 3)  # of the differences along each direction


def noise_level(projections: np.ndarray) -> float:
    """Standard deviation of a typical pixel's noise, in the unit of the projections [view, v, u]; 0 for detectors of one row or column.

    Differences across pixels, taken along v and along u, hold much of the noise and little of an object but at edges and corners; their
    median absolute value does not see those (Donoho 1995, doi 10.1109/18.382009, for wavelets). Noise has the same level in
    differences of any order, fine structure has not: each order says noise and structure together, so the least of them counts.
    Pixels behind much matter are noisier than this, those in air less; noise that neighbours share is not seen.
    """
    return min((_level(projections, order) for order in ORDERS if order < min(projections.shape[1:])), default=0.0)


def _level(projections: np.ndarray, order: int) -> float:
    medians = []
    for view in projections:
        differences = np.diff(np.diff(view.astype(np.float64), n=order, axis=0), n=order, axis=1)
        medians.append(np.median(np.abs(differences)))
    # Binomial coefficients squared sum to comb(2 n, n) along each of the two directions: the variance of n-th differences.
    return float(np.sqrt(np.mean(np.square(medians)))) / (math.comb(2 * order, order) * MAD)
