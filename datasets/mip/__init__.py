"""Maximum projections of a volume, as in fluorescence microscopy: the user's own stack, or a synthetic neuron."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import model_validator

from benchmark.api import DatasetParams, DatasetSpec, Field, InputError, Offer, case_name, hookimpl, open_frames

Pixels = Annotated[int, Field(ge=1, le=8192)]


class MipParams(DatasetParams):
    """Choice of the object and of the cameras."""

    path: str | None = Field(
        None, description="a stack: TIFF, numbered images, NIfTI, NRRD, MHA, DICOM, .npy or .npz; none = a neuron made of tubes"
    )
    key: str | None = Field(None, description="the array's name in an .npz file")
    frame: int | None = Field(None, ge=0, description="index of the frame in a time series of stacks, TZYX in one TIFF, .npy or .npz")
    spacing: float | tuple[float, float, float] | None = Field(
        None, description="voxel edge, or (z, y, x) [unit], where the file has none; none = 1"
    )
    unit: str = Field("um", min_length=1, description="unit of all lengths of a stack, for reports (nothing is converted)")
    background: float = Field(0.0, description="intensity of the stack's background: subtracted, negative values become 0")
    neuron: int = Field(0, ge=0, description="seed of the synthetic neuron")
    views: int | tuple[int, ...] = Field(
        20, description="number of training views, including the orthogonal ones; or a list of orbit views alone, in half degrees"
    )
    orthogonal: bool = Field(True, description="make the views along z, y and x (XY, XZ, YZ) the first three training views")
    camera: Literal["orthographic", "perspective"] = Field("orthographic", description="parallel rays, or rays from a point")
    field_of_view: float = Field(30.0, gt=0, lt=180, description="full angle of the picture along an edge (camera: perspective) [deg]")
    elevation: float = Field(20.0, gt=-90, lt=90, description="elevation of the orbit's cameras above the XY plane [deg]")
    detector: Pixels | tuple[Pixels, Pixels] | None = Field(
        None, description="pixels along each side of the pictures, or [rows, columns] (H x W); none = 1.5 x size"
    )
    depth: bool = Field(False, description="give methods the depth of each pixel's maximum along its central ray, too")
    sub_rays: int = Field(2, ge=1, le=16, description="rays per pixel and direction, whose maxima are averaged")

    voxels: Literal["cubes", "own"] = Field(
        "cubes", description="cubes: cubic voxels; own: in the proportions of the stack's (what size: native sets)"
    )

    later: ClassVar[Mapping[str, Any]] = {"voxels": "cubes", "frame": None, "depth": False}

    def offer(self) -> Offer:
        def native() -> dict[str, int | str]:
            from .case import native

            return native(self)

        if self.path is None:
            return Offer(name=f"neuron-{self.neuron}", total=720, simulated=True)
        path, name = Path(self.path), case_name(Path(self.path))
        if self.frame is None:
            return Offer(name=name, total=720, simulated=True, native=native)
        count = open_frames(path, self.key).shape[0]
        return Offer(name=f"{name}-{self.frame}", total=720, simulated=True, native=native, frames=lambda: count)

    @model_validator(mode="after")
    def _possible(self) -> MipParams:
        if self.photons is not None or self.electronic:
            raise InputError("photons, electronic", expected="none (they are noise of X-ray intensities)", found="added noise")
        if self.path is None and self.frame is not None:
            raise InputError("frame", expected="none without a path", found=f"{self.frame}")
        if self.path is not None and not Path(self.path).exists():
            raise InputError("path", expected="a file or folder", found=f"'{self.path}', which is not there")
        return self


@hookimpl
def register_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="mip",
            target="benchmark.datasets.mip.case:load",
            params=MipParams,
            summary="maximum projections of your own stack (--set mip.path=stack.tif) or of a synthetic neuron",
        )
    ]
