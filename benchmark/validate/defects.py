"""Dead pixels, rows and columns, and views without an image: found before the geometry is judged, and left out."""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmark.scan.bad_pixels import Repair, bad_pixels
from benchmark.validate.numbers import REPAIR, Remark
from benchmark.validate.setup import Setup

FEWEST = 5  # views among which one can be odd
FLAT = 0.05  # of the usual variation of a view: it shows nothing
FAR, CLEAR = 8.0, 0.5  # times the usual difference between neighbours, and share of a view's sum
MOST_VIEWS = 0.2  # more odd views are no accident


def cleaned(setup: Setup) -> tuple[Setup, list[Remark]]:
    """Return the setup without odd views and with bad pixels replaced by their neighbours, and remarks about both."""
    projections = setup.projections
    if not np.isfinite(projections).all():
        return setup, []
    remarks = []
    odd = odd_views(projections)
    if odd.any():
        found = setup.indices if setup.indices is not None else np.arange(len(projections))
        names = ", ".join(str(index) for index in found[odd][:5])
        text = (
            f"{odd.sum()} of {len(odd)} views show nothing or are far off their neighbours (view {names}{', ...' if odd.sum() > 5 else ''})"
        )
        remarks.append(Remark("warning", f"{text}: left out of the check", "leave them out of the scan (views.training, views.heldout)"))
        setup = setup.only(np.flatnonzero(~odd))
    bad = bad_pixels(setup.projections)
    if bad.any():
        remarks.append(Remark("warning", f"{described(bad)}: left out of the check", REPAIR))
        repair = Repair(bad)
        setup = dataclasses.replace(setup, projections=np.stack([repair(view) for view in setup.projections]))
    return setup, remarks


def odd_views(projections: np.ndarray) -> np.ndarray:
    """Return True for views [view, v, u] that are blank or whose sum is far from those of their neighbours: bool [view]."""
    views = len(projections)
    none = np.zeros(views, dtype=bool)
    if views < FEWEST:
        return none
    variation = projections.reshape(views, -1).std(1, dtype=np.float64)
    odd = variation < FLAT * np.median(variation)
    sums = projections.reshape(views, -1).mean(1, dtype=np.float64)
    usual = float(np.median(np.abs(sums)))
    around = np.stack([np.roll(sums, shift) for shift in (-2, -1, 1, 2)])
    off = np.abs(sums - np.median(around, axis=0))
    odd |= off > max(FAR * float(np.median(off)), CLEAR * usual)
    return odd if odd.mean() <= MOST_VIEWS else none


def described(bad: np.ndarray) -> str:
    """Return the number of bad pixels [v, u], and which rows and columns are mostly bad."""
    parts = []
    for axis, name in ((0, "column"), (1, "row")):
        lines = np.flatnonzero(bad.mean(axis) > 0.4) if min(bad.shape) > 1 else np.zeros(0, dtype=int)
        if len(lines):
            more = ", ..." if len(lines) > 5 else ""
            parts.append(f"{name}{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines[:5]))}{more}")
    where = f" ({'; '.join(parts)})" if parts else ""
    return f"{bad.sum()} dead, hot or noisy pixels{where}"
