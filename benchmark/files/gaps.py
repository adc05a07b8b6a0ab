"""Voxels without a measurement: NaN or padding outside of a scanner's field of view."""

from __future__ import annotations

from collections.abc import Sequence

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
    check_planes([bool(np.isnan(plane).all()) for plane in values], where)

    def write(filled: np.ndarray) -> None:
        nonlocal count
        for index, plane in enumerate(values):
            filled[index], gaps = plane_without_gaps(plane, outside, where, index)
            count += gaps
            mapped.release(filled)

    filled = mapped.filled(values.shape, write, values.dtype)
    return filled, f", NaN outside of the field of view ({count / values.size:.0%} of the voxels) read as air"


def check_planes(empty: Sequence[bool], where: str) -> None:
    """Raise InputError for a plane of nothing but NaN between others: it is lost, not outside of the field of view."""
    full = [index for index, without in enumerate(empty) if not without]
    lost = [index for index in range(full[0], full[-1]) if empty[index]] if full else [0]
    if lost:
        found = f"{len(lost) if full else 'all'} of {len(empty)} without any (the first is plane {lost[0]})"
        raise InputError(where, expected="numbers in each plane", found=found, fix="Fill these planes in the file first.")


def plane_without_gaps(plane: np.ndarray, outside: float, where: str, index: int) -> tuple[np.ndarray, int]:
    """Return a plane whose NaN at the edge became `outside`, and their number. Raise InputError for others and for Inf."""
    if np.isfinite(plane).all():
        return plane, 0
    gaps = np.isnan(plane)
    outer = at_the_edge(gaps)
    inner = int((gaps & ~outer).sum())
    if inner or np.isinf(plane).any():
        found = f"{inner} NaN inside plane {index}" if inner else f"Inf in plane {index}"
        fix = "Only NaN outside of the field of view can be read (as air): fill the others in the file first."
        raise InputError(where, expected="finite numbers", found=found, fix=fix)
    return np.where(outer, plane.dtype.type(outside), plane), int(outer.sum())
