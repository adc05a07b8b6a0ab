"""Make a case of the measured scan in a NAF pickle."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from benchmark.api import Case, measured_case, read_naf

from . import NafParams


def load(params: NafParams) -> Case:
    """Load the case of a file."""
    published = {"data": "sax", "scene": params.published} if params.published else {}
    return measured_case(dataclasses.replace(read_naf(Path(params.path), params.offset_v), published=published), params)
