"""Residual of a setup: the part of its own projections that it leaves unexplained."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from benchmark.projection.rendering import rendered
from benchmark.reconstruction.ordered_subsets import OrderedSubsets
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.scan import Scan
from benchmark.validate.setup import Coarse, Setup

VIEWS, PIXELS, VOXELS = 12, 64, 64  # at most, if the volume is known
BLIND_VIEWS, BLIND_PIXELS, BLIND_VOXELS, UPDATES = 60, 32, 32, 160  # at most, if it must be reconstructed first
FOLD = 4  # every fourth view is predicted from the others


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """residual = min over scale of |scale * predicted - measured| / |measured|; inf if nothing can be predicted."""

    residual: float
    scale: float = 1.0
    predicted: np.ndarray | None = None  # scale included, [view, v, u]
    measured: np.ndarray | None = None
    volume: np.ndarray | None = None
    geometry: ConeBeamGeometry | None = None


IMPOSSIBLE = Fit(float("inf"))


def fit(setup: Setup) -> Fit:
    """Return the residual of a setup: by its truth, or by a reconstruction from three quarters of the views that must predict the rest."""
    return _fit_truth(setup) if setup.truth is not None else _fit_blind(setup)


def coarse(setup: Setup) -> Coarse | None:
    """Return the reduced scan to compute with; None if the geometry is impossible."""
    known = setup.truth is not None
    setup = setup.some_views(VIEWS if known else BLIND_VIEWS)
    geometry = setup.possible()
    if geometry is None:
        return None
    return setup.coarse(geometry, PIXELS if known else BLIND_PIXELS, VOXELS if known else BLIND_VOXELS)


def compare(predicted: np.ndarray, measured: np.ndarray, volume: np.ndarray, geometry: ConeBeamGeometry) -> Fit:
    """Return the fit of a prediction: its best scale and the residual."""
    power = float(np.vdot(predicted, predicted))
    scale = float(np.vdot(predicted, measured)) / power if power else 0.0
    residual = float(np.linalg.norm(scale * predicted - measured) / max(float(np.linalg.norm(measured)), 1e-30))
    return Fit(residual, scale, scale * predicted, measured, volume, geometry)


def _fit_truth(setup: Setup) -> Fit:
    small = coarse(setup)
    if small is None or small.volume is None:
        return IMPOSSIBLE
    return compare(rendered(small.volume, small.geometry), small.measured, small.volume, small.geometry)


def _fit_blind(setup: Setup) -> Fit:
    small = coarse(setup)
    if small is None or small.geometry.views < 2:
        return IMPOSSIBLE
    order = np.arange(small.geometry.views)
    fold = min(FOLD, small.geometry.views)
    seen, unseen = order[order % fold != fold - 1], order[order % fold == fold - 1]
    subsets = OrderedSubsets(Scan(small.measured[seen], small.geometry.subset(seen)), size=2)
    volume = torch.zeros(small.geometry.volume_shape, dtype=torch.float32)
    for index in range(UPDATES):
        subsets.correct(volume, index, 1.0)
    between = small.geometry.subset(unseen)
    return compare(rendered(volume.numpy(), between), small.measured[unseen], volume.numpy(), between)
