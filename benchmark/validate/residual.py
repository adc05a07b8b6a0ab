"""Residual of a setup: the part of its own projections that it leaves unexplained."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from benchmark.projection.rendering import rendered
from benchmark.reconstruction.ordered_subsets import OrderedSubsets
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.noise_level import noise_level
from benchmark.scan.scan import Scan
from benchmark.validate.setup import Coarse, Setup

VIEWS, PIXELS, VOXELS = 12, 64, 64  # at most, if the volume is known
BLIND_VIEWS, BLIND_PIXELS, BLIND_VOXELS, UPDATES = 60, 32, 32, 160  # at most, if it must be reconstructed first
FOLD = 4  # every fourth view is predicted from the others
QUICK_VIEWS, QUICK_SUBSETS, QUICK_SWEEPS = 32, 6, 3  # of a rough reconstruction that only tells which hypotheses to look at
QUICK_KNOWN = 6  # views, if the volume is known
ODD_VIEWS, ODD = 0.1, 4.0  # at most this share of the views is left out, if their residual is so many times the usual one


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


def fit(setup: Setup, quick: bool = False) -> Fit:
    """Return the residual of a setup: by its truth, or by a reconstruction from three quarters of the views that must predict the rest.

    `quick`: from fewer views and a rough reconstruction; its residual is only comparable with others of its kind.
    """
    return _fit_truth(setup, quick) if setup.truth is not None else _fit_blind(setup, quick)


def coarse(setup: Setup, quick: bool = False) -> Coarse | None:
    """Return the reduced scan to compute with; None if the geometry is impossible."""
    known = setup.truth is not None
    setup = setup.some_views((QUICK_KNOWN if quick else VIEWS) if known else QUICK_VIEWS if quick else BLIND_VIEWS)
    geometry = setup.possible()
    if geometry is None:
        return None
    return setup.coarse(geometry, PIXELS if known else BLIND_PIXELS, VOXELS if known else BLIND_VOXELS)


def compare(predicted: np.ndarray, measured: np.ndarray, volume: np.ndarray, geometry: ConeBeamGeometry) -> Fit:
    """Return the fit of a prediction: its best scale and the residual. A few views that are far off all others do not count."""
    scale, residual = _scaled(predicted, measured)
    left = np.linalg.norm((scale * predicted - measured).reshape(len(measured), -1), axis=1)
    odd = left > ODD * np.median(left)
    if 0 < odd.sum() <= ODD_VIEWS * len(odd):
        scale, residual = _scaled(predicted[~odd], measured[~odd])
    return Fit(residual, scale, scale * predicted, measured, volume, geometry)


def _scaled(predicted: np.ndarray, measured: np.ndarray) -> tuple[float, float]:
    power = float(np.vdot(predicted, predicted))
    scale = float(np.vdot(predicted, measured)) / power if power else 0.0
    return scale, float(np.linalg.norm(scale * predicted - measured) / max(float(np.linalg.norm(measured)), 1e-30))


def _fit_truth(setup: Setup, quick: bool) -> Fit:
    small = coarse(setup, quick)
    if small is None or small.volume is None:
        return IMPOSSIBLE
    return compare(rendered(small.volume, small.geometry), small.measured, small.volume, small.geometry)


def _fit_blind(setup: Setup, quick: bool) -> Fit:
    small = coarse(setup, quick)
    if small is None or small.geometry.views < 2:
        return IMPOSSIBLE
    return _predicted(small.measured, small.geometry, quick)


def _predicted(measured: np.ndarray, geometry: ConeBeamGeometry, quick: bool) -> Fit:
    order = np.arange(geometry.views)
    fold = min(FOLD, geometry.views)
    seen, unseen = order[order % fold != fold - 1], order[order % fold == fold - 1]
    volume = _reconstructed(measured[seen], geometry.subset(seen), quick)
    between = geometry.subset(unseen)
    return compare(rendered(volume, between), measured[unseen], volume, between)


def _reconstructed(measured: np.ndarray, geometry: ConeBeamGeometry, quick: bool) -> np.ndarray:
    subsets = OrderedSubsets(Scan(measured, geometry), size=max(1, geometry.views // QUICK_SUBSETS) if quick else 2)
    volume = torch.zeros(geometry.volume_shape, dtype=torch.float32)
    for index in range(QUICK_SWEEPS * len(subsets) if quick else UPDATES):
        subsets.correct(volume, index, 1.0)
    return volume.numpy()


def outside(setup: Setup) -> float:
    """Return the share of what the views show on rays that miss the volume; 0 if the geometry is impossible."""
    small = coarse(setup, quick=True)
    if small is None:
        return 0.0
    shown, chords = np.clip(small.measured, 0, None), rendered(np.ones(small.geometry.volume_shape, np.float32), small.geometry)
    return float(shown[chords <= 0].sum(dtype=np.float64) / max(float(shown.sum(dtype=np.float64)), 1e-30))


def expected_residual(setup: Setup) -> float:
    """Return the residual that a right description would leave (without a truth); inf if the geometry is impossible.

    A volume is reconstructed from all views and projected into them, noise like theirs is added, and these views, which fit the
    description perfectly, are judged as the measured ones are.
    """
    small = coarse(dataclasses.replace(setup, truth=None))
    if small is None or small.geometry.views < 2:
        return float("inf")
    perfect = rendered(_reconstructed(small.measured, small.geometry, quick=False), small.geometry)
    noise = np.random.default_rng(0).normal(0, noise_level(small.measured), perfect.shape)
    return _predicted((perfect + noise).astype(np.float32), small.geometry, quick=False).residual
