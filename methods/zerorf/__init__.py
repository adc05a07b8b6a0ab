"""ZeroRF for X-rays: a vector-matrix field whose planes and lines a convolutional decoder makes from frozen noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import model_validator

from benchmark.api import Field, MethodSpec, SpeedSpec, TvWeight, hookimpl
from benchmark.fields import FieldParams, Growth, Precision

MEMBERS_TIMES_VIEWS, MOST_MEMBERS = 40, 4
STEPS, STEPS_BEFORE_FINETUNING = 220, 110
FINETUNE, FINETUNED_VIEWS = 200, 15


class ZeroRFParams(FieldParams):
    """Parameters of ZeroRF-DIP."""

    later: ClassVar[Mapping[str, Any]] = {"views_end": None, "growth": (50, 100)}

    render: Literal["grid", "rays"] = Field("grid", description="project the voxel grid, or march rays (as published)")
    members: int | None = Field(
        None,
        ge=1,
        description="fields from different frozen noise, trained one after the other, whose mean is the volume; none = 40 / views of "
        "the scan, 1 to 4, or 1 where they are fine-tuned: the fewer views, the more is the noise's own",
    )
    steps: int | None = Field(
        None, ge=1, description="optimiser steps of the generator of each member; none = 220, or 110 where fine-tuning follows"
    )
    finetune: int | None = Field(
        None,
        ge=0,
        description="steps after those, in which planes, lines and network are fitted themselves, without the generator, by 20 batches of "
        "random rays each; none = 200 for 15 and more views, else 0: the more the data say, the less is left to the generator",
    )
    finetune_rays: int = Field(256, ge=1, description="rays of each batch of fine-tuning")
    coarse: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="fraction of the steps on the half-resolution grid and detector; above 128 voxels more, on coarser ones (render: grid)",
    )
    sharpen: float = Field(
        0.7, ge=0, le=1, description="power of the ramp filter on the residual, so that detail converges too; 0 = none (grid)"
    )
    views: int | None = Field(None, ge=1, description="random views a step at first; none = all (render: grid)")
    views_end: int | None = Field(None, ge=1, description="random views a step in the end; none = as at first (render: grid)")
    rays: int = Field(4096, ge=1, description="rays a step at first (render: rays)")
    rays_end: int = Field(16384, ge=1, description="rays a step in the end (render: rays)")
    growth: Growth = Field((50, 100), description="steps at which rays, or views, grow by equal factors until they are those of the end")
    tensors: Literal["xy z yz x zx y", "xyz xyz"] = Field(
        "xy z yz x zx y",
        description="planes and lines (vector-matrix), or 3-D tensors of which the second is repeated (frequency-factorised)",
    )
    bands: tuple[Annotated[float, Field(gt=0, le=2)] | None, ...] = Field(
        (None, 0.4),
        min_length=1,
        description="of each 3-D tensor: edge of a tile over half of the box's; none = one tile (tensors: xyz xyz)",
    )
    noise: Annotated[int, Field(ge=1)] | Literal["detector"] | None = Field(
        None,
        description="cells of the frozen noise along the longest edge; none = as the volume needs; "
        "detector = a 40th of the detector's pixels, 4 to 20, as published",
    )
    noise_channels: int = Field(8, ge=1, description="channels of the frozen noise")
    upsampling: Literal["linear", "nearest"] = Field("linear", description="how the decoder doubles the resolution; published: nearest")
    channels: tuple[int, ...] = Field((32, 32, 32, 32, 16), min_length=1, description="decoder channels; resolution doubles between two")
    blocks: int = Field(1, ge=1, description="residual blocks at each resolution")
    attention: bool = Field(False, description="self-attention between two residual blocks at the coarsest level, as published")
    precision: Precision = Field("float32", description="of the decoder's convolutions; float16 scales the loss and needs CUDA")
    reduction: Literal["concatenate", "sum"] = Field(
        "concatenate", description="of the features of the pairs of plane and line, or of the 3-D tensors"
    )
    features: int = Field(16, ge=1, description="channels of each plane and line, or 3-D tensor")
    hidden: int = Field(32, ge=1, description="units of each hidden layer of the network")
    layers: int = Field(3, ge=1, description="linear layers of the network")
    activation: Literal["softplus", "exp"] = Field("softplus", description="of the network's output; exp = TruncExp, as published")
    bias: float = Field(0.0, description="added to the network's output; at 0 the field starts at the mean attenuation of the scan")
    learning_rate: float = Field(2e-3, gt=0, description="AdamW's learning rate at the start")
    muon: float = Field(0.02, ge=0, description="Muon's learning rate for the convolutions; 0 = AdamW for all, as published")
    weight_decay: float = Field(0.2, ge=0, description="AdamW's weight decay")
    decay: float = Field(0.1, ge=0, le=1, description="learning rate at the end over the one at the start (cosine between)")
    average: float = Field(0.99, ge=0, lt=1, description="decay of the running mean of the weights that makes the volume; 0 = last weights")
    guided: TvWeight = Field(
        0.0,
        description="weight of total variation in a last fit of the volume that spares the field's edges, a pure number as tv's; "
        "auto = from the scan alone; 0 = no such fit",
    )
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")

    @model_validator(mode="after")
    def _agree(self) -> ZeroRFParams:
        if self.views_end is not None and self.views is None:
            raise ValueError("views_end needs views, the number to begin with: without it every step has all of them")
        return self

    def members_for(self, views: int) -> int:
        """Return the number of fields for a scan of so many views."""
        if self.members is not None:
            return self.members
        return 1 if self.finetuning_for(views) else min(MOST_MEMBERS, max(1, round(MEMBERS_TIMES_VIEWS / views)))

    def steps_for(self, views: int) -> int:
        """Return the steps of each field's generator for a scan of so many views."""
        if self.steps is not None:
            return self.steps
        return STEPS_BEFORE_FINETUNING if self.finetuning_for(views) else STEPS

    def finetuning_for(self, views: int) -> int:
        """Return the steps of each field without its generator for a scan of so many views."""
        return (FINETUNE if views >= FINETUNED_VIEWS else 0) if self.finetune is None else self.finetune


