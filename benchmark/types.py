"""The nouns that pass between the layers: scans, cases, reconstructions, plug-in specs, run specs and records."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from benchmark import mapped
from benchmark.budget import Budget
from benchmark.ct.geometry import ConeBeamGeometry
from benchmark.errors import InputError


class Params(BaseModel):
    """Base of every parameter model: unknown keys are errors, values are frozen. Give each field a description with its unit."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Composite = Literal["sum", "max", "over"]  # what a pixel shows along its ray: the integral, the maximum, or what lies over the rest
MEASURED: Mapping[Composite, str] = {"sum": "line integrals", "max": "maxima along the rays", "over": "silhouettes and colours"}
# Auto is native on every machine: numbers never depend on what is installed.
Engine = Annotated[
    Literal["auto", "native", "tigre"],
    Field(description="whose A and A^T: auto = native on every machine; tigre = TIGRE's Siddon and its matched transpose (needs CUDA)"),
]
TvWeight = Annotated[float, Field(ge=0, le=1000)] | Literal["auto"]  # of the TV problem, a pure number; auto = chosen from the scan alone


class DatasetParams(Params):
    """What every dataset understands. A dataset subclasses this, adds its own keys and may change defaults."""

    size: int = Field(64, ge=4, le=4096, description="voxels along the longest edge of the reconstruction grid")
    views: int | tuple[int, ...] = Field(
        50, description="number of training views, evenly spaced over the arc, or explicit indices into the full acquisition"
    )
    heldout: int = Field(24, ge=0, description="number of held-out views, seeded and disjoint from every training subset")
    photons: float | None = Field(None, gt=0, description="photons per pixel of the unattenuated beam (Poisson noise); none = noise-free")
    electronic: float = Field(0.0, ge=0, description="standard deviation of the electronic (Gaussian) noise [photons]")
    data_seed: int = Field(0, ge=0, description="seed of the noise and of the choice of held-out views")


# -- data ---------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class Scan:
    """All that a method gets to see: measured line integrals (float32 [view, v, u], dimensionless) and their geometry.

    Where `composite` is 'max', the views are maximum projections instead: each pixel is the largest value of the field along its
    ray, in the field's own unit. Where it is 'over', they are photographs: `projections` is the silhouette, how much of each pixel the
    thing covers (0 .. 1), and `colours` its red, green and blue over black (0 .. 1). Only methods that declare it
    (`MethodSpec.composites`) are given such a scan. `masks` say in which pixels of other views the thing is, where somebody knows.
    `noise` is the standard deviation of a typical pixel's noise, where more is known of it than the pixels show (they are means of finer
    ones): ask `scan_noise`. Raises InputError, naming the field, if the arrays do not fit the geometry, hold NaN or Inf, if a mask is
    empty, or if the detector does not see the volume.
    """

    projections: np.ndarray
    geometry: ConeBeamGeometry
    photons: float | None = None  # per pixel of the unattenuated beam, where known
    length_unit: str = "mm"
    view_labels: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)  # of each view: time [s], breathing phase, ...
    composite: Composite = "sum"
    colours: np.ndarray | None = None  # float32 [view, v, u, 3] of photographs
    masks: np.ndarray | None = None  # bool [view, v, u] (uint8 becomes that: 0 is outside); photographs have their silhouettes instead
    noise: float | None = None  # in the projections' unit

    def __post_init__(self) -> None:
        projections = np.asarray(self.projections)
        if projections.shape != self.geometry.projection_shape:
            raise InputError(
                "scan.projections",
                expected=f"shape [view, v, u] = {self.geometry.projection_shape} (the geometry's)",
                found=f"{projections.shape}",
                fix="Check the number of angles and the order of the detector axes.",
            )
        projections = _own(projections)
        _check_finite(projections)
        self.geometry.check_sees_volume()
        labels = {str(name): np.array(values, dtype=np.float64) for name, values in self.view_labels.items()}
        for name, values in labels.items():
            if values.shape != (self.geometry.views,) or not np.isfinite(values).all():
                found = f"shape {values.shape}" if np.isfinite(values).all() else "NaN or Inf"
                raise InputError(f"scan.view_labels.{name}", expected="a finite number for each view", found=found)
        object.__setattr__(self, "view_labels", labels)
        projections.setflags(write=False)
        object.__setattr__(self, "projections", projections)
        if self.composite == "over" or self.colours is not None:
            object.__setattr__(self, "colours", _checked_colours(self))
        if self.masks is not None:
            object.__setattr__(self, "masks", _checked_masks(self, np.asarray(self.masks)))
        if self.noise is not None and not 0 <= self.noise < math.inf:
            raise InputError("scan.noise", expected="a standard deviation, 0 or more", found=f"{self.noise}")

    @property
    def beside(self) -> dict[str, np.ndarray]:
        """The arrays that it holds beside its projections, by name: colours or masks, where there are any."""
        found = {"colours": self.colours, "masks": self.masks}
        return {name: array for name, array in found.items() if array is not None}

    @property
    def digest(self) -> str:
        """Hash of the measured numbers, of the geometry, and of what else is known of the views."""
        content = hashlib.sha256()
        for view in self.projections:
            content.update(view.data)
            mapped.release(self.projections)
        content.update(self.geometry.digest.encode())
        if self.composite != "sum":  # digests of line integrals stay what they were before there was anything else
            content.update(self.composite.encode())
        if self.colours is not None:
            content.update(self.colours.data)
        if self.masks is not None:
            content.update(b"masks")
            mapped.update(content, self.masks)
        if self.noise is not None:
            content.update(f"noise {self.noise!r}".encode())
        if self.photons is not None:
            content.update(f"photons {float(self.photons)!r}".encode())
        for name in sorted(self.view_labels):
            content.update(name.encode() + self.view_labels[name].tobytes())
        return content.hexdigest()[:16]


