"""Specs: declarations of methods, datasets, metrics and reporters by plug-ins."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from benchmark.scan.scan import Composite


class Params(BaseModel):
    """Base class of every parameter model (pydantic): values are frozen, unknown keys are errors.

    Give each field a type, a default, bounds and a description with its unit; plans and `--set` are checked against them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


TvWeight = Annotated[float, Field(ge=0, le=1000)] | Literal["auto"]  # of the TV problem, a pure number; auto = chosen from the scan alone
"""Type of a parameter that weighs total variation: a pure number 0 .. 1000 (see TvProblem), or 'auto' to choose it from the scan alone."""


class DatasetParams(Params):
    """Parameters that every dataset understands. Subclass it, add keys, and change defaults where the dataset needs others."""

    size: int = Field(64, ge=4, le=4096, description="voxels along the longest edge of the reconstruction grid")
    views: int | tuple[int, ...] = Field(
        50, description="number of training views, evenly spaced over the arc, or explicit indices into the full acquisition"
    )
    heldout: int = Field(24, ge=0, description="number of held-out views, seeded and disjoint from every training subset")
    photons: float | None = Field(None, gt=0, description="photons per pixel of the unattenuated beam (Poisson noise); none = noise-free")
    electronic: float = Field(0.0, ge=0, description="standard deviation of the electronic (Gaussian) noise [photons]")
    data_seed: int = Field(0, ge=0, description="seed of the noise and of the choice of held-out views")


Target = Callable[..., Any] | str


def resolve(target: Target) -> Callable[..., Any]:
    """Return the callable behind a target: the target itself, or 'package.module:name', imported only now."""
    if callable(target):
        return target
    module, _, name = target.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class MethodSpec:
    """Declaration of a reconstruction method, returned by the hook `register_methods`.

    A target is a callable or 'package.module:name', which is imported only when a run needs it.

    - `target(scan, params, run) -> Reconstruction` reconstructs.
    - `presets` maps a preset's name to the parameter values that replace the defaults.
    - `skip(scan, params) -> str | None` returns the reason why the method cannot reconstruct a scan; the run is then skipped.
    - `requires` lists modules that must be importable; the run is skipped where one is missing.
    - `composites` lists the kinds of views that the method understands (see Composite); scans of other kinds are skipped.
    - `pieces` declares that the method stays within `run.memory_bytes`. Other methods are skipped where `--memory` is less than the
      scan and the volume need.
    - `fit(scans, params, run) -> dict` trains on other scans (the command `fit`). A run whose parameter `weights` names the resulting
      file finds its content in `run.weights` and counts as pretrained.
    - `field(state, params, geometry)` turns a checkpoint's state into a function from positions [M, 3] (x y z [mm]) to attenuation
      [M] [1/mm], for the commands `render` and `volume`.
    - `revision` must be raised whenever results change: it is part of each run's identity.
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
    fit: Target | None = None
    pieces: bool = False
    cite: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """Declaration of a dataset, returned by the hook `register_datasets`.

    - `target(params) -> Case` loads or simulates a case; `params` is a subclass of DatasetParams.
    - `prepare(params, progress) -> None` downloads and converts in advance; it reports with `progress(done, total, text)`.
    - `opens` maps `scan` (for `--scan PATH`) or `volume` (for `--volume PATH`) to a function `(path) -> bool` that recognises the
      dataset's own files. The params then need a key `path`.
    - `requires` lists modules that must be importable.
    - `licence` and `cite` are shown wherever the data are.
    - `revision` must be raised whenever the data change: it is part of each run's identity.
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
    """Declaration of a score, returned by the hook `register_metrics`.

    - `target(prediction, truth) -> float | None` scores volumes [z, y, x] (kind 'volume') or projections [view, v, u] (kind
      'projection'); None means that the score does not apply. Take the data range from the truth, never from the prediction.
    - `needs` names further keyword arguments of the target: 'geometry' (of the volume and of the views), 'silhouettes' (of
      photographs: rendered and true), or one of the case's facts, such as 'mu_water' [1/mm] or 'sphere' (centre x y z and radius [mm]).
      Cases without them are not scored. Kind 'projection' may also need 'valid': Scan.valid, or None where every pixel counts; in
      other pixels the prediction is replaced by the truth.
    - `revision` must be raised whenever values change.
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
    """Declaration of a reporter, returned by the hook `register_reporters`.

    `target(results) -> list[Path]` writes files from finished runs and returns their paths; `results` is a Results.
    """

    name: str
    target: Target
    summary: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeedSpec:
    """Measurements of a method's speed for the command `speed`, during development; at least one of the two.

    `name` is the method's. `ratios() -> dict` adds ratios to `speed`, by name: each a number, or two callables to compare (ours and the
    alternative). `training_step(device, size) -> (step, others)` adds rows to `speed --device cuda`: a function that takes one step of
    training with the defaults on a made-up scan of size^3 voxels, and functions by name that make the same step by other software;
    these may raise MissingDependency.
    """

    name: str
    ratios: Target | None = None
    training_step: Target | None = None
