"""Closed-form scans of a ball, for the tests of methods: neither data nor truth owe anything to a projector."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmark.api import ConeBeamGeometry, Reconstruction, Run, Scan

MU = 0.02  # [1/mm] of the ball


def scanner(views: int = 20, arc: float = 360.0, size: int = 24, **changes: Any) -> ConeBeamGeometry:
    """A cube of 192 mm seen by a detector that is a little larger than its shadow; arc [deg]."""
    values: dict[str, Any] = dict(
        source_to_origin=500,
        source_to_detector=700,
        detector_shape=(int(1.5 * size),) * 2,
        detector_pitch=(400 / int(1.5 * size),) * 2,
        volume_shape=(size,) * 3,
        volume_spacing=(192 / size,) * 3,
        angles=np.deg2rad(np.arange(views) * arc / views),
    )
    return ConeBeamGeometry(**{**values, **changes})


def chords(geometry: ConeBeamGeometry, radius: float = 50.0, centre: tuple[float, float, float] = (20.0, -10.0, 5.0)) -> np.ndarray:
    """Line integrals of a ball, float32 [view, v, u]; radius and centre (x, y, z) in mm."""
    source, middle, u, v = (a[:, None, None] for a in geometry.vectors().transpose(1, 0, 2))
    rows, columns = geometry.detector_shape
    i, j = np.arange(columns) - (columns - 1) / 2, np.arange(rows) - (rows - 1) / 2
    ray = middle + i[None, None, :, None] * u + j[None, :, None, None] * v - source
    ray = ray / np.linalg.norm(ray, axis=-1, keepdims=True)
    towards = np.array(centre) - source
    beside = (towards**2).sum(-1) - (towards * ray).sum(-1) ** 2
    return (2 * MU * np.sqrt(np.maximum(radius**2 - beside, 0))).astype(np.float32)


def distances(geometry: ConeBeamGeometry, centre: tuple[float, float, float] = (20.0, -10.0, 5.0)) -> np.ndarray:
    """Distance of each voxel centre from a point, [z, y, x] [mm]."""
    z, y, x = np.meshgrid(*(geometry.voxel_centres(axis) for axis in range(3)), indexing="ij")
    return np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)


def ball_scan(noise: float = 0.0, **keys: Any) -> tuple[Scan, np.ndarray]:
    """A scan of the ball, Gaussian noise added to its line integrals, and the ball on the voxel grid."""
    geometry = scanner(**keys)
    projections = chords(geometry) + noise * np.random.default_rng(0).standard_normal(geometry.projection_shape)
    edge = geometry.volume_spacing[0]
    truth = MU * np.clip((50 - distances(geometry)) / edge + 0.5, 0, 1)
    return Scan(projections, geometry), truth.astype(np.float32)


def error(reconstruction: Reconstruction, truth: np.ndarray) -> float:
    """Root mean squared error relative to the ball's attenuation."""
    return float(np.sqrt(np.mean((reconstruction.volume - truth) ** 2)) / MU)


def watched() -> tuple[Run, list[dict[str, Any]], list[np.ndarray]]:
    """A run that remembers what is logged and every snapshot."""
    logged: list[dict[str, Any]] = []
    snapshots: list[np.ndarray] = []
    run = Run(on_log=logged.append, on_snapshot=lambda step, seconds, volume: snapshots.append(volume), snapshots=10**6)
    return run, logged, snapshots