def _checked_colours(scan: Scan) -> np.ndarray:
    """The colours of photographs, read-only. Raises InputError for what are none, and for a silhouette that is no part of a pixel."""
    shape = (*scan.geometry.projection_shape, 3)
    colours = None if scan.colours is None else np.array(scan.colours, dtype=np.float32, order="C")
    if scan.composite != "over" or colours is None or colours.shape != shape:
        found = "none" if colours is None else f"shape {colours.shape} of {MEASURED[scan.composite]}"
        raise InputError("scan.colours", expected=f"[view, v, u, 3] = {shape} of photographs", found=found)
    for name, values in (("colours", colours), ("projections", scan.projections)):
        if not (values.min() >= 0 and values.max() <= 1):  # NaN is neither
            raise InputError(f"scan.{name}", expected="parts of 1", found=f"{values.min():.4g} .. {values.max():.4g}")
    colours.setflags(write=False)
    return colours


def _checked_masks(scan: Scan, masks: np.ndarray) -> np.ndarray:
    """The masks as bool, read-only. Raises InputError for what are none, and for a view without a pixel of the thing."""
    shape = scan.geometry.projection_shape
    if masks.shape != shape or masks.dtype not in (np.bool_, np.uint8):
        raise InputError("scan.masks", expected=f"bool or uint8 [view, v, u] = {shape}", found=f"shape {masks.shape}, {masks.dtype}")
    if scan.composite == "over":
        raise InputError("scan.masks", expected="none beside photographs, whose projections are their silhouettes", found="masks")
    masks = _own(masks, np.bool_)
    empty = [index for index, mask in enumerate(masks) if not mask.any()]
    mapped.release(masks)
    if empty:
        found = f"empty masks in {len(empty)} of {len(masks)} views, the first is view {empty[0]}"
        raise InputError("scan.masks", expected="the thing in every view", found=found, fix="Leave these views out, or mend their masks.")
    masks.setflags(write=False)
    return masks


def _own(array: np.ndarray, dtype: Any = np.float32) -> np.ndarray:
    """Of this type, C-contiguous, and nobody else can change it: a copy, except of a file that is mapped read-only."""
    return mapped.contiguous(array, dtype) if mapped.is_read_only_file(array) else mapped.copied(array, dtype)


