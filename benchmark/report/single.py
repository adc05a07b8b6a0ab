"""Pictures of one volume beside its case: slices against the truth, and projections against measured views."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmark.report.canvas import save, styled
from benchmark.report.images import UNITS, central_slices
from benchmark.report.mosaics import Reference, Strip, mosaic, slice_mosaic
from benchmark.scan.case import Case
from benchmark.storage.visible import one_line_of

MOST_VIEWS = 3  # in one picture


def write_pictures(folder: Path, case: Case, volume: np.ndarray, name: str, metrics: Mapping[str, float | None]) -> list[Path]:
    """Write slices.png and, of held-out views (else of training views), views.png; return the files. `metrics` holds the scores [dB] shown.

    `volume` is [z, y, x] on the case's grid. Raise StorageError if writing fails, MissingDependency if no kernels can be built.
    """
    with styled():
        figures = {"slices": _slices(case, volume, name, metrics), "views": _views(case, volume, name, metrics)}
        return [path for what, figure in figures.items() for path in save(figure, folder, what, ("png",))]


def _slices(case: Case, volume: np.ndarray, name: str, metrics: Mapping[str, float | None]) -> Figure:
    known, unit = case.truth is not None, "attenuation [1/mm]" if case.scan.composite == "sum" else "intensity"
    column = Strip(name, central_slices(volume), metrics.get("volume_psnr"))
    shown = volume if case.truth is None else case.truth
    return slice_mosaic(shown, case.scan.geometry.volume_spacing, [column], one_line_of(case.name), known=known, unit=unit)


def _views(case: Case, volume: np.ndarray, name: str, metrics: Mapping[str, float | None]) -> Figure:
    """Draw views as measured and as rendered from the volume, with the errors below."""
    from benchmark.projection.rendering import rendered  # imports torch

    kind, score = ("held-out", "projection_psnr") if case.heldout is not None else ("training", "fit_psnr")
    scan, numbers = (case.scan, case.training_views) if case.heldout is None else (case.heldout, case.heldout_views)
    count = scan.geometry.views
    chosen = np.unique(np.linspace(0, count - 1, min(MOST_VIEWS, count)).round().astype(int))
    images = rendered(volume, scan.geometry, scan.composite, chosen)
    measured = scan.projections[chosen]
    aspect = scan.geometry.detector_pitch[0] / scan.geometry.detector_pitch[1]
    named = [numbers[view] if numbers else view for view in chosen.tolist()]
    rows = [Reference(f"view {number}", image, aspect) for number, image in zip(named, measured, strict=True)]
    grey = (min(0.0, float(measured.min())), max(float(measured.max()), 1e-12))
    columns = [Strip(name, list(images), metrics.get(score))]
    return mosaic(rows, columns, grey, f"{one_line_of(case.name)}, {kind} views", "measured", UNITS[scan.composite])
