"""Numbers of the page's charts: score against views, time and memory, and its growth during each run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmark.records.record import RunRecord
from benchmark.report.canvas import Palette
from benchmark.report.columns import COSTS, Column
from benchmark.storage.visible import one_line_of

if TYPE_CHECKING:
    from collections.abc import Iterable


def chart(
    part: pd.DataFrame, records: Iterable[RunRecord], names: dict[str, str], palette: Palette, scores: list[Column]
) -> dict[str, Any]:
    """Return one section's chart: a series of mean points for each method, a curve for each run that recorded one.

    `part` is the section of a summary, `records` its runs.
    """
    good = part[part["status"] == "ok"]
    known = [score for score in scores if score.name in good and good[score.name].notna().any()]
    series = [
        {
            "label": label,
            "colour": palette.colours[label],
            "marker": palette.labels.index(label),
            "points": [_point(row, known) for _, row in rows.sort_values("views").iterrows()],
        }
        for label, rows in good.groupby("method", sort=False)
    ]
    curves = [curve for record in records if (curve := _curve(record, names)) is not None]
    options = [{"name": score.name, "heading": score.heading, "protocol": score.protocol, "decimals": score.decimals} for score in known]
    return {"scores": options, "series": series, "curves": curves}


def _point(row: pd.Series, scores: list[Column]) -> dict[str, Any]:
    names = [*(score.name for score in scores), *(cost.name for cost in COSTS)]
    return {"views": int(row["views"]), "runs": int(row["runs"]), **{name: _plain(row.get(name)) for name in names}}


def _plain(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else round(float(value), 6)


def _curve(record: RunRecord, names: dict[str, str]) -> dict[str, Any] | None:
    """Return the volume PSNR of the snapshots and of the final volume against the seconds of method time."""
    points = [(point.seconds, point.volume_psnr) for point in record.curve if point.volume_psnr is not None and point.seconds > 0]
    final = record.metrics.get("volume_psnr")
    if final is not None and record.seconds and (record.seconds, final) not in points:
        points.append((record.seconds, final))
    if record.status != "ok" or not points:
        return None
    where = f", {one_line_of(record.case)}" if record.case and record.case != record.spec.dataset else ""
    curve = [[round(seconds, 4), round(psnr, 4)] for seconds, psnr in sorted(points)]
    return {"label": names[record.run_id], "views": record.views, "name": f"seed {record.spec.seed}{where}", "points": curve}
