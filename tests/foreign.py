"""Scans of a ball written as other programs write them: every number from shared conventions' own formulas, none from our geometry."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.api import Run, Scan
from benchmark.methods.sart import SartParams
from benchmark.methods.sart.reconstruct import reconstruct

ROWS, COLUMNS = 30, 36
RADIUS = 42.0  # [mm]
CENTRE = (21.0, -13.0, 9.0)  # x y z [mm]
MU = 0.5  # of the ball, 1/m


def pose(angle: float) -> np.ndarray:
    """Rz(angle) Rz(+90 deg) Rx(-90 deg)."""

    def about(axis: int, turn: float) -> np.ndarray:
        a, b = [(1, 2), (2, 0), (0, 1)][axis]
        matrix = np.eye(3)
        matrix[a, a] = matrix[b, b] = np.cos(turn)
        matrix[b, a], matrix[a, b] = np.sin(turn), -np.sin(turn)
        return matrix

    return about(2, angle) @ about(2, np.pi / 2) @ about(0, -np.pi / 2)


def ball_views(
    angles: np.ndarray, *, origin: float, detector: float, pixel: tuple[float, float], offset: tuple[float, float], parallel: bool = False
) -> np.ndarray:
    """Line integrals of the ball [view, row, column], row 0 at the top; pixel and offset (u, v) in mm, v down; result over mm."""
    uu = (np.arange(COLUMNS) + 0.5 - COLUMNS / 2) * pixel[0] + offset[0]
    vv = (np.arange(ROWS) + 0.5 - ROWS / 2) * pixel[1] + offset[1]
    u, v = np.meshgrid(uu, vv)
    views = []
    for angle in angles:
        source = origin * np.array([np.cos(angle), np.sin(angle), 0.0])
        turned = pose(float(angle))
        if parallel:
            start = source + np.stack([u, v, np.zeros_like(u)], -1) @ turned.T
            ray = np.broadcast_to(turned[:, 2], start.shape)
        else:
            start = np.broadcast_to(source, (*u.shape, 3))
            ray = np.stack([u / detector, v / detector, np.ones_like(u)], -1) @ turned.T
        ray = ray / np.linalg.norm(ray, axis=-1, keepdims=True)
        towards = np.array(CENTRE) - start
        beside = (towards**2).sum(-1) - (towards * ray).sum(-1) ** 2
        views.append(2 * np.sqrt(np.maximum(RADIUS**2 - beside, 0)))
    return np.array(views)


def ball_volume(voxels: tuple[int, ...], spacing: tuple[float, ...], offset: tuple[float, ...]) -> np.ndarray:
    """The ball on a grid, [x, y, z], 1 inside, its surface smoothed over a voxel."""
    axes = [np.linspace(-n * d / 2 + d / 2, n * d / 2 - d / 2, n) + o for n, d, o in zip(voxels, spacing, offset, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    distance = np.sqrt((x - CENTRE[0]) ** 2 + (y - CENTRE[1]) ** 2 + (z - CENTRE[2]) ** 2)
    return np.clip((RADIUS - distance) / np.mean(spacing) + 0.5, 0, 1)


def naf_content(*, order: str = "naf", count: int = 30, parallel: bool = False, **changes: Any) -> dict[str, Any]:
    """What is in a NAF pickle ('naf') or in one that R2's converter wrote ('r2': detector pairs [v, u])."""
    voxels, spacing, shift = [26, 28, 24], [6.0, 6.0, 7.0], [4.0, -3.0, 2.0]
    pixel, offset = (11.0, 12.0), (9.0, -14.0)  # u, v
    angles = np.linspace(0, 2 * np.pi, count + 1)[:-1] + 0.1
    other = np.sort(np.random.default_rng(0).random(7)) * 2 * np.pi
    if parallel:
        pixel, offset = (7.0, 7.5), (5.0, -6.0)

    def views(angles: np.ndarray) -> np.ndarray:
        lengths = ball_views(angles, origin=500, detector=700, pixel=pixel, offset=offset, parallel=parallel)
        return (lengths / 1000 * MU).astype(np.float32)  # over metres

    pair = (lambda u, v: [u, v]) if order == "naf" else (lambda u, v: [v, u])
    content = {
        "DSD": 700.0,
        "DSO": 500.0,
        "nDetector": pair(COLUMNS, ROWS),
        "dDetector": pair(*pixel),
        "nVoxel": voxels,
        "dVoxel": spacing,
        "offOrigin": shift,
        "offDetector": list(offset),
        "accuracy": 0.5,
        "mode": "parallel" if parallel else "cone",
        "filter": None,
        "totalAngle": 360.0,
        "startAngle": 5.7,
        "randomAngle": False,
        "convert": True,
        "rescale_slope": 1.0,
        "rescale_intercept": -1000.0,
        "normalize": True,
        "noise": 0,
        "numTrain": count,
        "numVal": 7,
        "image": (MU * ball_volume(tuple(voxels), tuple(spacing), tuple(shift))).astype(np.float32),
        "train": {"angles": angles, "projections": views(angles)},
        "val": {"angles": other, "projections": views(other)},
    }
    return {**content, **changes}


