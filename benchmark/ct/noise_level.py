"""How noisy measured views are, from the views alone."""

from __future__ import annotations

import numpy as np

MAD = 0.6745  # median of the absolute value of a standard normal variable


def noise_level(projections: np.ndarray) -> float:
    """Standard deviation of a typical pixel's noise, in the unit of the projections [view, v, u]; 0 for detectors of one row or column.

    Second differences across pixels, p(j, i) - p(j, i + 1) - p(j + 1, i) + p(j + 1, i + 1), hold hardly anything of an object but at
    corners and twice the noise; their median absolute value does not see the corners (Donoho 1995, doi 10.1109/18.382009, for wavelets).
    Pixels behind much matter are noisier than this, those in air less; noise that neighbours share is not seen.
    """
    if min(projections.shape[1:]) < 2:
        return 0.0
    medians = [np.median(np.abs(np.diff(np.diff(view.astype(np.float64), axis=0), axis=1))) for view in projections]
    return float(np.sqrt(np.mean(np.square(medians)))) / (2 * MAD)
