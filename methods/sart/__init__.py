"""SART: simultaneous algebraic reconstruction, view by view or by ordered subsets of views (also available as `ossart`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from benchmark.api import Engine, Field, Fine, MethodSpec, Params, hookimpl


class SartParams(Params):
    """Parameters of SART: number, length and subset size of the corrections."""

    iterations: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="passes over all views; none = as many as make 7 corrections per voxel of the longest edge, 2 at least",
    )
    relaxation: float = Field(0.5, gt=0, lt=2, description="part of each correction that is applied in the first pass")
    decay: float = Field(1.0, gt=0, le=1, description="factor on the relaxation from pass to pass")
    subset: int = Field(1, ge=1, description="views corrected together; 1 = SART, more = OS-SART, all = SIRT")
    nonnegative: bool = Field(True, description="set negative attenuation to 0 after each correction")
    engine: Engine = "auto"
    fine: Fine = False

    later: ClassVar[Mapping[str, Any]] = {"fine": False}


class OsSartParams(SartParams):
    """Parameters of OS-SART: those of SART, with several views at a time by default."""

    subset: int = Field(5, ge=1, description="views corrected together; 1 = SART, more = OS-SART, all = SIRT")


SART = MethodSpec(
    name="sart",
    target="benchmark.methods.sart.reconstruct:reconstruct",
    params=SartParams,
    summary="simultaneous algebraic reconstruction technique, with ordered subsets",
    revision=2,
    pieces=True,
    tags=("classical",),
    presets={"tigre": {"engine": "tigre"}},
    deterministic=True,
    cite="Andersen and Kak, Ultrason. Imaging 6 (1984) 81, doi 10.1177/016173468400600107",
)


@hookimpl
def register_methods() -> list[MethodSpec]:
    return [SART, dataclasses.replace(SART, name="ossart", params=OsSartParams, summary="sart with subsets of five views")]
