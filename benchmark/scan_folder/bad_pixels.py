"""Pixels of a detector without beam or with a hot dark, seen in its flat and dark images."""

from __future__ import annotations

import numpy as np


def unlit_or_hot(flat: np.ndarray, dark: np.ndarray) -> np.ndarray:
    """Return the pixels, bool [v, u], whose beam (flat - dark) is none or unlike their neighbours', or whose dark image is far brighter."""
    beam = flat - dark
    return np.asarray(_odd_gain(beam) | _hot(dark, beam))


def _odd_gain(beam: np.ndarray) -> np.ndarray:
    from scipy.ndimage import median_filter

    usual = np.maximum(median_filter(beam, size=5, mode="reflect"), 1e-30)
    return np.asarray((beam <= 0) | (beam < 0.3 * usual) | (beam > 3 * usual))


def _hot(dark: np.ndarray, beam: np.ndarray) -> np.ndarray:
    from scipy.ndimage import median_filter

    away = dark - median_filter(dark, size=5, mode="reflect")
    noise = float(np.median(np.abs(away))) / 0.6745
    return np.asarray(away > max(20 * noise, 0.2 * float(np.median(beam)), 1e-12))
