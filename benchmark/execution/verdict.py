"""Finish the record of a run: the worker's report, corrected by a check of the volume, and the scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.execution.options import Outcome
from benchmark.metrics.scorer import Scorer
from benchmark.plugins.specs import MetricSpec
from benchmark.records.record import CurvePoint, RunRecord
from benchmark.scan.case import Case
from benchmark.scan.reconstruction import ARRAYS, volume_digest
from benchmark.storage import mapped
from benchmark.storage.archive import read_archive

COSTS = ("seconds", "cpu_seconds", "peak_memory_mb", "gpu_peak_memory_mb", "steps", "counters")
REPORTED = ("status", "reason", "engine", "device", *COSTS, "losses", "info")


def judge(
    record: RunRecord,
    outcome: Outcome,
    folder: Path,
    case: Case,
    metrics: Iterable[MetricSpec],
    validated: Sequence[dict[str, Any]] = (),
) -> tuple[RunRecord, np.ndarray | None]:
    """Return the finished record and, if the run is ok, its volume [z, y, x].

    `folder` holds the worker's files; `validated` are points of the curve that were scored along the run.
    """
    result, volume = outcome.result, None
    values: dict[str, Any] = record.model_dump() | {key: result[key] for key in REPORTED if key in result}
    values |= {"log_tail": outcome.log_tail, "environment": record.environment | result.get("facts", {})}
    if values["status"] == "ok":
        volume, defect = load_volume(folder / "volume.npy", case)
        if volume is None:
            values |= {"status": "failed", "reason": defect}
    scorer = Scorer(case, metrics)
    known = {point["step"] for point in validated}
    snapshots = [snapshot for snapshot in result.get("snapshots", []) if snapshot["step"] not in known]
    values["curve"] = sorted([*validated, *scored_snapshots(folder, snapshots, scorer)], key=lambda point: point["seconds"])
    if volume is not None:
        values |= _scores(volume, folder, scorer)
        values["curve"].append(_last_point(values).model_dump())
    return RunRecord.model_validate(values), volume


def load_volume(path: Path, case: Case) -> tuple[np.ndarray | None, str]:
    """Return the volume as float32 [z, y, x], or None and its defect."""
    volume = mapped.load(path)
    expected = case.scan.geometry.volume_shape
    if volume.shape != expected:
        return None, f"wrong shape: expected a volume [z, y, x] = {expected}, the method returned {volume.shape}"
    if volume.dtype.kind != "f":
        return None, f"wrong type: expected float32, the method returned {volume.dtype}"
    with np.errstate(over="ignore"):
        volume = mapped.contiguous(volume)
    bad = mapped.not_finite(volume)
    if bad:
        return None, f"not finite: {bad} of {volume.size} voxels are NaN or Inf"
    return volume, ""


def scored_snapshots(folder: Path, snapshots: list[dict[str, Any]], scorer: Scorer) -> list[dict[str, Any]]:
    """Score the snapshots after the method's end. A missing or truncated one, or one of wrong shape or with NaN, has no score."""
    points = []
    for snapshot in snapshots:
        try:
            volume, _ = load_volume(folder / snapshot["file"], scorer.case)
        except (OSError, ValueError, EOFError):
            volume = None
        psnr = None if volume is None else scorer.volume_psnr(volume)
        points.append({"step": snapshot["step"], "seconds": snapshot["seconds"], "volume_psnr": psnr, "loss": snapshot["loss"]})
    return points


def _scores(volume: np.ndarray, folder: Path, scorer: Scorer) -> dict[str, Any]:
    """Return the score fields of a record; the reason names metrics that could not be computed."""
    path = folder / ARRAYS  # of the method, beside the volume
    arrays = read_archive(path) if path.exists() else {}
    metrics, problems = scorer.score(volume, arrays)
    return {
        "metrics": metrics,
        "metric_versions": scorer.versions(metrics),
        "reason": "; ".join(problems),
        "volume_digest": volume_digest(volume),
    }


def _last_point(values: dict[str, Any]) -> CurvePoint:
    """Return the end of the convergence curve: the volume itself."""
    scores = {name: values["metrics"].get(name) for name in ("volume_psnr", "projection_psnr", "fit_psnr")}
    loss = values["losses"][-1][2] if values["losses"] else None
    return CurvePoint(step=values["steps"], seconds=values["seconds"], loss=loss, **scores)
