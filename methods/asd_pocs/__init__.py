"""ASD-POCS: corrections by the data and steepest descent of the total variation in turn, the descent no longer than the corrections."""

from __future__ import annotations

from benchmark.api import Engine, Field, MethodSpec, Params, hookimpl


class AsdPocsParams(Params):
    """Parameters under their published names; lengths of steps are Euclidean norms of the volume."""

    iterations: int = Field(100, ge=1, le=100_000, description="passes, each of corrections with all views and of descent")
    beta: float = Field(1.0, gt=0, lt=2, description="part of each correction that is applied in the first pass")
    beta_red: float = Field(0.995, gt=0, le=1, description="factor on beta from pass to pass")
    alpha: float = Field(0.2, gt=0, description="length of a step of descent over that of all corrections, in the first pass")
    alpha_red: float = Field(
        0.95, gt=0, lt=1, description="factor on the length of a step after a pass in which descent went too far for the data"
    )
    rmax: float = Field(
        0.95,
        gt=0,
        description="too far: by more than this part of what the corrections moved the volume, while the residual is above epsilon",
    )
    ng: int = Field(20, ge=1, le=1000, description="steps of descent in each pass")
    epsilon: float | None = Field(
        None,
        ge=0,
        description="root mean square residual that the data allow (line integrals have no unit); none = by the rule: the noise seen in "
        "the scan's own pixels, and at least what a voxel grid leaves of noise-free data",
    )
    smoothing: float = Field(
        1e-3, gt=0, description="gradients below this part of the volume's root mean square count quadratically, so that 0 has a derivative"
    )
    subset: int = Field(1, ge=1, description="views corrected together; 1 = one after the other, as published for rays")
    nonnegative: bool = Field(True, description="set negative attenuation to 0 after each correction")
    engine: Engine = "auto"


@hookimpl
def register_methods() -> list[MethodSpec]:
    return [
        MethodSpec(
            name="asd_pocs",
            target="benchmark.methods.asd_pocs.reconstruct:reconstruct",
            params=AsdPocsParams,
            summary="adaptive steepest descent of total variation between projections onto convex sets (the data, non-negativity)",
            tags=("classical", "regularised"),
            presets={"tigre": {"engine": "tigre"}},
            deterministic=True,
            cite="Sidky and Pan, Phys. Med. Biol. 53 (2008) 4777, doi 10.1088/0031-9155/53/17/021",
        )
    ]
