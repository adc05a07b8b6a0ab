"""Estimate position and orientation of the photographed object from silhouettes alone."""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmark.errors import InputError
from benchmark.photographs.cameras import UP, Cameras, about_z
from benchmark.photographs.up_direction import upright_axes
from benchmark.scan.geometry import Triple

GRID = 48  # voxels along an edge of the search
MARGIN = 1.15  # edge of the box over the extent of the hull


@dataclasses.dataclass(frozen=True)
class Pose:
    """centre [mm] and yaw [rad] about `up` in the world; lower and upper corner of a box in the pose's own axes, x y z [mm].

    The axes are the world's z turned to `up` by the shortest way, then turned about it by `yaw`: z is up, x along the object.
    """

    centre: Triple
    yaw: float
    lower: Triple
    upper: Triple
    up: Triple = UP

    @property
    def turn(self) -> np.ndarray:
        """The axes in the world: columns of a rotation matrix [3, 3]."""
        return upright_axes(self.up) @ about_z(self.yaw)

    @classmethod
    def estimate(cls, cameras: Cameras, masks: np.ndarray, align: bool = True) -> Pose:
        """Estimate the pose of the visual hull of masks [camera, row, column]: its centre of mass and (if `align`) its longest horizontal
        axis, which points to the end farther from the centre of mass. The box is a cube about the centre that holds everything.

        Raise InputError for silhouettes without a common hull and for cameras with the object behind them.
        """
        points = hull_about(cameras, masks)
        centre, upright = points.mean(0), upright_axes(cameras.up)
        level = ((points - centre) @ upright)[:, :2]
        _, axes = np.linalg.eigh(np.cov(level.T))
        along = level @ axes[:, -1]
        direction = axes[:, -1] * (1.0 if along.max() >= -along.min() else -1.0)
        yaw = float(np.arctan2(direction[1], direction[0])) if align else 0.0
        half = float(2 * MARGIN * np.abs((points - centre) @ upright @ about_z(yaw)).max()) / 2
        x, y, z = centre.tolist()
        return cls((x, y, z), yaw, (-half,) * 3, (half,) * 3, cameras.up)


def hull_about(cameras: Cameras, masks: np.ndarray) -> np.ndarray:
    """Return voxel centres [N, 3] [mm] of the visual hull of masks [camera, row, column], about 30 along its longest edge.

    Raise InputError for silhouettes without a common hull and for cameras with the object behind them.
    """
    middle = meeting_point(cameras, masks)
    cameras.check_in_front(middle)
    reach = max(_reach(cameras, masks, middle))
    for _ in range(2):  # once for the extent, once more finely
        points = hull(cameras, masks, middle, 2 * reach)
        middle, reach = (points.max(0) + points.min(0)) / 2, 0.6 * float(np.ptp(points, axis=0).max())
    return hull(cameras, masks, middle, 2 * reach)


def meeting_point(cameras: Cameras, masks: np.ndarray) -> np.ndarray:
    """Return the point nearest to the rays through the middles of all masks, [3] [mm]."""
    rays = []
    for camera, mask in enumerate(masks):
        row, column = (axis.mean() for axis in np.nonzero(mask > 0.5))
        ray = np.linalg.inv(cameras.intrinsics[camera]) @ [column, row, 1.0] @ cameras.rotation[camera]
        rays.append(ray / np.linalg.norm(ray))
    across = np.eye(3) - np.einsum("ci,cj->cij", rays, rays)
    return np.linalg.lstsq(across.sum(0), np.einsum("cij,cj->i", across, cameras.positions), rcond=None)[0]


def _reach(cameras: Cameras, masks: np.ndarray, middle: np.ndarray) -> list[float]:
    """Return the reach of each camera's silhouette from the middle, at its depth [mm]."""
    pixels, depth = cameras.pixels(middle[None])
    found = []
    for camera, mask in enumerate(masks):
        row, column = np.nonzero(mask > 0.5)
        away = np.hypot(column - pixels[camera, 0, 0], row - pixels[camera, 0, 1]).max() + 1
        found.append(float(away * depth[camera, 0] / min(cameras.intrinsics[camera, 0, 0], cameras.intrinsics[camera, 1, 1])))
    return found


def hull(cameras: Cameras, masks: np.ndarray, middle: np.ndarray, edge: float) -> np.ndarray:
    """Return the voxel centres [N, 3] of a cube inside the masks (see `inside`). Raise InputError for none."""
    axis = ((np.arange(GRID) + 0.5) / GRID - 0.5) * edge
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3) + middle
    kept = inside(cameras, masks, points)
    if not kept.any():
        raise InputError(
            "masks", expected="silhouettes that agree on some place", found="none", fix="Check the cameras against the photographs."
        )
    return points[kept]


def inside(cameras: Cameras, masks: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return True for points [N, 3] inside the mask of every camera that sees them (at least half of the cameras)."""
    left, pictures = np.arange(len(points)), np.zeros(len(points), dtype=int)
    rows, columns = masks.shape[1:]
    for camera, mask in enumerate(masks):
        seen, depth = cameras.subset([camera]).pixels(points[left])  # of those that no camera before has ruled out
        column, row = np.rint(np.nan_to_num(seen[0], nan=-1)).astype(int).T
        shown = (depth[0] > 0) & (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        kept = ~shown
        kept[shown] = mask[row[shown], column[shown]] > 0.1
        pictures[left] += shown
        left = left[kept]
    found = np.zeros(len(points), dtype=bool)
    found[left] = 2 * pictures[left] >= len(masks)
    return found
