"""Mixture of what other methods reconstruct from the same scan."""

from __future__ import annotations

from benchmark.api import Field, MethodSpec, Params, hookimpl

FIELDS = ("gaussians", "naf", "zerorf")


class BlendParams(Params):
    """Parameters of the mixture: how long each field is fitted. The other parameters of its parts have their defaults."""

    gaussians: int | None = Field(None, ge=0, description="steps of gaussians; none = its own number, 0 = without it")
    naf: int | None = Field(None, ge=0, description="steps of naf; none = its own number, 0 = without it")
    zerorf: int | None = Field(None, ge=0, description="steps of each field of zerorf; none = its own number, 0 = without it")


@hookimpl
def register_methods() -> list[MethodSpec]:
    return [
        MethodSpec(
            name="blend",
            target="benchmark.methods.blend.reconstruct:reconstruct",
            params=BlendParams,
            presets={"quick": {"naf": 0, "zerorf": 0}},
            parts=("fista_tv", *FIELDS),
            skip="benchmark.fields:skip_reason",
            summary="half the mean of gaussians, naf and zerorf, half a fit with total variation that spares the edges of that mean",
            tags=("regularised", "neural", "gaussian"),
            cite="Breiman, Mach. Learn. 24 (1996) 49, Stacked regressions, doi 10.1007/BF00117832",
        )
    ]
