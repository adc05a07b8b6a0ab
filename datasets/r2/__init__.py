"""Folders of R2-Gaussian: meta_data.json, one .npy file per projection, and the truth."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from pydantic import model_validator

from benchmark.api import DatasetSpec, Field, Heldout, Measured, MeasuredParams, hookimpl


class R2Params(MeasuredParams):
    """Choice of the folder."""

    path: str = Field(description="folder with meta_data.json")
    heldout: Heldout = Field(100, description="maximum number of held-out views (the folder's own test views), or their indices")

    published: str = Field(
        "", description="name of this unchanged folder in R2-Gaussian's collection, to show published results beside; name = its own"
    )

    def opened(self) -> Measured:
        """Open the folder."""
        from benchmark.api import read_r2

        own = Path(self.path).resolve().name
        published = {"data": "r2", "scene": own if self.published == "name" else self.published} if self.published else {}
        return dataclasses.replace(read_r2(Path(self.path)), published=published)

    @model_validator(mode="after")
    def _possible(self) -> R2Params:
        """Report mistakes in meta_data.json and views missing from it before any run."""
        self.opened().choose(self)
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
