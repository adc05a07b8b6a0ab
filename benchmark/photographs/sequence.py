"""Poses of a sequence: centre and heading of every frame, smoothed over time, and one box that holds the body in all frames."""

from __future__ import annotations

import dataclasses
import hashlib
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError, one_line
from benchmark.photographs.cameras import Cameras, about_z
from benchmark.photographs.pose import MARGIN, Pose, hull_about, inside
from benchmark.photographs.up_direction import up_from_hulls, upright_axes
from benchmark.scan.geometry import Triple
from benchmark.storage.atomic import replacing

FILE, SUM = "center_rotation.npz", "volume_sum.npy"
AT_ONCE = 1 << 17  # voxels that are looked up in the masks at once
BLOCK = 8  # voxels: crops are multiples of it, so that networks can halve them
POLYNOMIAL = 2  # degree within the smoothing window
ROUND = 0.15  # (l1 - l2) / (l1 + l2) of the horizontal covariance below which a body has no long axis
DECISIVE = 0.3  # mean cosine between motion and long axis that tells front from back


@dataclasses.dataclass(frozen=True, eq=False)
class Hulls:
    """Visual hulls of a sequence. centres [frame, 3] [mm], NaN where there is none; second and third moments about them, covariances
    [frame, 3, 3] [mm^2] and skews [frame, 3, 3, 3] [mm^3]; reach: largest distance of a voxel from its centre [mm]."""

    centres: np.ndarray
    covariances: np.ndarray
    skews: np.ndarray
    reach: float

    @property
    def found(self) -> np.ndarray:
        """True for frames with a hull, [frame]."""
        return np.isfinite(self.centres[:, 0])


@dataclasses.dataclass(frozen=True, eq=False)
class Poses:
    """Poses of a sequence, and the box [lower, upper) of its body in their axes, x y z [mm].

    centres [frame, 3] [mm] and angles [frame] [rad] about `up`; cameras: those whose silhouettes were used; found: frames with a hull,
    others are interpolated; volume_idx [3, 2]: first and last + 1 voxel of the box in x y z, in a grid of `grid_size` voxels
    along an edge of `edge` mm about the centre; front: 'motion' or 'shape', which told front from back.
    """

    centres: np.ndarray
    angles: np.ndarray
    up: Triple
    cameras: tuple[int, ...]
    found: np.ndarray
    volume_idx: np.ndarray
    grid_size: int
    edge: float
    front: str
    digest: str  # of the cameras

    @property
    def box(self) -> np.ndarray:
        """Lower and upper corner of the box, [2, 3] [mm]."""
        return (self.volume_idx.T / self.grid_size - 0.5) * self.edge

    @property
    def rotations(self) -> np.ndarray:
        """Axes of each pose in the world, columns of rotation matrices [frame, 3, 3]."""
        upright = upright_axes(self.up)
        return np.stack([upright @ about_z(angle) for angle in self.angles])

    def pose(self, frame: int, align: bool = True) -> Pose:
        """Return the pose of a frame; without `align` it is not turned, and its box the least about any turn of it."""
        x, y, z = self.centres[frame].tolist()
        lower, upper = self.box
        if not align:
            far = np.abs(self.box[:, :2]).max(0)
            wide = float(np.hypot(*far))
            lower, upper = np.array([-wide, -wide, lower[2]]), np.array([wide, wide, upper[2]])
        return Pose((x, y, z), float(self.angles[frame]) if align else 0.0, tuple(lower.tolist()), tuple(upper.tolist()), self.up)


def find_poses(
    cameras: Cameras,
    used: tuple[int, ...],
    masks: Callable[[], Iterable[np.ndarray]],
    *,
    up_by_hulls: bool = False,
    window: int = 7,
    grid_size: int = 64,
) -> tuple[Poses, np.ndarray]:
    """Return the poses, and in how many frames each voxel is in the hull, int32 [x, y, z], from the silhouettes of the cameras `used`.

    `masks()` gives the masks [camera, row, column], 0 .. 1, of these cameras frame by frame, and is called twice. `window`: frames over
    which centre and angle are smoothed (1 = not). Raise InputError if less than half of the frames have a hull.
    """
    seen = cameras.subset(list(used))
    hulls = measured_hulls(seen, masks())
    found = hulls.found
    if 2 * found.sum() <= len(found):
        text = f"{int(found.sum())} of {len(found)}"
        raise InputError("masks", expected="silhouettes that agree on some place in more than half of the frames", found=text)
    up = up_from_hulls(hulls.centres[found], hulls.covariances[found], seen) if up_by_hulls else seen.up
    frames = np.arange(len(found))
    centres = np.stack([np.interp(frames, frames[found], hulls.centres[found, axis]) for axis in range(3)], 1)
    centres = smoothed(centres, window)
    angles, front = headings(hulls, centres, up)
    edge = 2 * MARGIN * hulls.reach
    draft = Poses(centres, smoothed(angles, window), up, used, found, np.zeros((3, 2), int), grid_size, edge, front, camera_digest(cameras))
    rotations = draft.rotations
    axis = ((np.arange(grid_size) + 0.5) / grid_size - 0.5) * edge
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    total = np.zeros(len(points), np.int32)
    for frame, mask in enumerate(masks()):
        posed = seen.in_frame(centres[frame], rotations[frame])
        for first in range(0, len(points) if found[frame] else 0, AT_ONCE):
            total[first : first + AT_ONCE] += inside(posed, mask, points[first : first + AT_ONCE])
    volume = total.reshape((grid_size,) * 3)
    return dataclasses.replace(draft, volume_idx=crop_indices(volume)), volume


