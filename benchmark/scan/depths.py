"""Depths of maxima: where along its ray a pixel's largest value lies.

A depth is the distance along the ray through the pixel's centre, away from the source, from the ray's point nearest to x = y = z = 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.scan.geometry import ConeBeamGeometry

if TYPE_CHECKING:
    from benchmark.scan.scan import Scan


def central_rays(geometry: ConeBeamGeometry, view: int) -> tuple[np.ndarray, np.ndarray]:
    """Return for each pixel of a view its ray's point nearest to x = y = z = 0 [mm], and the direction, float64 [v, u, 3] each."""
    source, centre, u, v = geometry.vectors()[view]
    rows, columns = geometry.detector_shape
    across, up = (np.arange(columns) - (columns - 1) / 2)[None, :, None] * u, (np.arange(rows) - (rows - 1) / 2)[:, None, None] * v
    towards = centre - source + across + up
    directions = towards / np.linalg.norm(towards, axis=-1, keepdims=True)
    return source - (directions @ source)[..., None] * directions, directions


def maximum_positions(scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """Return where the scan's maxima lie, float32 [N, 3] (x y z [mm]), and their values, float32 [N], of all pixels with a known depth."""
    positions, values = [np.empty((0, 3), np.float32)], [np.empty(0, np.float32)]
    for view, depths in enumerate(() if scan.depths is None else scan.depths):
        known = np.isfinite(depths)
        nearest, directions = central_rays(scan.geometry, view)
        positions.append((nearest[known] + depths[known][:, None] * directions[known]).astype(np.float32))
        values.append(scan.projections[view][known])
    return np.concatenate(positions), np.concatenate(values)
