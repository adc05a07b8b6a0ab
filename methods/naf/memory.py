"""Memory of NAF."""

from __future__ import annotations

import math

from benchmark.api import Scan
from benchmark.fields import corrections_memory

from . import NafParams

RAY = 28  # bytes of a measured pixel: origin, direction, value
ROW = 32  # bytes of two features of the hash grid, their gradients and Adam's two means
SAMPLE = 200  # bytes of a point on a ray, with what its gradient needs
REST = 40 << 20  # the optimiser's and the allocator's own


def needed(scan: Scan, params: NafParams) -> float:
    """Return the bytes of a run at its peak, the final corrections."""
    finer, longest = (2 if params.fine else 1), max(scan.geometry.volume_shape)
    pixels = math.prod(scan.geometry.projection_shape)
    finest = max(params.finest or finer * longest, params.base)
    levels = params.levels or 1 + max(0, round(math.log2(finest / params.base)))
    growth = (finest / params.base) ** (1 / max(1, levels - 1))
    rows = sum(min((params.base * growth**level + 1) ** 3, 2.0**params.log2_entries) for level in range(levels))
    samples = params.rays * (params.samples or 1.5 * finer * longest)
    return RAY * pixels + ROW * rows + SAMPLE * samples + corrections_memory(scan, params.refine, finer) + REST