SPEC = MethodSpec(
    name="zerorf",
    revision=5,
    target="benchmark.methods.zerorf.reconstruct:reconstruct",
    memory="benchmark.methods.zerorf.memory:needed",
    field="benchmark.methods.zerorf.reconstruct:restored_field",
    composites=("sum", "max"),
    skip="benchmark.fields:skip_reason",
    params=ZeroRFParams,
    summary="ZeroRF-DIP: vector-matrix field generated from frozen noise (deep image prior)",
    presets={
        "paper": {
            "render": "rays",
            "members": 1,
            "steps": 10_000,
            "finetune": 0,
            "rays": 4096,
            "rays_end": 65_536,
            "samples": 256,
            "importance": 256,
            "noise": "detector",
            "noise_channels": 8,
            "channels": (256, 128, 64, 64, 32),
            "blocks": 2,
            "attention": True,
            "upsampling": "nearest",
            "features": 16,
            "reduction": "concatenate",
            "hidden": 64,
            "layers": 2,
            "activation": "exp",
            "learning_rate": 2e-3,
            "muon": 0.0,
            "weight_decay": 0.2,
            "decay": 0.0,
            "clip": 1.0,
            "average": 0.0,
            "refine": 0,
        },
        "fast": {},  # the defaults: the quickest way found to the same quality on a CPU
        "tv": {"tv": "auto"},
        "guided": {"guided": "auto"},
    },
    tags=("neural",),
    cite="Shi, Wei, Wang, Su 2024, ZeroRF: Fast sparse view 360 reconstruction with zero pretraining, arXiv 2312.09249",
)


@hookimpl
def register_methods() -> list[MethodSpec]:
    return [SPEC]


@hookimpl
def register_speed() -> list[SpeedSpec]:
    return [
        SpeedSpec(
            name="zerorf", ratios="benchmark.methods.zerorf.speed:ratios", training_step="benchmark.methods.zerorf.speed:training_step"
        )
    ]
