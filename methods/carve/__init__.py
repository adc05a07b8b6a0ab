"""Carve: a visual hull and back-projected values, refined by 3-D U-Nets and turned into one Gaussian for each voxel of the hull."""

from __future__ import annotations

from typing import Literal

from benchmark.api import Field, MethodSpec, Params, hookimpl


class CarveParams(Params):
    """Parameters of carving. Lengths are in voxels of the carving grid, so that they suit any scan."""

    voxels: int = Field(32, ge=4, description="voxels along the longest edge of the carving grid (at most the volume's own)")
    values: Literal["sart", "fdk", "plain"] = Field(
        "sart", description="back-projected values: residuals one view after the other (SART), filtered (circular orbits), or unfiltered"
    )
    threshold: float = Field(
        2e-3, gt=0, lt=1, description="without masks a silhouette is where a view exceeds this part of the largest line integral"
    )
    occluded: float = Field(
        0.25,
        gt=0,
        le=1,
        description="photographs: weight of a camera's colour where the hull hides the voxel from it; 1 = as where it sees it",
    )
    networks: int = Field(2, ge=0, description="3-D U-Nets, one after the other; 0 = the carving as it is")
    levels: int = Field(3, ge=1, le=6, description="resolutions of each U-Net")
    channels: int = Field(8, ge=1, description="channels at the finest resolution; twice as many at each coarser one")
    norm: Literal["none", "group", "batch"] = Field("none", description="normalisation after each convolution of the U-Nets")
    bottleneck: int = Field(
        0, ge=0, le=4096, description="numbers of a fully connected code of the whole grid at the coarsest resolution; 0 = none"
    )
    features: int = Field(8, ge=5, description="numbers of each voxel that the U-Nets hand on: value, occupancy, colours and others")
    hidden: int = Field(32, ge=1, description="units of the network that makes a Gaussian of a voxel's features")
    steps: int = Field(300, ge=1, description="optimiser steps (of a fit to one scan, or over many)")
    views: int = Field(5, ge=1, description="random views a step")
    loss: Literal["l1", "l2"] = Field("l1", description="absolute or squared residual of line integrals or colours")
    sharpen: float = Field(
        0.7, ge=0, le=1, description="power of the ramp filter on the residual, falling to 0, so that detail converges too; 0 = none"
    )
    ssim: float | None = Field(
        None, ge=0, description="weight of 1 - SSIM of the views, relative to the residual's; none = 0, or 0.2 for photographs"
    )
    iou: float = Field(1.0, ge=0, description="weight of 1 - intersection over union of the silhouettes (photographs)")
    tv: float | None = Field(
        None, ge=0, description="weight of the total variation of the mixture on the carving grid; none = 0.25 / views of the scan"
    )
    learning_rate: float = Field(3e-3, gt=0, description="Adam's learning rate at the start")
    decay: float = Field(0.1, ge=0, le=1, description="learning rate at the end over the one at the start (cosine between)")
    width: float = Field(
        0.45, gt=0, description="standard deviation of a Gaussian before training [carving voxels]; its logarithm is the scale offset"
    )
    stretch: float = Field(1.0, ge=0, le=5, description="natural logarithm of the most that training may change a standard deviation by")
    reach: float = Field(1.0, ge=0, description="farthest that a Gaussian may move from its voxel's centre [carving voxels]")
    prune: float = Field(0.01, ge=0, description="voxels of less attenuation (relative to the scan's mean) or opacity have no Gaussian")
    min_gaussians: int = Field(0, ge=0, description="keep the strongest so many (if the hull has them), though `prune` asks for fewer")
    max_gaussians: int | None = Field(None, ge=1, description="keep only the strongest so many, in training too; none = all")
    cutoff: float = Field(1e-3, gt=0, lt=1, description="a ray sees a Gaussian where it is more than this, relative to its peak")
    seen: int | None = Field(
        None, ge=1, description="views that the networks get in a fit to many scans; all views hold their mixture to account; none = all"
    )
    augment_angle: float = Field(0.0, ge=0, le=180, description="in a fit to many scans: most that a step turns its scan about z [deg]")
    augment_centre: float = Field(0.0, ge=0, le=8, description="likewise: most that it is moved along each axis [carving voxels]")
    augment_colour: float = Field(0.0, ge=0, lt=1, description="likewise: most that a colour channel is brightened or darkened, relative")
    weights: str | None = Field(None, description="file that `fit` wrote: the networks are then applied as they are, without any step")
    refine: int | None = Field(
        None, ge=0, description="SART corrections (one view each) of the volume at the end; none = 50, or 0 with weights"
    )


SPEC = MethodSpec(
    name="carve",
    target="benchmark.methods.carve.reconstruct:reconstruct",
    field="benchmark.methods.carve.reconstruct:restored_field",
    gaussians="benchmark.methods.carve.reconstruct:restored_gaussians",
    fit="benchmark.methods.carve.fit:fit",
    skip="benchmark.fields:skip_reason",
    composites=("sum", "over"),
    params=CarveParams,
    revision=4,  # 2: photographs hold logits of opacities back; 3: nothing is seen outside of masks; 4: visible colours weigh more
    summary="visual hull refined by 3-D U-Nets, one Gaussian for each voxel, fitted through closed-form line integrals",
    presets={
        "fast": {"voxels": 16, "steps": 150},
        "fine": {"voxels": 48, "steps": 400},
        "no_unet": {"networks": 0},
        "sequence": {"networks": 1, "norm": "group", "steps": 700},  # for a fit to the frames of a sequence
    },
    tags=("neural", "gaussian"),
    cite="Laurentini 1994, The visual hull concept, doi 10.1109/34.273735; Ronneberger et al. 2015, U-Net, arXiv 1505.04597",
)


@hookimpl
def register_methods() -> list[MethodSpec]:
    return [SPEC]
