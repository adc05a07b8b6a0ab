"""The walnut as a case: evenly spaced training views, other real views held out, truth from all of them."""

from __future__ import annotations

from benchmark.api import Case, InputError, Scan, cached_arrays

from . import WalnutParams
from .measurement import Measurement, Progress, binned, published, sample, without_air
from .truth import best_fit
from .views import heldout_views, training_views

VERSION = 1  # of the truth: raise it whenever its numbers change


def load_walnut(params: WalnutParams) -> Case:
    """From the published file, downloaded on first use."""
    return _case("walnut", published(), params)


def prepare_walnut(params: WalnutParams, progress: Progress) -> None:
    """Download, convert and compute the truth of this size ahead."""
    _truth(published(progress), params, progress)


def load_sample(params: WalnutParams) -> Case:
    """From the committed sample."""
    return _case("walnut_sample", sample(), params)


def _case(name: str, measurement: Measurement, params: WalnutParams) -> Case:
    for key, value in (("photons", params.photons), ("electronic", params.electronic)):
        if value:
            raise InputError(key, expected=f"none for {name} (real measurements bring their own noise)", found=f"{value:g}")
    training = training_views(measurement.views, params.views)
    heldout = heldout_views(measurement.views, training, params.heldout, params.data_seed)
    everything = _scan(measurement, params, params.bin or _usual_bin(measurement, params.size))
    return Case(
        name=name,
        scan=_subset(everything, training),
        truth=_truth(measurement, params),
        heldout=_subset(everything, heldout) if heldout else None,
        truth_note=f"non-negative least-squares fit of all {measurement.views} views",
        training_views=training,
        heldout_views=heldout,
    )


def _scan(measurement: Measurement, params: WalnutParams, factor: int) -> Scan:
    pixels = measurement.projections.shape[1]
    if factor > pixels // 4:
        raise InputError("bin", expected=f"at most {pixels // 4} for a detector of {pixels} pixels a side", found=f"{factor}")
    projections = without_air(measurement.projections) if params.correct_air else measurement.projections
    return Scan(binned(projections, factor), measurement.geometry(params.size).binned(factor))


def _subset(scan: Scan, views: tuple[int, ...]) -> Scan:
    return Scan(scan.projections[list(views)], scan.geometry.subset(views))


def _usual_bin(measurement: Measurement, size: int) -> int:
    """The most pixels to average that leave at least `size` a side: pixels at the axis are then no larger than voxels."""
    pixels = measurement.projections.shape[1]
    return max((n for n in range(1, pixels // 4 + 1) if pixels % n == 0 and pixels // n >= size), default=1)


def _truth(measurement: Measurement, params: WalnutParams, progress: Progress | None = None):
    """The all-view fit at this size, kept in the cache folder; it does not depend on the bin that methods get."""
    factor = _usual_bin(measurement, params.size)

    def compute():
        scan = _scan(measurement, params, factor)
        return {"truth": best_fit(scan.projections, scan.geometry, progress)}

    key = [VERSION, measurement.identity, params.size, factor, params.correct_air]
    return cached_arrays("truths", key, compute)["truth"]
