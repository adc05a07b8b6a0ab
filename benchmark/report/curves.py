"""Tables of score against time: every point of every curve, and the seconds that each method took to reach a quality."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from benchmark.records.frame import row
from benchmark.records.record import CurvePoint
from benchmark.records.titles import dataset_names, labels

if TYPE_CHECKING:
    from benchmark.records.store import Results

LEVELS = (20, 25, 30, 35, 40)  # [dB]
NEAR = 0.5  # [dB] below a run's own best: almost converged
IDENTITY = ("dataset", "case", "size", "views", "noise", "label", "seed", "run_id")


def curves(results: Results) -> pd.DataFrame:
    """Return one row per point: step, seconds [s] of method time, volume PSNR [dB], loss (each method's own quantity), and the PSNR of
    the held-out views and of the fit [dB], which only the end of a run has unless --validate-every was given.
    """
    rows = [{**who, **point.model_dump()} for who, points in _finished(results) for point in points]
    return pd.DataFrame(rows, columns=[*IDENTITY, "step", "seconds", "volume_psnr", "loss", "projection_psnr", "fit_psnr"])


def times_to_quality(results: Results) -> pd.DataFrame:
    """Return one row per run: the best volume PSNR of its curve, seconds to come within 0.5 dB of it, and to reach 20, 25, ... dB.

    Empty if the curve never reaches the level. Times between two snapshots are interpolated; a method with a single point reaches
    all its levels when it ends.
    """
    columns = ["best_psnr", f"seconds_to_best_minus_{NEAR:g}", *(f"seconds_to_{level}" for level in LEVELS)]
    rows = []
    for who, points in _finished(results):
        scores = [point.volume_psnr for point in points if point.volume_psnr is not None]
        if scores:
            levels = [max(scores) - NEAR, *LEVELS]
            rows.append({**who, **dict(zip(columns, [max(scores), *(seconds_to(points, level) for level in levels)], strict=True))})
    return pd.DataFrame(rows, columns=[*IDENTITY, *columns])


def mean_times(times: pd.DataFrame, part: pd.DataFrame) -> pd.DataFrame:
    """Return `times_to_quality` as means over seeds: one row per number of views and method (`label`), in the order of the summary `part`.

    A level that one of the runs never reached stays empty, and one that no run of the table reached is left out.
    """
    values = [name for name in times.columns if name not in IDENTITY]
    groups = times.groupby(["views", "label"], sort=False)
    means = groups[values].agg(lambda column: column.mean(skipna=False)).assign(runs=groups.size())
    order = [key for key in zip(part["views"], part["method"], strict=True) if key in means.index]
    return means.loc[order].reset_index().drop(columns=[name for name in values if times[name].isna().all()])


def seconds_to(points: list[CurvePoint], level: float) -> float | None:
    """Return the seconds until a curve first reaches a level [dB], linear between its points; None if it never does."""
    before: tuple[float, float] | None = None
    for point in sorted(points, key=lambda point: point.seconds):
        if point.volume_psnr is None:
            continue
        if point.volume_psnr >= level:
            if before is None or point.volume_psnr == before[1]:
                return point.seconds
            return before[0] + (point.seconds - before[0]) * (level - before[1]) / (point.volume_psnr - before[1])
        before = (point.seconds, point.volume_psnr)
    return None


def _finished(results: Results) -> list[tuple[dict[str, object], list[CurvePoint]]]:
    """Yield identity and curve of every finished run."""
    names, datasets = labels(results.records), dataset_names(results.records)
    found = []
    for record in results.records:
        if record.status == "ok":
            facts = {**row(record), "dataset": datasets[record.run_id], "label": names[record.run_id]}
            found.append(({name: facts[name] for name in IDENTITY}, record.curve))
    return found
