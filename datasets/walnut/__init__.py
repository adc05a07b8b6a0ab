"""A walnut under real X-rays: measured cone-beam projections, with all the imperfections that simulations leave out."""

from __future__ import annotations

from benchmark.api import DatasetParams, DatasetSpec, Field, hookimpl

LICENCE = "CC BY 4.0"
CITE = "Meaney, Cone-Beam Computed Tomography Dataset of a Walnut (2022), doi 10.5281/zenodo.6986012"


class WalnutParams(DatasetParams):
    """Which part of the measurement to use."""

    bin: int | None = Field(
        None, ge=1, description="detector pixels averaged along each direction; none = as many as leave at least `size` pixels a side"
    )
    correct_air: bool = Field(True, description="subtract each view's mean line integral beside the object, which should be 0 but is 0.03")


class SampleParams(WalnutParams):
    """The same for the small sample that comes with the project."""

    size: int = Field(32, ge=4, le=512, description="voxels along the longest edge of the reconstruction grid")
    views: int | tuple[int, ...] = Field(20, description="number of training views, evenly spaced, or explicit indices into the 60 views")
    heldout: int = Field(8, ge=0, description="number of held-out views, seeded and disjoint from every training subset")


@hookimpl
def register_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="walnut",
            target="datasets.walnut.case:load_walnut",
            prepare="datasets.walnut.case:prepare_walnut",
            params=WalnutParams,
            summary="real cone-beam projections of a walnut, 240 views of 256 x 256 pixels",
            licence=LICENCE,
            cite=CITE,
        ),
        DatasetSpec(
            name="walnut_sample",
            target="datasets.walnut.case:load_sample",
            params=SampleParams,
            summary="60 of the walnut's real views, binned to 64 x 64 pixels; needs no network",
            licence=LICENCE,
            cite=CITE,
        ),
    ]
