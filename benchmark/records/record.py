"""Run specs, which identify runs, and run records, which hold their outcomes."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from benchmark.records.budget import Budget

Status = Literal["ok", "failed", "skipped"]

SCHEMA_VERSION = 2  # 2: metric versions, counters, volume digest, command, reevaluated; records of version 1 stay readable

# If these are unset, run ids are the same as before the fields existed.
_LATER = {"budget_steps": None, "budget_samples": None, "budget_projections": None, "weights_digest": ""}


class RunSpec(BaseModel):
    """One run, fully resolved: dataset, method, parameters, seed and budget. Observers of `run_started` receive it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    dataset_params: dict[str, Any]  # resolved: defaults filled in
    dataset_revision: int = 1
    data_digest: str = ""  # of the loaded case; part of the identity
    method: str
    preset: str = "default"
    method_params: dict[str, Any]  # resolved
    method_revision: int = 1
    seed: int = 0
    budget_seconds: float | None = None  # [s] of method time
    budget_steps: int | None = None
    budget_samples: int | None = None  # ray samples
    budget_projections: int | None = None  # applications of A to all training views
    weights_digest: str = ""  # of the weights file named in `method_params`, for a pretrained method

    @property
    def budget(self) -> Budget:
        """Return the limits of the run."""
        return Budget(self.budget_seconds, self.budget_steps, self.budget_samples, self.budget_projections)

    @property
    def case_key(self) -> str:
        """Identity of the case before it is loaded."""
        return case_key(self.dataset, self.dataset_revision, self.dataset_params)

    @property
    def id(self) -> str:
        """Identity of the run: a readable prefix and 12 hex digits of the hash of all fields."""
        later = {name for name, unset in _LATER.items() if getattr(self, name) == unset}
        content = self.model_dump(mode="json", exclude=later)
        if self.weights_digest:
            del content["method_params"]["weights"]  # the content of the file counts, not its path
        text = json.dumps(content, sort_keys=True)
        views = self.dataset_params.get("views")
        count = views if isinstance(views, int) else len(views or ())
        return f"{self.dataset}-{count}v-{self.method}-s{self.seed}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def case_key(dataset: str, revision: int, params: dict[str, Any]) -> str:
    """Return a text that identifies the case of a dataset with these resolved parameters."""
    return json.dumps([dataset, revision, params], sort_keys=True)


class CurvePoint(BaseModel):
    """One snapshot of a run, scored after its end, or during it in another process (the method never sees a score)."""

    step: int
    seconds: float  # [s] of method time
    volume_psnr: float | None = None  # [dB]
    loss: float | None = None
    projection_psnr: float | None = None  # [dB] of the held-out views; of the run's end, and with --validate-every
    fit_psnr: float | None = None  # [dB] to the training views; likewise


class RunRecord(BaseModel):
    """Record of one attempt at one run, stored as one JSON file. Observers of `run_finished` and reporters receive it."""

    model_config = ConfigDict(extra="forbid")

    schema_version: int = SCHEMA_VERSION
    run_id: str
    spec: RunSpec
    status: Status
    reason: str = ""  # of a failure or a skip
    case: str = ""
    views: int = 0
    training_views: list[int] = []
    heldout_views: list[int] = []
    volume_shape: list[int] = []  # [z, y, x]
    engine: str = ""
    device: str = ""
    seconds: float | None = None  # [s] of method time, without the harness's own work
    cpu_seconds: float | None = None  # [s] of process time over all threads
    peak_memory_mb: float | None = None  # [MiB] of the method's process
    steps: int = 0
    counters: dict[str, int] = {}  # work counted where the kernels are called: ray_samples, forward_views, adjoint_views
    metrics: dict[str, float | None] = {}  # volume_psnr, volume_ssim, projection_psnr, projection_ssim, fit_psnr, ...
    metric_versions: dict[str, int] = {}  # MetricSpec.revision of every metric above
    curve: list[CurvePoint] = []
    losses: list[tuple[int, float, float]] = []  # (step, seconds, loss)
    info: dict[str, Any] = {}
    environment: dict[str, Any] = {}
    volume_digest: str = ""  # of the stored volume
    pretrained: dict[str, Any] = {}  # digest of the weights and the data they were fitted to; empty = fitted to this scan alone
    command: str = ""  # the command line of the sweep
    reevaluated: dict[str, Any] = {}  # for metrics computed again later: time, code and source attempt
    started: str = ""  # ISO 8601, UTC
    log_tail: str = ""
