"""A homogeneous ball: the simplest object with exact data, for checking scale, position and edges of a reconstruction."""

from __future__ import annotations

from benchmark.api import Case, DatasetSpec, Ellipsoids, Field, InputError, SimulatedParams, hookimpl, simulated_case


class BallParams(SimulatedParams):
    """A ball in a cube."""

    side: float = Field(200.0, gt=0, description="edge length of the cube [mm]")
    radius: float = Field(70.0, gt=0, description="radius of the ball [mm]")
    centre: tuple[float, float, float] = Field((0.0, 0.0, 0.0), description="centre of the ball, x y z [mm]")
    attenuation: float = Field(0.0206, gt=0, description="attenuation of the ball [1/mm]; water near 60 keV unless given")
    sub_rays: int = Field(1, ge=1, le=16, description="rays per detector pixel and direction, whose line integrals are averaged")


def load(params: BallParams) -> Case:
    """The ball's exact projections. Raises InputError when it does not fit into the cube."""
    if max(map(abs, params.centre)) + params.radius > params.side / 2:
        raise InputError(
            "ball.radius",
            expected=f"a ball inside the cube of {params.side:g} mm",
            found=f"radius {params.radius:g} mm at {params.centre} mm",
        )
    ball = Ellipsoids([params.centre], [[params.radius] * 3], [params.attenuation])
    return simulated_case("ball", params.side, lambda: ball, params, truth_note="voxel means of the ball (supersampled at its surface)")


@hookimpl
def register_datasets() -> list[DatasetSpec]:
    return [DatasetSpec(name="ball", target=load, params=BallParams, summary="homogeneous ball, closed-form projections")]
