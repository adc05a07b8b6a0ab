"""Scans of simulated objects: the orbit around a cube, training views and held-out views."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from pydantic import Field, model_validator

from benchmark.acquisition.noise import add_noise, detected
from benchmark.acquisition.scanners import SCANNERS, Name
from benchmark.errors import InputError
from benchmark.plugins.specs import DatasetParams, Heldout, Offer
from benchmark.scan.case import Case
from benchmark.scan.geometry import ConeBeamGeometry, Triple
from benchmark.scan.scan import Scan
from benchmark.storage.cache import cached_arrays

VERSION = 1  # part of the cache key: raise it whenever simulated numbers change
CIRCLE = 720  # views of the nominal full acquisition: explicit indices count its half degrees
# Held-out angles lie between the nominal ones, at an irrational share of the step: they equal no angle of ANY evenly spaced subset.
BETWEEN = (5**0.5 - 1) / 2


class SimulatedParams(DatasetParams):
    """Parameters of every simulated dataset: the scanner, its orbit and its detector."""

    detector: int | None = Field(None, ge=1, le=8192, description="pixels along each side of the detector; none = 1.5 x size")
    sub_rays: int = Field(2, ge=1, le=16, description="rays per detector pixel and direction, whose line integrals are averaged")

    scanner: Name = Field("standard", description="proportions of distances and detector, and the usual arc")
    arc: float | None = Field(
        None, gt=0, le=3600, description="arc of the views [deg]: 200 is a short scan, 90 a limited angle; none = the scanner's"
    )
    start: float = Field(0.0, ge=-360, le=360, description="angle of the first view [deg]")
    jitter: float = Field(0.0, ge=0, le=0.5, description="irregular angles: each view is off by up to this share of the step, seeded")
    rise: float = Field(0.0, description="helix: the source climbs this much per turn [mm]; the middle of the arc is at the middle plane")
    axis_shift: float = Field(0.0, description="source and detector moved together along u: an axis off centre [mm]")
    detector_offset: tuple[float, float] = Field((0.0, 0.0), description="of the detector, (v, u) [mm at the detector]")
    blur: float = Field(0.0, ge=0, le=100, description="standard deviation of the detector's Gaussian blur of the intensities [pixels]")
    scatter: float = Field(0.0, ge=0, le=10, description="smooth background added to the intensities, in shares of their local mean")

    def offer(self) -> Offer:
        """Return the nominal acquisition, of which any number of views can be made."""
        return Offer(total=CIRCLE, simulated=True)

    @model_validator(mode="after")
    def _possible(self) -> SimulatedParams:
        """Raise InputError for mistakes visible before anything is loaded."""
        training_angles(self.views)
        heldout_angles(self.heldout, self.data_seed)
        if self.electronic and self.photons is None:
            raise InputError("electronic", expected="0 without photons", found=f"{self.electronic:g}", fix="Set photons, its unit, too.")
        return self

    @property
    def radians(self) -> float:
        """Arc of the views [rad]."""
        return 2 * np.pi * ((self.arc if self.arc is not None else SCANNERS[self.scanner].arc) / 360)


class Object(Protocol):
    """Object of known attenuation: Voxels or Ellipsoids."""

    def project(self, geometry: ConeBeamGeometry, sub_rays: int) -> np.ndarray: ...

    def averaged(self, geometry: ConeBeamGeometry) -> np.ndarray: ...


def training_angles(views: int | tuple[int, ...], arc: float = 2 * np.pi) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return the angles [rad] of the training views and their indices into the nominal acquisition of 720 views over the arc.

    A number gives that many views, evenly spaced from angle 0; the end of the arc is no view. A tuple gives those nominal views. The
    indices are empty where the angles are not nominal ones. Raises InputError for no view and for indices outside 0 .. 719.
    """
    if isinstance(views, int):
        if views < 1:
            raise InputError("views", expected="at least one view", found=f"{views}")
        indices = tuple(range(0, CIRCLE, CIRCLE // views)) if CIRCLE % views == 0 else ()
        return np.arange(views) * (arc / views), indices
    outside = [index for index in views if not 0 <= index < CIRCLE]
    if not views or outside or len(set(views)) < len(views):
        found = f"index {outside[0]}" if outside else "a view twice" if views else "none"
        raise InputError("views", expected=f"different indices 0 .. {CIRCLE - 1} of the nominal full circle", found=found)
    return np.array(views) * (arc / CIRCLE), tuple(views)


def heldout_angles(heldout: Heldout, seed: int, arc: float = 2 * np.pi) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return the angles [rad] of the held-out views and their indices: 720 + k for the view after nominal view k.

    A number gives that many views, seeded; a tuple gives those indices. The views do not depend on the training views, and coincide with
    none of them. Raises InputError for more than 720 and for other indices.
    """
    if isinstance(heldout, tuple):
        outside = [index for index in heldout if not CIRCLE <= index < 2 * CIRCLE]
        if outside:
            raise InputError(
                "heldout", expected=f"indices {CIRCLE} .. {2 * CIRCLE - 1}: views between the nominal ones", found=f"{outside[0]}"
            )
        chosen = np.array(sorted(set(heldout)), dtype=int) - CIRCLE
    elif heldout > CIRCLE:
        raise InputError("heldout", expected=f"at most {CIRCLE} held-out views", found=f"{heldout}")
    else:
        chosen = np.sort(np.random.default_rng([seed, 0]).choice(CIRCLE, heldout, replace=False))
    return (chosen + BETWEEN) * (arc / CIRCLE), tuple(int(CIRCLE + k) for k in chosen)


def cube_orbit(side: float, size: int, detector: int, angles: np.ndarray) -> ConeBeamGeometry:
    """Return the standard scanner: source at 2.5 sides from the axis, detector of 2 x 2 sides at 3.5 sides from the source [mm].

    The cone then covers the whole cube except slivers at its vertical edges, which no body reaches.
    """
    return orbit(side, detector, angles, SimulatedParams.model_validate({"size": size}))


def orbit(side: float, detector: int, angles: np.ndarray, params: SimulatedParams) -> ConeBeamGeometry:
    """Return the scanner described by the parameters, around a cube of this side [mm]. `angles` [rad] count from the first view."""
    scanner = SCANNERS[params.scanner]
    height = params.rise * (angles - params.radians / 2) / (2 * np.pi) if params.rise else 0.0
    return ConeBeamGeometry(
        **scanner.around(side, detector),
        volume_shape=(params.size,) * 3,
        volume_spacing=(side / params.size,) * 3,
        angles=angles + np.deg2rad(params.start) if params.start else angles,
        detector_offset=params.detector_offset,
        axis_shift=params.axis_shift,
        source_height=height,
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
    grid: tuple[tuple[int, int, int], Triple] | None = None,
) -> Case:
    """Scan an object in a cube of edge `side` [mm]: training views (noisy if `params.photons` is set), noise-free held-out views, truth.

    The volume is the cube with `params.size` voxels along an edge, or the box inside it of `grid`: shape and voxel edges (z, y, x) [mm].

    `load` makes the object (Ellipsoids, Voxels, or anything with `project(geometry, sub_rays)` and `averaged(geometry)`). With an
    `identity`, which must change with the object, projections and truth are cached, and `load` is not called where both are found.
    `facts` are the case's, such as {'mu_water': 0.0206}. The truth holds voxel means, float32 [z, y, x] [1/mm].
    """
    detector = params.detector if params.detector is not None else round(1.5 * params.size)
    angles, training_views = training_angles(params.views, params.radians)
    others, heldout_views = heldout_angles(params.heldout, params.data_seed, params.radians)
    if params.jitter:
        step = params.radians / len(angles)
        angles = angles + step * params.jitter * np.random.default_rng([params.data_seed, 2]).uniform(-1, 1, len(angles))
        training_views = ()

    def around(angles: np.ndarray, params: SimulatedParams) -> ConeBeamGeometry:
        scanner = orbit(side, detector, angles, params)
        return scanner if grid is None else dataclasses.replace(scanner, volume_shape=grid[0], volume_spacing=grid[1])

    geometry = around(angles, params)
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

    truth = kept("truth", around(np.zeros(1), SimulatedParams(size=params.size)), lambda thing: thing.averaged(geometry))
    projections = detected(project(geometry), params.blur, params.scatter)
    if params.photons is not None:
        projections = add_noise(projections, params.photons, params.electronic, np.random.default_rng([params.data_seed, 1]))
    heldout = None
    if params.heldout:
        between = around(others, params)
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
