"""Picture of a diagnosis: measured and predicted views, as declared and as corrected, with slices of the volume."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmark.report.canvas import canvas, styled, wrapped
from benchmark.report.images import PLANES, central_slices
from benchmark.storage import atomic
from benchmark.validate.diagnosis import Candidate, Diagnosis

VIEWS = 3  # shown
SIDE = 1.9  # [inch] of a panel


def write_picture(diagnosis: Diagnosis, title: str, path: Path) -> Path | None:
    """Write a PNG and return its path; None if no hypothesis predicts any view. Raise StorageError if writing fails."""
    candidates = [diagnosis.best] if diagnosis.as_declared else [diagnosis.declared, diagnosis.best]
    candidates = [candidate for candidate in candidates if candidate.fit.predicted is not None]
    if not candidates:
        return None
    with styled():
        figure = _draw(candidates, title)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    atomic.replace(path, buffer.getvalue())
    return path


def _draw(candidates: list[Candidate], title: str) -> Figure:
    columns, rows = 3 * len(candidates), VIEWS + 1
    figure = canvas(SIDE * columns, SIDE * (rows + 0.6), layout=None)
    places = {"left": 0.02, "right": 0.98, "bottom": 0.02, "top": 1 - 0.55 / (rows + 0.6), "wspace": 0.06, "hspace": 0.12}
    axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=places)
    for axis in axes.flat:
        axis.set_axis_off()
    for index, candidate in enumerate(candidates):
        _block(axes[:, 3 * index : 3 * index + 3], candidate)
    figure.suptitle(title, fontsize=11)
    return figure


def _block(axes: np.ndarray, candidate: Candidate) -> None:
    """Draw three columns: measured, predicted and their difference, with the volume's slices below."""
    fit = candidate.fit
    assert fit.measured is not None and fit.predicted is not None and fit.volume is not None and fit.geometry is not None
    span = (min(0.0, float(fit.measured.min())), float(fit.measured.max()))
    limit = 0.2 * (span[1] - span[0])
    name = wrapped(candidate.hypothesis.name, 30)
    for row, view in enumerate(np.linspace(0, len(fit.measured), VIEWS, endpoint=False).astype(int)):
        images = (fit.measured[view], fit.predicted[view], fit.predicted[view] - fit.measured[view])
        for axis, image, heading in zip(axes[row], images, ("measured", "predicted", "difference"), strict=True):
            grey = heading != "difference"
            limits = span if grey else (-limit, limit)
            colours, aspect = "gray" if grey else "RdBu_r", fit.geometry.detector_pitch[0] / fit.geometry.detector_pitch[1]
            axis.imshow(image, origin="lower", cmap=colours, vmin=limits[0], vmax=limits[1], aspect=aspect)
            if row == 0:
                axis.set_title(f"{name}\nresidual {candidate.residual:.1%}\n{heading}" if heading == "predicted" else heading, fontsize=8)
    z, y, x = fit.geometry.volume_spacing
    window = tuple(float(value) for value in np.percentile(fit.volume, (0.1, 99.9)))
    for axis, image, plane, aspect in zip(axes[-1], central_slices(fit.volume), PLANES, (y / x, z / x, z / y), strict=True):
        axis.imshow(image, origin="lower", cmap="gray", vmin=window[0], vmax=window[1], aspect=aspect)
        axis.set_title(plane, fontsize=8)
