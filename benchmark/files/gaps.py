"""Voxels without a measurement: NaN or padding outside of a scanner's field of view."""

from __future__ import annotations

import numpy as np

from benchmark.errors import InputError
from benchmark.storage import mapped


def at_the_edge(mask: np.ndarray) -> np.ndarray:
    """Return the parts of a mask [row, column] that reach the edge of the image."""
    from scipy.ndimage import label

    parts, _ = label(mask)
    edges = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    return mask & np.isin(parts, edges[edges > 0])


def without_gaps(values: np.ndarray, outside: float, where: str) -> tuple[np.ndarray, str]:
    """Return a volume whose NaN, all outside of the field of view, became `outside`, and a note; the volume itself if it has none.

    NaN that do not reach the edge of their plane lie inside the body: InputError, as for Inf.
    """
    if values.dtype.kind != "f" or not mapped.not_finite(values):
        return values, ""
    count = 0

    def write(filled: np.ndarray) -> None:
        nonlocal count
        for index, plane in enumerate(values):
            gaps = np.isnan(plane)
            outer = at_the_edge(gaps) if gaps.any() else gaps
            filled[index] = np.where(outer, values.dtype.type(outside), plane)
            if not np.isfinite(filled[index]).all():
                inner = int((gaps & ~outer).sum())
                found = f"{inner} NaN inside plane {index}" if inner else f"Inf in plane {index}"
                fix = "Only NaN outside of the field of view can be read (as air): fill the others in the file first."
                raise InputError(where, expected="finite numbers", found=found, fix=fix)
            count += int(outer.sum())
            mapped.release(filled)

    filled = mapped.filled(values.shape, write, values.dtype)
    return filled, f", NaN outside of the field of view ({count / values.size:.0%} of the voxels) read as air"
