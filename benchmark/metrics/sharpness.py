"""Sharpness of a known sphere's surface: modulation transfer from its edge, in three dimensions.

The edge-spread function is the mean over all directions of the values at a distance from the centre; its derivative is the
line-spread function; the Fourier transform of that is the modulation transfer function (MTF). This is the circular-edge method of
Richard et al., Medical Physics 39 (2012) 4115-4122, doi 10.1118/1.4725171, with a sphere in place of a rod.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmark.metrics.similarity import SLAB
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.storage import mapped

FINE = 4  # bins of distance per voxel
REACH = 8  # [voxel] on either side of the surface


def edge_mtf50(prediction: np.ndarray, truth: np.ndarray, geometry: ConeBeamGeometry, sphere: Mapping[str, Any]) -> float | None:
    """Return the spatial frequency at which the MTF falls to one half [1/mm]; None without a clear edge."""
    from scipy.signal.windows import tukey

    distance, level = _levels(prediction, truth, geometry, sphere)
    if level is None:
        return None
    line = -np.diff(level) * tukey(len(level) - 1, 0.5)  # values far from the surface are not part of the edge
    transfer = np.abs(np.fft.rfft(line, 64 * len(line)))
    transfer /= transfer[0]
    if transfer.min() >= 0.5:
        return None
    return _crossing(np.arange(len(transfer)), transfer, 0.5) / (64 * len(line) * (distance[1] - distance[0]))


def edge_width(prediction: np.ndarray, truth: np.ndarray, geometry: ConeBeamGeometry, sphere: Mapping[str, Any]) -> float | None:
    """Return the distance over which the surface falls from 90% to 10% of its step [mm]; None without a clear edge."""
    distance, level = _levels(prediction, truth, geometry, sphere)
    return None if level is None else _crossing(distance, level, 0.1) - _crossing(distance, level, 0.9)


def _levels(
    prediction: np.ndarray, truth: np.ndarray, geometry: ConeBeamGeometry, sphere: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return distances from the surface and the profile scaled from 1 (inside) to 0; None for a step below a tenth of the truth's."""
    distance, values = edge_profile(prediction, geometry, sphere)
    inside, outside = _shelves(values)
    true_inside, true_outside = _shelves(edge_profile(truth, geometry, sphere)[1])
    if not inside - outside > 0.1 * (true_inside - true_outside) > 1e-9:
        return distance, None
    return distance, (values - outside) / (inside - outside)


def _shelves(values: np.ndarray) -> tuple[float, float]:
    """Return the mean values far inside and far outside."""
    width = max(2, len(values) // 6)
    return float(values[:width].mean()), float(values[-width:].mean())


def edge_profile(volume: np.ndarray, geometry: ConeBeamGeometry, sphere: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean value [1/mm] in evenly spaced bins of distance from the surface [mm], from the inside (negative) to the outside."""
    voxel = min(geometry.volume_spacing)
    reach = min(REACH * voxel, 0.8 * float(sphere["radius"]))
    axes = [geometry.voxel_centres(axis) - centre for axis, centre in zip((0, 1, 2), reversed(sphere["centre"]), strict=True)]
    count = int(2 * reach / voxel * FINE)
    edges = np.linspace(-reach, reach, count + 1)
    sums, hits = np.zeros(count), np.zeros(count)
    for planes in mapped.pieces(volume, 4 * SLAB):
        z, y, x = np.meshgrid(axes[0][planes], *axes[1:], indexing="ij", sparse=True)
        depth = np.sqrt(z**2 + y**2 + x**2) - float(sphere["radius"])
        near = np.abs(depth) < reach
        sums += np.histogram(depth[near], count, (-reach, reach), weights=volume[planes][near].astype(np.float64))[0]
        hits += np.histogram(depth[near], count, (-reach, reach))[0]
    centres = (edges[:-1] + edges[1:]) / 2
    return centres, np.interp(centres, centres[hits > 0], sums[hits > 0] / hits[hits > 0])


def _crossing(distance: np.ndarray, level: np.ndarray, value: float) -> float:
    """Return the first position at which a falling curve passes a value."""
    place = max(1, int(np.argmax(level < value)))
    share = (level[place - 1] - value) / (level[place - 1] - level[place])
    return float(distance[place - 1] + share * (distance[place] - distance[place - 1]))
