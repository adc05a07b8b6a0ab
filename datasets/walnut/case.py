"""Make a case of the walnut: evenly spaced training views, other real views held out, truth from all of them."""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmark.api import Case, Progress, Scan, Voxels, binned, cached_arrays, choose_views, noise_of_means, usual_bin

from . import WalnutParams
from .measurement import SIDE, Measurement, published, sample, without_air
from .truth import best_fit

VERSION = 1  # of the truth: increase it whenever its numbers change


def load_walnut(params: WalnutParams) -> Case:
    """Load the published file, downloaded on first use."""
    return _case("walnut", published(), params)


def prepare_walnut(params: WalnutParams, progress: Progress) -> None:
    """Download, convert and compute the truth of this size in advance."""
    _truth(published(progress), params, progress)


def load_sample(params: WalnutParams) -> Case:
    """Load the committed sample."""
    return _case("walnut_sample", sample(), params)


def _case(name: str, measurement: Measurement, params: WalnutParams) -> Case:
    training, heldout = choose_views(params, measurement.views)
    factor = params.bin or usual_bin(measurement.projections.shape[1:], params.size)
    everything = _scan(measurement, params.correct_air, params.size, factor)
    noise = noise_of_means((measurement.projections[index] for index in training), factor)
    return Case(
        name=name,
        scan=dataclasses.replace(_subset(everything, training), noise=noise),
        truth=_truth(measurement, params),
        heldout=_subset(everything, heldout) if heldout else None,
        truth_note=f"non-negative least-squares fit of all {measurement.views} views, on a finer grid, averaged",
        training_views=training,
        heldout_views=heldout,
    )


def _scan(measurement: Measurement, correct_air: bool, size: int, factor: int) -> Scan:
    """Return all views, `factor` x `factor` pixels averaged, with a grid of size^3 voxels."""
    projections = without_air(measurement.projections) if correct_air else measurement.projections
    return Scan(binned(projections, factor), measurement.geometry(size).binned(factor))


def _subset(scan: Scan, views: tuple[int, ...]) -> Scan:
    return Scan(scan.projections[list(views)], scan.geometry.subset(views))


def _truth(measurement: Measurement, params: WalnutParams, progress: Progress | None = None) -> np.ndarray:
    """Return the all-view fit averaged onto the grid of this size, float32 [z, y, x] 1/mm; it does not depend on `bin`.

    The fit is done on a grid at least twice as fine where the detector allows it (and kept in the cache folder): a fit
    on the coarse grid itself predicts the held-out views a little better (42.6 against 40.3 dB at 64^3), but only
    through ripples of 10 % in the homogeneous kernel that imitate detail smaller than a voxel.
    """
    pixels = measurement.projections.shape[1]
    grid = pixels // 2 if 4 * params.size <= pixels else pixels

    def fit() -> dict[str, np.ndarray]:
        scan = _scan(measurement, params.correct_air, grid, pixels // grid)
        return {"volume": best_fit(scan.projections, scan.geometry, progress)}

    fine = cached_arrays("truths", [VERSION, measurement.identity, grid, params.correct_air], fit)["volume"]
    return Voxels(fine, (SIDE / grid, SIDE / grid, SIDE / grid)).averaged(measurement.geometry(params.size))
