"""Directions of views: views of one direction measure the same lines."""

from __future__ import annotations

import numpy as np

from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.turn import Turn

PARALLEL = 1e-3  # [rad] between any ray and the central one, below which a view from the opposite side is the same view mirrored
SHARE, LEAST = 0.02, 1e-4  # angles that differ by less than this share of a step, or this angle [rad], are one direction


def period(geometry: ConeBeamGeometry) -> float:
    """Return the angle [rad] after which views repeat: 2 pi, and pi for parallel beams, where the opposite view is the mirrored one."""
    half_v, half_u = (
        count * pitch / 2 + abs(offset)
        for count, pitch, offset in zip(geometry.detector_shape, geometry.detector_pitch, geometry.detector_offset, strict=True)
    )
    return float(np.pi if np.hypot(half_v, half_u) < PARALLEL * geometry.source_to_detector else 2 * np.pi)


def directions(geometry: ConeBeamGeometry) -> np.ndarray:
    """Return a number per view, int [view]: equal for views that see the object along the same lines, in any turn.

    Angles are compared with a tolerance of SHARE of a step; positions and tilts of source and detector with one of a pixel.
    """
    turn = period(geometry)
    scaled = geometry.angles * (2 * np.pi / turn)
    around = Turn.of(scaled)
    tolerance = max(SHARE * around.step, LEAST)
    numbers = np.empty(geometry.views, dtype=np.int64)
    numbers[around.order] = np.append(0, np.cumsum(around.gaps[:-1] > tolerance))
    if around.gaps[-1] <= tolerance:  # the last views in the order are the first ones again
        numbers[numbers == numbers.max()] = 0
    _, found = np.unique(np.column_stack([numbers, _placement(geometry)]), axis=0, return_inverse=True)
    return np.asarray(found).reshape(-1)


def _placement(geometry: ConeBeamGeometry) -> np.ndarray:
    """Return source and detector of each view, turned back by its angle, as deviations from the median in pixels, int [view, 12]."""
    cos, sin = np.cos(geometry.angles), np.sin(geometry.angles)
    vectors = geometry.vectors()
    x, y = vectors[..., 0].copy(), vectors[..., 1].copy()
    vectors[..., 0], vectors[..., 1] = cos[:, None] * x + sin[:, None] * y, cos[:, None] * y - sin[:, None] * x
    vectors[:, 2:] *= (np.array(geometry.detector_shape[::-1]) / 2)[None, :, None]  # to the detector's edge
    vectors = vectors.reshape(geometry.views, 12)
    found: np.ndarray = np.round((vectors - np.median(vectors, axis=0)) / min(geometry.detector_pitch)).astype(np.int64)
    return found


def first_of_each(numbers: np.ndarray) -> np.ndarray:
    """Return the indices of the first view of each direction, in order."""
    return np.sort(np.unique(numbers, return_index=True)[1])
