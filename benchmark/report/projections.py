"""One held-out view, rendered from the stored volumes by the projector that scored them."""

from __future__ import annotations

import numpy as np

from benchmark.ct.geometry import ConeBeamGeometry


def render(volume: np.ndarray, geometry: ConeBeamGeometry, view: int) -> np.ndarray:
    """Line integrals [v, u] of a volume [z, y, x] (1/mm) for one view. Raises MissingDependency where no kernels can be built."""
    import torch

    from benchmark.ct.projector import Projector

    return Projector(geometry.subset([view])).forward(torch.from_numpy(np.array(volume, dtype=np.float32))).numpy()[0]
