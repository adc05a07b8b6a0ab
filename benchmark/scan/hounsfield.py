"""Hounsfield units and attenuation."""

from __future__ import annotations

import numpy as np

MU_WATER = 0.0206
"""Attenuation of water near 60 keV [1/mm]: the default for converting Hounsfield units to attenuation."""

AIR = -1000.0  # [HU]


def attenuation(hounsfield: np.ndarray, water: float, ceiling: float | None = None) -> np.ndarray:
    """Convert Hounsfield units to attenuation: mu = water (1 + HU / 1000), float32 in the unit of `water` (attenuation of water, 1/mm).

    Values below air become 0, values above `ceiling` [HU] (metal) become those of `ceiling`.
    """
    values = hounsfield.astype(np.float32)
    if ceiling is not None:
        np.minimum(values, np.float32(ceiling), out=values)
    return np.maximum(water * (1 + values / 1000), 0, dtype=np.float32)
