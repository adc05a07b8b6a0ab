"""Folders of R2-Gaussian: meta_data.json, one .npy file per projection, and the truth."""

from __future__ import annotations

from pathlib import Path

from pydantic import model_validator

from benchmark.api import DatasetSpec, Field, MeasuredParams, hookimpl


class R2Params(MeasuredParams):
    """Which folder."""

    path: str = Field(description="folder with meta_data.json")
    heldout: int = Field(100, ge=0, description="held-out views, at most: the folder's own test views")

    published: str = Field(
        "", description="the case of R2-Gaussian's collection that this folder is, unchanged; published numbers then stand beside"
    )

    @model_validator(mode="after")
    def _possible(self) -> R2Params:
        """Mistakes in meta_data.json, and views that it does not have, are known before anything runs."""
        from benchmark.api import read_r2

        read_r2(Path(self.path)).choose(self)
        return self


def is_folder(path: Path) -> bool:
    """Whether `--scan PATH` means such a folder."""
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
