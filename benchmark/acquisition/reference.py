"""Small scan with a closed-form truth, for measurements of speed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from benchmark.acquisition.ellipsoids import Ellipsoids
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.scan import Scan

CENTRES = ((0, 0, 0), (0, 0, 0), (25, 10, 5), (-25, 10, 10), (0, -30, -15), (10, 30, 30), (-15, -10, -40))  # [mm]
SEMI_AXES = ((80, 90, 85), (74, 84, 79), (15, 25, 30), (18, 22, 20), (12, 10, 14), (8, 9, 7), (10, 12, 8))  # [mm]
DENSITIES = (0.04, -0.02, 0.01, -0.012, 0.015, 0.03, 0.02)  # [1/mm], added where they overlap


def reference_scan(size: int, views: int) -> tuple[Scan, np.ndarray]:
    """Return a noise-free scan of a head of ellipsoids in a cube of 200 mm, `size` voxels along an edge, and its truth.

    For `MethodSpec.speed` and tests. The truth is float32 [z, y, x] [1/mm].
    """
    pixels = size * 3 // 2
    geometry = ConeBeamGeometry(
        source_to_origin=500.0,
        source_to_detector=700.0,
        detector_shape=(pixels, pixels),
        detector_pitch=(400 / pixels, 400 / pixels),
        volume_shape=(size, size, size),
        volume_spacing=(200 / size, 200 / size, 200 / size),
        angles=np.linspace(0, 2 * np.pi, views, endpoint=False),
    )
    head = Ellipsoids(np.array(CENTRES, dtype=float), np.array(SEMI_AXES, dtype=float), np.array(DENSITIES))
    return Scan(head.project(geometry, 2), geometry), head.averaged(geometry, 3)


def psnr_against(truth: np.ndarray) -> Callable[[torch.Tensor], float]:
    """Return a function from a volume [z, y, x] to its PSNR [dB] against `truth`; the data range is the truth's."""
    spread = float(truth.max() - truth.min())
    return lambda volume: 10 * float(np.log10(spread**2 / np.mean((volume.numpy() - truth) ** 2)))
