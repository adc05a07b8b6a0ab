"""Score against the number of views, method time and peak memory, one line per method."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

from benchmark.report.canvas import Palette, canvas, plain_ticks, wrapped
from benchmark.report.columns import COLUMNS, Column

LABEL = 30  # [characters] of a line of a label
COSTS = {"seconds": "method time [s]", "peak_memory_mb": "peak memory [MiB]"}


def trends(part: pd.DataFrame, palette: Palette, order: list[str], title: str) -> Figure | None:
    """Draw four panels for one section of a summary: volume and held-out projections, PSNR and SSIM.

    Lines are means over seeds, with the 95% interval of the mean over seeds if there are several. With a single
    number of views the panels become a ranking. None if no run has a score.
    """
    good = part[part["status"] == "ok"]
    panels = [column for column in COLUMNS if column.ranked and good[column.name].notna().any()]
    if not panels:
        return None
    shown = [label for label in order if label in set(good["method"])]
    single = good["views"].nunique() == 1
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    if single:
        lines = max(wrapped(label, LABEL).count("\n") for label in shown) + 1
        figure = canvas(4.2 * columns + 0.6, (0.8 + max(0.3, 0.16 * lines + 0.06) * len(shown)) * rows + 0.4)
    else:
        figure = canvas(4.2 * columns, 2.7 * rows + 0.4)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=single).ravel()
    for axis, column in zip(axes, panels, strict=False):
        if single:
            _ranking(axis, good, column, palette, shown)
        else:
            _lines(axis, good, column, palette, shown)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    figure.suptitle(title, fontsize=11)
    if not single:
        palette.legend(figure, shown)
    return figure


def _lines(axis: Axes, good: pd.DataFrame, column: Column, palette: Palette, order: list[str]) -> None:
    for label in order:
        points = good[good["method"] == label].sort_values("views").dropna(subset=[column.name])
        means, halves = points[column.name], points[f"{column.name}_half"]
        style = {"color": palette.colours[label], "marker": palette.markers[label], "markersize": 7, "capsize": 3}
        axis.errorbar(points["views"], means, yerr=None if halves.isna().all() else halves, markeredgecolor="white", **style)
    axis.set_xscale("log")
    plain_ticks(axis, good["views"])
    axis.set(title=column.heading, xlabel="training views", ylabel="")


def _ranking(axis: Axes, good: pd.DataFrame, column: Column, palette: Palette, order: list[str]) -> None:
    """Draw one line per method, in the same order in every panel."""
    rows = good.dropna(subset=[column.name]).set_index("method")
    means, halves = rows[column.name], rows[f"{column.name}_half"].fillna(0.0)
    for place, label in enumerate(order):
        if label not in means:
            continue
        mean, half = means[label], halves[label]
        style = {"color": palette.colours[label], "marker": palette.markers[label], "markersize": 7, "linewidth": 1.2}
        axis.errorbar(mean, place, xerr=half or None, capsize=3, **style)
        axis.annotate(f"{mean:.{column.decimals}f}", (mean + half, place), (7, 0), textcoords="offset points", va="center", fontsize=8)
    low, high = (means - halves).min(), (means + halves).max()
    span = max(high - low, 10.0 ** (1 - column.decimals))
    axis.set_xlim(low - 0.1 * span, high + 0.28 * span)  # room for the numbers on the right
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.set_yticks(range(len(order)), [wrapped(label, LABEL) for label in order])
    axis.set_ylim(len(order) - 0.4, -0.6)  # the best on top
    axis.grid(axis="y", visible=False)
    axis.set(title=column.heading, xlabel=f"{int(good['views'].iloc[0])} training views")


def costs(part: pd.DataFrame, palette: Palette, order: list[str], title: str) -> Figure | None:
    """Draw a panel for each score (volume and held-out PSNR) and cost of one section of a summary. None if no run has a score.

    The number beside a marker is the number of training views. Up and to the left is better.
    """
    good = part[part["status"] == "ok"]
    scores = [column for column in COLUMNS if column.ranked and column.metric == "psnr" and good[column.name].notna().any()]
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
            axis.xaxis.set_minor_formatter(LogFormatter())  # labels between decades if the axis spans less than one
            axis.set_title(f"{score.heading} against {name.partition(' [')[0]}")
    for axis, name in zip(grid[-1], COSTS.values(), strict=True):
        axis.set_xlabel(name)
    figure.suptitle(title, fontsize=11)
    palette.legend(figure, present)
    return figure
