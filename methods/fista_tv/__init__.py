"""Total-variation regularised, non-negative least squares, solved by FISTA: the strongest classical baseline."""

from __future__ import annotations

from benchmark.api import Engine, Field, Fine, MethodSpec, Params, TvWeight, hookimpl


class FistaTvParams(Params):
    """Parameters of FISTA-TV: the objective and the stopping rule."""

    weight: TvWeight = Field(
        "auto",
        description="weight of the total variation, a pure number (scaled by the mean attenuation and by A): 0.0003 .. 0.05 are usual; "
        "auto = chosen from the scan alone, by views held back and by resolution",
    )
    iterations: int = Field(
        300,
        ge=1,
        le=100_000,
        description="most FISTA steps on each grid; volumes of more than 64 voxels along an edge begin on coarser ones",
    )
    tolerance: float = Field(
        1e-4, ge=0, lt=1, description="the fit ends when the objective falls by less than this part over ten steps; 0 = never"
    )
    inner: int = Field(
        5, ge=1, le=1000, description="steps of the total variation's proximal operator per FISTA step, each continuing the last one's"
    )
    nonnegative: bool = Field(True, description="attenuation is at least 0")
    engine: Engine = "auto"
    fine: Fine = False


@hookimpl
def register_methods() -> list[MethodSpec]:
    return [
        MethodSpec(
            name="fista_tv",
            target="benchmark.methods.fista_tv.reconstruct:reconstruct",
            memory="benchmark.methods.fista_tv.memory:needed",
            params=FistaTvParams,
            summary="non-negative least squares with isotropic 3-D total variation, its weight chosen from the scan alone",
            revision=3,
            tags=("classical", "regularised"),
            presets={"tigre": {"engine": "tigre"}},
            deterministic=True,
            cite="Beck and Teboulle, IEEE Trans. Image Process. 18 (2009) 2419, doi 10.1109/TIP.2009.2028250",
        )
    ]
