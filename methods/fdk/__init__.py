"""FDK: filtered backprojection for circular cone-beam orbits."""

from __future__ import annotations

from typing import Literal

from benchmark.api import Engine, Field, MethodSpec, Params, hookimpl


class FdkParams(Params):
    """Parameters of FDK: the window on the ramp filter."""

    filter: Literal["ram-lak", "shepp-logan", "cosine", "hamming", "hann"] = Field("hann", description="window on the ramp filter")
    cutoff: float = Field(1.0, gt=0, le=1, description="end of the window, relative to Nyquist of the coarser of voxels and pixels")
    nonnegative: bool = Field(True, description="set negative attenuation to 0 at the end")
    engine: Engine = Field(
        "auto", description="FDK used: auto = native on every machine; tigre = TIGRE's own with this filter, without cutoff (needs CUDA)"
    )


@hookimpl
def register_methods() -> list[MethodSpec]:
    return [
        MethodSpec(
            name="fdk",
            target="benchmark.methods.fdk.reconstruct:reconstruct",
            params=FdkParams,
            skip="benchmark.methods.fdk.reconstruct:why_not",
            summary="filtered backprojection (Feldkamp, Davis, Kress); redundancy weights on short scans",
            revision=2,
            pieces=True,
            tags=("classical",),
            presets={"tigre": {"engine": "tigre"}},
            deterministic=True,
            cite="Feldkamp, Davis, Kress, J. Opt. Soc. Am. A 1 (1984) 612, doi 10.1364/JOSAA.1.000612",
        )
    ]
