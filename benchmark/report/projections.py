"""Held-out views, rendered from the stored volumes by the projector that scored them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.ct.geometry import ConeBeamGeometry


def render(volume: np.ndarray, geometry: ConeBeamGeometry, views: Sequence[int] | np.ndarray) -> np.ndarray:
    """Line integrals [view, v, u] of a volume [z, y, x] (1/mm). Raises MissingDependency where no kernels can be built."""
    from benchmark.ct.slabs import project  # brings torch

    return project(volume, geometry.subset(views))
