"""Photographs of one object by several calibrated cameras: frames in HDF5 or zarr, or a synthetic moving body."""

from __future__ import annotations

from pathlib import Path

from pydantic import model_validator

from benchmark.api import DatasetParams, DatasetSpec, Field, Heldout, InputError, Offer, hookimpl

FRAMES = 48  # of the synthetic sequence: three cycles of the legs, not quite a circle; later ones exist, too


class MultiviewParams(DatasetParams):
    """Choice of a sequence and a frame."""

    path: str | None = Field(None, description="folder with frames.h5 or frames.zarr, and cameras.json; none = the synthetic sequence")
    frame: int = Field(0, ge=0, description="index of the frame in the sequence")
    views: int | tuple[int, ...] = Field(8, description="number of training cameras, evenly spaced, or explicit indices")
    heldout: Heldout = Field(4, description="number of held-out cameras, seeded and disjoint from the training cameras, or their indices")
    align: bool = Field(True, description="turn each frame about the vertical by the pose found from its silhouettes; else only centre it")
    cameras: int = Field(16, ge=2, description="cameras of the synthetic sequence")
    pixels: int = Field(64, ge=8, description="edge of the synthetic photographs [pixels]")

    def offer(self) -> Offer:
        if self.path is None:
            return Offer(name=f"walker-{self.frame}", total=self.cameras, frames=lambda: FRAMES)
        from benchmark.api import count_frames, read_cameras

        folder = Path(self.path)
        cameras = read_cameras(folder / "cameras.json")
        name = f"{folder.resolve().name}-{self.frame}"
        return Offer(name=name, total=len(cameras), heldout=cameras.heldout, frames=lambda: count_frames(folder))

    @model_validator(mode="after")
    def _possible(self) -> MultiviewParams:
        if self.photons is not None or self.electronic:
            raise InputError("photons, electronic", expected="none (photographs have no X-ray noise)", found="added noise")
        if self.path is not None and not Path(self.path).is_dir():
            expected = "a folder with frames.h5 or frames.zarr, and cameras.json"
            raise InputError("path", expected=expected, found=f"'{self.path}', which is not there")
        return self


def is_photographs(path: Path) -> bool:
    """Return True if `--scan PATH` is such a folder."""
    return (path / "cameras.json").is_file()


@hookimpl
def register_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="multiview",
            target="benchmark.datasets.multiview.case:load",
            params=MultiviewParams,
            opens={"scan": is_photographs},
            summary="calibrated colour photographs with silhouettes: a folder (docs/data/photographs.md), or a synthetic body that walks",
        )
    ]
