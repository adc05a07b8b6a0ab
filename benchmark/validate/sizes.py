"""Lengths and attenuation that a description implies, for a look at its units."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from benchmark.scan.hounsfield import MU_WATER
from benchmark.scan_folder.orbit import field_of_view
from benchmark.validate.numbers import Remark
from benchmark.validate.setup import Setup

SMALLEST, LARGEST = 0.02, 2000.0  # [mm] fields of view of X-ray scanners
THINNEST, DENSEST = 0.001, 10.0  # [1/mm] foam at high energies, metal at low ones


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes in the scan's length unit, triples (x, y, z); None where the description leaves them open."""

    unit: str
    field_of_view: tuple[float, float, float]
    detector: tuple[float, float]  # (u, v)
    pixel_at_axis: float
    magnification: float
    voxel: tuple[float, float, float] | None
    attenuation: float | None  # mean along the middle of the shadow, per unit

    @property
    def text(self) -> str:
        """All of it in one line."""
        unit = self.unit
        parts = [f"field of view {_product(self.field_of_view)} {unit}"]
        if self.voxel is not None:
            same = max(self.voxel) - min(self.voxel) < 1e-3 * max(self.voxel)
            parts.append(f"voxel {f'{self.voxel[0]:.3g}' if same else _product(self.voxel)} {unit}")
        parts.append(f"pixel at the axis {self.pixel_at_axis:.3g} {unit}")
        parts += [f"magnification {self.magnification:.3g}", f"detector {_product(self.detector)} {unit}"]
        if self.attenuation is not None:
            water = f" (water {MU_WATER:g})" if unit == "mm" else ""
            parts.append(f"mean attenuation about {self.attenuation:.2g} per {unit}{water}")
        return ", ".join(parts)


def sizes(setup: Setup) -> Sizes:
    """Return the sizes that a setup implies."""
    values = {"detector_offset": (0.0, 0.0), **setup.geometry}
    z, y, x = field_of_view(values)
    (pitch_v, pitch_u), (rows, columns) = values["detector_pitch"], setup.projections.shape[1:]
    magnification = values["source_to_detector"] / values["source_to_origin"]
    voxel = setup.voxel and (setup.voxel[2], setup.voxel[1], setup.voxel[0])
    pixel = pitch_u / magnification
    return Sizes(setup.length_unit, (x, y, z), (columns * pitch_u, rows * pitch_v), pixel, magnification, voxel, _attenuation(setup, pixel))


def _attenuation(setup: Setup, pixel: float) -> float | None:
    """Return the thickest line integral of the usual view over the width of its shadow."""
    found = []
    for view in setup.projections:
        high = float(np.percentile(view, 99))
        wide = np.sort((view > 0.2 * high).sum(1))[-max(1, len(view) // 10) :]
        if high > 0 and wide.any():
            found.append(high / (float(np.median(wide)) * pixel))
    return float(np.median(found)) if found and all(math.isfinite(value) for value in found) else None


def size_remarks(setup: Setup) -> list[Remark]:
    """Return warnings about sizes that no X-ray scanner has; none in unknown units."""
    if setup.length_unit != "mm":
        return []
    found, known = [], sizes(setup)
    longest = max(known.field_of_view[:2])
    fix = "check length_unit and every length of the geometry (mm, cm, m, um)"
    if not SMALLEST <= longest <= LARGEST:
        found.append(Remark("warning", f"a field of view of {longest:.3g} mm is unlikely", fix))
    if known.attenuation is not None and not THINNEST <= known.attenuation <= DENSEST:
        text = f"a mean attenuation of {known.attenuation:.2g} per mm is unlikely (water {MU_WATER:g}, steel about 0.3 at 100 keV)"
        found.append(Remark("warning", text, fix + ", and the scale of the line integrals"))
    return found


def _product(lengths: tuple[float, ...]) -> str:
    return " x ".join(f"{length:.3g}" for length in lengths)
