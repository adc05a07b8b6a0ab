"""Specs: declarations of methods, datasets, metrics, reporters and scan formats by plug-ins."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from benchmark.scan.scan import Composite


class Params(BaseModel):
    """Base class of every parameter model (pydantic): values are frozen, unknown keys are errors.

    Give each field a type, a default, bounds and a description with its unit; plans and `--set` are checked against them.
    `later` names parameters that came after results were stored, with the values under which nothing has changed: these are left out of
    dumps, so run ids stay. A subclass names its own alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    later: ClassVar[Mapping[str, Any]] = {}

    @model_serializer(mode="wrap")
    def _without_later(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        later = {key: value for kind in reversed(type(self).__mro__) for key, value in vars(kind).get("later", {}).items()}
        unchanged = {key for key, value in later.items() if getattr(self, key) == value}
        return {key: value for key, value in handler(self).items() if key not in unchanged}


TvWeight = Annotated[float, Field(ge=0, le=1000)] | Literal["auto"]  # of the TV problem, a pure number; auto = chosen from the scan alone
"""Type of a parameter that weighs total variation: a pure number 0 .. 1000 (see TvProblem), or 'auto' to choose it from the scan alone."""


Fine = Annotated[
    bool, Field(description="reconstruct on voxels of half the size and average: better with many views, in 8 times the time and memory")
]
"""Type of the parameter `fine`: whether to reconstruct on voxels of half the size (see on_finer_grid)."""


Heldout = Annotated[int, Field(ge=0)] | tuple[Annotated[int, Field(ge=0)], ...]
"""Type of the parameter `heldout`: a number of held-out views, or their indices."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Offer:
    """Contents of a user's data: the meaning of `views: all` and `size: native`, and the views that exist.

    - `name`: of the case; '' = the dataset's name.
    - `total`: views to which explicit indices refer.
    - `simulated`: any number of views can be made; `all` is then the dataset's default.
    - `training`: indices of the views that training subsets are taken from; None = all that are not in `heldout`.
    - `heldout`: views that the owner holds out; None = they are drawn from the others.
    - `frames() -> int` counts the frames of a sequence, which the parameter `frame` picks one of; None = there is no sequence.
    - `native() -> dict` returns the parameters that `size: native` stands for; None = the dataset's default size.
    - `outline(params) -> str` describes the case of these parameters in one line, as `Case.outline`; None = only loading it tells.
    """

    name: str = ""
    total: int
    simulated: bool = False
    training: tuple[int, ...] | None = None
    heldout: tuple[int, ...] | None = None
    frames: Callable[[], int] | None = None
    native: Callable[[], Mapping[str, Any]] | None = None
    outline: Callable[[Any], str] | None = None

    def pool(self, heldout: Heldout | None = None) -> tuple[int, ...]:
        """Return the indices of the views that training subsets are taken from; a list `heldout` replaces the owner's."""
        kept = set(heldout if isinstance(heldout, tuple) else self.heldout or ())
        whole = range(self.total) if self.training is None else self.training
        return tuple(index for index in whole if index not in kept)

    def all_views(self, usual: int, heldout: Heldout | None = None) -> int:
        """Return the number of training views that `all` stands for: the pool, less the held-out views that have to come from it.

        Without `heldout`, `usual` views are held out, but no more than an eighth of the views.
        """
        pool = self.pool(heldout)
        if isinstance(heldout, tuple) or self.heldout is not None:
            return max(1, len(pool))
        wanted = min(usual, self.total // 8) if heldout is None else heldout
        return max(1, len(pool) - max(0, wanted - (self.total - len(pool))))


class DatasetParams(Params):
    """Parameters that every dataset understands. Subclass it, add keys, and change defaults where the dataset needs others.

    `views: all` and `size: native` become numbers when the parameters are made: those of `offer()`, or the defaults if it is None.
    """

    size: int = Field(64, ge=4, le=4096, description="voxels along the longest edge of the reconstruction grid; or native: the data's own")
    views: int | tuple[int, ...] = Field(
        50, description="number of training views, evenly spaced over the arc, or explicit indices into the full acquisition; or all"
    )
    heldout: Heldout = Field(24, description="number of held-out views, seeded and disjoint from every training subset; or their indices")
    photons: float | None = Field(None, gt=0, description="photons per pixel of the unattenuated beam (Poisson noise); none = noise-free")
    electronic: float = Field(0.0, ge=0, description="standard deviation of the electronic (Gaussian) noise [photons]")
    data_seed: int = Field(0, ge=0, description="seed of the noise and of the choice of held-out views")

    def offer(self) -> Offer | None:
        """Return the contents of the user's data that these parameters name; None for data made to measure. Raise InputError."""
        return None

    @model_validator(mode="before")
    @classmethod
    def _in_numbers(cls, values: Any) -> Any:
        named = isinstance(values, dict) and (values.get("views") == "all" or values.get("size") == "native")
        return in_numbers(cls, values) if named else values


def offer_of(model: type[DatasetParams], values: Mapping[str, Any]) -> Offer | None:
    """Return the offer for these values, whatever number of views they ask for. Raise InputError, or ValidationError for wrong values."""
    return model(**{key: value for key, value in values.items() if key not in ("size", "heldout")} | {"views": 1, "heldout": 0}).offer()


def in_numbers(model: type[DatasetParams], values: Mapping[str, Any], offer: Offer | None = None) -> dict[str, Any]:
    """Return the values with numbers in place of `views: all` and `size: native`; `offer` is that of the values, if known."""
    found = dict(values)
    offer = offer or offer_of(model, values)
    if found.get("views") == "all":
        del found["views"]
        if offer is not None and not offer.simulated:
            heldout = found.get("heldout")
            given = tuple(heldout) if isinstance(heldout, list | tuple) else heldout
            usual = model.model_fields["heldout"].default
            found["views"] = offer.all_views(usual if isinstance(usual, int) else 0, given)
    if found.get("size") == "native":
        del found["size"]
        if offer is not None and offer.native is not None:
            found = {**offer.native(), **found}
    return found


Target = Callable[..., Any] | str
TAGS = ("classical", "regularised", "neural", "gaussian", "pretrained")  # usual tags of methods


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
    - `tags` place the method among others: those of TAGS where they fit, or words of its own. `--methods @neural` selects by them.
    - `deterministic` declares that the seed changes nothing: the method runs once, whatever the number of seeds.
    - `parts` names the other methods that this one runs by `run_part`: their code counts as part of its own.
    - `pieces` declares that the method stays within `run.memory_bytes`. Other methods are skipped where `--memory` is less than the
      scan and the volume need.
    - `memory(scan, params) -> float` estimates the bytes that a run takes at its peak on a CPU, beside those of an idle process. A run
      that would take more than `--memory`, or than is free, is skipped and says so.
    - `fit(scans, params, run) -> dict` trains on other scans (the command `fit`), judged by `run.validation` if that is given; it goes
      on from `run.weights` (`--load`). A run whose parameter `weights` names the resulting file finds its content in `run.weights` and
      counts as pretrained.
    - `continues` declares that the state in a run's checkpoint may be the `weights` of another run, which then starts from it: the frames
      of a time series, by the command `series`.
    - `field(state, params, geometry)` turns a checkpoint's state into a function from positions [M, 3] (x y z [mm]) to attenuation
      [M] [1/mm], for the commands `render` and `volume`.
    - `gaussians(state, params, geometry) -> dict` turns it into Gaussians, named as in Reconstruction.arrays, for `render` in colour.
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
    gaussians: Target | None = None
    fit: Target | None = None
    parts: tuple[str, ...] = ()
    memory: Target | None = None
    continues: bool = False
    pieces: bool = False
    tags: tuple[str, ...] = ()
    deterministic: bool = False
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScanFormatSpec:
    """Declaration of the files that a scanner or a program leaves beside its images, returned by the hook `register_scan_formats`.

    `new-scan` writes a scan.yaml from them.

    - `recognises(folder) -> list[Path]` returns the files of this format in a folder, one for each scan; an empty list if there are none.
      It must be cheap: look at names, and at most at the beginning of a file.
    - `read(path) -> ScanDraft` reads one of these files. It raises InputError, naming file and key, for a file that is not complete.
    - `requires` lists modules that must be importable.
    """

    name: str
    recognises: Target
    read: Target
    summary: str = ""
    requires: tuple[str, ...] = ()
    cite: str = ""
