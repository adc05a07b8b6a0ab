"""Hounsfield units and attenuation."""

from __future__ import annotations

import numpy as np

MU_WATER = 0.0206  # [1/mm] attenuation of water near 60 keV


def attenuation(hounsfield: np.ndarray, water: float, ceiling: float | None = None) -> np.ndarray:
    """mu = mu_water (1 + HU / 1000), air clipped to 0 and metal to `ceiling` [HU]; float32 in water's unit."""
    values = hounsfield.astype(np.float32)
    if ceiling is not None:
        np.minimum(values, np.float32(ceiling), out=values)
    return np.maximum(water * (1 + values / 1000), 0, dtype=np.float32)
