"""Make a case of the measured scan in a NAF pickle."""

from __future__ import annotations

from benchmark.api import Case, measured_case

from . import NafParams


def load(params: NafParams) -> Case:
    """Load the case of a file."""
    return measured_case(params.opened(), params)
