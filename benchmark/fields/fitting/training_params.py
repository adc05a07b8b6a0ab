"""Parameters shared by all methods that fit a field to a scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from benchmark.plugins.specs import Params, TvWeight
from benchmark.scan.scan import Scan

Precision = Literal["float32", "bfloat16", "float16"]
"""Type of a parameter that chooses the precision of products in training: 'float32', 'bfloat16' or 'float16'."""

Loss = Literal["mse", "l1", "huber"]

Growth = tuple[Annotated[int, Field(ge=1)], ...]
"""Type of a parameter that lists the steps at which training grows (see `grown`)."""


def grown(first: int, last: int, growth: Sequence[int], step: int) -> int:
    """Return the number of rays or views of a step: `first`, growing by equal factors at each step of `growth` until it is `last`.

    Without steps in `growth` it is `last` from the start.
    """
    reached = sum(step >= at for at in growth) / len(growth) if growth else 1
    return round(first * (last / first) ** reached)


class FieldParams(Params):
    """Parameters of methods that fit a field to a scan: sampling, loss, regularisation, weighting and final corrections."""

    later: ClassVar[Mapping[str, Any]] = {"loss": "mse", "huber": 0.03}

    samples: int | None = Field(None, ge=2, description="samples a ray; none = 1.5 times the voxels along the longest edge (render: rays)")
    importance: int = Field(0, ge=0, description="further samples a ray, more of them where the field is dense (render: rays)")
    checkpointing: bool = Field(
        False, description="keep nothing of the field between its two passes but compute it again: less memory, more time (render: rays)"
    )
    tv: TvWeight = Field(
        0.0, description="weight of the total variation, a pure number (0.0003 .. 0.05 are usual); auto = from the scan alone; 0 = off"
    )
    loss: Loss = Field(
        "mse", description="of a residual r: mse = r^2, l1 = |r|, huber = r^2 up to `huber` and linear beyond, so that outliers count less"
    )
    huber: float = Field(
        0.03, gt=0, description="residual at which huber becomes linear, over the root mean square of the measurements (loss: huber)"
    )
    weighting: Literal["equal", "photons"] = Field(
        "equal", description="how much each pixel counts; photons = as the photons it received, exp(-p), where the scan says it has noise"
    )
    refine: int = Field(200, ge=0, description="SART corrections (one view each) of the volume at the end; 0 = the field as it is")

    @model_validator(mode="after")
    def _comparable(self) -> FieldParams:
        if self.tv == "auto" and self.loss == "l1":
            raise ValueError("tv=auto is chosen for squared residuals: give tv a number, or use loss mse or huber")
        return self


def skip_reason(scan: Scan, params: Params) -> str:
    """Return the reason why a fit with these parameters cannot take a scan, '' if it can; a target for `MethodSpec.skip`.

    Some ray must meet the volume, and total variation is weighed against line integrals, so that other views need a weight of 0.
    """
    if not _meets(scan):
        return "no ray of the scan meets the volume (one slice may lie between the rows of the detector)"
    given = [name for name, field in type(params).model_fields.items() if field.annotation == TvWeight and getattr(params, name)]
    if scan.composite == "sum" or not given:
        return ""
    return f"{' and '.join(given)}: total variation needs line integrals, these views are maxima; leave it at 0"


def _meets(scan: Scan) -> bool:
    """Return True if a ray meets the volume; the first view tells in most scans."""
    from benchmark.projection.marching import clip
    from benchmark.projection.rays import view_rays

    bounds = scan.geometry.volume_bounds
    return any(bool((clip(view_rays(scan.geometry, [view]), bounds)[:, 1] > 0).any()) for view in range(scan.geometry.views))
