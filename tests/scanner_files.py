"""Scans of a ball as scanners write them: each from its format's own convention, none from our geometry or our readers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import ArrayLike

from benchmark.scan_folder.load import open_scan_folder

BALL = np.array([7.0, -4.0, 3.0])  # x y z [mm]
RADIUS = 5.0  # [mm]
MU = 0.05  # [1/mm]
WHITE = 60_000


def chords(source: np.ndarray, pixels: np.ndarray, ball: ArrayLike = BALL, radius: float = RADIUS) -> np.ndarray:
    """Length [mm] of the ball on the way from a source x y z to each pixel [row, column, 3]."""
    ray = pixels - source
    ray = ray / np.linalg.norm(ray, axis=-1, keepdims=True)
    towards = np.asarray(ball) - source
    beside = (towards**2).sum(-1) - (ray @ towards) ** 2
    return np.asarray(2 * np.sqrt(np.maximum(radius**2 - beside, 0)))


def panel(centre: ArrayLike, column: ArrayLike, row: ArrayLike, shape: tuple[int, int]) -> np.ndarray:
    """Positions [row, column, 3] of pixels around a centre; `column` and `row` are the steps to the next column and row."""
    rows, columns = (np.arange(count) - (count - 1) / 2 for count in shape)
    return np.asarray(centre) + columns[None, :, None] * np.asarray(column) + rows[:, None, None] * np.asarray(row)


def turn(angle: float, points: np.ndarray) -> np.ndarray:
    """Points [..., 3] turned counter-clockwise about z, seen from above [degrees]."""
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return points @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]).T


def counts(lengths: np.ndarray, white: float = WHITE) -> np.ndarray:
    return np.round(white * np.exp(-MU * lengths)).astype(np.uint16)


def save(folder: Path, names: Sequence[str], images: Sequence[np.ndarray]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in zip(names, images, strict=True):
        tifffile.imwrite(folder / name, image)


def misfit(folder: Path, ball: ArrayLike = BALL, radius: float = RADIUS, mu: float = MU) -> float:
    """Largest difference [line integral] between what the folder's scan measured and what its geometry sees of the ball."""
    scan = open_scan_folder(folder)
    worst = 0.0
    for index, (source, centre, u, v) in enumerate(scan.geometry.vectors()):
        pixels = panel(centre, u, v, scan.geometry.detector_shape)
        worst = max(worst, float(np.abs(scan.view(index) - mu * chords(source, pixels, ball, radius)).max()))
    return worst
