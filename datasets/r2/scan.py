"""Make a case of the measured scan in an R2-Gaussian folder."""

from __future__ import annotations

from benchmark.api import Case, measured_case

from . import R2Params


def load(params: R2Params) -> Case:
    """Load the case of a folder."""
    return measured_case(params.opened(), params)