def measured_hulls(cameras: Cameras, masks: Iterable[np.ndarray]) -> Hulls:
    """Return the moments of the hull of every frame; a frame with an empty mask or without a hull has none."""
    moments, reach = [], 0.0
    for mask in masks:
        if (mask.max((1, 2)) > 0.5).all():
            try:
                points = hull_about(cameras, mask)
            except InputError:
                points = np.empty((0, 3))
        else:
            points = np.empty((0, 3))
        if not len(points):
            moments.append((np.full(3, np.nan), np.full((3, 3), np.nan), np.full((3, 3, 3), np.nan)))
            continue
        centre = points.mean(0)
        away = points - centre
        skew = np.einsum("ni,nj,nk->ijk", away, away, away, optimize=True) / len(away)
        moments.append((centre, away.T @ away / len(away), skew))
        reach = max(reach, float(np.linalg.norm(away, axis=1).max()))
    centres, covariances, skews = (np.array(values) for values in zip(*moments, strict=True))
    return Hulls(centres, covariances, skews, reach)


def headings(hulls: Hulls, centres: np.ndarray, up: Triple) -> tuple[np.ndarray, str]:
    """Return the angle of the long axis about `up` in every frame [rad], without jumps, and 'motion' or 'shape'.

    An axis has no front: from frame to frame it goes on by the smaller turn. One sign for all frames is then that of the motion along it,
    or, for a body that hardly moves along it, points to the end farther from the centre of mass. Frames without a hull or a long axis
    are interpolated.
    """
    upright = upright_axes(up)
    level = np.einsum("ia,fij,jb->fab", upright, hulls.covariances, upright)[:, :2, :2]
    known = hulls.found.copy()
    difference, product = level[:, 0, 0] - level[:, 1, 1], 2 * level[:, 0, 1]
    with np.errstate(invalid="ignore"):
        known &= np.hypot(difference, product) > ROUND * (level[:, 0, 0] + level[:, 1, 1])
    if not known.any():
        known = hulls.found
    frames = np.flatnonzero(known)
    angles = np.unwrap(np.arctan2(product[frames], difference[frames])) / 2  # twice the angle has no front and back
    axes = np.cos(angles)[:, None] * upright[:, 0] + np.sin(angles)[:, None] * upright[:, 1]
    steps = np.gradient(centres, axis=0)[frames] if len(centres) > 1 else np.zeros((len(frames), 3))
    length = np.linalg.norm(steps, axis=1).sum()
    along = (steps * axes).sum() / length if length > 0 else 0.0
    moves = abs(along) > DECISIVE
    sign = along if moves else np.einsum("fijk,fi,fj,fk->", hulls.skews[frames], axes, axes, axes)
    every = np.interp(np.arange(len(centres)), frames, angles + (0.0 if sign >= 0 else np.pi))
    return every, "motion" if moves else "shape"


def smoothed(values: np.ndarray, window: int) -> np.ndarray:
    """Return values [frame, ...] smoothed by parabolas over a window of frames (Savitzky & Golay 1964), or of fewer if there are less."""
    from scipy.signal import savgol_filter

    window = min(window, len(values))
    window -= window % 2 == 0
    if window <= POLYNOMIAL:
        return values
    return np.asarray(savgol_filter(values, window, POLYNOMIAL, axis=0, mode="interp"))


def crop_indices(volume: np.ndarray) -> np.ndarray:
    """Return the first and last + 1 index [axis, 2] of voxels above 0, widened on both sides to a multiple of BLOCK."""
    found = []
    for axis, size in enumerate(volume.shape):
        filled = np.flatnonzero(volume.any(tuple(other for other in range(3) if other != axis)))
        first, last = int(filled[0]), int(filled[-1]) + 1
        length = min(size, -(-(last - first) // BLOCK) * BLOCK)
        first = min(max(0, first - (length - (last - first)) // 2), size - length)
        found.append((first, first + length))
    return np.array(found)


def camera_digest(cameras: Cameras) -> str:
    """Return a hash of where the cameras are and how they see."""
    content = hashlib.sha256()
    for values in (cameras.rotation, cameras.translation, cameras.intrinsics):
        content.update(np.ascontiguousarray(values, dtype=np.float64).tobytes())
    return content.hexdigest()[:16]


def write_poses(folder: Path, poses: Poses, volume: np.ndarray) -> None:
    """Write center_rotation.npz and volume_sum.npy."""
    with replacing(folder / SUM) as temporary, temporary.open("wb") as file:
        np.save(file, volume)
    fields: dict[str, Any] = {
        name: getattr(poses, name) for name in ("up", "cameras", "found", "volume_idx", "grid_size", "edge", "front", "digest")
    }
    with replacing(folder / FILE) as temporary, temporary.open("wb") as file:
        np.savez(file, centers=poses.centres, angles=poses.angles, rotations=poses.rotations, box=poses.box, **fields)


def read_poses(folder: Path, cameras: Cameras, frames: int) -> Poses | None:
    """Read the poses of a folder; None if there are none. Raise InputError for a damaged file, and for other cameras or frames."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            values = {name: stored[name] for name in stored.files}
        x, y, z = values["up"].tolist()
        poses = Poses(
            centres=values["centers"],
            angles=values["angles"],
            up=(x, y, z),
            cameras=tuple(values["cameras"].tolist()),
            found=values["found"],
            volume_idx=values["volume_idx"],
            grid_size=int(values["grid_size"]),
            edge=float(values["edge"]),
            front=str(values["front"]),
            digest=str(values["digest"]),
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(str(path), expected="poses as the command `poses` writes them", found=one_line(error)) from error
    if poses.digest != camera_digest(cameras) or poses.centres.shape != (frames, 3) or poses.angles.shape != (frames,):
        raise InputError(str(path), expected="poses of these frames and cameras", found="those of others", fix="Give `poses` again.")
    return poses
