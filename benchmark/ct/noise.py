"""Photon and electronic noise on simulated line integrals."""

from __future__ import annotations

import numpy as np

from benchmark.errors import InputError

FLOOR = 0.5  # [photons] the least a pixel may count: half a photon, so that -log stays finite
_MOST = 1e18  # [photons] beyond it NumPy's Poisson generator overflows


def add_noise(projections: np.ndarray, photons: float, electronic: float, rng: np.random.Generator) -> np.ndarray:
    """Line integrals as a noisy detector would give them, float32 of the same shape; never NaN or Inf at any dose.

        N = Poisson(I0 exp(-p)) + Gaussian(0, electronic),   p_noisy = -log(max(N, 1/2) / I0)

    projections: line integrals, any shape, dimensionless. photons: I0 > 0, mean count of the unattenuated beam per
    pixel. electronic: standard deviation of the read-out noise [photons]. Pixels that count less than half a photon are
    set to it: nothing above log(2 I0) can be measured. Raises InputError for values that describe no beam.
    """
    if not (np.isfinite(photons) and photons > 0):
        raise InputError("photons", expected="a positive number of photons per pixel", found=f"{photons}")
    if not (np.isfinite(electronic) and electronic >= 0):
        raise InputError("electronic", expected="a standard deviation of 0 photons or more", found=f"{electronic}")
    expected = photons * np.exp(-np.asarray(projections, dtype=np.float64))
    if not np.isfinite(expected).all() or expected.max(initial=0) > _MOST:
        raise InputError("photons", expected=f"finite line integrals and counts below {_MOST:g}", found=f"photons = {photons:g}")
    counts = rng.poisson(expected).astype(np.float64)
    if electronic:
        counts += rng.normal(0.0, electronic, counts.shape)
    return -np.log(np.maximum(counts, FLOOR) / photons).astype(np.float32)
