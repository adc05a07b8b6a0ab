"""Folders of R2-Gaussian: meta_data.json, one .npy file per projection, and the truth."""

from __future__ import annotations

from pathlib import Path

from pydantic import model_validator

from benchmark.api import DatasetSpec, Field, MeasuredParams, hookimpl


class R2Params(MeasuredParams):
    """Choice of the folder."""

    path: str = Field(description="folder with meta_data.json")
    heldout: int = Field(100, ge=0, description="maximum number of held-out views: the folder's own test views")

    published: str = Field("", description="name of this unchanged folder in R2-Gaussian's collection, to show published results beside")

    @model_validator(mode="after")
    def _possible(self) -> R2Params:
        """Report mistakes in meta_data.json and views missing from it before any run."""
        from benchmark.api import read_r2

        read_r2(Path(self.path)).choose(self)
        return self


def is_folder(path: Path) -> bool:
    """Return True if `--scan PATH` is such a folder."""
    return (path / "meta_data.json").is_file()


@hookimpl
def register_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="r2",
            target="benchmark.datasets.r2.scan:load",
            params=R2Params,
            opens={"scan": is_folder},
            summary="a folder of R2-Gaussian with meta_data.json",
            cite="Zha, Lin, Cai, Cao, Zhang, Li, R2-Gaussian, NeurIPS 2024",
        )
    ]
