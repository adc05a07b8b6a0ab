"""Convergence figure: volume PSNR and loss against the seconds of each method."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.records.record import RunRecord
from benchmark.report.canvas import Palette, canvas

POINTS = 300  # [points] of a loss curve at most: more cannot be seen


def convergence(records: list[RunRecord], names: dict[str, str], palette: Palette, order: list[str], title: str) -> Figure | None:
    """Draw one row per number of views: volume PSNR and loss against the seconds of method time; a marker where each run ended.

    Takes the records of one case; `names` maps run ids to labels. None if no run has a curve.
    """
    good = [record for record in records if record.status == "ok" and record.seconds]
    if not any(len(record.curve) > 1 or len(record.losses) > 1 for record in good):
        return None
    views = sorted({record.views for record in good})
    figure = canvas(8.4, 2.5 * len(views) + 0.5)
    grid = figure.subplots(len(views), 2, squeeze=False, sharex="row")
    for row, count in zip(grid, views, strict=True):
        for record in (record for record in good if record.views == count):
            label = names[record.run_id]
            style = {"color": palette.colours[label], "marker": palette.markers[label]}
            _quality(row[0], record, style)
            _loss(row[1], record, style)
        for axis, what in zip(row, ("volume PSNR [dB]", "loss, each method's own"), strict=True):
            axis.set_xscale("log")
            axis.xaxis.set_major_formatter("{x:g}")
            axis.set_title(f"{count} views: {what}")
            if not axis.has_data():
                axis.text(0.5, 0.5, "not recorded", transform=axis.transAxes, ha="center", color="0.5")
    for axis in grid[-1]:
        axis.set_xlabel("seconds of method time")
    figure.suptitle(title, fontsize=11)
    present = {names[record.run_id] for record in good}
    palette.legend(figure, [label for label in order if label in present])
    return figure


def _quality(axis: Axes, record: RunRecord, style: dict[str, Any]) -> None:
    points = [(point.seconds, point.volume_psnr) for point in record.curve if point.volume_psnr is not None and point.seconds > 0]
    final = record.metrics.get("volume_psnr")
    if final is not None and record.seconds is not None:
        points.append((record.seconds, final))
        axis.plot(*points[-1], ls="", markersize=7, markeredgecolor="white", zorder=5, **style)
    if points:
        axis.plot(*zip(*sorted(points), strict=True), color=style["color"], zorder=3)


def _loss(axis: Axes, record: RunRecord, style: dict[str, Any]) -> None:
    curve = np.array([(seconds, loss) for _, seconds, loss in record.losses if seconds > 0 and np.isfinite(loss) and loss > 0])
    if len(curve) == 0:
        return
    seconds, loss = smoothed(curve[:, 0], curve[:, 1])
    axis.plot(seconds, loss, color=style["color"], zorder=3)
    axis.plot(seconds[-1], loss[-1], ls="", markersize=7, markeredgecolor="white", zorder=5, **style)
    axis.set_yscale("log")


def smoothed(seconds: np.ndarray, loss: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both averaged (the loss as a logarithm) in at most POINTS bins of equal width in log seconds; unchanged if short."""
    if len(seconds) <= POINTS:
        return seconds, loss
    edges = np.geomspace(seconds.min(), seconds.max(), POINTS + 1)
    place = np.clip(np.searchsorted(edges, seconds, side="right") - 1, 0, POINTS - 1)
    filled, place = np.unique(place, return_inverse=True)
    count = np.bincount(place)
    return np.bincount(place, seconds) / count, np.exp(np.bincount(place, np.log(loss)) / count)
