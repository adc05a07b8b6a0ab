"""Held-out views, rendered from the stored volumes as they were for the scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.scan import Composite

UNITS: dict[Composite, str] = {"sum": "line integral", "max": "maximum", "over": "opacity"}  # what a pixel's number is


def render(volume: np.ndarray, geometry: ConeBeamGeometry, views: Sequence[int] | np.ndarray, composite: Composite = "sum") -> np.ndarray:
    """These views [view, v, u] of a volume [z, y, x] (1/mm). Raises MissingDependency where no kernels can be built."""
    from benchmark.projection.rendering import rendered

    return rendered(volume, geometry.subset(views), composite)
