"""Conventions shared by the files of NAF and R2-Gaussian: order of axes, keys that their loaders need, scanners that they can describe.

Each conversion of axes is its own inverse, so that reading and writing are the same function.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.scan.case import Case
from benchmark.scan.geometry import ConeBeamGeometry


def upside_down(views: np.ndarray) -> np.ndarray:
    """Return views float32 [..., row, column] with rows reversed: row 0 at the top (theirs) to the bottom (ours), or back."""
    return np.ascontiguousarray(views[..., ::-1, :], dtype=np.float32)


def transposed(volume: np.ndarray) -> np.ndarray:
    """Return a volume [x, y, z] (theirs) or [z, y, x] (ours) in the other order, without a copy."""
    return volume.transpose(2, 1, 0)


def backward(values: Sequence[Any]) -> Any:
    """Return a triple x y z or a pair u v (theirs), or z y x or v u (ours), in the other order, as a list."""
    return list(values)[::-1]


def header(case: Case) -> dict[str, Any]:
    """Return the keys about the acquisition that both loaders need."""
    geometry = case.scan.geometry
    return {
        "mode": "cone",
        "accuracy": 0.5,
        "filter": None,
        "totalAngle": float(np.rad2deg(geometry.arc)),
        "startAngle": float(np.rad2deg(geometry.angles[0])),
        "noise": case.scan.photons is not None,
    }


def relative_truth(case: Case, unit: float) -> np.ndarray:
    """Return the truth divided by a unit [1/mm], float32 [x, y, z]; zeros if it is unknown, since their loaders need one."""
    truth = np.zeros(case.scan.geometry.volume_shape, np.float32) if case.truth is None else case.truth
    return np.ascontiguousarray(transposed(truth) / np.float32(unit), dtype=np.float32)


def check_upright(geometry: ConeBeamGeometry, format: str) -> None:
    """Raise InputError for scanners that these formats cannot describe."""
    odd = [name for name in ("axis_shift", "source_height") if np.any(getattr(geometry, name))]
    if odd or not geometry.is_circular:
        found = f"{' and '.join(odd)}" if odd else "another orbit or a turned detector"
        expected = "a circular orbit about the axis with an upright detector"
        raise InputError(f"--format {format}", expected=expected, found=found, fix="Use --format folder.")
