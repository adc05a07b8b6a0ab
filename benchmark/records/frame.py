"""One table of all records, a row per run: the single source of every table, figure and comparison."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from benchmark.records.record import RunRecord
from benchmark.records.titles import BUDGETS, budgets, grid_size, noise, number_of_views
from benchmark.storage.json_values import plain

if TYPE_CHECKING:
    import pandas as pd

IDENTITY = (
    "dataset", "case", "size", "views", "noise", "dataset_params", "method", "preset", "params", "pretrained",
    "tags", "deterministic", "engine", "device", "seed", "status", "reason",
)  # fmt: skip
METRICS = ("volume_psnr", "volume_ssim", "projection_psnr", "projection_ssim", "fit_psnr", "fit_ssim")
WORK = ("steps", "ray_samples", "projections", "backprojections")
COST = ("seconds", "cpu_seconds", "peak_memory_mb", "gpu_peak_memory_mb", *WORK, *BUDGETS)


def frame(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Return one row per run. Columns: identity (IDENTITY), the strict metrics (METRICS), every other metric by name, COST, run_id.

    A metric that does not apply (no truth, a failed run) is empty. Metrics [dB] or dimensionless, seconds [s], memory [MiB].
    `tags` are the method's, `deterministic` says that its seed changes nothing.
    `pretrained` names the data a method was fitted to beforehand ('' for a method that uses the scan alone).
    projections and backprojections count applications of A and its transpose to all training views (a subset counts its share).
    """
    import pandas as pd

    records = list(records)
    others = sorted({name for record in records for name in record.metrics} - set(METRICS))
    columns = [*IDENTITY, *METRICS, *others, *COST, "run_id"]
    table = pd.DataFrame([row(record) for record in records], columns=columns)
    for name in (*METRICS, *others, *(name for name in COST if name != "steps")):
        table[name] = pd.to_numeric(table[name]).astype(float)
    return table


def row(record: RunRecord) -> dict[str, Any]:
    """Return the values of one run by column."""
    spec = record.spec
    return {
        "dataset": spec.dataset,
        "case": record.case or spec.dataset,
        "size": grid_size(record),
        "views": number_of_views(record),
        "noise": noise(spec),
        "dataset_params": json.dumps(plain(spec.dataset_params), sort_keys=True),
        "method": spec.method,
        "preset": spec.preset,
        "params": json.dumps(plain(spec.method_params), sort_keys=True),
        "pretrained": pretrained(record),
        "tags": ", ".join(record.tags),
        "deterministic": record.deterministic,
        "engine": record.engine,
        "device": record.device,
        "seed": spec.seed,
        "status": record.status,
        "reason": record.reason,
        **record.metrics,
        "seconds": record.seconds,
        "cpu_seconds": record.cpu_seconds,
        "peak_memory_mb": record.peak_memory_mb,
        "gpu_peak_memory_mb": record.gpu_peak_memory_mb,
        "steps": record.steps,
        **_work(record),
        **budgets(spec),
        "run_id": record.run_id,
    }


def pretrained(record: RunRecord) -> str:
    """Return the training data of a pretrained method, such as '3 scans'; '' for other methods."""
    if not record.spec.weights_digest:
        return ""
    count = len(record.pretrained.get("scans", ()))
    return f"{count} scan{'s' * (count != 1)}" if count else "yes"


def _work(record: RunRecord) -> dict[str, float | None]:
    """Return the counters; empty for records older than the counters, and if nothing was counted."""
    if not record.counters:
        return {"ray_samples": None, "projections": None, "backprojections": None}
    views = record.views or 1
    forward, adjoint = (record.counters.get(name, 0) / views for name in ("forward_views", "adjoint_views"))
    return {"ray_samples": record.counters.get("ray_samples", 0), "projections": forward, "backprojections": adjoint}
