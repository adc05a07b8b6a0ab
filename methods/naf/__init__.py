"""NAF: a hash grid and a small network, fitted to the measured line integrals of one scan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from benchmark.api import Field, Fine, MethodSpec, SpeedSpec, hookimpl
from benchmark.fields import FieldParams, Growth, Precision


class NafParams(FieldParams):
    """Parameters of NAF. Sizes left empty follow the volume: the finest level has one cell a voxel."""

    later: ClassVar[Mapping[str, Any]] = {"rays_end": None, "views_end": None, "growth": (50, 100), "fine": False}

    render: Literal["rays", "grid"] = Field("rays", description="march random rays (as published), or project the field on the voxel grid")
    steps: int = Field(8000, ge=1, description="optimiser steps")
    epochs: int | None = Field(None, ge=1, description="steps for each view of the scan, as published; none = `steps` for any scan")
    rays: int = Field(256, ge=1, description="rays a step at first (render: rays)")
    rays_end: int | None = Field(None, ge=1, description="rays a step in the end; none = as at first (render: rays)")
    views: int = Field(10, ge=1, description="random views a step at first (render: grid)")
    views_end: int | None = Field(None, ge=1, description="random views a step in the end; none = as at first (render: grid)")
    growth: Growth = Field((50, 100), description="steps at which rays, or views, grow by equal factors until they are those of the end")
    levels: int | None = Field(None, ge=1, le=32, description="levels of the hash grid; none = one for each doubling from base to finest")
    base: int = Field(8, ge=1, description="cells along an edge of the coarsest level")
    finest: int | None = Field(None, ge=1, description="cells along an edge of the finest level; none = voxels along the longest edge")
    log2_entries: int = Field(19, ge=4, le=26, description="log2 of the rows a level may have before it hashes")
    hidden: int = Field(32, ge=1, description="units of each hidden layer")
    layers: int = Field(3, ge=1, description="linear layers of the network")
    skip: int | None = Field(None, ge=1, description="layer that also sees the encoding (published: 2)")
    activation: Literal["softplus", "exp", "sigmoid"] = Field("softplus", description="from the network's output to attenuation")
    engine: Literal["auto", "native", "tinycudann"] = Field(
        "auto", description="hash grid and network: auto = native on every machine; tinycudann = fused, in half precision (needs CUDA)"
    )
    precision: Precision = Field(
        "float32", description="of the network's products; float16 scales the loss and needs CUDA (engine: auto, native)"
    )
    fine: Fine = False
    learning_rate: float = Field(5e-3, gt=0, description="Adam's learning rate at the start")
    decay: float = Field(0.03, gt=0, le=1, description="learning rate at the end over the one at the start (exponential between)")

    @model_validator(mode="after")
    def _agree(self) -> NafParams:
        if self.skip is not None and self.skip >= self.layers:
            raise ValueError(f"skip must be less than layers = {self.layers}: there is no such layer")
        if self.engine == "tinycudann" and self.skip is not None:
            raise ValueError("skip has no counterpart in tiny-cuda-nn: leave it empty with engine=tinycudann")
        if self.engine == "tinycudann" and self.precision != "float32":
            raise ValueError("precision is tiny-cuda-nn's own: leave it at float32 with engine=tinycudann")
        return self

    def steps_for(self, views: int) -> int:
        """Return the number of optimiser steps for a scan of so many views."""
        return self.steps if self.epochs is None else self.epochs * views


SPEC = MethodSpec(
    name="naf",
    revision=3,
    target="benchmark.methods.naf.reconstruct:reconstruct",
    memory="benchmark.methods.naf.memory:needed",
    field="benchmark.methods.naf.reconstruct:restored_field",
    composites=("sum", "max"),
    skip="benchmark.fields:skip_reason",
    params=NafParams,
    summary="neural attenuation field: hash grid + MLP fitted by rays",
    presets={
        "paper": {
            "epochs": 1500,
            "rays": 1024,
            "samples": 192,
            "levels": 16,
            "base": 16,
            "finest": 16 * 2**15,
            "log2_entries": 19,
            "hidden": 32,
            "layers": 4,
            "skip": 2,
            "activation": "sigmoid",
            "learning_rate": 1e-3,
            "decay": 1.0,
            "refine": 0,
        },
        "fast": {},  # the defaults: the quickest way found to the same quality on a CPU
        "tv": {"tv": "auto"},
        "tcnn": {"engine": "tinycudann"},
    },
    tags=("neural",),
    cite="Zha, Zhang, Li 2022, NAF: Neural attenuation fields for sparse-view CBCT reconstruction, doi 10.1007/978-3-031-16446-0_42",
)


@hookimpl
def register_methods() -> list[MethodSpec]:
    return [SPEC]


@hookimpl
def register_speed() -> list[SpeedSpec]:
    return [SpeedSpec(name="naf", ratios="benchmark.methods.naf.speed:ratios", training_step="benchmark.methods.naf.speed:training_step")]
