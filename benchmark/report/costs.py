"""Score against what it cost: method time and peak memory, one line per method through its numbers of views."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from benchmark.report.canvas import Palette, canvas
from benchmark.report.summary import COLUMNS

SCORES = ("volume_psnr", "projection_psnr")
COSTS = {"seconds": "method time [s]", "peak_memory_mb": "peak memory [MiB]"}


def costs(part: pd.DataFrame, palette: Palette, order: list[str], title: str) -> Figure | None:
    """A panel for each score (volume and held-out PSNR) and cost of one section of a summary. None if no run has a score.

    The number beside a marker is the number of training views. Up and to the left is better.
    """
    good = part[part["status"] == "ok"]
    scores = [column for column in COLUMNS if column.name in SCORES and good[column.name].notna().any()]
    if not scores:
        return None
    figure = canvas(8.4, 2.9 * len(scores) + 0.4)
    grid = figure.subplots(len(scores), len(COSTS), squeeze=False, sharey="row", sharex="col")
    present = [label for label in order if label in set(good["method"])]
    for row, score in zip(grid, scores, strict=True):
        for axis, (cost, name) in zip(row, COSTS.items(), strict=True):
            for label in present:
                points = good[good["method"] == label].sort_values("views")
                style = {"color": palette.colours[label], "marker": palette.markers[label], "markeredgecolor": "white"}
                axis.plot(points[cost], points[score.name], markersize=7, linewidth=1.2, **style)
                for _, point in points.dropna(subset=[cost, score.name]).iterrows():
                    place = (point[cost], point[score.name])
                    axis.annotate(f"{int(point['views'])}", place, (5, 4), textcoords="offset points", fontsize=7, color="0.35")
            axis.set_xscale("log")
            axis.margins(x=0.09, y=0.08)  # room for the numbers
            axis.xaxis.set_major_formatter("{x:g}")
            axis.xaxis.set_minor_formatter(LogFormatter())  # labels between decades where there is less than one
            axis.set_title(f"{score.heading} against {name.partition(' [')[0]}")
    for axis, name in zip(grid[-1], COSTS.values(), strict=True):
        axis.set_xlabel(name)
    figure.suptitle(title, fontsize=11)
    palette.legend(figure, present)
    return figure
