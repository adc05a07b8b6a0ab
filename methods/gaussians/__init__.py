"""Gaussians: a mixture of 3-D Gaussians, fitted to the line integrals or to the maximum projections of one scan."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from benchmark.api import Field, InputError, MethodSpec, Params, hookimpl, read_swc


class GaussiansParams(Params):
    """Parameters of the Gaussian mixture. Lengths are in voxels (the mean edge), so that they suit any scan."""

    start: Literal["fdk", "sart", "bound", "depths", "random", "swc"] | None = Field(
        None,
        description="Gaussians start where an FDK, a SART pass or (maxima) the least of the views sees something, at the depths of the "
        "maxima, anywhere, or along a neuron; none = swc if there is one, else for maxima depths if known, else bound; else sart",
    )
    swc: str | None = Field(None, description="an SWC file: the neuron (nodes and radii) that the Gaussians start along (start: swc)")
    swc_scale: float = Field(1.0, gt=0, description="the scan's unit of length in one of the file's (SWC: micrometres by custom)")
    swc_origin: Literal["middle", "corner"] = Field("middle", description="where the file's 0, 0, 0 lies in the volume's box")
    swc_digest: str = Field("", description="of the file's content; filled in, so that another file of that name is another run")
    init_scale: float | None = Field(
        None, gt=0, description="standard deviation of every Gaussian at the start [voxels]; none = by the distance to its neighbours"
    )
    init_amplitude: float | None = Field(
        None,
        gt=0,
        description="amplitude of every Gaussian at the start, relative to the largest pixel (maxima) or the mean attenuation (line "
        "integrals); none = the start's own, all times the factor that fits the views",
    )
    gaussians: int | None = Field(None, ge=1, description="Gaussians at the start; none = one for 20 voxels or 14 pixels")
    cap: int | None = Field(None, ge=1, description="most Gaussians at any time; none = twice those at the start, or those of the weights")
    steps: int = Field(600, ge=1, description="optimiser steps")
    views: int = Field(5, ge=1, description="random views a step")
    loss: Literal["l1", "l2"] = Field("l1", description="absolute or squared residual of the projections")
    temperature: float = Field(
        0.005, gt=0, description="of the soft maximum that is fitted to maximum projections, relative to their largest value"
    )
    sharpen: float = Field(
        1.0, ge=0, le=1, description="power of the ramp filter on the residual of line integrals, falling to 0, so that detail converges"
    )
    ssim: float = Field(0.0, ge=0, description="weight of 1 - SSIM of the projections, relative to the residual's")
    tv: float | None = Field(
        None, ge=0, description="weight of the total variation of the mixture on a random block of voxels; none = from the scan alone"
    )
    tv_block: int = Field(20, ge=2, description="edge of that block [voxels]")
    depth: float = Field(
        0.3, ge=0, description="weight of the maxima at their depths, where the scan has depths, relative to the residual's"
    )
    depth_points: int = Field(256, ge=1, description="random maxima a step that this weight is for")
    scale: float = Field(0.0, ge=0, description="weight of the mean standard deviation of the Gaussians [voxels]")
    means_rate: float = Field(0.25, ge=0, description="Adam's learning rate of the means [voxels]; for maxima 0.6 of each rate")
    scales_rate: float = Field(0.1, ge=0, description="Adam's learning rate of the log scales")
    quaternions_rate: float = Field(0.05, ge=0, description="Adam's learning rate of the quaternions")
    amplitudes_rate: float = Field(0.15, ge=0, description="Adam's learning rate of the log amplitudes")
    decay: float = Field(0.1, gt=0, le=1, description="learning rates at the end over those at the start (exponential between)")
    smallest: float = Field(0.3, gt=0, description="smallest standard deviation [voxels]")
    largest: float = Field(8.0, gt=0, description="largest standard deviation [voxels]")
    every: int = Field(100, ge=1, description="steps between two rounds of density control (clone, split, prune)")
    until: float = Field(0.6, ge=0, le=1, description="fraction of the steps after which there are no more rounds")
    grow: float = Field(0.2, ge=0, description="most Gaussians that a round adds, relative to those there are (those pulled most)")
    split: float = Field(1.0, gt=0, description="standard deviation above which a Gaussian is split rather than cloned [voxels]")
    prune: float = Field(0.01, ge=0, description="smallest amplitude that survives a round, relative to the scan's mean attenuation")
    cutoff: float = Field(4e-3, gt=0, lt=1, description="a ray sees a Gaussian where it is more than this, relative to its peak")
    refine: int | None = Field(
        None,
        ge=0,
        description="SART corrections (five views each) at the end, on a grid twice as fine; 0 = as fitted; none = 80, fewer in noise",
    )

    fine: bool = Field(
        False, description="keep the volume on the grid of these corrections, and render held-out views from it: no time, 8 times the disk"
    )
    weights: str | None = Field(
        None,
        description="file that `fit` or `series` wrote: the Gaussians start as these are (those of the frame before), whatever start, "
        "gaussians and init_... say",
    )

    later: ClassVar[Mapping[str, Any]] = {
        "init_scale": None,
        "init_amplitude": None,
        "weights": None,
        "depth": 0.3,
        "depth_points": 256,
        "fine": False,
    }

    @model_validator(mode="before")
    @classmethod
    def _know_the_file(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not values.get("swc") or values.get("swc_digest"):
            return values
        path = Path(str(values["swc"]))
        return {**values, "swc_digest": hashlib.sha256(path.read_bytes()).hexdigest()[:16]} if path.is_file() else values

    @model_validator(mode="after")
    def _a_neuron(self) -> GaussiansParams:
        if self.swc is None:
            if self.start == "swc":
                raise InputError("swc", expected="a file, with start: swc", found="none", fix="Give it: --set gaussians.swc=neuron.swc.")
            return self
        if self.start not in (None, "swc"):
            raise InputError("start", expected="swc (or none), with an SWC file", found=f"{self.start}")
        read_swc(Path(self.swc))  # what is wrong with it is said before anything runs
        digest = hashlib.sha256(Path(self.swc).read_bytes()).hexdigest()[:16]
        if digest != self.swc_digest:
            raise InputError(f"swc {self.swc}", expected=f"the content that was asked for, {self.swc_digest}", found=f"{digest}")
        return self

    @model_validator(mode="after")
    def _agree(self) -> GaussiansParams:
        if self.smallest >= self.largest:
            raise ValueError(f"smallest ({self.smallest:g}) must be less than largest ({self.largest:g})")
        if self.init_scale is not None and not self.smallest <= self.init_scale <= self.largest:
            raise ValueError(
                f"init_scale ({self.init_scale:g}) must lie between smallest ({self.smallest:g}) and largest ({self.largest:g})"
            )
        if self.cap is not None and self.gaussians is not None and self.cap < self.gaussians:
            raise ValueError(f"cap ({self.cap}) must not be less than gaussians ({self.gaussians})")
        return self


SPEC = MethodSpec(
    name="gaussians",
    revision=4,
    target="benchmark.methods.gaussians.reconstruct:reconstruct",
    memory="benchmark.methods.gaussians.memory:needed",
    field="benchmark.methods.gaussians.reconstruct:restored_field",
    fit="benchmark.methods.gaussians.reconstruct:fit",
    continues=True,
    composites=("sum", "max"),
    params=GaussiansParams,
    presets={"fine": {"steps": 1500}},
    summary="3-D Gaussian mixture fitted through closed-form line integrals or maxima",
    tags=("gaussian",),
    cite="Zha et al. 2024, R2-Gaussian: Rectifying radiative Gaussian splatting for tomographic reconstruction, arXiv 2405.20693",
)


@hookimpl
def register_methods() -> list[MethodSpec]:
    return [SPEC]
