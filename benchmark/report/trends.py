"""Score against the number of views, one line per method."""

from __future__ import annotations

import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.report.canvas import Palette, canvas, plain_ticks, wrapped
from benchmark.report.summary import COLUMNS, Column


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
    height = 0.9 + 0.34 * len(shown) if single else 2.7
    figure = canvas(4.2 * columns, height * rows + 0.9)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, column in zip(axes, panels, strict=False):
        if single:
            _ranking(axis, good, column, palette, shown)
        else:
            _lines(axis, good, column, palette, shown)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    figure.suptitle(title, fontsize=11)
    if not single:
        palette.legend(figure, shown, columns=5)
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
    scores = good.dropna(subset=[column.name]).groupby("label")[column.name]
    means, spreads = scores.mean().sort_values(), scores.std()
    for place, (label, mean) in enumerate(means.items()):
        spread = spreads[label] if pd.notna(spreads[label]) else 0.0
        axis.errorbar(mean, place, xerr=spread or None, color=palette.colours[label], marker=palette.markers[label], markersize=7, lw=1.2)
        axis.annotate(f"{mean:.{column.decimals}f}", (mean + spread, place), (7, 0), textcoords="offset points", va="center", fontsize=8)
    axis.set_yticks(range(len(means)), [wrapped(label, 22) for label in means.index])
    axis.set_ylim(-0.6, len(order) - 0.4)
    axis.margins(x=0.22)
    axis.grid(axis="y", visible=False)
    axis.set(title=column.heading, xlabel=f"{int(good['views'].iloc[0])} training views")
