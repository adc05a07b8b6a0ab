"""Finish the record of a run: the worker's report, corrected by a check of the volume, and the scores."""

from __future__ import annotations

from collections.abc import Iterable
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

REPORTED = ("status", "reason", "engine", "device", "seconds", "cpu_seconds", "peak_memory_mb", "steps", "counters", "losses", "info")


def judge(
    record: RunRecord, outcome: Outcome, folder: Path, case: Case, metrics: Iterable[MetricSpec]
) -> tuple[RunRecord, np.ndarray | None]:
    """Return the finished record and, if the run is ok, its volume [z, y, x]. `folder` holds the worker's files."""
    result, volume = outcome.result, None
    values: dict[str, Any] = record.model_dump() | {key: result[key] for key in REPORTED if key in result}
    values |= {"log_tail": outcome.log_tail, "environment": record.environment | result.get("facts", {})}
    if values["status"] == "ok":
        volume, defect = load_volume(folder / "volume.npy", case)
        if volume is None:
            values |= {"status": "failed", "reason": defect}
    scorer = Scorer(case, metrics)
    values["curve"] = scored_snapshots(folder, result.get("snapshots", []), scorer)
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
    metrics, problems = scorer.score(volume, _load_arrays(folder / ARRAYS))
    return {
        "metrics": metrics,
        "metric_versions": scorer.versions(metrics),
        "reason": "; ".join(problems),
        "volume_digest": volume_digest(volume),
    }


def _last_point(values: dict[str, Any]) -> CurvePoint:
    """Return the end of the convergence curve: the volume itself."""
    return CurvePoint(
        step=values["steps"],
        seconds=values["seconds"],
        volume_psnr=values["metrics"].get("volume_psnr"),
        loss=values["losses"][-1][2] if values["losses"] else None,
    )


def _load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the method's arrays beside the volume, by name."""
    if not path.exists():
        return {}
    with np.load(path, allow_pickle=False) as file:
        return dict(file)