def write_naf(path: Path, protocol: int = pickle.HIGHEST_PROTOCOL, **keys: Any) -> Path:
    path.write_bytes(pickle.dumps(naf_content(**keys), protocol))
    return path


def write_r2(folder: Path, *, real: bool = False, unit: float = 1 / 84, **scanner: Any) -> Path:
    """An R2-Gaussian folder, lengths in units of 84 mm; the detector is moved up and along u by offDetector."""
    voxels, edges, shift = [26, 28, 24], [156.0, 168.0, 168.0], [4.0, -3.0, 2.0]
    pixel, offset = (11.0, 12.0), (9.0, 14.0)
    spacing = [edge / count for edge, count in zip(edges, voxels, strict=True)]
    angles = {"proj_train": np.linspace(0, 2 * np.pi, 31)[:-1], "proj_test": np.array([0.3, 2.2, 4.1, 5.9, 1.1])}
    meta: dict[str, Any] = {
        "scanner": {
            "mode": "cone",
            "DSD": 700 * unit,
            "DSO": 500 * unit,
            "nDetector": [ROWS, COLUMNS],
            "sDetector": [ROWS * pixel[1] * unit, COLUMNS * pixel[0] * unit],
            "nVoxel": voxels,
            "sVoxel": [edge * unit for edge in edges],
            "offOrigin": [o * unit for o in shift],
            "offDetector": [o * unit for o in offset],
            "accuracy": 0.5,
            "totalAngle": 360.0,
            "startAngle": 0.0,
            "noise": True,
            "filter": None,
            **scanner,
        },
        "ct" if real else "vol": "vol_gt.npy",
        "bbox": [[-1, -1, -1], [1, 1, 1]],
    }
    folder.mkdir(parents=True)
    np.save(folder / "vol_gt.npy", (MU * ball_volume(tuple(voxels), tuple(spacing), tuple(shift))).astype(np.float32))
    for part, values in angles.items():
        (folder / part).mkdir()
        views = ball_views(values, origin=500, detector=700, pixel=pixel, offset=(offset[0], -offset[1])) * unit * MU
        meta[part] = []
        for number, (angle, view) in enumerate(zip(values, views, strict=True)):
            np.save(folder / part / f"{part}_{number:04d}.npy", view.astype(np.float32))
            separator = "\\" if real else "/"
            meta[part].append({"file_path": f"{part}{separator}{part}_{number:04d}.npy", "angle": float(angle)})
    (folder / "meta_data.json").write_text(json.dumps(meta))
    return folder


def centre_of_mass(volume: np.ndarray, scan: Scan) -> np.ndarray:
    """x y z, in the scan's length unit."""
    weights = np.where(volume > 0.4 * np.quantile(volume, 0.999), volume, 0).astype(np.float64)
    places = [scan.geometry.voxel_centres(axis) for axis in range(3)]
    others = [(1, 2), (0, 2), (0, 1)]
    z, y, x = (float((weights.sum(rest) * place).sum() / weights.sum()) for rest, place in zip(others, places, strict=True))
    return np.array([x, y, z])


def reconstructed(scan: Scan) -> np.ndarray:
    """A few iterations of SART."""
    return reconstruct(scan, SartParams(iterations=4), Run()).volume
