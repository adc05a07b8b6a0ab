"""Cameras that look at the middle of a box from anywhere, perspective or orthographic."""

from __future__ import annotations

import numpy as np

from benchmark.errors import InputError
from benchmark.scan.geometry import ConeBeamGeometry, Triple, parallel_distances

# From the middle to the camera, x y z: pictures of the XY plane (x to the right, y up), of XZ and of YZ.
AXES = np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [1.0, 0.0, 0.0]])
"""Directions from the middle to three cameras that look at the XY, XZ and YZ planes, [3, 3] x y z; for `camera_geometry`."""


def orbit_directions(angles: np.ndarray, elevation: float) -> np.ndarray:
    """Return unit vectors [view, 3] from the middle to cameras around the z axis at `angles` [rad], raised by `elevation` [rad]."""
    level = np.cos(elevation)
    return np.stack([level * np.cos(angles), level * np.sin(angles), np.full(len(angles), np.sin(elevation))], -1)


def camera_geometry(
    directions: np.ndarray,
    pixels: int | tuple[int, int],
    field_of_view: float | None,
    *,
    volume_shape: tuple[int, int, int],
    volume_spacing: Triple,
) -> ConeBeamGeometry:
    """Return cameras that see the ball around a box of voxels; `directions` [view, 3] point from its middle to them.

    `pixels` are along each edge of the pictures, or (rows, columns): they are square, and the ball touches the nearer edges.
    `field_of_view` is the full angle along the shorter edge of the picture [rad] and determines the distance; None = orthographic (see
    `parallel_distances`). z points up in the pictures, y in those from straight above or below. The detector touches the ball
    from behind, so that rays from source to pixel cross the whole box. `volume_shape` and `volume_spacing` [mm] are (z, y, x). Raise
    InputError for an impossible field of view and for directions of length 0.
    """
    length = np.linalg.norm(directions, axis=1, keepdims=True)
    if not len(directions) or not np.isfinite(length).all() or not length.all():
        raise InputError("directions", expected="at least one, of a length that is not 0", found=f"{np.asarray(directions).tolist()}")
    towards = directions / length
    radius = float(np.linalg.norm(np.multiply(volume_shape, volume_spacing))) / 2  # [mm]
    detector = (pixels, pixels) if isinstance(pixels, int) else pixels
    distance, behind, pitch = _optics(radius, detector, field_of_view)
    upright = np.abs(towards[:, 2:]) < 1 - 1e-9
    u = np.cross(-towards, np.where(upright, [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    v = np.cross(u, -towards)
    return ConeBeamGeometry(
        source_to_origin=distance,
        source_to_detector=distance + behind,
        detector_shape=detector,
        detector_pitch=(pitch, pitch),
        volume_shape=volume_shape,
        volume_spacing=volume_spacing,
        angles=np.arctan2(towards[:, 1], towards[:, 0]),
        view_vectors=np.stack([distance * towards, -behind * towards, pitch * u, pitch * v], 1),
    )


def _optics(radius: float, detector: tuple[int, int], field_of_view: float | None) -> tuple[float, float, float]:
    """Return the distances from source to middle and from middle to detector, and the pixel size [mm]."""
    if field_of_view is None:
        pitch = 2 * radius / min(detector)
        return parallel_distances(detector, (pitch, pitch))[0], radius, pitch
    if not 0 < field_of_view < np.pi:
        raise InputError("field_of_view", expected="more than 0 and less than 180 degrees", found=f"{np.rad2deg(field_of_view):g}")
    distance = radius / np.sin(field_of_view / 2)  # the picture's edges touch the ball
    return distance, radius, 2 * (distance + radius) * np.tan(field_of_view / 2) / min(detector)
