"""Score against the number of views, one line per method."""

from __future__ import annotations

import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmark.report.canvas import Palette, canvas, plain_ticks, wrapped
from benchmark.report.summary import COLUMNS, Column

LABEL = 30  # [characters] of a line of a label


def trends(runs: pd.DataFrame, palette: Palette, order: list[str], title: str) -> Figure | None:
    """Four panels for the runs of one dataset, size and noise: volume and held-out projections, PSNR and SSIM.

    Lines are means over cases and seeds with a band of one standard deviation. With a single number of views the
    panels become a ranking. None if no run has a score.
    """
    good = runs[runs["status"] == "ok"]
    panels = [column for column in COLUMNS if column.ranked and good[column.name].notna().any()]
    if not panels:
        return None
    shown = [label for label in order if label in set(good["label"])]
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
    several = good.groupby(["label", "views"]).size().max() > 1
    seaborn.lineplot(
        data=good,
        x="views",
        y=column.name,
        hue="label",
        style="label",
        hue_order=order,
        style_order=order,
        palette=palette.colours,
        markers={label: palette.markers[label] for label in order},
        dashes=False,
        markersize=7,
        errorbar="sd" if several else None,
        legend=False,
        ax=axis,
    )
    axis.set_xscale("log")
    plain_ticks(axis, good["views"])
    axis.set(title=column.heading, xlabel="training views", ylabel="")


def _ranking(axis: Axes, good: pd.DataFrame, column: Column, palette: Palette, order: list[str]) -> None:
    """One line per method, in the same order in every panel."""
    scores = good.dropna(subset=[column.name]).groupby("label")[column.name]
    means, spreads = scores.mean(), scores.std().fillna(0.0)
    for place, label in enumerate(order):
        if label not in means:
            continue
        mean, spread = means[label], spreads[label]
        style = {"color": palette.colours[label], "marker": palette.markers[label], "markersize": 7, "linewidth": 1.2}
        axis.errorbar(mean, place, xerr=spread or None, **style)
        axis.annotate(f"{mean:.{column.decimals}f}", (mean + spread, place), (7, 0), textcoords="offset points", va="center", fontsize=8)
    low, high = (means - spreads).min(), (means + spreads).max()
    span = max(high - low, 10.0 ** (1 - column.decimals))
    axis.set_xlim(low - 0.1 * span, high + 0.28 * span)  # room for the numbers on the right
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.set_yticks(range(len(order)), [wrapped(label, LABEL) for label in order])
    axis.set_ylim(len(order) - 0.4, -0.6)  # the best on top
    axis.grid(axis="y", visible=False)
    axis.set(title=column.heading, xlabel=f"{int(good['views'].iloc[0])} training views")
