"""Shared parts of all figures: style, one colour and marker per method, and saving."""

from __future__ import annotations

import dataclasses
import io
import textwrap
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import matplotlib.style
import matplotlib.ticker
import seaborn
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmark.storage import atomic

DPI = 160
MARKERS = "osD^v<>phdH8"
UNDATED: dict[str, dict[str, None]] = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
STYLE = {
    **seaborn.axes_style("whitegrid"),
    "axes.edgecolor": "0.6",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.labelsize": 9,
    "figure.facecolor": "white",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: the same picture on every machine
    "grid.color": "0.9",
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "pdf.fonttype": 42,  # TrueType: publishers refuse type 3
    "image.composite_image": False,  # vector files hold each panel's own voxels: sharper, and quicker to write
    "svg.hashsalt": "benchmark",  # the same results give the same file
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}


@dataclasses.dataclass(frozen=True)
class Picture:
    """A finished figure: its section of the report, its title, its caption, its files (PNG, SVG, PDF), and whether the page shows it."""

    section: str
    title: str
    caption: str
    files: tuple[Path, ...]
    shown: bool = False


class Palette:
    """One colour and one marker per method, the same in every figure of a report, even in figures without some methods.

    Colours follow the alphabetical order of the labels, so they do not change with the scores.
    """

    def __init__(self, labels: Iterable[str]) -> None:
        self.labels = sorted(set(labels))
        count = len(self.labels)
        colours = seaborn.color_palette("colorblind" if count <= 10 else "husl", max(count, 1)).as_hex()
        self.colours = dict(zip(self.labels, colours, strict=False))
        self.markers = {label: MARKERS[i % len(MARKERS)] for i, label in enumerate(self.labels)}

    def handle(self, label: str) -> Line2D:
        """Return the legend entry of a label."""
        style = {"color": self.colours[label], "marker": self.markers[label], "markersize": 6, "markeredgecolor": "white"}
        return Line2D([], [], label=wrapped(label, 34), **style)

    def legend(self, figure: Figure, labels: Iterable[str]) -> None:
        """Add a legend below all axes; the figure grows by its height."""
        handles = [self.handle(label) for label in labels]
        if not handles:
            return
        lines = [str(handle.get_label()).splitlines() for handle in handles]
        longest = max(len(line) for label in lines for line in label)
        columns = max(1, min(6, len(handles), int(figure.get_figwidth() * 10 / (longest + 7))))
        depth = -(-len(handles) // columns)
        tallest = max(sum(len(label) for label in lines[first : first + depth]) for first in range(0, len(lines), depth))
        figure.set_figheight(figure.get_figheight() + 0.17 * tallest + 0.06 * depth + 0.1)
        figure.legend(handles=handles, loc="outside lower center", ncols=columns)


def styled() -> AbstractContextManager[None]:
    """Apply the style within a `with` block only, whatever the user's own matplotlibrc says."""
    return matplotlib.style.context(["default", STYLE])


def canvas(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """Return an empty figure of this size [inch], outside pyplot's global state."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def wrapped(text: str, width: int) -> str:
    """Return a label broken into lines; words longer than a line are broken too."""
    return "\n".join(textwrap.wrap(text, width)) or text


def plain_ticks(axes: Axes, words: Mapping[float, str]) -> None:
    """Set ticks at exactly these places of a logarithmic x axis, with their words, without those that would overlap."""
    kept: list[float] = []
    for value in sorted(words):
        if not kept or value / kept[-1] > 1.25:
            kept.append(value)
    axes.set_xticks(kept, [words[value] for value in kept])
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())


def save(figure: Figure, folder: Path, name: str, kinds: Iterable[str] | None = None) -> tuple[Path, ...]:
    """Write <name>.png, <name>.svg and <name>.pdf, or only the `kinds` given. Raise StorageError if writing fails."""
    paths = tuple(folder / f"{name}.{kind}" for kind in UNDATED if kinds is None or kind in set(kinds))
    for path in paths:
        buffer = io.BytesIO()
        kind = path.suffix[1:]
        figure.savefig(buffer, format=kind, metadata=UNDATED[kind])
        figure.set_layout_engine("none")  # laid out once is enough
        atomic.replace(path, buffer.getvalue())
    return paths
