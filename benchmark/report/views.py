"""A picture of projections, one panel for each."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np

from benchmark.report.canvas import canvas, styled
from benchmark.storage import atomic

MOST = 24  # panels


def save_views(views: np.ndarray, degrees: np.ndarray, path: Path) -> Path:
    """Write a PNG of projections [view, v, u] in one window, row 0 below; of many, evenly chosen ones."""
    chosen = np.unique(np.linspace(0, len(views) - 1, min(len(views), MOST)).round().astype(int))
    columns = min(6, len(chosen))
    rows = math.ceil(len(chosen) / columns)
    with styled():
        figure = canvas(1.9 * columns, 2.0 * rows)
        for panel, view in enumerate(chosen, 1):
            axes = figure.add_subplot(rows, columns, panel)
            axes.imshow(views[view], origin="lower", cmap="gray", vmin=0, vmax=max(float(views.max()), 1e-9))
            axes.set_title(f"{degrees[view]:g}\N{DEGREE SIGN}")
            axes.set_axis_off()
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    atomic.replace(path, buffer.getvalue())
    return path
