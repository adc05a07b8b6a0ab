"""Draw every figure of a report from the stored results and write it as PNG, SVG and PDF."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmark.errors import MissingDependency
from benchmark.records.record import RunRecord
from benchmark.report import splats
from benchmark.report.board_tables import name as board_name
from benchmark.report.canvas import Palette, Picture, save, styled
from benchmark.report.convergence import convergence
from benchmark.report.critical_difference import critical_difference
from benchmark.report.images import ERROR_SHARE, UNITS, central_slices
from benchmark.report.mosaics import Strip, projection_mosaic, slice_mosaic
from benchmark.report.overall import SECTION, overall
from benchmark.report.overview import Overview
from benchmark.report.ranking import GROUP, method_order
from benchmark.report.summary import section_title, sections, slug
from benchmark.report.trends import PARETO, costs, trends
from benchmark.storage.visible import one_line_of

if TYPE_CHECKING:
    from benchmark.records.store import Results, StoredCase

WIDEST = 7  # methods in one mosaic; more are continued in the next

_TRENDS = "Means over seeds; bars are 95% intervals over seeds, if there are several. No method has seen the held-out views."
_CRITICAL = (
    "Mean rank over cases by {metric} (1 is best). A bar joins methods that do not differ significantly: paired Student's t over {cases} "
    "cases, corrected by Holm for all pairs, 5% in all. A dot shows which methods a bar means."
)
_CONVERGENCE = (
    "Volume PSNR of snapshots and training loss against method time; the clock is paused while the harness looks. "
    "A marker shows where a run ended. Losses of different methods are different quantities: compare shapes, not heights."
)
_COSTS = f"Means over seeds. {PARETO}"
_SLICES = (
    "Central slices and, below each, reconstruction minus truth. All share one grey window (0.1 to 99.9 percentile of the truth) "
    f"and one error window (± {ERROR_SHARE:.0%} of it). The number is the PSNR of the whole volume."
)
_GALLERY = "Central slices. There is no truth for this case: the grey window is that of the first reconstruction."
_PROJECTIONS = (
    "A held-out view as measured and as rendered from each volume, with rendered minus measured below "
    f"(saturates at ± {ERROR_SHARE:.0%}). The number is the PSNR over all held-out views."
)


@dataclasses.dataclass(frozen=True)
class _Draft:
    section: str
    name: str
    title: str
    caption: str
    figure: Figure
    shown: bool = False  # on the page itself


def write_figures(results: Results, overview: Overview | None = None) -> list[Picture]:
    """Draw and write every figure into figures/. Raise StorageError if one cannot be written."""
    folder = results.folder / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    with styled():
        return [
            Picture(draft.section, draft.title, draft.caption, save(draft.figure, folder, draft.name), draft.shown)
            for draft in _drafts(results, overview or Overview(results))
        ]


def _drafts(results: Results, overview: Overview) -> Iterator[_Draft]:
    table, names, means = overview.table, overview.names, dict(sections(overview.summary))
    palette = Palette(table.loc[table["status"] == "ok", "label"])
    for board in overview.boards:
        figure = critical_difference(board, palette)
        if figure is not None:
            caption = _CRITICAL.format(metric=board.metric_words, cases=len(board.cases))
            where = f"critical-difference-{board_name(board).partition('-')[2]}"
            yield _Draft(board.title, where, f"Critical differences: {board.title}", caption, figure, shown=True)
    for over in overall(overview.boards, palette):
        yield _Draft(SECTION, over.name, over.title, over.caption, over.figure, shown=True)
    for key, part in table.groupby(GROUP, sort=True, dropna=False):
        section = section_title(*key)
        key = key if key[2] != "none" else key[:2]  # noise-free data need no label
        order = method_order(means[section])
        figure = trends(means[section], palette, order, section)
        if figure is not None:
            yield _Draft(section, slug("views", *key), "Score against views", _TRENDS, figure)
        figure = costs(means[section], palette, order, section)
        if figure is not None:
            yield _Draft(section, slug("costs", *key), "Score against time and memory", _COSTS, figure)
        for case, runs in part.groupby("case", sort=True):
            identities = set(runs["run_id"])
            records = [record for record in results.records if record.run_id in identities]
            own = [] if case == key[0].partition(" (")[0] or f" ({case}" in key[0] else [case]
            title = f"{one_line_of(case)} ({section})" if own else section
            figure = convergence(records, names, palette, order, title)
            if figure is not None:
                yield _Draft(section, slug("convergence", *key, *own), f"Convergence: {case}", _CONVERGENCE, figure)
            for views in sorted({record.views for record in records}):
                shown = one_per_label([record for record in records if record.views == views], names, means[section])
                named = slug(*key, *own, f"{views}-views")
                yield from _images(results, shown, names, section, named, f"{title}, {views} views")
                for record in shown:
                    heading = f"{names[record.run_id]}, {title}, {views} views"
                    for what, caption, figure in splats.pictures(results, record):
                        where = f"splats-{what}-{slug(named, names[record.run_id])}"
                        yield _Draft(section, where, f"Gaussians: {heading}", caption, figure, shown=True)


def one_per_label(records: list[RunRecord], names: dict[str, str], part: pd.DataFrame) -> list[RunRecord]:
    """Return the finished run of lowest seed of every method, among runs of one number of views, in the order of the summary's section."""
    found: dict[str, RunRecord] = {}
    for record in sorted(records, key=lambda record: record.spec.seed):
        if record.status == "ok":
            found.setdefault(names[record.run_id], record)
    order = method_order(part[part["views"].isin({record.views for record in records})])
    return [found[label] for label in order if label in found]


