"""Mosaics of reconstructions: central slices of the truth and of every method, with error maps.

All panels of a mosaic are images in one pair of axes measured in inches: exact placement, and quick to draw.
"""

from __future__ import annotations

import dataclasses
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from benchmark.report.canvas import canvas, styled, wrapped
from benchmark.report.images import ERROR_SHARE, PLANES, Window, central_slices, window
from benchmark.storage import atomic

ERROR_COLOURS = "RdBu_r"
GAP, MARGIN, TITLE, BAR = 0.06, 0.3, 0.34, 0.95  # [inch] between panels, left, above for the title, right for the colour bars
FLAT, TALL = 0.22, 4.0  # height over width of a panel, at most: one row of pixels or one slice is stretched to be seen
MOST_VIEWS = 24  # panels of a picture of projections


@dataclasses.dataclass(frozen=True)
class Reference:
    """One row of a mosaic: its name, the true image [row, column], and pixel height over pixel width."""

    name: str
    image: np.ndarray
    aspect: float

    @property
    def height(self) -> float:
        """Aspect of the panel: height over width, between FLAT and TALL."""
        return min(max(self.image.shape[0] * self.aspect / self.image.shape[1], FLAT), TALL)


@dataclasses.dataclass(frozen=True)
class Strip:
    """One method's column of a mosaic: its label, one image per row, and its score [dB]."""

    label: str
    images: list[np.ndarray]
    psnr: float | None

    @property
    def heading(self) -> str:
        return wrapped(self.label, 16) + ("" if self.psnr is None else f"\n{self.psnr:.2f} dB")


def slice_mosaic(
    truth: np.ndarray,
    spacing: tuple[float, float, float],
    columns: list[Strip],
    title: str,
    known: bool = True,
    unit: str = "attenuation [1/mm]",
) -> Figure:
    """Draw rows: each plane, with its error map below. Columns: truth, then every method. One grey window, one error window.

    `truth` [z, y, x] gives the window, `spacing` (z, y, x) [mm] the aspect, `unit` names quantity and unit. If the truth is unknown
    (`known` false), any volume may stand in for the window: then no reference and no errors are shown.
    """
    z, y, x = spacing
    rows = [Reference(*row) for row in zip(PLANES, central_slices(truth), (y / x, z / x, z / y), strict=True)]
    return mosaic(rows, columns, window(truth), title, "truth" if known else None, unit)


def projection_mosaic(measured: np.ndarray, view: int, aspect: float, columns: list[Strip], title: str, unit: str) -> Figure:
    """Draw one held-out view [v, u] as measured and as rendered from every method's volume, with the errors below."""
    span = (min(0.0, float(measured.min())), max(float(measured.max()), 1e-12))
    return mosaic([Reference(f"view {view}", measured, aspect)], columns, span, title, "measured", unit)


def mosaic(rows: list[Reference], columns: list[Strip], grey: Window, title: str, reference: str | None, unit: str) -> Figure:
    """Draw panels of equal width. `reference` names the first column; without it, neither that column nor the errors are drawn."""
    count, tiers = len(columns) + (reference is not None), 2 if reference is not None else 1
    side = max(1.3, min(1.8, 9.0 / count))  # [inch]
    head = 0.17 * max(column.heading.count("\n") + 1 for column in columns) + 0.08
    width = MARGIN + count * (side + GAP) + BAR
    height = TITLE + head + sum(tiers * (row.height * side + GAP) + GAP for row in rows)
    figure = canvas(width, height, layout=None)
    sheet = _sheet(figure, width, height)
    sheet.text(width / 2, height - TITLE / 2, title, ha="center", va="center", fontsize=11)
    lefts = [MARGIN + place * (side + GAP) for place in range(count)]
    top = height - TITLE - head
    headings = [column.heading for column in columns] if reference is None else [reference, *(column.heading for column in columns)]
    for left, heading in zip(lefts, headings, strict=True):
        sheet.text(left + side / 2, top + 0.06, heading, ha="center", va="bottom", fontsize=9, weight="bold")
    for index, row in enumerate(rows):
        images = [column.images[index] for column in columns]
        grey_image, error_image = _row(sheet, row, images, lefts, top, side, grey, tiers == 2)
        top -= tiers * (row.height * side + GAP) + GAP
    high, low = height - TITLE - head, 2 * GAP
    middle = (high + low) / 2 if tiers == 2 else low
    for image, name, bottom, upper in ((grey_image, unit, middle, high), (error_image, "error", low, middle)):
        if image is not None:
            spare = min(0.08, (upper - bottom) / 4)
            bottom, upper = bottom + spare, upper - spare
            _bar(figure, image, name, ((width - BAR + 0.1) / width, bottom / height, 0.12 / width, (upper - bottom) / height))
    return figure


def _row(
    sheet: Axes, row: Reference, images: list[np.ndarray], lefts: list[float], top: float, side: float, grey: Window, errors: bool
) -> tuple[AxesImage, AxesImage | None]:
    """Draw one plane: the reference and every method, and the errors in a second tier; return one image of each scale."""
    tall, limit = row.height * side, ERROR_SHARE * (grey[1] - grey[0])
    sheet.text(MARGIN - 0.08, top - tall / 2, row.name, ha="right", va="center", rotation=90, fontsize=9)
    shown = [row.image, *images] if errors else images
    for left, image in zip(lefts, shown, strict=True):
        grey_image = _panel(sheet, image, (left, top - tall, side, tall), "gray", grey)
    if not errors:
        return grey_image, None
    sheet.text(lefts[1] - 0.1, top - tall * 1.5 - GAP, "error", ha="right", va="center", rotation=90, fontsize=9, color="0.3")
    for left, image in zip(lefts[1:], images, strict=True):
        error_image = _panel(sheet, image - row.image, (left, top - 2 * tall - GAP, side, tall), ERROR_COLOURS, (-limit, limit))
    return grey_image, error_image


def _sheet(figure: Figure, width: float, height: float) -> Axes:
    """Return axes over the whole figure, in inches."""
    sheet = figure.add_axes((0, 0, 1, 1))
    sheet.set(xlim=(0, width), ylim=(0, height), autoscale_on=False)
    sheet.set_axis_off()
    return sheet


def _panel(sheet: Axes, image: np.ndarray, box: tuple[float, float, float, float], colours: str, limits: Window) -> AxesImage:
    x, y, width, height = box
    options: dict[str, Any] = {"origin": "lower", "aspect": "auto", "interpolation": "nearest", "extent": (x, x + width, y, y + height)}
    shown = sheet.imshow(image, cmap=colours, vmin=limits[0], vmax=limits[1], **options)
    sheet.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor="0.5", linewidth=0.5))
    return shown


def _bar(figure: Figure, image: AxesImage, name: str, box: tuple[float, float, float, float]) -> None:
    bar = figure.colorbar(image, cax=figure.add_axes(box), extend="both")
    bar.set_label(name, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    bar.ax.ticklabel_format(useOffset=False)
    bar.outline.set_linewidth(0.5)


def save_views(views: np.ndarray, degrees: np.ndarray, path: Path) -> Path:
    """Write a PNG of projections [view, v, u] in one window, row 0 below; of many, evenly chosen ones."""
    chosen = np.unique(np.linspace(0, len(views) - 1, min(len(views), MOST_VIEWS)).round().astype(int))
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
