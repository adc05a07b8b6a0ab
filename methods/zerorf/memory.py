"""Memory of ZeroRF."""

from __future__ import annotations

import math

from benchmark.api import Scan
from benchmark.fields import corrections_memory

from . import ZeroRFParams

RAY = 28  # bytes of a measured pixel: origin, direction, value
SCANS, VOLUMES = 4, 5  # stacks of projections and volumes in training
ACTIVATIONS = 15  # of a decoder's last level, per channel of its own and of the one before
REST = 40 << 20  # the optimiser's and the allocator's own


def needed(scan: Scan, params: ZeroRFParams) -> float:
    """Return the bytes of a run at its peak: a step on the finest grid, or the final corrections."""
    shape = scan.geometry.volume_shape
    voxels, pixels = math.prod(shape), math.prod(scan.geometry.projection_shape)
    kept = params.reduction == "sum" or params.tensors == "xyz xyz"  # else one kernel computes features and network
    features = 2 * 4 * 3 * params.features * voxels if kept else 0  # with gradients
    cells = math.prod(shape) * sum(1 / n for n in shape)  # of the three planes
    decoders = 4 * ACTIVATIONS * cells * sum(params.channels[-2:])
    rays = RAY * pixels if params.finetuning_for(scan.geometry.views) or params.render == "rays" else 0
    training = features + decoders + 4 * (VOLUMES * voxels + SCANS * pixels)
    return rays + REST + max(training, corrections_memory(scan, params.refine))
