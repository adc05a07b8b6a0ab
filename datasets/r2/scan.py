"""Make a case of the measured scan in an R2-Gaussian folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from benchmark.api import Case, measured_case, read_r2

from . import R2Params


def load(params: R2Params) -> Case:
    """Load the case of a folder."""
    published = {"data": "r2", "scene": params.published} if params.published else {}
    return measured_case(dataclasses.replace(read_r2(Path(params.path)), published=published), params)
