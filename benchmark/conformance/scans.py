"""Tiny scans with closed-form projections, in every shape that a method must support."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmark.acquisition.ellipsoids import Ellipsoids
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.scan import Scan

SIDE = 192.0  # [mm] of the cube
# Three ellipsoids that no mirror and no swap of axes maps onto themselves: centres x y z, semi-axes x y z [mm], attenuation [1/mm].
CENTRES = np.array([[20.0, -10.0, 5.0], [-45.0, 30.0, -40.0], [15.0, 50.0, 45.0]])
SEMI_AXES = np.array([[55.0, 40.0, 45.0], [20.0, 25.0, 30.0], [25.0, 15.0, 20.0]])
ATTENUATION = np.array([0.015, 0.02, 0.03])


def bodies(centre: tuple[float, float, float] = (0.0, 0.0, 0.0), height: float = 1.0) -> Ellipsoids:
    """Return the three ellipsoids about another centre x y z [mm], compressed along z."""
    squeeze = np.array([1.0, 1.0, height])
    return Ellipsoids(CENTRES * squeeze + np.array(centre), SEMI_AXES * squeeze, ATTENUATION)


def geometry(views: int = 8, size: int = 12, **changes: Any) -> ConeBeamGeometry:
    """Return a full-circle geometry of a cube, with a square detector somewhat larger than the cube's shadow."""
    pixels = round(1.6 * size)
    values: dict[str, Any] = {
        "source_to_origin": 500.0,
        "source_to_detector": 700.0,
        "detector_shape": (pixels, pixels),
        "detector_pitch": (420.0 / pixels, 420.0 / pixels),
        "volume_shape": (size, size, size),
        "volume_spacing": (SIDE / size, SIDE / size, SIDE / size),
        "angles": np.arange(views) * (2 * np.pi / views),
    }
    return ConeBeamGeometry(**{**values, **changes})


def scan_of(place: ConeBeamGeometry, thing: Ellipsoids | None = None) -> tuple[Scan, np.ndarray]:
    """Return the scan of an object and its true volume [z, y, x]."""
    thing = thing or bodies()
    return Scan(thing.project(place, 2), place), thing.averaged(place)


def cube(views: int = 8) -> tuple[Scan, np.ndarray]:
    """Return a plain scan of a cube."""
    return scan_of(geometry(views))


def box() -> tuple[Scan, np.ndarray]:
    """Return a scan whose volume has different edges and spacings along each axis, with odd numbers of voxels among them."""
    return scan_of(geometry(volume_shape=(9, 15, 18), volume_spacing=(15.0, 12.0, 9.0)), bodies(height=0.6))


def offset() -> tuple[Scan, np.ndarray]:
    """Return a scan with an oblong detector off centre, a volume beside the axis and a shifted axis."""
    place = geometry(
        views=9,
        detector_shape=(17, 23),
        detector_pitch=(20.0, 17.0),
        detector_offset=(8.0, -30.0),
        volume_offset=(5.0, 4.0, -10.0),
        axis_shift=3.0,
    )
    return scan_of(place, bodies((-10.0, 4.0, 5.0)))


def slab() -> tuple[Scan, np.ndarray]:
    """Return a scan with one slice of voxels and five rows of pixels."""
    place = geometry(detector_shape=(5, 20), volume_shape=(1, 12, 12), volume_spacing=(30.0, 16.0, 16.0))
    return scan_of(place, bodies(height=0.3))
