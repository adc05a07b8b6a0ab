"""Pickles of NAF, SAX-NeRF and X2: projections, geometry and truth in one file, read as published."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Literal

from pydantic import model_validator

from benchmark.api import DatasetSpec, Field, Heldout, InputError, Measured, MeasuredParams, hookimpl


class NafParams(MeasuredParams):
    """Choice of the file."""

    path: str = Field(description="the .pickle file")
    heldout: Heldout = Field(
        50, description="maximum number of held-out views (the file's validation views, or others if it has none), or their indices"
    )
    offset_v: Literal["loader", "generator"] = Field(
        "loader",
        description="sense of a vertical detector offset: down as in the published loader, or up as in the published generator",
    )

    published: str = Field(
        "",
        description="name of this unchanged file in SAX-NeRF's collection (chest), to show published results beside; "
        "name = the file's own, without its number of views",
    )

    def opened(self) -> Measured:
        """Read the file."""
        from benchmark.api import read_naf

        own = re.sub(r"_\d+$", "", Path(self.path).stem)
        published = {"data": "sax", "scene": own if self.published == "name" else self.published} if self.published else {}
        return dataclasses.replace(read_naf(Path(self.path), self.offset_v), published=published)

    @model_validator(mode="after")
    def _there(self) -> NafParams:
        if not Path(self.path).is_file():
            raise InputError("path", expected="a file", found=f"'{self.path}', which is not there")
        return self


def is_pickle(path: Path) -> bool:
    """Return True if `--scan PATH` is such a file."""
    return path.is_file() and path.suffix.lower() in (".pickle", ".pkl")


@hookimpl
def register_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="naf",
            target="benchmark.datasets.naf.scan:load",
            params=NafParams,
            opens={"scan": is_pickle},
            summary="a .pickle file of NAF, SAX-NeRF or X2",
            cite="Zha, Zhang, Li, NAF, MICCAI 2022, doi 10.1007/978-3-031-16446-0_42",
        )
    ]
