"""Memory of the Gaussian mixture."""

from __future__ import annotations

import math

from benchmark.api import Scan
from benchmark.fields import corrections_memory

from . import GaussiansParams
from .start import PIXELS, VOXELS

GAUSSIAN = 500  # bytes: 11 numbers, their gradients, Adam's means, and the intermediate ones
REST = 60 << 20  # lists of tiles, and the allocator's own


def needed(scan: Scan, params: GaussiansParams) -> float:
    """Return the bytes of a run at its peak, the corrections on the finer grid."""
    voxels, pixels = math.prod(scan.geometry.volume_shape), math.prod(scan.geometry.projection_shape)
    count = params.cap or 2 * (params.gaussians or max(1, min(voxels // VOXELS, pixels // PIXELS)))
    corrections = corrections_memory(scan, 0 if params.refine == 0 else 1, 2, together=True)
    return GAUSSIAN * count + 4 * 4 * pixels + corrections + REST
