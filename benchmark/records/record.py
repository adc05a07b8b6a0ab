"""Run specs, which identify runs, and run records, which hold their outcomes."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from benchmark.records.budget import Budget

Status = Literal["ok", "failed", "skipped"]
Count = Annotated[int, Field(ge=0, lt=1 << 62)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Digest = Annotated[str, Field(pattern=r"^[0-9A-Za-z_-]*$")]  # also the name of a folder
Name = Annotated[str, Field(pattern=r"^[^./\\\x00][^/\\\x00]*$")]  # of a folder

# 2: metric versions, counters, volume digest, command, reevaluated. 3: the digest of the file. 4: tags, deterministic, plugin,
# gpu_peak_memory_mb. Earlier ones stay readable.
SCHEMA_VERSION = 4

# If these are unset, run ids are the same as before the fields existed.
_LATER = {"budget_steps": None, "budget_samples": None, "budget_projections": None, "weights_digest": ""}


class RunSpec(BaseModel):
    """One run, fully resolved: dataset, method, parameters, seed and budget. Observers of `run_started` receive it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    dataset_params: dict[str, Any]  # resolved: defaults filled in
    dataset_revision: int = 1
    data_digest: Digest = ""  # of the loaded case; part of the identity
    method: str
    preset: str = "default"
    method_params: dict[str, Any]  # resolved
    method_revision: int = 1
    seed: int = 0
    budget_seconds: float | None = None  # [s] of method time
    budget_steps: int | None = None
    budget_samples: int | None = None  # ray samples
    budget_projections: int | None = None  # applications of A to all training views
    weights_digest: Digest = ""  # of the weights file named in `method_params`, for a pretrained method

    @field_validator("dataset_params")
    @classmethod
    def _countable(cls, params: dict[str, Any]) -> dict[str, Any]:
        """Raise ValueError for a size and for views that no dataset has; tables sort and count them."""
        size, views = params.get("size"), params.get("views")
        listed = list(views) if isinstance(views, list | tuple) else [views]
        for name, value in (("size", size), *(("views", item) for item in listed)):
            if value is not None and not (type(value) is int and 0 <= value < 1 << 32):
                raise ValueError(f"{name}: expected a number, found {value!r:.60}")
        return params

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
        count = len(views) if isinstance(views, list | tuple) else views or 0
        return f"{self.dataset}-{count}v-{self.method}-s{self.seed}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def case_key(dataset: str, revision: int, params: dict[str, Any]) -> str:
    """Return a text that identifies the case of a dataset with these resolved parameters."""
    return json.dumps([dataset, revision, params], sort_keys=True)


class CurvePoint(BaseModel):
    """One snapshot of a run, scored after its end, or during it in another process (the method never sees a score)."""

    step: Count
    seconds: Amount  # [s] of method time
    volume_psnr: float | None = None  # [dB]
    loss: float | None = None
    projection_psnr: float | None = None  # [dB] of the held-out views; of the run's end, and with --validate-every
    fit_psnr: float | None = None  # [dB] to the training views; likewise


class RunRecord(BaseModel):
    """Record of one attempt at one run, stored as one JSON file. Observers of `run_finished` and reporters receive it."""

    model_config = ConfigDict(extra="forbid")

    schema_version: Annotated[int, Field(ge=0, le=SCHEMA_VERSION)] = SCHEMA_VERSION
    run_id: Name
    spec: RunSpec
    status: Status
    reason: str = ""  # of a failure or a skip
    case: str = ""
    views: Count = 0
    training_views: list[Count] = []
    heldout_views: list[Count] = []
    volume_shape: list[Count] = []  # [z, y, x]
    engine: str = ""
    device: str = ""
    seconds: Amount | None = None  # [s] of method time, without the harness's own work
    cpu_seconds: Amount | None = None  # [s] of process time over all threads
    peak_memory_mb: Amount | None = None  # [MiB] of the method's process
    gpu_peak_memory_mb: Amount | None = None  # [MiB] that the method's tensors took on the GPU
    steps: Count = 0
    counters: dict[str, Count] = {}  # work counted where the kernels are called: ray_samples, forward_views, adjoint_views
    metrics: dict[str, float | None] = {}  # volume_psnr, volume_ssim, projection_psnr, projection_ssim, fit_psnr, ...
    metric_versions: dict[str, Count] = {}  # MetricSpec.revision of every metric above
    curve: list[CurvePoint] = []
    losses: list[tuple[int, float, float]] = []  # (step, seconds, loss)
    info: dict[str, Any] = {}
    environment: dict[str, Any] = {}
    volume_digest: Digest = ""  # of the stored volume
    tags: list[str] = []  # of the method, as declared when it ran
    deterministic: bool = False  # the method declares that its seed changes nothing
    plugin: dict[str, Any] = {}  # the method's code: distribution, version, module, digest of its sources (plugins/identity.py)
    pretrained: dict[str, Any] = {}  # digest of the weights and the data they were fitted to; empty = fitted to this scan alone
    command: str = ""  # the command line of the sweep
    reevaluated: dict[str, Any] = {}  # for metrics computed again later: time, code and source attempt
    started: str = ""  # ISO 8601, UTC
    log_tail: str = ""
