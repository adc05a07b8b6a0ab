"""CGLS: conjugate gradients on the least-squares problem."""

from __future__ import annotations

from benchmark.api import Field, MethodSpec, Params, hookimpl


class CglsParams(Params):
    """When to stop: iterating on fits noise and model error."""

    iterations: int = Field(100, ge=1, le=100_000, description="most iterations")
    tolerance: float = Field(
        0.02, ge=0, lt=1, description="stop when an iteration lowers the residual's norm by less than this part; 0 = never"
    )
    nonnegative: bool = Field(True, description="set negative attenuation to 0 at the end")


@hookimpl
def register_methods() -> list[MethodSpec]:
    return [
        MethodSpec(
            name="cgls",
            target="methods.cgls.reconstruct:reconstruct",
            params=CglsParams,
            summary="conjugate gradients for least squares, stopped when the residual stops falling",
            cite="Hestenes and Stiefel, J. Res. Natl. Bur. Stand. 49 (1952) 409, doi 10.6028/jres.049.044",
        )
    ]
