"""Views as pinhole cameras, in the convention of OpenCV, and back.

Camera axes: x to the right (along u), y down, z forward, from the source to the detector. Pixel (x, y) is column x and, since images have
their top row first and projections their lowest, row H - 1 - y; (0, 0) is the centre of the top left pixel. A point p of the world
[mm] is seen at K R^T (p - s) / depth, with R and s the rotation and the last column of its pose; pixel (x, y) sees along
R K^-1 (x, y, 1) from s.
"""

from __future__ import annotations

import numpy as np

from benchmark.errors import InputError

BEHIND = 1.5  # distance of the detector over that of the origin, if nothing tells it
ALIKE = 1e-3  # relative


def from_vectors(vectors: np.ndarray, detector_shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return K [view, 3, 3] in pixels and poses (camera to world) [view, 4, 4] in mm of `vectors` [view, 4, 3] (see ConeBeamGeometry)."""
    rows, columns = detector_shape
    source, centre, u, v = vectors.transpose(1, 0, 2)
    corner = centre - source - (columns - 1) / 2 * u + (rows - 1) / 2 * v  # the top left pixel
    rotation, upper = np.linalg.qr(np.stack([u, -v, corner], 2))  # (x, y, 1) -> direction = rotation upper (x, y, 1)
    signs = np.sign(np.diagonal(upper, axis1=1, axis2=2))
    signs[:, 0] *= np.sign(np.linalg.det(rotation)) * signs.prod(1)  # a rotation even if u, v are mirrored: then fx is negative
    rotation, upper = rotation * signs[:, None, :], upper * signs[:, :, None]
    intrinsics = np.linalg.inv(upper / upper[:, 2:, 2:])
    intrinsics[:, [1, 2, 2], [0, 0, 1]] = 0.0  # not -0
    poses = np.tile(np.eye(4), (len(vectors), 1, 1))
    poses[:, :3, :3], poses[:, :3, 3] = rotation, source
    return intrinsics, poses


def to_vectors(
    intrinsics: np.ndarray,
    poses: np.ndarray,
    detector_shape: tuple[int, int],
    detector_pitch: tuple[float, float] | None = None,
    distance: float | np.ndarray | None = None,
) -> np.ndarray:
    """Return `vectors` [view, 4, 3] of cameras, whose detectors stand where pixels have the given size or at the given distance.

    Raise InputError for impossible values.
    """
    intrinsics, poses = _checked(intrinsics, poses)
    rows, columns = detector_shape
    turn = np.ascontiguousarray(poses[:, :3, :3].transpose(0, 2, 1))  # world to camera
    source = poses[:, :3, 3]
    far = _distances(intrinsics, source, detector_pitch, distance)[:, None]
    back = np.linalg.inv(intrinsics)  # pixel -> direction at depth 1, camera axes
    middle = np.array([(columns - 1) / 2, (rows - 1) / 2, 1.0])
    towards, u, down = (np.einsum("cji,cj->ci", turn, back @ pixel) for pixel in (middle, np.eye(3)[0], np.eye(3)[1]))
    return np.stack([source, source + far * towards, far * u, -far * down], 1)


def check_in_front(vectors: np.ndarray, centre: np.ndarray) -> None:
    """Raise InputError if a camera has the middle of the volume, `centre` [3] x y z [mm], behind it."""
    source, detector, u, v = vectors.transpose(1, 0, 2)
    normal = np.cross(u, v)
    normal *= (np.sign((normal * (detector - source)).sum(1)) / np.linalg.norm(normal, axis=1))[:, None]
    depth = (normal * (centre - source)).sum(1)
    if (depth <= 0).any():
        view = int(depth.argmin())
        raise InputError(
            f"poses: view {view}",
            expected="the middle of the volume in front of the camera, along the third column of its pose",
            found=f"a depth of {depth[view]:.4g} mm",
            fix="Give camera-to-world poses with x right, y down, z forward; those of OpenGL or NeRF need columns 1 and 2 negated.",
        )


def _distances(
    intrinsics: np.ndarray, source: np.ndarray, detector_pitch: tuple[float, float] | None, distance: float | np.ndarray | None
) -> np.ndarray:
    """Return the distance from source to detector plane along the third axis of each camera, [view] [mm]."""
    views = len(intrinsics)
    if distance is not None:
        if detector_pitch is not None:
            raise InputError("from_pinholes", expected="detector_pitch or distance", found="both", fix="Each determines the other.")
        given = np.asarray(distance, dtype=np.float64)
        if given.shape not in ((), (views,)) or not (np.isfinite(given) & (given > 0)).all():
            raise InputError("distance", expected=f"a positive number [mm], or one per view ({views})", found=f"{distance!r}")
        return np.broadcast_to(given, views)
    if detector_pitch is None:
        return np.asarray(BEHIND * np.linalg.norm(source, axis=1))
    pitch_v, pitch_u = detector_pitch
    far: np.ndarray = pitch_u * np.abs(intrinsics[:, 0, 0])
    height = far * np.linalg.norm(np.linalg.inv(intrinsics)[:, :, 1], axis=1)  # of a pixel [mm]
    if not (pitch_u > 0 and np.allclose(height, pitch_v, rtol=ALIKE)):
        view = int(np.abs(height - pitch_v).argmax())
        expected = f"the pixels of the intrinsics, in view {view}: {height[view] / pitch_u:.4g} times as high as wide"
        raise InputError("detector_pitch", expected=expected, found=f"(v, u) = {detector_pitch} mm")
    return far


def _checked(intrinsics: np.ndarray, poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as float64. Raise InputError, naming the view, unless they are cameras."""
    intrinsics, poses = np.asarray(intrinsics, dtype=np.float64), np.asarray(poses, dtype=np.float64)
    views = max(1, len(intrinsics)) if intrinsics.ndim else 1
    for name, values, edge in (("intrinsics", intrinsics, 3), ("poses", poses, 4)):
        if values.shape != (views, edge, edge) or not np.isfinite(values).all():
            found = f"shape {values.shape}" if np.isfinite(values).all() else "NaN or Inf"
            raise InputError(name, expected=f"finite numbers [{views}, {edge}, {edge}], one camera per view", found=found)
    rows = np.abs(intrinsics[:, 2] - [0, 0, 1]).max(1) + np.abs(intrinsics[:, 1, 0])
    flat = (rows > 1e-6) | (intrinsics[:, 0, 0] == 0) | (intrinsics[:, 1, 1] == 0)
    rotation = poses[:, :3, :3]
    off = np.abs(rotation.transpose(0, 2, 1) @ rotation - np.eye(3)).max((1, 2))
    turned = (off > ALIKE) | (np.linalg.det(rotation) < 0) | (np.abs(poses[:, 3] - [0, 0, 0, 1]).max(1) > 1e-6)
    for name, wrong, values, expected in (
        ("intrinsics", flat, intrinsics, "[[fx, skew, cx], [0, fy, cy], [0, 0, 1]] in pixels"),
        ("poses", turned, poses, "[[R, s], [0, 0, 0, 1]] with a rotation matrix R (x right, y down, z forward) and the source s in mm"),
    ):
        if wrong.any():
            view = int(wrong.argmax())
            raise InputError(f"{name}: view {view}", expected=expected, found=f"{values[view].round(4).tolist()}")
    return intrinsics, poses
