"""Critical-difference diagram: mean ranks over cases on a line, and a bar through every set of methods that do not differ."""

from __future__ import annotations

import math
import re

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.report.board import Board
from benchmark.report.canvas import Palette, canvas, wrapped

LABEL = 26  # [characters] of a line of a label


def bars(board: Board) -> list[list[tuple[str, float]]]:
    """Return the (label, mean rank) of every set of two or more methods that share a letter, by rank."""
    rows = board.rows[board.rows["letters"] != ""]
    marks = dict(zip(rows["method"], (set(re.findall(r"\(\d+\)|.", text)) for text in rows["letters"]), strict=True))
    ranks = dict(zip(rows["method"], rows["mean_rank"], strict=True))
    groups = [
        sorted((name for name in marks if mark in marks[name]), key=ranks.__getitem__) for mark in sorted(set().union(*marks.values()))
    ]
    return [[(name, float(ranks[name])) for name in group] for group in groups if len(group) > 1]


def critical_difference(board: Board, palette: Palette) -> Figure | None:
    """Draw the ranked methods of a board; None where no test was possible (too few cases or methods).

    The better half is named on the left, the other on the right, as Demsar drew it (J. Mach. Learn. Res. 7 (2006) 1-30).
    """
    rows = board.rows[board.rows["letters"] != ""].sort_values(["mean_rank", "method"])
    if len(rows) < 2:
        return None
    found, count = bars(board), len(rows)
    half = -(-count // 2)
    texts = {name: wrapped(name, LABEL) for name in rows["method"]}
    lines = max(text.count("\n") + 1 for text in texts.values())
    top = 0.5 + 0.16 * len(found)  # [inch] between the line of ranks and the first name
    figure = canvas(7.6, 0.75 + top + max(0.26, 0.16 * lines + 0.06) * half)
    axes = figure.subplots()
    last = math.ceil(rows["mean_rank"].max())
    first = math.floor(rows["mean_rank"].min())
    span = max(last - first, 1)
    _ranks(axes, first, last)
    for level, bar in enumerate(found):
        depth = -(0.3 + 0.16 * level)
        axes.plot(
            [rank for _, rank in bar], [depth] * len(bar), color="0.2", linewidth=2.6, marker="o", markersize=4, solid_capstyle="round"
        )
    step = max(0.26, 0.16 * lines + 0.06)
    for place, (_, row) in enumerate(rows.iterrows()):
        left = place < half
        depth = -(top + step * (place if left else count - 1 - place))
        edge = first - 0.04 * span if left else last + 0.04 * span
        style = {"color": palette.colours.get(row["method"], "0.3"), "linewidth": 1.2}
        axes.plot([row["mean_rank"], row["mean_rank"], edge], [0, depth, depth], **style)
        shift, side = (-4, "right") if left else (4, "left")
        text = f"{texts[row['method']]}  {row['mean_rank']:.2f}" if left else f"{row['mean_rank']:.2f}  {texts[row['method']]}"
        axes.annotate(text, (edge, depth), (shift, 0), textcoords="offset points", ha=side, va="center", fontsize=9)
    axes.set_ylim(-(top + step * half), 0.35)
    axes.set_xlim(first - 0.55 * span, last + 0.55 * span)
    axes.set_axis_off()
    figure.suptitle(board.title.replace("Leaderboard", "Mean rank"), fontsize=11)
    return figure


def _ranks(axes: Axes, first: int, last: int) -> None:
    """Draw the line of ranks, the best on the left."""
    axes.plot([first, max(last, first + 1)], [0, 0], color="0.2", linewidth=1.2)
    for rank in range(first, max(last, first + 1) + 1):
        axes.plot([rank, rank], [0, 0.08], color="0.2", linewidth=1.2)
        axes.annotate(str(rank), (rank, 0.08), (0, 2), textcoords="offset points", ha="center", va="bottom", fontsize=8)
