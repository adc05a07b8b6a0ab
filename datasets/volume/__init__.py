"""The user's own CT volume, scanned again in simulation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from benchmark.api import MU_WATER, DatasetSpec, Field, InputError, Offer, SimulatedParams, case_name, hookimpl, volume_format


class VolumeParams(SimulatedParams):
    """Choice of the volume, its unit and the part to keep."""

    path: str = Field(description="folder with a DICOM series or numbered TIFF slices; or a NIfTI, NRRD, MHA, TIFF, .npy or .npz file")
    key: str | None = Field(None, description="the array's name in an .npz file")
    unit: Literal["auto", "HU", "attenuation"] = Field(
        "auto", description="HU, or attenuation per mm; auto = HU if values lie below -100, else an error"
    )
    spacing: float | tuple[float, float, float] | None = Field(None, description="voxel edge, or (z, y, x) [mm], where the file has none")
    water: float = Field(MU_WATER, gt=0, description="attenuation of water, the reference of Hounsfield units [1/mm]")
    ceiling: float | None = Field(None, gt=-1000, description="higher Hounsfield units (metal) become this; none = as measured [HU]")
    crop: tuple[float, float, float, float, float, float] = Field(
        (0, 1, 0, 1, 0, 1), description="part of the volume to keep: from, to along z, y and x, as fractions of its edges"
    )
    box: Literal["cube", "own"] = Field(
        "cube",
        description="cube: a cube around the kept part; own: the kept part itself, in the file's proportions (what size: native sets)",
    )
    side: float | None = Field(
        None, gt=0, description="edge of the reconstruction cube around the kept part [mm]; none = its longest edge in the axial plane"
    )

    later: ClassVar[Mapping[str, Any]] = {"box": "cube"}

    @model_validator(mode="after")
    def _box(self) -> VolumeParams:
        if not all(0 <= low < high <= 1 for low, high in zip(self.crop[::2], self.crop[1::2], strict=True)):
            raise InputError("crop", expected="from < to within 0 .. 1, for z, y and x", found=f"{list(self.crop)}")
        if not Path(self.path).exists():
            raise InputError("path", expected="a file or folder", found=f"'{self.path}', which is not there")
        if self.box == "own" and self.side is not None:
            raise InputError("side", expected="none with box: own", found=f"{self.side:g}")
        return self

    def offer(self) -> Offer:
        def native() -> dict[str, int | str]:
            from .simulate import native

            return native(self)

        return dataclasses.replace(super().offer(), name=case_name(Path(self.path)), native=native)


def is_volume(path: Path) -> bool:
    """Return True if `--volume PATH` can be read."""
    return bool(volume_format(path))


@hookimpl
def register_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="volume",
            target="benchmark.datasets.volume.simulate:load",
            params=VolumeParams,
            opens={"volume": is_volume},
            summary="your own CT volume, projections simulated from its voxels",
        )
    ]
