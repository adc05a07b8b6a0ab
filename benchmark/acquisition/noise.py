"""Detector effects on simulated line integrals: blur, scatter, photon and electronic noise."""

from __future__ import annotations

import numpy as np

from benchmark.errors import InputError

FLOOR = 0.5  # [photons] lower limit of a pixel's count, so that -log stays finite
_MOST = 1e18  # [photons] NumPy's Poisson generator overflows above this


def add_noise(projections: np.ndarray, photons: float, electronic: float, rng: np.random.Generator) -> np.ndarray:
    """Add detector noise to line integrals: float32 of the same shape, finite at any dose.

        N = Poisson(I0 exp(-p)) + Gaussian(0, electronic),   p_noisy = -log(max(N, 1/2) / I0)

    `photons` is I0 > 0, the mean count of the unattenuated beam per pixel; `electronic` the standard deviation of the read-out noise
    [photons]. Counts below half a photon are set to half a photon: values above log(2 I0) cannot be measured. Raises InputError for
    impossible values.
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


def detected(projections: np.ndarray, blur: float = 0.0, scatter: float = 0.0) -> np.ndarray:
    """Return line integrals [view, v, u] with detector blur and scattered radiation, without noise: float32 of the same shape.

        p' = -log(B I + scatter W I),  I = exp(-p)

    B: Gaussian blur of `blur` pixels (the detector's point spread). W: Gaussian blur of a sixth of the detector's width, the
    smooth background that scatter leaves, as strong as `scatter` times the local mean intensity (the scatter-to-primary
    ratio where nothing attenuates). The edges are repeated. Returns the projections themselves where both are 0.
    """
    for name, value in (("blur", blur), ("scatter", scatter)):
        if not (np.isfinite(value) and value >= 0):
            raise InputError(name, expected="a number from 0", found=f"{value}")
    if blur == 0 and scatter == 0:
        return projections
    from scipy.ndimage import gaussian_filter

    intensity = np.exp(-np.asarray(projections, dtype=np.float64))
    seen = gaussian_filter(intensity, (0, blur, blur), mode="nearest") if blur else intensity
    if scatter:
        width = projections.shape[2] / 6
        seen = seen + scatter * gaussian_filter(intensity, (0, width, width), mode="nearest")
    return -np.log(np.maximum(seen, np.finfo(np.float64).tiny)).astype(np.float32)