def _check_finite(projections: np.ndarray) -> None:
    """Raises InputError unless all line integrals [view, v, u] are finite; looks at one view at a time."""
    bad, first = 0, None
    for index, view in enumerate(projections):
        if not np.isfinite(view).all():
            found = np.argwhere(~np.isfinite(view))
            first = first or (index, *(int(i) for i in found[0]))
            bad += len(found)
        mapped.release(projections)
    if bad:
        raise InputError(
            "scan.projections",
            expected="finite line integrals",
            found=f"{bad} NaN or Inf, the first at [view, v, u] = {first}",
            fix="Line integrals are -log(I / I0): zero or negative intensities must be repaired first.",
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """One problem of a dataset: the scan for the methods; truth (float32 [z, y, x], 1/mm) and held-out views for the harness only."""

    name: str
    scan: Scan
    truth: np.ndarray | None = None
    heldout: Scan | None = None
    truth_note: str = ""  # where the truth comes from, e.g. "FDK of all 240 views"
    training_views: tuple[int, ...] = ()  # indices into the full acquisition
    heldout_views: tuple[int, ...] = ()
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # what some metrics need (JSON values), see MetricSpec.needs
    part: str = ""  # which of the things at the dataset's path it shows, where there are several, e.g. 'frame 5'

    def __post_init__(self) -> None:
        if self.truth is not None:
            truth, shape = np.asarray(self.truth), self.scan.geometry.volume_shape
            fits = truth.shape == shape
            truth = mapped.contiguous(truth) if fits else truth
            if not fits or mapped.not_finite(truth):
                found = "NaN or Inf" if fits else f"shape {truth.shape}"
                raise InputError(f"case '{self.name}': truth", expected=f"a finite volume [z, y, x] = {shape}", found=found)
            object.__setattr__(self, "truth", truth)
        if self.heldout is not None and self.heldout.composite != self.scan.composite:
            kinds = MEASURED[self.scan.composite], MEASURED[self.heldout.composite]
            raise InputError(f"case '{self.name}': heldout", expected=f"{kinds[0]}, as in the scan", found=kinds[1])
        if set(self.training_views) & set(self.heldout_views):
            raise InputError(f"case '{self.name}': views", expected="held-out views disjoint from the training views", found="an overlap")

    @property
    def digest(self) -> str:
        """Hash of both scans, of the truth, and of what numbers were published of it; not of names, notes, indices and other facts."""
        content = hashlib.sha256(self.scan.digest.encode())
        if self.truth is not None:
            mapped.update(content, self.truth)
        content.update(b"" if self.heldout is None else self.heldout.digest.encode())
        if "published" in self.facts:  # else the stored case of an earlier sweep, which does not say so, would stand for it
            content.update(json.dumps(dict(self.facts["published"]), sort_keys=True).encode())
        return content.hexdigest()[:16]


def file_name(case_name: str) -> str:
    """A case's name, which may come from a file, as a part of a file's name; usual ones stay as they are."""
    return re.sub(r'[/\\:*?"<>|\x00-\x1f\x7f]+', "-", case_name)[:100].strip(" .-") or "case"


@dataclasses.dataclass(frozen=True, eq=False)
class Reconstruction:
    """What a method returns: the volume (float32 [z, y, x] on the scan's grid, 1/mm), the engine that computed it, and notes.

    `engine` names the code that did the work ('native', 'tigre 3.1.3', ...); `info` holds anything worth keeping in the
    record (JSON values: a chosen weight, the number of iterations run); `arrays` what is worth keeping beside the volume, by name.
    Known names are means, quaternions, log_scales of Gaussians with log_amplitudes or with opacities and colours (see Mixture and
    Splats in benchmark.fields), and hull (bool [z, y, x]): pictures and `features` are made of them, photographs scored by them.
    """

    volume: np.ndarray
    engine: str = "native"
    info: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


ARRAYS = "arrays.npz"  # where a run keeps what is in Reconstruction.arrays


def volume_digest(volume: np.ndarray) -> str:
    """Hash of a volume's shape and float32 values."""
    content = hashlib.sha256(repr(volume.shape).encode())
    mapped.update(content, mapped.contiguous(volume))
    return content.hexdigest()[:16]


# -- plug-ins -----------------------------------------------------------------------------------------------------------

Target = Callable[..., Any] | str


def resolve(target: Target) -> Callable[..., Any]:
    """The callable behind a target: itself, or 'package.module:name', imported only now."""
    if callable(target):
        return target
    module, _, name = target.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class MethodSpec:
    """A reconstruction method. `target(scan, params, run) -> Reconstruction`.

    `presets` maps a name to parameter values that replace the defaults; `skip(scan, params) -> str | None` returns the
    reason why a scan cannot be reconstructed by this method; `composites` says which kinds of views it understands (line
    integrals unless it says so): scans of another kind are skipped before it sees them; `requires` lists modules that must be
    importable. `pieces` says that the method keeps to `run.memory_bytes`: others are skipped where `--memory` is less than scan
    and volume take.
    `field(state, params, geometry)` makes of a checkpoint's state a function from positions [M, 3] (x y z [mm]) to attenuation
    [M], for `render` and `volume`; `speed() -> dict` adds ratios to `speed`, each a number or two callables to compare (ours
    and the alternative). `training_step(device, size) -> (step, others)` is for `speed --device cuda`: a function that takes one
    step of training with the defaults on a made-up scan of size^3 voxels, and by name functions that make the like by other software;
    these may raise MissingDependency. `fit(scans, params, run) -> dict` trains on other scans beforehand (`fit`); what it returns is
    handed to runs whose parameter `weights` (which such a method must have) names the file, as `run.weights`, and these count as
    pretrained.
    Raise `revision` whenever results change: it is part of each run's identity.
    """

    name: str
    target: Target
    params: type[Params] = Params
    summary: str = ""
    requires: tuple[str, ...] = ()
    presets: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    revision: int = 1
    skip: Target | None = None
    composites: tuple[Composite, ...] = ("sum",)
    field: Target | None = None
    speed: Target | None = None
    training_step: Target | None = None
    fit: Target | None = None
    pieces: bool = False
    cite: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """A source of cases. `target(params) -> Case`; `prepare(params, progress) -> None` downloads and converts ahead.

    `progress(done, total, what)` reports bytes or steps. `params` must derive from DatasetParams. A dataset that reads files
    of the user's names in `opens` what it is offered (`scan` for --scan PATH, `volume` for --volume PATH) with a function
    that looks at a path and says whether it is one of its own; its params then have the key `path`.
    """

    name: str
    target: Target
    params: type[DatasetParams] = DatasetParams
    summary: str = ""
    prepare: Target | None = None
    opens: Mapping[str, Target] = dataclasses.field(default_factory=dict)
    requires: tuple[str, ...] = ()
    revision: int = 1
    licence: str = ""
    cite: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """A score. kind 'volume': `target(prediction, truth)`, both [z, y, x]; kind 'projection': both [view, v, u].

    The data range must come from the truth, never from the prediction. `needs` names what the target also gets, by keyword:
    'geometry' (of the volume and of the views), 'silhouettes' (of photographs: as rendered, and true), or one of the case's facts,
    such as 'mu_water' [1/mm] or 'sphere' (centre x y z and radius [mm]); cases without it are not scored. Raise `revision` whenever
    values change.
    """

    name: str  # the column, e.g. 'psnr' becomes volume_psnr
    kind: Literal["volume", "projection"]
    target: Target
    unit: str = ""
    higher_is_better: bool = True
    summary: str = ""
    revision: int = 1
    protocol: str = "strict"  # whose evaluation it repeats; what `reevaluate --protocols` names
    needs: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReporterSpec:
    """Writes something from finished records: `target(results) -> list[Path]`, where results is a benchmark.store.Results."""

    name: str
    target: Target
    summary: str = ""


# -- runs ---------------------------------------------------------------------------------------------------------------

Status = Literal["ok", "failed", "skipped"]
SCHEMA_VERSION = 2  # 2: metric versions, counters, volume digest, command, reevaluated; records of version 1 stay readable


# Where these are unset, runs are named as before there were any.
_LATER = {"budget_steps": None, "budget_samples": None, "budget_projections": None, "weights_digest": ""}


class RunSpec(BaseModel):
    """One run, fully resolved: what to load, what to run, with which numbers. Its `id` is a hash of all of it."""

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
    weights_digest: str = ""  # of the weights file that `method_params` names, for a method that was fitted to other scans

    @property
    def budget(self) -> Budget:
        """What the run may use up."""
        return Budget(self.budget_seconds, self.budget_steps, self.budget_samples, self.budget_projections)

    @property
    def id(self) -> str:
        """Readable prefix + 12 hex digits of the hash of every field."""
        later = {name for name, unset in _LATER.items() if getattr(self, name) == unset}
        content = self.model_dump(mode="json", exclude=later)
        if self.weights_digest:
            del content["method_params"]["weights"]  # what is in the file counts, not where it lies
        text = json.dumps(content, sort_keys=True)
        views = self.dataset_params.get("views")
        count = views if isinstance(views, int) else len(views or ())
        return f"{self.dataset}-{count}v-{self.method}-s{self.seed}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


class CurvePoint(BaseModel):
    """One snapshot during a run, scored after the run ended (the method never sees a score)."""

    step: int
    seconds: float  # [s] of method time
    volume_psnr: float | None = None  # [dB]
    loss: float | None = None


class RunRecord(BaseModel):
    """What is kept of one attempt at one run; one JSON file each."""

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
    pretrained: dict[str, Any] = {}  # digest of the weights that were used and what they were fitted to; empty = fitted to this scan alone
    command: str = ""  # the command line of the sweep
    reevaluated: dict[str, Any] = {}  # for metrics that were computed again later: when, by which code, from which attempt
    started: str = ""  # ISO 8601, UTC
    log_tail: str = ""
