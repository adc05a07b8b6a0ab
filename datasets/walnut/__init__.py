"""A walnut under real X-rays: measured cone-beam projections, with all the imperfections that simulations omit."""

from __future__ import annotations

from typing import ClassVar

from pydantic import model_validator

from benchmark.api import DatasetSpec, Field, Heldout, InputError, MeasuredParams, Offer, choose_views, hookimpl

LICENCE = "CC BY 4.0"
CITE = "Meaney, Cone-Beam Computed Tomography Dataset of a Walnut (2022), doi 10.5281/zenodo.6986012"


class WalnutParams(MeasuredParams):
    """Choice of the part of the measurement to use."""

    correct_air: bool = Field(True, description="subtract each view's mean line integral beside the object, which should be 0 but is 0.03")

    _stored: ClassVar[tuple[int, int]] = (240, 256)  # views, and pixels along each side of the detector

    def offer(self) -> Offer:
        views, pixels = self._stored
        return Offer(total=views, native=lambda: {"size": pixels, "bin": 1})

    @model_validator(mode="after")
    def _possible(self) -> WalnutParams:
        """Report mistakes before loading."""
        views, pixels = self._stored
        choose_views(self, views)
        if self.bin is not None and self.bin > pixels // 4:
            raise InputError("bin", expected=f"at most {pixels // 4} for a detector of {pixels} pixels a side", found=f"{self.bin}")
        return self


class SampleParams(WalnutParams):
    """Parameters of the small sample that comes with the project."""

    size: int = Field(32, ge=4, le=512, description="voxels along the longest edge of the reconstruction grid")
    views: int | tuple[int, ...] = Field(20, description="number of training views, evenly spaced, or explicit indices into the 60 views")
    heldout: Heldout = Field(8, description="number of held-out views, seeded and disjoint from every training subset, or their indices")

    _stored: ClassVar[tuple[int, int]] = (60, 64)


@hookimpl
def register_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="walnut",
            target="benchmark.datasets.walnut.case:load_walnut",
            prepare="benchmark.datasets.walnut.case:prepare_walnut",
            params=WalnutParams,
            summary="real cone-beam projections of a walnut, 240 views of 256 x 256 pixels",
            licence=LICENCE,
            cite=CITE,
        ),
        DatasetSpec(
            name="walnut_sample",
            target="benchmark.datasets.walnut.case:load_sample",
            params=SampleParams,
            summary="60 of the walnut's real views, binned to 64 x 64 pixels; needs no network",
            licence=LICENCE,
            cite=CITE,
        ),
    ]
