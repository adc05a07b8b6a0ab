"""Memory of FISTA-TV."""

from __future__ import annotations

import math

from benchmark.api import Scan

from . import FistaTvParams

VOLUMES, STACKS = 13, 12  # volumes and stacks of projections at once, at the proximal step and at the misfit


def needed(scan: Scan, params: FistaTvParams) -> float:
    """Return the bytes of a run at its peak: iterates, dual fields and projections of the finest grid."""
    voxels = math.prod(scan.geometry.volume_shape) * (8 if params.fine else 1)
    return 4.0 * (VOLUMES * voxels + STACKS * math.prod(scan.geometry.projection_shape))
