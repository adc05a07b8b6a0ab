"""CGLS: conjugate gradients on the least-squares problem."""

from __future__ import annotations

from typing import Annotated, Literal

from benchmark.api import Engine, Field, MethodSpec, Params, hookimpl


class CglsParams(Params):
    """Parameters of CGLS: the stopping rule, because further iterations fit noise and model error."""

    iterations: Annotated[int, Field(ge=1, le=100_000)] | Literal["auto"] = Field(
        "auto", description="number of iterations; auto = as many as predict measured views that are held back best"
    )
    most: int = Field(60, ge=1, le=100_000, description="most iterations that auto may choose")
    nonnegative: bool = Field(True, description="set negative attenuation to 0 at the end")
    engine: Engine = "auto"


@hookimpl
def register_methods() -> list[MethodSpec]:
    return [
        MethodSpec(
            name="cgls",
            target="benchmark.methods.cgls.reconstruct:reconstruct",
            params=CglsParams,
            summary="conjugate gradients for least squares, stopped where held-back views are predicted best",
            revision=3,
            tags=("classical",),
            presets={"tigre": {"engine": "tigre"}},
            deterministic=True,
            cite="Hestenes and Stiefel, J. Res. Natl. Bur. Stand. 49 (1952) 409, doi 10.6028/jres.049.044",
        )
    ]
