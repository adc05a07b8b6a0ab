"""How simulated objects are scanned: the circular orbit around a cube, its training views and its held-out views."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from pydantic import Field, model_validator

from benchmark.cache import cached_arrays
from benchmark.ct.geometry import ConeBeamGeometry
from benchmark.ct.noise import add_noise
from benchmark.errors import InputError
from benchmark.types import Case, DatasetParams, Scan

VERSION = 1  # raise it whenever simulated numbers change: it is part of the key of what is cached
CIRCLE = 720  # views of the nominal full acquisition: explicit indices count its half degrees
# Held-out angles lie between the nominal ones, at an irrational share of the step: they equal no angle of ANY evenly spaced subset.
BETWEEN = (5**0.5 - 1) / 2


class SimulatedParams(DatasetParams):
    """What every simulated dataset understands."""

    detector: int | None = Field(None, ge=1, le=8192, description="pixels along each side of the detector; none = 1.5 x size")
    sub_rays: int = Field(2, ge=1, le=16, description="rays per detector pixel and direction, whose line integrals are averaged")

    @model_validator(mode="after")
    def _possible(self) -> SimulatedParams:
        """Mistakes that are known before anything is loaded."""
        training_angles(self.views)
        heldout_angles(self.heldout, self.data_seed)
        if self.electronic and self.photons is None:
            raise InputError("electronic", expected="0 without photons", found=f"{self.electronic:g}", fix="Set photons, its unit, too.")
        return self


class Object(Protocol):
    """Something with a known attenuation: Voxels or Ellipsoids."""

    def project(self, geometry: ConeBeamGeometry, sub_rays: int) -> np.ndarray: ...

    def averaged(self, geometry: ConeBeamGeometry) -> np.ndarray: ...


def training_angles(views: int | tuple[int, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    """Angles [rad] and indices into the nominal circle of 720 views (empty where the angles are not on it).

    A number gives that many views evenly spaced over 360 degrees from 0; a list gives those nominal views.
    """
    if isinstance(views, int):
        if views < 1:
            raise InputError("views", expected="at least one view", found=f"{views}")
        indices = tuple(range(0, CIRCLE, CIRCLE // views)) if CIRCLE % views == 0 else ()
        return np.arange(views) * (2 * np.pi / views), indices
    outside = [index for index in views if not 0 <= index < CIRCLE]
    if not views or outside or len(set(views)) < len(views):
        found = f"index {outside[0]}" if outside else "a view twice" if views else "none"
        raise InputError("views", expected=f"different indices 0 .. {CIRCLE - 1} of the nominal full circle", found=found)
    return np.array(views) * (2 * np.pi / CIRCLE), tuple(views)


def heldout_angles(count: int, seed: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """Angles [rad] of the held-out views and their indices, 720 + k for the one after nominal view k; the same for any training views."""
    if count > CIRCLE:
        raise InputError("heldout", expected=f"at most {CIRCLE} held-out views", found=f"{count}")
    chosen = np.sort(np.random.default_rng([seed, 0]).choice(CIRCLE, count, replace=False))
    return (chosen + BETWEEN) * (2 * np.pi / CIRCLE), tuple(int(CIRCLE + k) for k in chosen)


def cube_orbit(side: float, size: int, detector: int, angles: np.ndarray) -> ConeBeamGeometry:
    """Source at 2.5 sides from the axis, detector of 2 x 2 sides at 3.5 sides from the source, volume = the cube [mm].

    The cone then sees the whole cube but for the outermost of its vertical edges, which no body reaches.
    """
    return ConeBeamGeometry(
        source_to_origin=2.5 * side,
        source_to_detector=3.5 * side,
        detector_shape=(detector, detector),
        detector_pitch=(2 * side / detector, 2 * side / detector),
        volume_shape=(size, size, size),
        volume_spacing=(side / size, side / size, side / size),
        angles=angles,
    )


def simulated_case(
    name: str,
    side: float,
    load: Callable[[], Object],
    params: SimulatedParams,
    *,
    identity: str | None = None,
    truth_note: str = "",
    facts: Mapping[str, Any] | None = None,
) -> Case:
    """Scan the object in a cube of this side [mm]: noisy training views on request, noise-free held-out views, voxel means as truth.

    `load` makes the object when something has to be computed. With an `identity` (which must change with the object)
    noise-free projections and truth are kept in the cache folder and the next call does not load the object at all.
    `facts` are the case's, such as {'mu_water': 0.0206}.
    """
    detector = params.detector if params.detector is not None else round(1.5 * params.size)
    angles, training_views = training_angles(params.views)
    others, heldout_views = heldout_angles(params.heldout, params.data_seed)
    geometry = cube_orbit(side, params.size, detector, angles)
    made: list[Object] = []

    def kept(kind: str, geometry: ConeBeamGeometry, compute: Callable[[Object], np.ndarray]) -> np.ndarray:
        def now() -> dict[str, np.ndarray]:
            if not made:
                made.append(load())
            return {"array": compute(made[0])}

        if identity is None:
            return now()["array"]
        return cached_arrays("simulated", [VERSION, identity, kind, params.sub_rays, geometry.digest], now)["array"]

    def project(geometry: ConeBeamGeometry) -> np.ndarray:
        return kept("projections", geometry, lambda thing: thing.project(geometry, params.sub_rays))

    truth = kept("truth", cube_orbit(side, params.size, detector, np.zeros(1)), lambda thing: thing.averaged(geometry))
    projections = project(geometry)
    if params.photons is not None:
        projections = add_noise(projections, params.photons, params.electronic, np.random.default_rng([params.data_seed, 1]))
    heldout = None
    if params.heldout:
        between = cube_orbit(side, params.size, detector, others)
        heldout = Scan(project(between), between)
    return Case(
        name=name,
        scan=Scan(projections, geometry, photons=params.photons),
        truth=truth,
        heldout=heldout,
        truth_note=truth_note,
        training_views=training_views,
        heldout_views=heldout_views if params.heldout else (),
        facts=facts or {},
    )
