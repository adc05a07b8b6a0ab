"""Estimate small shifts of the detector and of the rotation axis to a fraction of a pixel."""

from __future__ import annotations

import numpy as np

from benchmark.validate.hypotheses import Hypothesis
from benchmark.validate.residual import coarse, fit
from benchmark.validate.setup import Setup

REACH, FAR = 6, 10  # [coarse pixel] on either side, without and with a truth
TOLERANCE = 0.05  # [coarse pixel]
MOST_STEPS = 14
IMPOSSIBLE = 1e3  # instead of an infinite residual, which no search can bear
SHIFTED = "shifted"  # in the names of these hypotheses


def shifted(setup: Setup, name: str, amount: float) -> Setup:
    """Return the setup with 'u' or 'v' (the detector's offset) or 'axis' (axis_shift) larger by this amount [mm]."""
    if name == "axis":
        return setup.changed(axis_shift=np.asarray(setup.geometry.get("axis_shift", 0.0)) + amount)
    v, u = setup.geometry.get("detector_offset", (0.0, 0.0))
    return setup.changed(detector_offset=(v, u + amount) if name == "u" else (v + amount, u))


def shift_hypotheses(setup: Setup) -> list[Hypothesis]:
    """Return the best shift along u, along v and of the axis. Without a truth, v is left out: a scan hardly depends on it."""
    if setup.any_orbit:
        return []
    names = ("u", "axis") if setup.truth is None else ("u", "v", "axis")
    return [found for name in names if (found := _best(setup, name))]


def _best(setup: Setup, name: str) -> Hypothesis | None:
    """Return the shift of least residual by Brent's search: around the best of a few shifts if that is cheap, else over the whole reach."""
    from scipy.optimize import minimize_scalar

    small = coarse(setup)
    if small is None:
        return None
    step = small.geometry.detector_pitch[0 if name == "v" else 1] / (small.geometry.magnification if name == "axis" else 1.0)

    def residual(pixels: float) -> float:
        return min(fit(shifted(setup, name, pixels * step), quick=True).residual, IMPOSSIBLE)

    low, high = -float(REACH), float(REACH)
    if setup.truth is not None:
        grid = np.arange(-FAR, FAR + 1)
        start = float(grid[int(np.argmin([residual(float(pixels)) for pixels in grid]))])
        low, high = start - 1, start + 1
    found = minimize_scalar(residual, bounds=(low, high), method="bounded", options={"xatol": TOLERANCE, "maxiter": MOST_STEPS})
    amount = float(found.x) * step
    pixel = setup.geometry["detector_pitch"][0 if name == "v" else 1] / setup.binning
    if name == "axis":
        declared = setup.geometry.get("axis_shift", 0.0)
        where, value = f"rotation axis {SHIFTED}", f"geometry.axis_shift: {np.mean(declared) + amount:.4g} mm"
        pixels = amount * small.geometry.magnification / pixel
    else:
        v, u = shifted(setup, name, amount).geometry["detector_offset"]
        where, value = f"detector {SHIFTED} along {name}", f"geometry.detector_offset (v, u): [{v:.4g}, {u:.4g}] mm"
        pixels = amount / pixel
    text = f"{where} by {amount:+.3g} mm ({pixels:+.2f} pixels)"
    return Hypothesis(text, value, lambda setup: shifted(setup, name, amount))
