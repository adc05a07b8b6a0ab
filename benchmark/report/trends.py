"""Score against the number of views, noise, method time and peak memory, one line per method."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

from benchmark.report.canvas import Palette, canvas, plain_ticks, wrapped
from benchmark.report.columns import COLUMNS, Column

LABEL = 30  # [characters] of a line of a label
PARETO = (
    "The number beside a marker is the number of training views. Rings mark the Pareto front of each number of views: no other method has "
    "both a lower cost and a higher score. Pretrained methods are not looked at for it."
)
FRONT: dict[str, Any] = {"facecolor": "none", "edgecolor": "0.25", "linewidth": 0.9, "s": 120, "zorder": 4}  # ring about a marker
COSTS = {"seconds": "method time [s]", "peak_memory_mb": "peak memory [MiB]"}


@dataclasses.dataclass(frozen=True)
class Along:
    """A logarithmic axis of places: a column of the table, and its label. Infinity stands at the end, as `beyond`."""

    column: str
    label: str
    beyond: str = ""

    def places(self, values: pd.Series) -> pd.Series:
        """Return where values stand on the axis: infinity half a decade beyond the largest."""
        finite = values[np.isfinite(values)]
        return values.replace(math.inf, finite.max() * 10**0.5 if len(finite) else 1.0)

    def words(self, values: pd.Series) -> dict[float, str]:
        """Return the text below each place."""
        texts = {float(value): _short(value) if math.isfinite(value) else self.beyond for value in values}
        return dict(zip(self.places(pd.Series(list(texts))), texts.values(), strict=True))


VIEWS = Along("views", "training views")
PHOTONS = Along("photons", "photons per pixel", beyond="no photon\nnoise")


def _short(value: float) -> str:
    """Return '10', '5e4'."""
    exponent = math.floor(math.log10(value)) if value > 0 else 0
    return f"{value:g}" if exponent < 4 else f"{value / 10**exponent:g}e{exponent}"


def trends(part: pd.DataFrame, palette: Palette, order: list[str], title: str, along: Along = VIEWS) -> Figure | None:
    """Draw four panels for one section of a summary: volume and held-out projections, PSNR and SSIM.

    Lines are means with their 95% intervals, if there are any: bars of `*_half`, or bands from `*_low` to `*_high`. A line has a gap
    where its method has no number. With a single place on the axis (number of views, ...) the panels become a ranking. None if no
    run has a score.
    """
    good = part[part["status"] == "ok"]
    panels = [column for column in COLUMNS if column.ranked and good[column.name].notna().any()]
    if not panels:
        return None
    shown = [label for label in order if label in set(good["method"])]
    single = good[along.column].nunique() == 1
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
            _lines(axis, good, column, palette, shown, along)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    figure.suptitle(title, fontsize=11)
    if not single:
        palette.legend(figure, shown)
    return figure


def _lines(axis: Axes, good: pd.DataFrame, column: Column, palette: Palette, order: list[str], along: Along) -> None:
    good = good.assign(place=along.places(good[along.column]))
    places = sorted(good["place"].unique())
    for label in order:
        points = good[good["method"] == label].set_index("place").reindex(places)
        means, halves = points[column.name], points[f"{column.name}_half"]
        style = {"color": palette.colours[label], "marker": palette.markers[label], "markersize": 7, "markeredgecolor": "white"}
        if f"{column.name}_low" in points:
            low, high = points[f"{column.name}_low"], points[f"{column.name}_high"]
            axis.plot(places, means, **style)
            axis.fill_between(places, low, high, color=style["color"], alpha=0.13, linewidth=0)
            known = means.notna()
            alone = known & ~known.shift(1, fill_value=False) & ~known.shift(-1, fill_value=False)  # no band has an area there
            axis.vlines(means.index[alone], low[alone], high[alone], color=style["color"], linewidth=1.2)
        else:
            axis.errorbar(places, means, yerr=None if halves.isna().all() else halves, capsize=3, **style)
    axis.set_xscale("log")
    plain_ticks(axis, along.words(good[along.column]))
    axis.set(title=column.heading, xlabel=along.label, ylabel="")


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

    The number beside a marker is the number of training views. Up and to the left is better: rings mark the Pareto front of each number
    of views.
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
            for _, points in good[good["pretrained"] == ""].groupby("views"):
                _front(axis, points, cost, score.name)
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


def _front(axis: Axes, points: pd.DataFrame, cost: str, score: str) -> None:
    """Ring the methods of one number of views that no other beats in both cost and score, and join them by steps."""
    front = pareto_front(points.dropna(subset=[cost, score]), cost, score)
    if len(points) > 1:
        axis.scatter(front[cost], front[score], **FRONT)
    if len(front) > 1:
        axis.step(front[cost], front[score], where="post", color="0.55", linewidth=0.8, linestyle="--", zorder=1)


def pareto_front(points: pd.DataFrame, cost: str, score: str) -> pd.DataFrame:
    """Return the rows that no other row beats: none has at most the cost and at least the score, and is better in one. Cheapest first."""
    rows = points.sort_values([cost, score], ascending=[True, False])
    costs, scores = (rows[name].to_numpy()[:, None] for name in (cost, score))
    beaten = (costs.T <= costs) & (scores.T >= scores) & ((costs.T < costs) | (scores.T > scores))
    return rows[~beaten.any(axis=1)]
