"""Intensity of the unattenuated beam in each view, from a region that shows no object."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from benchmark.scan.noise_level import noise_level

SMOOTH = 5  # [pixel] side of the means in which air is looked for
LEAST = 0.01  # of a view's range: more is an object
APART = 3  # [pixel] from the object
FEWEST, SHARE, SOME = 64, 16, 4  # pixels; of a small detector (one row) every SHARE-th is enough, and not less than SOME


def found_air(views: Iterable[np.ndarray]) -> np.ndarray:
    """Return the pixels that show air in all views (line integrals [v, u]), bool [v, u]; all False if too few do.

    Air is where smoothed line integrals are as low as the lowest of the view: the level itself may vary from view to view.
    """
    from scipy.ndimage import binary_erosion, uniform_filter

    air = None
    for view in views:
        smooth = uniform_filter(view, SMOOTH, mode="nearest")
        low, high = np.percentile(smooth, (2, 99))
        noise = noise_level([view]) / np.sqrt(np.prod([min(SMOOTH, count) for count in view.shape]))
        low_enough = smooth - low <= LEAST * (high - low) + 6 * noise
        air = low_enough if air is None else air & low_enough
    assert air is not None
    structure = np.ones(tuple(min(2 * APART + 1, count | 1) for count in air.shape), bool)
    air = binary_erosion(air, structure, border_value=1)
    return air if air.sum() >= min(FEWEST, max(SOME, air.size // SHARE)) else np.zeros_like(air)