def _images(results: Results, records: list[RunRecord], names: dict[str, str], section: str, name: str, title: str) -> Iterator[_Draft]:
    """Draw the mosaics of one case and number of views, at most WIDEST methods in each."""
    for first in range(0, len(records), WIDEST):
        part = records[first : first + WIDEST]
        suffix, more = ("", "") if len(records) <= WIDEST else (f"-{first // WIDEST + 1}", f" ({first // WIDEST + 1})")
        case, volumes = results.shown(part)
        if case is None or not volumes:
            continue
        figure, caption = _slices(case, volumes, names, title + more)
        yield _Draft(section, f"slices-{name}{suffix}", f"Slices: {title}{more}", caption, figure)
        view = _projections(case, volumes, names, title + more)
        if view is not None:
            yield _Draft(section, f"projections-{name}{suffix}", f"Held-out view: {title}{more}", _PROJECTIONS, view)


def _slices(case: StoredCase, volumes: list[tuple[RunRecord, np.ndarray]], names: dict[str, str], title: str) -> tuple[Figure, str]:
    columns = [Strip(names[r.run_id], central_slices(volume), r.metrics.get("volume_psnr")) for r, volume in volumes]
    spacing, unit = case.geometry.volume_spacing, "attenuation [1/mm]" if case.composite == "sum" else "intensity"
    if case.truth is None:
        return slice_mosaic(volumes[0][1], spacing, columns, title, known=False, unit=unit), _GALLERY
    source = f" Truth: {case.truth_note}." if case.truth_note else ""
    return slice_mosaic(case.truth, spacing, columns, title, unit=unit), _SLICES + source


def _projections(case: StoredCase, volumes: list[tuple[RunRecord, np.ndarray]], names: dict[str, str], title: str) -> Figure | None:
    """Draw held-out views; None without any, or if the projector's kernels cannot be built (a report needs no compiler)."""
    from benchmark.projection.rendering import rendered  # imports torch

    geometry, heldout = case.heldout_geometry, case.heldout
    if geometry is None or heldout is None:
        return None
    view = geometry.views // 2
    try:
        images = [rendered(volume, geometry, case.composite, [view])[0] for _, volume in volumes]
    except MissingDependency:
        return None
    records = [record for record, _ in volumes]
    columns = [Strip(names[r.run_id], [image], r.metrics.get("projection_psnr")) for r, image in zip(records, images, strict=True)]
    aspect = geometry.detector_pitch[0] / geometry.detector_pitch[1]
    number = case.heldout_views[view] if case.heldout_views else view
    return projection_mosaic(heldout[view], number, aspect, columns, title, UNITS[case.composite])
