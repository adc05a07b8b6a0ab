"""The specs by which plug-ins declare methods, datasets, metrics and reporters."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from benchmark.scan.scan import Composite


class Params(BaseModel):
    """Base of every parameter model: unknown keys are errors, values are frozen. Give each field a description with its unit."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
    [M], for `render` and `volume`. `fit(scans, params, run) -> dict` trains on other scans beforehand (`fit`); what it returns is
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
    """Writes something from finished records: `target(results) -> list[Path]`, where results is a benchmark.records.store.Results."""

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
