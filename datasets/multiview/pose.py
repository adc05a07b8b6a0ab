"""Estimate position and orientation of the photographed object from silhouettes alone."""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmark.api import InputError

from .cameras import Cameras, about_z

GRID = 48  # voxels along an edge of the search
MARGIN = 1.15  # edge of the box over the extent of the hull


@dataclasses.dataclass(frozen=True)
class Pose:
    """centre [mm] and yaw [rad] about z in the world; edge [mm] of a cube about the centre that holds everything."""

    centre: tuple[float, float, float]
    yaw: float
    edge: float


def estimate(cameras: Cameras, masks: np.ndarray, align: bool = True) -> Pose:
    """Estimate the pose of the visual hull of masks [camera, row, column]: its centre of mass and (if `align`) its longest horizontal axis.

    The axis points to the end farther from the centre of mass. Raise InputError for
    silhouettes without a common hull and for cameras with the object behind them.
    """
    middle = meeting_point(cameras, masks)
    cameras.check_in_front(middle)
    reach = max(_reach(cameras, masks, middle))
    for _ in range(2):  # once for the extent, once more finely
        points = hull(cameras, masks, middle, 2 * reach)
        middle, reach = (points.max(0) + points.min(0)) / 2, 0.6 * float(np.ptp(points, axis=0).max())
    points = hull(cameras, masks, middle, 2 * reach)
    centre = points.mean(0)
    _, axes = np.linalg.eigh(np.cov((points - centre)[:, :2].T))
    along = (points - centre)[:, :2] @ axes[:, -1]
    direction = axes[:, -1] * (1.0 if along.max() >= -along.min() else -1.0)
    yaw = float(np.arctan2(direction[1], direction[0])) if align else 0.0
    extent = np.abs((points - centre) @ about_z(yaw)).max()
    x, y, z = centre.tolist()
    return Pose((x, y, z), yaw, float(2 * MARGIN * extent))


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
    """Return the voxel centres [N, 3] of a cube inside the mask of every camera that sees them (at least half of the cameras)."""
    axis = ((np.arange(GRID) + 0.5) / GRID - 0.5) * edge
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3) + middle
    kept, pictures = np.ones(len(points), dtype=bool), np.zeros(len(points), dtype=int)
    rows, columns = masks.shape[1:]
    seen, depth = cameras.pixels(points)
    for camera, mask in enumerate(masks):
        column, row = np.rint(np.nan_to_num(seen[camera], nan=-1)).astype(int).T
        inside = (depth[camera] > 0) & (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        kept[inside] &= mask[row[inside], column[inside]] > 0.1
        pictures += inside
    kept &= 2 * pictures >= len(masks)
    if not kept.any():
        raise InputError(
            "masks", expected="silhouettes that agree on some place", found="none", fix="Check the cameras against the photographs."
        )
    return points[kept]
