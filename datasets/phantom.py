"""Phantoms made of ellipsoids: data in closed form, so that data and truth are independent of any projector."""

from __future__ import annotations

from typing import Literal

import numpy as np

from benchmark.api import MU_WATER, Case, DatasetSpec, Ellipsoids, Field, SimulatedParams, hookimpl, simulated_case

# The 3-D Shepp-Logan head with Toft's contrasts: value, semi-axes x y z, centre x y z (in half cube sides), turn about z [deg].
# Shepp and Logan, IEEE Trans. Nucl. Sci. 21 (1974) 21, doi 10.1109/TNS.1974.6499235; Toft, The Radon Transform, PhD thesis (DTU 1996).
SHEPP_LOGAN = (
    (1.0, 0.69, 0.92, 0.81, 0.0, 0.0, 0.0, 0),
    (-0.8, 0.6624, 0.874, 0.78, 0.0, -0.0184, 0.0, 0),
    (-0.2, 0.11, 0.31, 0.22, 0.22, 0.0, 0.0, -18),
    (-0.2, 0.16, 0.41, 0.28, -0.22, 0.0, 0.0, 18),
    (0.1, 0.21, 0.25, 0.41, 0.0, 0.35, -0.15, 0),
    (0.1, 0.046, 0.046, 0.05, 0.0, 0.1, 0.25, 0),
    (0.1, 0.046, 0.046, 0.05, 0.0, -0.1, 0.25, 0),
    (0.1, 0.046, 0.023, 0.05, -0.08, -0.605, 0.0, 0),
    (0.1, 0.023, 0.023, 0.02, 0.0, -0.606, 0.0, 0),
    (0.1, 0.023, 0.046, 0.02, 0.06, -0.605, 0.0, 0),
)
SHEPP_LOGAN_SIDE = 256.0  # [mm]
SHEPP_LOGAN_SCALE = 2 * MU_WATER  # the skull (value 1) is twice water; the other contrasts are Toft's, far above real ones

# A trunk, x to the patient's right, y to the front, z to the head: attenuation relative to water (it adds up where
# organs lie inside others), semi-axes x y z, centre x y z [mm], turn about z [deg].
TRUNK = (
    (0.92, 150, 100, 165, 0, 0, 0, 0),  # skin and fat
    (0.11, 140, 90, 155, 0, 0, 0, 0),  # muscle
    (-0.75, 44, 66, 100, 78, 6, 20, 8),  # lungs
    (-0.75, 44, 66, 100, -78, 6, 20, -8),
    (0.05, 26, 40, 44, -4, 26, -10, 20),  # heart
    (0.25, 11, 11, 120, -14, -30, 0, 0),  # aorta, with contrast agent
    (-0.95, 8, 8, 45, 0, -8, 95, 0),  # windpipe
    (0.06, 56, 52, 28, 52, 8, -108, 10),  # liver
    (-0.98, 20, 16, 13, -58, 26, -112, 0),  # gas in the stomach
    (0.7, 7, 7, 7, 88, 20, 50, 0),  # nodules in the lungs
    (0.7, 4, 4, 4, -84, -14, 0, 0),
    (0.7, 5, 8, 3, -70, 30, 70, 30),
)
TRUNK_SIDE = 360.0  # [mm]


class PhantomParams(SimulatedParams):
    """Choice of the phantom."""

    kind: Literal["shepp_logan", "anatomy"] = Field("shepp_logan", description="shepp_logan (a head) or anatomy (a trunk)")


def _from_table(table: np.ndarray, length: float, attenuation: float) -> Ellipsoids:
    return Ellipsoids(table[:, 4:7] * length, table[:, 1:4] * length, table[:, 0] * attenuation, np.deg2rad(table[:, 7]))


def shepp_logan() -> Ellipsoids:
    """Return ten ellipsoids in a cube of 256 mm."""
    return _from_table(np.array(SHEPP_LOGAN), SHEPP_LOGAN_SIDE / 2, SHEPP_LOGAN_SCALE)


def anatomy() -> Ellipsoids:
    """Return a trunk in a cube of 360 mm: the organs above, seven vertebrae and five pairs of ribs in eight pieces each."""
    vertebrae = [(0.5, 19, 16, 10, 0, -58, z, 0) for z in range(-96, 97, 32)]
    vertebrae += [(-0.4, 13, 10, 7, 0, -58, z, 0) for z in range(-96, 97, 32)]  # their spongy inside
    ribs = []
    for z in range(-60, 101, 40):
        reach = np.sqrt(1 - (z / 155) ** 2)  # of the muscle's surface at this height
        for angle in np.deg2rad(np.r_[-70:71:20, 110:251:20]):
            x, y = 131 * reach * np.cos(angle), 82 * reach * np.sin(angle)
            tangent = np.rad2deg(np.arctan2(82 * np.cos(angle), -131 * np.sin(angle)))
            ribs.append((0.8, 15, 4, 6, x, y, z - 10 * np.sin(angle), tangent))
    return _from_table(np.array([*TRUNK, *vertebrae, *ribs], dtype=float), 1.0, MU_WATER)


def load(params: PhantomParams) -> Case:
    """Compute the chosen phantom's exact projections."""
    side, make = {"shepp_logan": (SHEPP_LOGAN_SIDE, shepp_logan), "anatomy": (TRUNK_SIDE, anatomy)}[params.kind]
    note, facts = "voxel means of the ellipsoids, supersampled", {"mu_water": MU_WATER}
    return simulated_case(f"phantom-{params.kind}", side, make, params, truth_note=note, facts=facts)


@hookimpl
def register_datasets() -> list[DatasetSpec]:
    return [DatasetSpec(name="phantom", target=load, params=PhantomParams, summary="ellipsoid phantoms, closed-form projections")]
