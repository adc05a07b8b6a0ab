"""Check whether numbers can be line integrals, from values beside the object, below zero and at the upper end."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from benchmark.scan.bad_pixels import MOST
from benchmark.scan.geometry import ConeBeamGeometry

MASKED_OUT = 0.02  # share of the line integrals
REPAIR = "repair them: preprocessing: {bad_pixels: auto}"
MANY = 1e-3  # share of the pixels above which an effect is not accidental


@dataclasses.dataclass(frozen=True)
class Remark:
    """Something noticed: an error is a mistake, a warning may be one."""

    level: Literal["error", "warning"]
    text: str
    fix: str = ""


def number_remarks(projections: np.ndarray) -> list[Remark]:
    """Return remarks on projections [view, v, u] that should be line integrals."""
    bad = int((~np.isfinite(projections)).sum())
    if bad:
        return [Remark("error", f"{bad} of {projections.size} numbers are NaN or Inf", "repair dead pixels before the logarithm")]
    low, middle, high = (float(value) for value in np.percentile(projections, (0.1, 50, 99.9)))
    if high == low:
        return [Remark("error", f"all numbers are {low:g}", "check which array of the file is read")]
    air = float(np.median(beside(projections)))
    if high <= 0 or (middle < 0 and -low > 3 * high):
        return [
            Remark("error", f"nearly all numbers are negative ({low:.3g} .. {high:.3g})", "line integrals are -log(I / I0): check the sign")
        ]
    if air - low > 0.6 * (high - low):
        text = f"the detector's edges ({air:.3g}) are brighter than the pixels behind the object ({low:.3g}): these are intensities"
        return [Remark("error", text, f"projections.values: intensities, projections.flat: {air:.6g} (or a flat image)")]
    return [*_range_remarks(projections, low, high, air), *_pixel_remarks(projections)]


def beside(projections: np.ndarray) -> np.ndarray:
    """Return the outermost twentieth of the columns on either side: air, unless the object is wider than the detector."""
    strip = max(1, projections.shape[2] // 20)
    return np.concatenate([projections[:, :, :strip], projections[:, :, -strip:]], axis=2)


def _range_remarks(projections: np.ndarray, low: float, high: float, air: float) -> list[Remark]:
    found = []
    if high > 12:
        text = f"line integrals up to {high:.3g}: hardly one photon of e^{high:.0f} arrives"
        found.append(Remark("warning", text, "check units and projections.scale"))
    if high < 0.05:
        found.append(Remark("warning", f"line integrals of {high:.2g} at most: nearly air", "check units (mm, m) and projections.scale"))
    if low < -0.05 * high:
        share = float((projections < -0.05 * high).mean())
        text = f"{share:.1%} of the numbers are clearly negative (down to {projections.min():.3g})"
        found.append(Remark("warning", text, "noise in thin regions, or a flat image that is too dark"))
    if abs(air) > 0.05 * high:
        text = f"the detector's edges show {air:.3g} instead of 0"
        found.append(Remark("warning", text, "an object wider than the detector, or a wrong I0"))
    return found


def _pixel_remarks(projections: np.ndarray) -> list[Remark]:
    found = []
    top = projections.max()
    saturated = float((projections == top).mean())
    if saturated > MANY:
        text = f"{saturated:.1%} of the numbers are exactly the largest one ({top:.4g}): saturated or cut off"
        found.append(Remark("warning", text, "detail behind dense parts is lost there"))
    if len(projections) > 2:
        still = (projections == projections[:1]).all(0)
        dead = int((still & (np.abs(projections[0]) > 0.05 * np.abs(top))).sum())
        if 0 < dead <= MOST * still.size:  # more of them are an object that looks the same from all sides
            found.append(Remark("warning", f"{dead} pixels have the same value in every view: dead", REPAIR))
    first: dict[bytes, int] = {}
    twins = [(first[key], index) for index, view in enumerate(projections) if first.setdefault(key := view.tobytes(), index) != index]
    if twins:
        found.append(Remark("warning", f"views {twins[0][0]} and {twins[0][1]} are the same image ({len(twins)} such pairs)"))
    return found


def mask_remarks(projections: np.ndarray, masks: np.ndarray | None) -> list[Remark]:
    """Return remarks on masks [view, v, u] that exclude much of the views' content, or nothing at all."""
    if masks is None:
        return []
    if masks.all():
        return [Remark("warning", "the masks leave nothing out", "0 is outside, any other number inside")]
    shown = np.clip(projections, 0, None)
    turned = {"": masks, "rows": masks[:, ::-1], "columns": masks[:, :, ::-1], "rows and columns": masks[:, ::-1, ::-1]}
    left_out = {way: float((shown * ~of).sum(dtype=np.float64) / max(shown.sum(dtype=np.float64), 1e-30)) for way, of in turned.items()}
    if left_out[""] < MASKED_OUT:
        return []
    text, best = f"the masks leave out {left_out['']:.0%} of what the views show", min(left_out, key=lambda way: left_out[way])
    if best and left_out[best] < left_out[""] / 2:
        keys = " and ".join({"rows": "masks.first_row", "columns": "masks.first_column"}[name] for name in best.split(" and "))
        return [Remark("warning", f"{text}, with their {best} reversed {left_out[best]:.0%}", f"check {keys}")]
    return [Remark("warning", text, "correct for a holder or a table; a mask must cover the whole object")]


def orbit_remarks(geometry: ConeBeamGeometry) -> list[Remark]:
    """Return remarks on the angles."""
    turned = np.sort(np.mod(geometry.angles, 2 * np.pi))
    twice = int((np.diff(np.append(turned, turned[0] + 2 * np.pi)) < 1e-6).sum()) if len(turned) > 1 else 0
    found = []
    if twice:
        found.append(Remark("warning", f"{twice} angles occur twice", "a last view at 360 degrees repeats the first one"))
    degrees, needed = float(np.rad2deg(geometry.arc)), 180 + float(np.rad2deg(geometry.fan_angle))
    if geometry.views > 1 and degrees < needed - 0.5:
        text = f"the views cover {degrees:.0f} degrees, a complete short scan needs {needed:.0f}"
        found.append(Remark("warning", text, "correct for a limited-angle scan; otherwise check angle_unit, step and arc"))
    return found
