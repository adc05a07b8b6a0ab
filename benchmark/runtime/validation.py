"""Scans that a fit to many scans is judged by, and does not learn from."""

from __future__ import annotations

import dataclasses

from benchmark.scan.scan import Scan


@dataclasses.dataclass(frozen=True)
class Validation:
    """Scans whose mean loss, computed every `every` steps, decides which weights a fit keeps: those of its least value.

    The fit ends after `patience` values in a row that are not less than the least; None = never.
    """

    scans: tuple[Scan, ...]
    every: int
    patience: int | None = None
