"""Cameras for tests of the splatter and of photographs."""

from __future__ import annotations

import numpy as np

from benchmark.api import Cameras, ConeBeamGeometry
from benchmark.datasets.multiview.frames import ring


def looking(shape: tuple[int, int] = (21, 30), skew: float = 0.0) -> tuple[Cameras, ConeBeamGeometry]:
    """Three cameras that are not upright, whose pixels are not square and whose middle is off the axis."""
    cameras = ring(3, 32)
    turn = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])  # about the line of sight
    inner = np.array([[60.0, skew, 12.0], [0.0, 50.0, 11.5], [0.0, 0.0, 1.0]])
    cameras = Cameras(turn @ cameras.rotation, cameras.translation @ turn.T, np.repeat(inner[None], 3, 0))
    return cameras, cameras.geometry(shape, volume_shape=(8, 8, 8), volume_spacing=(20.0, 20.0, 20.0))
