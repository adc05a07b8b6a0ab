"""A homogeneous ball: the simplest object with exact data, to check scale, position and edges of a reconstruction."""

from __future__ import annotations

import numpy as np
from pydantic import model_validator

from benchmark.api import MU_WATER, Case, DatasetSpec, Ellipsoids, Field, SimulatedParams, hookimpl, simulated_case


class BallParams(SimulatedParams):
    """A ball in a cube."""

    side: float = Field(200.0, gt=0, description="edge length of the cube [mm]")
    radius: float = Field(70.0, gt=0, description="radius of the ball [mm]")
    centre: tuple[float, float, float] = Field((0.0, 0.0, 0.0), description="centre of the ball, x y z [mm]")
    attenuation: float = Field(MU_WATER, gt=0, description="attenuation of the ball [1/mm]; default: water near 60 keV")
    sub_rays: int = Field(1, ge=1, le=16, description="rays per detector pixel and direction, whose line integrals are averaged")

    @model_validator(mode="after")
    def _fits(self) -> BallParams:
        if max(map(abs, self.centre)) + self.radius > self.side / 2:
            raise ValueError(f"a ball of radius {self.radius:g} mm at {self.centre} mm is not inside the cube of {self.side:g} mm")
        return self


def load(params: BallParams) -> Case:
    """Compute the ball's exact projections."""
    ball = Ellipsoids(np.array([params.centre]), np.full((1, 3), params.radius), np.array([params.attenuation]))
    note = "voxel means of the ball (supersampled at its surface)"
    facts = {"sphere": {"centre": list(params.centre), "radius": params.radius}}
    return simulated_case("ball", params.side, lambda: ball, params, truth_note=note, facts=facts)


@hookimpl
def register_datasets() -> list[DatasetSpec]:
    return [DatasetSpec(name="ball", target=load, params=BallParams, summary="homogeneous ball, closed-form projections")]
